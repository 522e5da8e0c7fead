"""Readers of formats other than CSV, without servers: what a file is, JSON in pieces, and odd values."""

import gzip
import json
import re
import sqlite3
import sys
import zipfile

import pytest
from conftest import ROOT, checked
from hypothesis import given
from hypothesis import strategies as some

pytest.importorskip("pyarrow")
sys.path.insert(0, str(ROOT / "template" / ".dsproj"))

import formats  # noqa: E402
from dsproj.database.data_files import kind_of  # noqa: E402
from dsproj.errors import Problem  # noqa: E402
from dsproj.kernel import tables  # noqa: E402
from dsproj.kernel.schema import __main__ as schema  # noqa: E402
from dsproj.kernel.schema import infer  # noqa: E402
from dsproj.kernel.tables import records  # noqa: E402
from dsproj.kernel.tables.__main__ import options, printed  # noqa: E402
from dsproj.report import Report  # noqa: E402

KINDS = {
    "crops.parquet": "Parquet", "crops.feather": "Arrow", "crops.arrows": "Arrow", "lines.jsonl": "JSON", "array.json": "JSON",
    "places.geojson": "JSON", "book.xlsx": "workbook", "shop.sqlite": "SQLite", "shop.duckdb": "DuckDB", "study.sav": "SPSS",
    "study.dta": "Stata", "study.xpt": "SAS transport", "fixed.txt": "CSV", "tabs.tsv": "CSV",
}  # fmt: skip


# What is imported later has to be of the same package: a test of the hooks imports that of its own project.
MODULES = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "dsproj"}


@pytest.fixture(autouse=True)
def same_package(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "dsproj"]:
        monkeypatch.delitem(sys.modules, name)
    for name, module in MODULES.items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_known_by_what_it_holds(tmp_path, name):
    path, *_ = formats.make(name, tmp_path)
    path = path.rename(tmp_path / "file")
    assert kind_of(path) == KINDS[name]
    packed = tmp_path / "file.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    if KINDS[name] in ("CSV", "JSON"):
        assert kind_of(packed) == KINDS[name]
    else:
        with pytest.raises(Problem, match="this is a packed .* file: unpack it"):
            kind_of(packed)


def test_a_workbook_in_an_archive_has_to_be_unpacked(tmp_path):
    path, *_ = formats.make("book.xlsx", tmp_path)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(path, "book.xlsx")
    with pytest.raises(Problem, match="packed zip file: unpack it"):
        kind_of(tmp_path / "all.zip")


VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(10**20), 10**20) | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=3),
)


@given(some.lists(some.dictionaries(some.text(max_size=3), VALUES), max_size=8), some.integers(1, 40), some.booleans())
def test_json_is_read_alike_in_pieces_of_any_size(wanted, size, lines):
    text = "\n".join(map(json.dumps, wanted)) if lines else json.dumps(wanted, indent=1)
    pieces = [text[place : place + size] for place in range(0, len(text), size)]
    found = records.values(iter(pieces))
    assert json.dumps([records.with_numbers(value) for value in found]) == json.dumps(wanted)


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"a":1}\n{"a":}\n', "record 2, line 2: this is no JSON: Expecting value"),
        ('[{"a":1},\n{"b":"x', "the file is cut off in record 2"),
        ('[{"a":1}', "the file is cut off in record 2"),
        ('{"a":1}\n7\n', "record 2 is no object but 7"),
        ('[[1,2],[3,4]]', "record 1 is no object"),
        ("[]", "there is no record in it"),
        ("[" * 100_000, "nested too deep|this is no JSON|cut off"),
        ('{"a":"\\ud800"}', "key a: half a character"),
    ],
)  # fmt: skip
def test_bad_json_is_one_line(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(Problem, match=message):
        infer(tmp_path / "x.json", "x", tmp_path / "x.sql")
        list(printed(*options(words_of(tmp_path / "x.sql", tmp_path / "x.json"))))


def words_of(sql, path):
    command = re.search(r"FROM PROGRAM '\./get_table\.sh ?(.*)' WITH", sql.read_text())[1].replace("''", "'")
    given = checked("sh", "-c", f'printf "%s\\0" {command}').split("\0")[:-1]
    return [f"--file={path}", *filter(None, given)]


def text_of(path, table="t", **how):
    """(the SQL, what get_table.sh prints for it)."""
    sql = path.with_name("made.sql")
    infer(path, table, sql, force=True, **how)
    return sql.read_text(), b"".join(printed(*options(words_of(sql, path)))).decode()


def test_keys_may_be_called_anything(tmp_path):
    record = {"a,b": 1, 'say "x"': 2, "--nested": 3, "it's $(touch owned) `id` \\ %s": 4, "ü\n": 5, "": 6}
    (tmp_path / "x.json").write_text(json.dumps([record]))
    sql, text = text_of(tmp_path / "x.json")
    assert text == '"1","2","3","4","5","6"\n', sql


def test_a_column_of_sqlite_may_hold_anything(tmp_path):
    with sqlite3.connect(tmp_path / "x.db") as con:
        con.execute('CREATE TABLE t (a integer, b, c real, d date, "e\'"" f" boolean, g decimal(5, 1))')
        con.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)",
            [(2**62, b"x", 1, "2026-02-30", 2, 1), (1, 5, 2.5, "now", 1, 0.5), (None, "x", 2**53 + 1, None, 0, None)],
        )
    con.close()
    sql, text = text_of(tmp_path / "x.db")
    kinds = [line.split("--")[0].split()[1].strip(",") for line in sql.splitlines() if line.startswith("    ")][1:]
    assert kinds == ["bigint", "text", "double", "text", "integer", "double"], sql
    assert text.splitlines()[0].startswith('4611686018427387904,"\\x78"'), text


def test_columns_that_sqlite_computes_are_columns(tmp_path):
    with sqlite3.connect(tmp_path / "x.db") as con:
        con.executescript(
            "CREATE TABLE t (a int, b int AS (a + 1), c real AS (a / 2.0) STORED); INSERT INTO t VALUES (1)"
        )
    con.close()
    sql, text = text_of(tmp_path / "x.db")
    assert "\\copy t (a, b, c) " in sql and "c   double precision" in sql and text == "1,2,0.5\n", sql


def test_lines_of_fixed_width_end_in_any_way_and_are_counted(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "x.txt").write_bytes(end.join(["001Ada", "", "002Bob", "003Eve", ""]).encode())
        assert text_of(tmp_path / "x.txt", widths=(3, 3), header=False)[1] == "001,Ada\n002,Bob\n003,Eve\n"


def test_the_types_of_a_study_without_values_or_with_odd_codes(tmp_path):
    import pandas as pd
    import pyreadstat

    frame = pd.DataFrame({"empty": [None, None], "code": [1.0, 9.0], "share": [0.5, 1.0], "large": [2.0**40, 1.0]})
    pyreadstat.write_sav(frame, str(tmp_path / "x.sav"), variable_value_labels={"code": {1: "yes"}})
    sql, text = text_of(tmp_path / "x.sav")
    assert "code  integer" in sql and "large bigint" in sql and "share double precision" in sql, sql
    assert text == '"",1,0.5,1099511627776\n"",9,1,1\n'


@pytest.mark.parametrize("name", ["base.xls", "base.xlsb", "base.ods", "file1.sas7bdat", "study.por"])
def test_formats_of_which_others_wrote_the_sample(tmp_path, name):
    """A row of each kind of cell, of python-calamine; a file of SAS's, of sas7bdat-converter."""
    path = tmp_path / name
    if name == "study.por":
        import pyreadstat

        pyreadstat.write_por(formats.STUDY.replace("ü", "c"), str(path))
    else:
        path.write_bytes(gzip.decompress((ROOT / "tests" / "samples" / f"{name}.gz").read_bytes()))
    sql, text = text_of(path, part="Sheet1" if "base" in name else "")
    types = re.findall(r"^    \w+ +(\w+(?: precision)?),?  |^    \w+ +(\w+(?: precision)?),?$", sql, re.M)
    first, kinds = {
        "base": ("String,1,1.1,true,false,2010-10-10,2010-10-10 10:10:10,10:10:10,10:10:10.100000,",
                 "text integer double precision boolean boolean date timestamp text text text"),
        "file1": ('1,"Some text",2.5,2018-01-02\n2,"Some more text",17.23,2018-02-05\n3,"Lorem', "integer text double precision date"),
        "study": ('1,1,1,0.5,"a",2026-01-31\n2,2,2,,"b",\n3,1,98,2,"c",2026-02-01\n', "integer integer integer double precision text date"),
    }[name.partition(".")[0]]  # fmt: skip
    assert text.startswith(first) and " ".join(map("".join, types)) == kinds, (sql, text)
    for part in (100, len(path.read_bytes()) // 2):
        path.write_bytes(path.read_bytes()[:part])
        with pytest.raises(Problem) as caught:
            infer(path, "t", tmp_path / "bad.sql")
        assert "\n" not in str(caught.value) and not (tmp_path / "bad.sql").exists(), caught.value


def test_columns_can_be_chosen_by_an_edit_of_the_sql(tmp_path):
    path, *_ = formats.make("crops.parquet", tmp_path)
    assert b"".join(printed(*options([f"--file={path}", "--columns=2,1"]))) == b"1099511627776,1\n1,2\n,\n"
    path, *_ = formats.make("book.xlsx", tmp_path)
    words = [f"--file={path}", "--part=Sheet 1", "--columns=3,1", "--null=NA"]
    assert b"".join(printed(*options(words))).decode() == 'Number,Name\n1,a\n2,b\n,"c, d"\n'


def test_a_table_without_a_reader_is_no_table(tmp_path):
    (tmp_path / "x.csv").write_text("a\n1\n")
    assert tables.source_of(tmp_path / "x.csv") is None
    with pytest.raises(Problem, match="which ./get_data.sh prints"):
        list(printed(*options([f"--file={tmp_path}/x.csv"])))


@pytest.mark.parametrize(
    "words, message",
    [
        (["--widths=3,x"], "WIDTHS=3,x: numbers of characters"),
        (["--widths=0,3"], "WIDTHS=0,3: a width is 1 or more"),
        (["--filename=1"], "FILENAME= is for several files"),
        (["--part=x"], "it holds one table"),
        (["--widths=1,2", "--columns=a"], "1 names are given, the file has 2 columns"),
    ],
)
def test_odd_values_of_variables_are_one_message(tmp_path, words, message):
    (tmp_path / "x.txt").write_text("a,b\n1,2\n")
    words += [f"--file={tmp_path}/x.txt", "--table=x", f"--sql={tmp_path}/x.sql"]
    with pytest.raises(Problem, match=message):
        schema.main(Report(), *words)
    assert not (tmp_path / "x.sql").exists()


def test_a_database_that_a_program_writes_to_is_refused(tmp_path):
    from dsproj.host.source import checked_source

    path, *_ = formats.make("shop.sqlite", tmp_path)
    assert checked_source(f"{path}#orders") == str(path)
    (tmp_path / "shop.sqlite-wal").write_bytes(b"x")
    with pytest.raises(Problem, match="a program writes to it, and shop.sqlite-wal holds what is newest"):
        checked_source(f"{path}#orders")


# --- several files ------------------------------------------------------------------------------------------------------


def archive_of(tmp_path, files):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_csv_files_become_one_table_with_columns_by_name(tmp_path):
    files = {
        "b.csv": 'year;place;sum\n2025;Rome;1,5\n\n2025;"Bo;nn";2,5\n'.encode("utf-16"),
        "a.csv": "# of 2024\nplace,year\nBern,2024\n",
        "c.tsv": 'year\tnote\n2026\tit\'s "so"\n',
        "__MACOSX/a.csv": "x",
    }
    sql, text = text_of(archive_of(tmp_path, files), filename=True)
    assert text == (
        'place,year,sum,note,filename\nBern,2024,,,a.csv\nRome,2025,"1.5",,b.csv\nBo;nn,2025,"2.5",,b.csv\n'
        ',2026,,"it\'s ""so""",c.tsv\n'
    )
    assert "year     integer" in sql and "sum      double precision" in sql, sql


@pytest.mark.parametrize(
    "files, message",
    [
        ({"a.csv": "x,y\n1,2\n", "b.csv": "1,2\n3,4\n"}, "b.csv: it has no header line, and columns go by name"),
        ({"a.csv": "x,y\n1,2\n", "b.csv": "p,q\n3,4\n"}, r"b.csv: none of its columns \(p, q\) is in the files before"),
        ({"a.csv": "x,y\n1,2\n", "b.csv": "x,y\n3,4,5\n3,4,5\n"}, "b.csv: row 2 has 3 values, the header has 2"),
        ({"a.csv": "x,y\n1,2\n", "b.csv": "x,x\na,4\n"}, "b.csv: two columns are called 'x'"),
        ({"a.csv": "x,y\n1,2\n", "b.csv": ""}, "b.csv: the file is empty"),
        ({"a.csv": "x,y\n1,2\n", "b.json": '[{"x":1}]'}, "b.json: this is a JSON file among files of text"),
        ({"a.json": '[{"x":1}]', "b.json": '[{"x":'}, "b.json: the file is cut off in record 1"),
        ({"a.json": '[{"x":1}]', "b.json": '[{"x":[1]}]'}, "b.json: column x is jsonb and in the files before integer"),
        ({"a.json": '[{"x":1}]', "b.csv": "x\n1\n"}, "b.csv: this is a CSV file among files with types"),
    ],
)
def test_a_file_that_does_not_fit_the_others_is_named(tmp_path, files, message):
    with pytest.raises(Problem, match=message):
        text_of(archive_of(tmp_path, files))


def test_words_of_the_header_may_come_again_in_other_files(tmp_path):
    files = {"a.csv": "total,x\ntotal,6\n", "b.csv": "total,x\nk,l\nm,n\nq,r\n"}
    sql, text = text_of(archive_of(tmp_path, files))
    assert "\\copy t (total, x) " in sql and ", HEADER" in sql and text.startswith("total,x\ntotal,6\n"), sql


def test_a_damaged_file_of_an_archive_is_named(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", "x,y\n1,2\n")
        archive.writestr("b.csv", "x,y\n" + "".join(f"{number},{number**5}\n" for number in range(9999)))
    damaged = bytearray(path.read_bytes())
    damaged[9000:9060] = bytes(60)
    path.write_bytes(damaged)
    with pytest.raises(Problem, match="b.csv: the packed file is damaged or cut off"):
        text_of(path)


def test_parquet_files_become_one_table(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"Year": [2024], "n": [1], "x": [0.5]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"n": [1.5], "tags": [["a"]], "Year": [2025]}), tmp_path / "b.parquet")
    files = {f"{name}.parquet": (tmp_path / f"{name}.parquet").read_bytes() for name in "ab"}
    sql, text = text_of(archive_of(tmp_path, files), filename=True)
    assert text == '2024,1,0.5,,"a.parquet"\n2025,1.5,,"[""a""]","b.parquet"\n'
    assert "n        double precision" in sql and "tags     jsonb" in sql and "year     bigint" in sql, sql
    sql, text = text_of(archive_of(tmp_path, files), part="b.parquet")
    assert text == '1.5,"[""a""]",2025\n'


def test_json_files_become_one_table(tmp_path):
    files = {"b.json": '[{"A b": 1, "n": {"x": 1}}]', "a.jsonl": '{"a-b": 2.5}\n{"z": "y"}\n'}
    sql, text = text_of(archive_of(tmp_path, files))
    assert text == '"2.5",,\n,"y",\n"1",,"{""x"": 1}"\n', sql


def test_files_of_databases_and_studies_become_one_table(tmp_path):
    import pandas as pd
    import pyreadstat

    for name, rows in {"a": [(1, "x")], "b": [(2, "y"), (None, "z")]}.items():
        with sqlite3.connect(tmp_path / name) as con:
            con.execute("CREATE TABLE t (n integer, word text)")
            con.executemany("INSERT INTO t VALUES (?, ?)", rows)
        con.close()
        frame = pd.DataFrame({"n": [rows[0][0] + 0.5], "word": [rows[0][1]]})
        pyreadstat.write_dta(frame, str(tmp_path / f"{name}.dta"))
    files = {f"{name}.db": (tmp_path / name).read_bytes() for name in "ab"}
    sql, text = text_of(archive_of(tmp_path, files), filename=True)
    assert text == '1,"x","a.db"\n2,"y","b.db"\n,"z","b.db"\n' and "n        integer" in sql, (sql, text)
    files = {f"{name}.dta": (tmp_path / f"{name}.dta").read_bytes() for name in "ab"}
    sql, text = text_of(archive_of(tmp_path, files))
    assert text == '1.5,"x"\n2.5,"y"\n' and "n    double precision" in sql, (sql, text)

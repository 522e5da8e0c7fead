"""Values of every type from PostgreSQL to a DataFrame and back, and any frame through the cache.

Run inside a project; see test_frames.py.
"""

import datetime
import decimal
import json
import struct
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lib.cache import connect_to_redis, get, put
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


def single(sql):
    return read_frame(f"SELECT {sql} AS a")["a"][0]


def refused(sql):
    try:
        single(sql)
    except ValueError as error:
        return "'a'" in str(error) and "cast it to text" in str(error)
    return False


def odd_values():
    """What examples at random would hardly find."""
    many = read_frame("SELECT chr(65279) || repeat('x', 1000) AS a FROM generate_series(1, 5000)")
    assert (many["a"].str.len() == 1001).all(), "a byte order mark is a value's, wherever a block begins"
    for sql in ("'infinity'::date", "'infinity'::timestamp", "'0044-03-15 BC'::date", "'10000-01-01'::timestamptz",
                "'1 mon'::interval", "'infinity'::interval", "'24:00'::time"):  # fmt: skip
        assert refused(sql), sql
    assert single("'1800-01-01 12:00'::timestamp") == datetime.datetime(1800, 1, 1, 12)
    assert single(r"ARRAY['\xff'::bytea]") == [b"\xff"]


def odd_frames():
    nanoseconds = np.datetime64("2020-01-01T00:00", "ns")
    berlin = pd.ArrowDtype(pa.timestamp("us", tz="Europe/Berlin"))
    noon = datetime.time(12, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    frames = {
        "timestamp": pd.Series([nanoseconds], dtype=object),
        "timestamp[]": pd.Series([np.array([nanoseconds])]),
        "timestamptz": pd.Series([datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)], dtype=berlin),
        "timetz": pd.Series([noon], dtype=object),
        "bigint": pd.Series(pd.Categorical([2**60, None])),
        "date": pd.Series([datetime.date(2020, 1, 1)], dtype=pd.ArrowDtype(pa.date32())),
        "jsonb": pd.Series([[1, pd.NA, float("nan"), decimal.Decimal("1.5"), "a"]]),
    }
    expected = {
        "timestamp": datetime.datetime(2020, 1, 1),
        "timestamp[]": [datetime.datetime(2020, 1, 1)],
        "timestamptz": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        "timetz": noon,
        "bigint": 2**60,
        "date": datetime.date(2020, 1, 1),
        "jsonb": [1, None, None, 1.5, "a"],
    }
    for kind, values in frames.items():
        write_frame(pd.DataFrame({"a": values}), "odd_frames", if_exists="replace")
        found = read_frame("SELECT a, pg_typeof(a)::text AS kind FROM odd_frames").iloc[0]
        wanted = {"timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone"}
        wanted |= {"timetz": "time with time zone", "timestamp[]": "timestamp without time zone[]"}
        assert found["kind"] == wanted.get(kind, kind) and found["a"] == expected[kind], (kind, *found)


def threads():
    """Each has a connection of its own: no answer reaches another."""
    with ThreadPoolExecutor(4) as pool:
        lengths = [10, 1000, 3000, 20000] * 5
        found = pool.map(lambda length: len(read_frame(f"SELECT generate_series(1, {length})")), lengths)
        assert list(found) == lengths


def optional(values, **options):
    return lambda n: st.lists(st.none() | values, min_size=n, max_size=n).map(lambda items: pd.Series(items, **options))


def plain_array(values, dtype):
    return lambda n: st.lists(values, min_size=n, max_size=n).map(lambda items: pd.Series(items, dtype=dtype))


def categories(values):
    codes = lambda size, n: st.lists(st.integers(-1, size - 1), min_size=n, max_size=n)  # noqa: E731
    return lambda n: st.lists(values, unique=True, max_size=4).flatmap(
        lambda kinds: st.builds(
            lambda chosen, ordered: pd.Series(pd.Categorical.from_codes(chosen, kinds, ordered)),
            codes(len(kinds), n),
            st.booleans(),
        )
    )


# What a person may have in a frame: kept, all of it.
CACHED = {
    "Int64": optional(st.integers(-(2**63), 2**63 - 1), dtype="Int64"),
    "int8": plain_array(st.integers(-128, 127), "int8"),
    "float64": plain_array(st.floats(), "float64"),
    "bool": plain_array(st.booleans(), "bool"),
    "boolean": optional(st.booleans(), dtype="boolean"),
    "str": optional(text, dtype="str"),
    "string": optional(text, dtype="string"),
    "datetime64[s]": optional(moments.map(lambda moment: moment.replace(microsecond=0)), dtype="datetime64[s]"),
    "zoned": optional(
        st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)).map(
            lambda moment: moment.replace(tzinfo=datetime.UTC)
        ),
        dtype="datetime64[us, Europe/Berlin]",
    ),
    "timedelta64": optional(st.timedeltas(datetime.timedelta(-10000), datetime.timedelta(10000)), dtype="m8[us]"),
    "categories of text": categories(text),
    "categories of numbers": categories(st.integers(-(2**60), 2**60)),
    "categories of dates": categories(st.dates()),
    "dates": optional(st.dates(), dtype=object),
    "decimals": optional(st.decimals(-(10**25), 10**25, places=6), dtype=object),
    "times": optional(st.times(), dtype=object),
    "intervals": optional(st.timedeltas(datetime.timedelta(-10000), datetime.timedelta(10000)), dtype=object),
    "uuids": optional(st.uuids(), dtype=object),
    "bytes": optional(st.binary(), dtype=object),
    "text objects": optional(text, dtype=object),
    "lists": optional(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=3), dtype=object),
}
# What may be refused, but never changed.
odd = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), text, st.dates(), st.times(), moments, st.uuids(), numbers),
    *(st.binary(), st.timedeltas(), st.sets(st.integers()), st.tuples(st.integers()), st.complex_numbers()),
    *(st.lists(st.none() | st.integers() | st.floats()), st.dictionaries(text, st.integers(), max_size=2)),
    *(st.just(value) for value in (pd.NaT, pd.NA, np.int64(1), np.float32(1), pd.Timestamp(0), decimal.Decimal("NaN"))),
    st.datetimes(timezones=st.timezones()),
)
names = st.none() | text | st.integers(-9, 9)


@st.composite
def frames(draw):
    """(a frame, is all of it of kinds that have to be kept?)"""
    n = draw(st.integers(0, 4))
    kinds = draw(st.lists(st.sampled_from(sorted(CACHED)), max_size=4))
    columns = [draw(CACHED[kind](n)) for kind in kinds]
    if strange := draw(st.integers(0, 3)) == 0:
        columns.append(pd.Series(draw(st.lists(odd, min_size=n, max_size=n)), dtype=object))
    df = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(n))
    df.columns = draw(st.lists(text, min_size=len(columns), max_size=len(columns)))
    levels = draw(st.lists(st.sampled_from(sorted(set(CACHED) - {"lists"})), max_size=2))
    found = [
        pd.Index(series, dtype=series.dtype, name=draw(names)) for series in (draw(CACHED[kind](n)) for kind in levels)
    ]
    if found:
        df.index = found[0] if len(found) == 1 else pd.MultiIndex.from_arrays(found)
    else:
        df.index = pd.RangeIndex(5, 5 + 2 * n, 2, name=draw(names))
    return df, not strange


@settings(max_examples=int(sys.argv[1]) * 5, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames())
def cached(drawn):
    df, ordinary = drawn
    try:
        put("round_trip", df)
    except TypeError as error:
        assert not ordinary, error
        assert "put('round_trip'" in str(error) and "column" in str(error), error
        return
    found = get("round_trip")
    pd.testing.assert_frame_equal(found, df)
    for place in range(df.shape[1]):
        if pd.api.types.is_object_dtype(df.dtypes.iloc[place]):
            before, after = (frame.iloc[:, place].tolist() for frame in (df, found))
            assert [*map(type, before)] == [*map(type, after)], (before, after)


odd_values()
odd_frames()
threads()
cached()
connect_to_redis().delete("round_trip")
con, cur = connect_to_postgres()
columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(TYPES))
for table in ("round_trip", "round_trip_back"):
    cur.execute(f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (n integer, {columns})")
con.commit()
try:
    round_trip()
    print("kept")
finally:
    cur.execute("DROP TABLE round_trip, round_trip_back, odd_frames")
    con.commit()

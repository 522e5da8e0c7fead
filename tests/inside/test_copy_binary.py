"""COPY's binary format: the rows of every type of Arrow's are those that its text gives, and what has no place is named."""

import datetime
import io
import random
from decimal import Context, Decimal

import pandas as pd
import pyarrow as pa
import pytest
from dsproj.errors import Problem
from dsproj.kernel import copy_binary
from dsproj.kernel.tables.rows import copy_binary as in_binary
from dsproj.kernel.tables.rows import copy_text, sql_type
from lib.postgres import connect_to_postgres, write_frame

ROWS = 300
DRAWN = random.Random(7)
EXACT = Context(prec=60)


def column(kind, value):
    return pa.array([None if DRAWN.random() < 0.2 else value() for _ in range(ROWS)], kind)


def one_of(*values):
    return lambda: DRAWN.choice(values)


def moment(first, last):
    return lambda: datetime.datetime(DRAWN.randint(first, last), 12, 31, 23, 59, 59)


def columns():
    """(what it is for, the column) of every type, some values missing, the extreme ones among them."""
    for bits in (8, 16, 32, 64):
        most = 2 ** (bits - 1)
        yield column(getattr(pa, f"int{bits}")(), one_of(-most, most - 1, 0, -1))
        yield column(getattr(pa, f"uint{bits}")(), one_of(2 * most - 1, 0, 1))
    for kind in (pa.float32(), pa.float64()):
        yield column(kind, one_of(float("nan"), float("-inf"), -0.0, 0.1, 1e30))
    yield column(pa.bool_(), one_of(True, False))
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        yield column(kind, one_of("", "ü€𝄞", '"q",\n\\N', "x" * 500))
    for kind in (pa.binary(), pa.large_binary(), pa.binary(3)):
        yield column(kind, one_of(b"\0\xff\0", b"abc"))
    for precision, scale in ((1, 0), (5, 2), (9, 9), (18, 4), (20, 19), (38, 0), (38, 10), (38, 38)):
        size = lambda most=precision: DRAWN.randrange(10 ** DRAWN.randint(0, most))  # noqa: E731
        yield column(
            pa.decimal128(precision, scale),
            lambda size=size, scale=scale: Decimal(DRAWN.choice((1, -1)) * size()).scaleb(-scale, EXACT),
        )
    day = column(pa.date32(), lambda: moment(1, 9999)().date())
    yield from (day, day.cast(pa.date64()))
    yield column(pa.int64(), lambda: DRAWN.randint(-(10**13), 10**13)).view(pa.date64())  # with a time of day
    for unit in ("s", "ms", "us", "ns"):
        years = (1700, 2200) if unit == "ns" else (1, 9999)
        yield column(pa.timestamp(unit), moment(*years))
        yield column(pa.timestamp(unit, "Europe/Berlin"), moment(*years))
        yield column(pa.duration(unit), lambda: DRAWN.randint(-(10**9), 10**9))
        time = pa.time32 if unit in ("s", "ms") else pa.time64
        yield column(time(unit), one_of(datetime.time(0), datetime.time(23, 59, 59)))
    yield column(pa.timestamp("ns"), lambda: DRAWN.randint(-(10**18), 10**18))
    yield column(None, lambda: pa.MonthDayNano([-1, 2, DRAWN.randint(-(10**12), 10**12)]))
    yield column(None, one_of("a", "b")).dictionary_encode()
    yield column(None, one_of([1, None], []))
    yield column(None, one_of({"a": 1, "b": "ü"}))
    yield pa.ExtensionArray.from_storage(pa.uuid(), column(pa.binary(16), lambda: DRAWN.randbytes(16)))
    yield pa.nulls(ROWS)
    yield pa.array(range(ROWS))


@pytest.fixture
def cur():
    con, cur = connect_to_postgres()
    yield cur
    con.rollback()


def test_the_rows_are_those_of_the_text(cur):
    arrays = list(columns())
    names = [f"c{number}" for number in range(len(arrays))]
    batch = pa.RecordBatch.from_arrays(arrays, names)
    types = ", ".join(f"{name} {sql_type(array.type)}" for name, array in zip(names, arrays, strict=True))
    cur.execute(f"CREATE TEMP TABLE of_text ({types}); CREATE TEMP TABLE of_binary ({types}); SELECT * FROM of_text")
    oids = [each.type_code for each in cur.description]
    pieces = [batch.slice(0, 1), batch.slice(1, 120), batch.slice(121)]
    copied = b"".join(map(bytes, in_binary(iter(pieces), None, oids)))
    assert copied.startswith(copy_binary.START)
    cur.copy_expert("COPY of_binary FROM STDIN (FORMAT binary)", io.BytesIO(copied))
    cur.copy_expert("COPY of_text FROM STDIN (FORMAT csv)", io.BytesIO(b"".join(map(copy_text, pieces))))
    for name, array in zip(names, arrays, strict=True):
        both = []
        for table in ("of_text", "of_binary"):
            cur.execute(f"SELECT array_agg({name}::text) FROM {table}")
            both.append(cur.fetchone()[0])
        assert both[0] == both[1] and len(both[0]) == ROWS, array.type


@pytest.mark.parametrize(
    ("kind", "oid", "value", "why"),
    [
        (pa.timestamp("s"), 1114, 2**62, "farther away than PostgreSQL knows"),
        (pa.timestamp("us"), 1114, -(2**63), "farther away"),
        (pa.date64(), 1082, 2**62, "farther away"),
        (pa.date64(), 1082, -(2**31 - 10_957) * 86_400_000, "farther away"),  # it would be -infinity
        (pa.decimal128(2, 0), 1700, None, "more digits than its type, decimal128(2, 0), has"),
    ],
)
def test_a_value_without_a_place_is_named(kind, oid, value, why):
    if value is None:  # as a careless program writes it
        wide = pa.array([Decimal(1), Decimal(123456)], pa.decimal128(38, 0))
        bad = pa.Array.from_buffers(kind, 2, wide.buffers())
    else:
        bad = pa.array([1, value], pa.int64()).cast(kind)
    batch = pa.RecordBatch.from_arrays([pa.array([1, 2]), bad], ["a", "b"])
    with pytest.raises(Problem, match="row 4, column b: ") as caught:
        list(in_binary(iter([batch.slice(0, 1), batch.slice(0, 1), batch]), None, [20, oid]))
    assert why in str(caught.value)


def test_types_that_only_text_takes_go_as_text():
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array(["2026-01-31"])], ["a", "b"])
    assert b"".join(in_binary(iter([batch]), None, [20, 1082])) == b'1,"2026-01-31"\n'
    assert b"".join(in_binary(iter([batch]), [0], [21])) == b"1\n"  # too wide for smallint: the server says which is


def test_a_frame_of_any_types_is_written_and_a_nul_is_named(table):
    """Durations, which have no text of Arrow's; a column that goes as text only."""
    df = pd.DataFrame({"took": pd.to_timedelta(["1 days 00:00:01.5", None]), "n": [1, 2], "name": ["a", None]})
    for frame in (df, df.assign(price=[Decimal("1.10"), None])):
        write_frame(frame, table, if_exists="replace")
        _, cur = connect_to_postgres()
        cur.execute(f"SELECT took::text, n, name FROM {table} ORDER BY n")
        assert [tuple(row) for row in cur] == [("1 day 00:00:01.5", 1, "a"), (None, 2, None)]
    for frame in (df, df.assign(price=[Decimal("1.10"), None])):
        with pytest.raises(ValueError, match="column 'name' holds a NUL character"):
            write_frame(frame.assign(name=["a", "b\0"]), table, if_exists="replace")

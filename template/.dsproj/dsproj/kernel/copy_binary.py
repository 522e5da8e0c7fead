"""Arrow's arrays as the rows of COPY's binary format, made by columns: faster than text to write and to read."""

# A row is the number of its values, and of each its length (-1: NULL) and bytes, the most significant first. Values of one
# size, and the lengths of the others, go side by side into records of numpy; what has its own size, or may be NULL, stays
# an array. Arrow then joins them, row by row. https://www.postgresql.org/docs/18/sql-copy.html, "Binary Format"

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"

# Type oids; they are the same in every PostgreSQL.
JSONB, TIMESTAMP, TIMESTAMPTZ, NUMERIC, UUID = 3802, 1114, 1184, 1700, 2950
EPOCH = 10_957  # days from 1970 to 2000, from which PostgreSQL counts
DAY = 86_400_000_000  # microseconds
FARTHEST = 2**62  # microseconds: no time that PostgreSQL knows, and half of what the number holds
PER_UNIT = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 1}  # microseconds; of nanoseconds, no number is too large

BYTES = pa.large_binary()
NOTHING, VERSION = pa.scalar(b"", BYTES), pa.scalar(b"\1", BYTES)  # of jsonb's format
LENGTH, COUNT = np.dtype(">i4"), np.dtype(">i2")
INTERVAL = np.dtype([("time", ">i8"), ("days", ">i4"), ("months", ">i4")])

Numbers: TypeAlias = "np.ndarray[Any, Any]"


class Writer(NamedTuple):
    """How a column is written: values() gives numbers of the type `dtype`, or an array of bytes where that is None."""

    dtype: np.dtype[Any] | None
    values: Callable[[pa.Array], Any]


def writers(kinds: Sequence[pa.DataType], oids: Sequence[int]) -> list[Writer] | None:
    """For arrays of these types, and columns of types with these oids; None where one can only go there as text."""
    if len(kinds) != len(oids):
        return None
    found = [writer(kind, oid) for kind, oid in zip(kinds, oids, strict=True)]
    known = [each for each in found if each]
    return known if len(known) == len(found) else None


def writer(kind: pa.DataType, oid: int) -> Writer | None:
    if pa.types.is_dictionary(kind):
        return writer(kind.value_type, oid)
    if pa.types.is_null(kind):
        return PLAIN
    if pa.types.is_decimal128(kind):
        return decimals(kind) if oid == NUMERIC and 0 <= kind.scale <= kind.precision else None
    if pa.types.is_timestamp(kind) and (oid == TIMESTAMPTZ) != bool(kind.tz):
        return None
    if oid == UUID and not (pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16):
        return None
    return WRITERS.get(oid, {}).get(str(kind).partition("[")[0])


def rows(arrays: Sequence[pa.Array], how: Sequence[Writer]) -> pa.Buffer:
    """The rows, to be put between START and END. OverflowError(column, row, why), from 0, for a value that cannot go."""
    pieces: list[pa.Array] = []
    record: list[tuple[Any, Any]] = [(COUNT, len(arrays))]
    for number, (array, each) in enumerate(zip(map(decoded, arrays), how, strict=True)):
        try:
            values = each.values(array)
        except OverflowError as error:
            raise OverflowError(number, *error.args) from None
        if each.dtype and not array.null_count:
            record += [(LENGTH, each.dtype.itemsize), (each.dtype, values)]
            continue
        lengths: Any
        if each.dtype:
            values = as_bytes(packed([(each.dtype, values)], len(array)), array)
            lengths = np.where(array.is_valid().to_numpy(zero_copy_only=False), each.dtype.itemsize, -1)
        else:
            lengths = pc.binary_length(values).fill_null(-1).to_numpy()
        pieces += [as_bytes(packed([*record, (LENGTH, lengths)], len(array))), values]
        record = []
    if record:
        last = packed(record, len(arrays[0]))
        if not pieces:
            return pa.py_buffer(last)
        pieces.append(as_bytes(last))
    joined = pc.binary_join_element_wise(*pieces, NOTHING, null_handling="replace", null_replacement=b"")
    return joined.buffers()[2]


def decoded(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def packed(fields: Sequence[tuple[Any, Any]], count: int) -> Numbers:
    """Records of these fields, each a type and its values, or one value for all."""
    made = np.empty(count, np.dtype([(f"f{number}", dtype) for number, (dtype, _) in enumerate(fields)]))
    for name, (_, values) in zip(made.dtype.names or (), fields, strict=True):
        made[name] = values
    return made


def as_bytes(records: Numbers, nulls: pa.Array | None = None) -> pa.Array:
    """Records as an array of bytes, with NULL where `nulls` has it."""
    ends = np.arange(len(records) + 1, dtype=np.int64) * records.itemsize
    valid = None if nulls is None else nulls.is_valid().buffers()[1]
    return pa.Array.from_buffers(BYTES, len(records), [valid, pa.py_buffer(ends), pa.py_buffer(records)])


# --- values of one size ------------------------------------------------------------------------------------------------


def numbers(array: pa.Array, dtype: str) -> Numbers:
    """The memory of an array, also of what stands where it has NULL."""
    kind = np.dtype(dtype)
    return np.frombuffer(array.buffers()[1], kind, len(array), array.offset * kind.itemsize)


def cast_to(kind: pa.DataType, dtype: str) -> Writer:
    """Numbers of types that go into another one without loss."""
    return Writer(np.dtype(">" + dtype), lambda array: numbers(array.cast(kind), "<" + dtype))


def within(counted: Numbers, most: int, array: pa.Array) -> Numbers:
    """The same numbers; OverflowError(row, why) for a time that is farther away than `most`."""
    far = (counted > most) | (counted < -most)
    if far.any():
        far &= array.is_valid().to_numpy(zero_copy_only=False)
        if far.any():
            raise OverflowError(int(far.argmax()), "a time farther away than PostgreSQL knows")
    return counted


def towards_zero(counted: Numbers, divisor: int) -> Numbers:
    """Divided as Arrow does it for text, before 1970 too."""
    return np.sign(counted) * (np.abs(counted) // divisor)


def days(array: pa.Array) -> Numbers:
    if pa.types.is_date64(array.type):  # milliseconds; some programs leave a time of day in them
        counted = towards_zero(numbers(array, "<i8"), DAY // 1000)
    else:
        counted = numbers(array, "<i4").astype(np.int64)
    return within(counted, 2**31 - 1 - EPOCH, array) - EPOCH  # what follows below is PostgreSQL's -infinity


def microseconds(array: pa.Array) -> Numbers:
    """Of times and durations, whatever their unit."""
    unit = array.type.unit
    counted = numbers(array, "<i4" if pa.types.is_time32(array.type) else "<i8").astype(np.int64)
    if unit == "ns":
        return towards_zero(counted, 1000)
    return within(counted, FARTHEST // PER_UNIT[unit], array) * PER_UNIT[unit]


def intervals(array: pa.Array) -> Numbers:
    made = np.zeros(len(array), INTERVAL)
    if pa.types.is_interval(array.type):
        found = numbers(array, "<i4,<i4,<i8")  # months, days, nanoseconds
        made["months"], made["days"], made["time"] = found["f0"], found["f1"], found["f2"] // 1000
    else:
        made["days"], made["time"] = np.divmod(microseconds(array), DAY)
    return made


def decimals(kind: pa.DataType) -> Writer:
    """A decimal as PostgreSQL has it: digits from 0 to 9999, the point between two of them."""
    before, after = -(-(kind.precision - kind.scale) // 4), -(-kind.scale // 4)
    parts = [(name, ">i2") for name in ("count", "weight", "sign", "scale")]
    dtype = np.dtype([*parts, ("digits", ">i2", (before + after,))])

    def values(array: pa.Array) -> Numbers:
        negative, limbs = limbs_of(numbers(array, "<u4,<u4,<u4,<u4"))
        times(limbs, 10 ** (4 * after - kind.scale))
        made = np.empty(len(array), dtype)
        made["count"], made["weight"], made["scale"] = before + after, before - 1, kind.scale
        made["sign"] = np.where(negative, 0x4000, 0)
        for place in reversed(range(before + after)):
            made["digits"][:, place] = divided(limbs, 10_000)
        left = np.logical_or.reduce([limb != 0 for limb in limbs])
        if left.any() and (left := left & array.is_valid().to_numpy(zero_copy_only=False)).any():
            raise OverflowError(int(left.argmax()), f"more digits than its type, {kind}, has")
        return made

    return Writer(dtype, values)


BITS, LOW = np.uint64(32), np.uint64(2**32 - 1)


def limbs_of(whole: Numbers) -> tuple[Numbers, list[Numbers]]:
    """(is it negative, its size in limbs of 32 bits, the lowest first) of numbers of 128 bits; no limbs that all are 0."""
    limbs = [whole[name].astype(np.uint64) for name in whole.dtype.names or ()]
    negative = limbs[-1] >> np.uint64(31) == 1
    carry = negative.astype(np.uint64)
    for place, limb in enumerate(limbs):
        limb = np.where(negative, limb ^ LOW, limb) + carry
        limbs[place], carry = limb & LOW, limb >> BITS
    while len(limbs) > 1 and not limbs[-1].any():
        limbs.pop()
    return negative, limbs


def times(limbs: list[Numbers], factor: int) -> None:
    """Multiply, in place."""
    carry = np.uint64(0)
    for place, limb in enumerate(limbs):
        limb = limb * np.uint64(factor) + carry
        limbs[place], carry = limb & LOW, limb >> BITS
    limbs.append(carry)


def divided(limbs: list[Numbers], divisor: int) -> Numbers:
    """Divide, in place; what is left over."""
    rest = np.uint64(0)
    for place in reversed(range(len(limbs))):
        value = rest << BITS | limbs[place]
        limbs[place] = value // np.uint64(divisor)
        rest = value - limbs[place] * np.uint64(divisor)
    return rest


# --- which of Arrow's types goes where ---------------------------------------------------------------------------------


def as_it_is(array: pa.Array) -> pa.Array:
    return array.cast(BYTES)


def version_and_text(array: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(VERSION, array.cast(BYTES), NOTHING)


PLAIN = Writer(None, as_it_is)
TEXTS = dict.fromkeys(("string", "large_string", "string_view"), PLAIN)
TIME = Writer(np.dtype(">i8"), microseconds)
SINCE_2000 = Writer(np.dtype(">i8"), lambda array: microseconds(array) - EPOCH * DAY)
WHOLE = decimals(pa.decimal128(20))
SMALL = ("int8", "uint8", "int16")
MIDDLE = (*SMALL, "uint16", "int32")
WRITERS: dict[int, dict[str, Writer]] = {
    16: {"bool": cast_to(pa.uint8(), "u1")},
    21: dict.fromkeys(SMALL, cast_to(pa.int16(), "i2")),
    23: dict.fromkeys(MIDDLE, cast_to(pa.int32(), "i4")),
    20: dict.fromkeys((*MIDDLE, "uint32", "int64"), cast_to(pa.int64(), "i8")),
    700: dict.fromkeys(("halffloat", "float"), cast_to(pa.float32(), "f4")),
    701: {"double": cast_to(pa.float64(), "f8")},
    25: TEXTS,
    1043: TEXTS,
    114: TEXTS,
    JSONB: dict.fromkeys(TEXTS, Writer(None, version_and_text)),
    17: dict.fromkeys(("binary", "large_binary", "binary_view", "fixed_size_binary"), PLAIN),
    UUID: {"fixed_size_binary": PLAIN},
    1082: dict.fromkeys(("date32", "date64"), Writer(np.dtype(">i4"), days)),
    1083: dict.fromkeys(("time32", "time64"), TIME),
    TIMESTAMP: {"timestamp": SINCE_2000},
    TIMESTAMPTZ: {"timestamp": SINCE_2000},
    1186: dict.fromkeys(("duration", "month_day_nano_interval"), Writer(INTERVAL, intervals)),
    NUMERIC: {"uint64": Writer(WHOLE.dtype, lambda array: WHOLE.values(array.cast(pa.decimal128(20))))},
}

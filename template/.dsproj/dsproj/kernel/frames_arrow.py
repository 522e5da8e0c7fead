"""A DataFrame as bytes in Arrow's format, and back: what cache.py stores. All that is taken comes back equal."""

# The bytes are Arrow streams one after another: the columns first, then what they refer to, each again columns (the index,
# the names of the columns, the categories of one). The first one's schema carries a layout in JSON: how they go together,
# and what Arrow does not know of a column. Python objects are taken where Arrow gives back the very same ones.

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.tseries.frequencies import to_offset

LAYOUT = b"dsproj"

# The missing values that a column of Python objects may have, one kind each; Arrow has just one.
MISSING = {"None": None, "nan": float("nan"), "<NA>": pd.NA, "NaT": pd.NaT, "NaN": Decimal("NaN")}

# What Arrow says of values that it does not take.
REFUSALS = (pa.ArrowException, TypeError, ValueError, OverflowError)

Layout = dict[str, Any]


def to_pieces(df: pd.DataFrame, check_size: Callable[[int], None]) -> list[Any]:
    """The frame as bytes, in pieces; `check_size` is asked before. TypeError names the column that Arrow cannot keep."""
    if type(df) is not pd.DataFrame:
        raise TypeError(f"a {type(df).__name__} is more than a DataFrame: convert it first")
    tables: list[pa.Table] = []
    layout = _pack(((f"column {name!r}", column) for name, column in df.items()), tables)
    axes = [_pack_axis(df.index, "index", tables), _pack_axis(df.columns, "index of columns", tables)]
    layout |= {"rows": len(df), "axes": axes}
    tables[0] = tables[0].replace_schema_metadata({LAYOUT: json.dumps(layout)})
    check_size(sum(table.nbytes for table in tables))
    sink = _Sink()
    with pa.PythonFile(sink, mode="w") as file:
        for table in tables:
            with pa.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)
    return sink.pieces


class _Sink:
    """A file that keeps what is written to it where it is."""

    closed = False

    def __init__(self) -> None:
        self.pieces: list[memoryview] = []
        self.size = 0

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self.pieces.append(view)
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None: ...

    def close(self) -> None: ...


def from_bytes(data: bytes | bytearray) -> pd.DataFrame:
    """The frame that to_pieces was given. Where `data` may be written to, it becomes the frame's own memory."""
    buffer, tables = pa.py_buffer(data), []
    reader = pa.BufferReader(buffer)
    while reader.tell() < len(data):
        with pa.ipc.open_stream(reader) as stream:
            tables.append(stream.read_all())
    layout = json.loads(tables[0].schema.metadata[LAYOUT])
    columns = _unpack(layout, tables)
    df = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=pd.RangeIndex(layout["rows"]))
    df.index, df.columns = (_unpack_axis(axis, tables) for axis in layout["axes"])
    return df


def _pack(columns: Iterable[tuple[str, pd.Series]], tables: list[pa.Table]) -> Layout:
    """Add columns, each with what it is called in messages, as a table."""
    number = len(tables)
    tables.append(pa.table({}))  # its place, since packing a column may add others
    packed = [_pack_column(column, what, tables) for what, column in columns]
    tables[number] = pa.table([array for array, _ in packed], names=[str(place) for place in range(len(packed))])
    return {"table": number, "notes": [note for _, note in packed]}


def _unpack(layout: Layout, tables: list[pa.Table]) -> list[pd.Series]:
    table = tables[layout["table"]]
    return [_unpack_column(column, note, tables) for column, note in zip(table.columns, layout["notes"], strict=True)]


def _pack_axis(index: pd.Index, what: str, tables: list[pa.Table]) -> Layout:
    """The index of rows or columns: a range as three numbers, one of several levels as those and their codes."""
    names = list(index.names)
    try:
        kept = json.loads(json.dumps(names)) == names
    except (TypeError, ValueError):
        kept = False
    if not kept:
        raise TypeError(f"the {what} has a name that is neither text nor a number: {names}")
    if isinstance(index, pd.RangeIndex):
        return {"range": [index.start, index.stop, index.step], "names": names}
    if isinstance(index, pd.MultiIndex):
        codes = _pack(((what, pd.Series(code)) for code in index.codes), tables)
        levels = [_pack_axis(level.rename(None), what, tables) for level in index.levels]
        return codes | {"names": names, "levels": levels}
    layout = _pack([(f"the {what}", pd.Series(index))], tables) | {"names": names}
    if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) and index.freq is not None:
        layout["freq"] = index.freqstr
        if _frequency(index.freqstr) != index.freq:
            raise TypeError(f"the {what} has the frequency {index.freq!r}, which cannot be kept: set its freq to None")
    return layout


def _unpack_axis(layout: Layout, tables: list[pa.Table]) -> pd.Index:
    names = layout["names"]
    if "range" in layout:
        return pd.RangeIndex(*layout["range"], name=names[0])
    columns = _unpack(layout, tables)
    if "levels" in layout:
        levels = [_unpack_axis(level, tables) for level in layout["levels"]]
        return pd.MultiIndex(levels, [column.to_numpy() for column in columns], names=names, verify_integrity=False)
    index = pd.Index(columns[0], dtype=columns[0].dtype).rename(names[0])
    if "freq" in layout:
        index.freq = _frequency(layout["freq"])
    return index


def _frequency(name: str) -> Any:
    try:
        return to_offset(name)
    except ValueError:
        return None


def _pack_column(column: pd.Series, what: str, tables: list[pa.Table]) -> tuple[pa.Array, Layout]:
    """The column as Arrow has it, and what Arrow does not know of it. Raises TypeError for what would be changed."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = _pack_axis(dtype.categories, f"list of categories of {what}", tables)
        return pa.array(column.cat.codes), {"categories": categories, "ordered": bool(dtype.ordered)}
    if pd.api.types.is_object_dtype(dtype):
        return _pack_objects(column, what)
    note = {"dtype": str(dtype)}
    try:
        array = pa.array(column, from_pandas=False)  # else each NaN were looked for and noted
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        back = _unpack_column(array[:0], note, tables).dtype
    except REFUSALS as error:
        raise TypeError(f"{what} has the type {dtype}, which Arrow cannot keep: convert it first ({error})") from None
    if back != dtype:
        raise TypeError(f"{what} has the type {dtype!r}, which would come back as {back!r}: convert it first")
    return array, note


def _unpack_column(column: pa.Array | pa.ChunkedArray, note: Layout, tables: list[pa.Table]) -> pd.Series:
    if "categories" in note:
        dtype = pd.CategoricalDtype(_unpack_axis(note["categories"], tables), ordered=note["ordered"])
        return pd.Series(pd.Categorical.from_codes(column.to_numpy().copy(), dtype=dtype))
    if "missing" in note:
        gone = MISSING[note["missing"]]
        return pd.Series([gone if item is None else item for item in column.to_pylist()], dtype=object)
    dtype = pd.api.types.pandas_dtype(note["dtype"])
    if isinstance(dtype, np.dtype):
        return _of_numbers(column, dtype)
    return pd.Series(dtype.__from_arrow__(column))


def _of_numbers(column: pa.Array | pa.ChunkedArray, dtype: np.dtype) -> pd.Series:
    """The column in the memory that it lies in, where that may be written to and has neither NULL nor bits; else in a copy."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    if len(chunks) == 1 and not column.null_count and dtype.kind in "iufmM":
        memory = chunks[0].buffers()[1]
        if memory is not None and memory.is_mutable:
            start = chunks[0].offset
            numbers = np.frombuffer(memory, dtype=f"i{dtype.itemsize}" if dtype.kind in "mM" else dtype)
            return pd.Series(numbers[start : start + len(column)].view(dtype), copy=False)
    return column.to_pandas().copy()


def _pack_objects(column: pd.Series, what: str) -> tuple[pa.Array, Layout]:
    """A column of Python objects, which all have to come back from Arrow as they are."""
    missing = column.isna().to_numpy()
    kinds = {str(item) for item in column[missing]} or {"None"}
    if len(kinds) > 1 or not kinds <= MISSING.keys():
        raise TypeError(f"{what} mixes the missing values {', '.join(sorted(kinds))}: make them one")
    items = [None if gone else item for item, gone in zip(column, missing, strict=True)]
    try:
        array = pa.array(items)
        back = array.to_pylist()
    except REFUSALS as error:
        types = ", ".join(sorted({type(item).__name__ for item in items if item is not None}))
        raise TypeError(f"{what} holds {types}, which Arrow cannot keep: convert it first ({error})") from None
    for before, after in zip(items, back, strict=True):
        if not _same(before, after):
            kind = type(before).__name__
            raise TypeError(f"{what} holds {kind}, which Arrow would change ({before!r:.50}): convert it first")
    return array, {"missing": kinds.pop()}


def _same(before: Any, after: Any) -> bool:
    if type(before) is not type(after) or isinstance(before, dict):
        return False  # Arrow gives each dictionary the keys of all
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_same, before, after))
    if isinstance(before, datetime):
        return before == after and before.utcoffset() == after.utcoffset()
    return before == after or (before != before and after != after)

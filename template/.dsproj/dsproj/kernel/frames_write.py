"""From a DataFrame into PostgreSQL, by COPY; frames_read.py says how."""

import contextlib
import itertools
import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import Error, errors, sql
from pyarrow import csv as arrow_csv

from dsproj.kernel import copy_binary
from dsproj.kernel.connection import Cursor, exists
from dsproj.kernel.frames_copy import Block, Rows, ahead
from dsproj.kernel.frames_read import BLOCK, INTEGERS, JSON, JSONB, TIMESTAMP

ROWS = 25_000  # of a block
INTERVAL, NARROW = 1186, {21: pa.int16(), 23: pa.int32()}  # types' oids

SEQUENCES = (list, tuple, np.ndarray)
BYTES = (bytes, bytearray, memoryview)
INTEGERS_BY_SIZE = {1: "smallint", 2: "smallint", 4: "integer", 8: "bigint"}  # in bytes


def write(cur: Cursor, df: pd.DataFrame, name: str, table: sql.Identifier, if_exists: str) -> int:
    """Write `df` to `table` (quoted; `name` is for messages) in the cursor's transaction; return the number of rows."""
    if if_exists not in ("fail", "append", "replace"):
        raise ValueError(f'if_exists is "fail", "append" or "replace", not {if_exists!r}')
    _check_names(df)
    _make_table(cur, df, name, table, if_exists)
    if not len(df.columns):
        return 0

    columns = sql.SQL(", ").join(map(sql.Identifier, df.columns))
    try:
        cur.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(columns, table))
    except errors.UndefinedColumn as error:
        raise ValueError(f"table {name}: {error.diag.message_primary}") from None
    oids = [column.type_code for column in cur.description or ()]
    cur.execute("SELECT oid FROM pg_type WHERE typcategory = 'A' AND oid = ANY(%s)", [oids])
    array_oids = {row["oid"] for row in cur}

    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})")
    with ThreadPoolExecutor(1) as thread:
        blocks = ahead(_blocks(df, oids, array_oids), thread)
        for kind, those in itertools.groupby(blocks, key=lambda block: block.format):
            rows: Any = Rows(kind, those)
            try:
                cur.copy_expert(copy.format(table, columns, sql.SQL(kind)), rows, size=BLOCK)
            except errors.CharacterNotInRepertoire:
                for block in _blocks(df, oids, array_oids):
                    _check_nul(df, block.arrays)
                raise
            except Error:
                if rows.failed:
                    raise rows.failed from None
                raise
    return len(df)


def _make_table(cur: Cursor, df: pd.DataFrame, name: str, table: sql.Identifier, if_exists: str) -> None:
    """See to it that there is a table to add rows to."""
    found = exists(cur, table.as_string(cur))
    if found and if_exists == "fail":
        raise ValueError(f'table {name} exists: pass if_exists="append" or "replace", or choose another name')
    if found and if_exists == "replace":
        cur.execute(sql.SQL("DROP TABLE {}").format(table))
    if not found or if_exists == "replace":
        types = [(sql.Identifier(column), sql.SQL(_sql_type(df[column]))) for column in df.columns]
        definitions = sql.SQL(", ").join(sql.SQL("{} {}").format(*pair) for pair in types)
        cur.execute(sql.SQL("CREATE TABLE {} ({})").format(table, definitions))


def _blocks(df: pd.DataFrame, oids: list[int], array_oids: set[int]) -> Iterator[Block]:
    """The rows of `df` for columns of these types, ROWS at a time: where COPY's binary format knows all of them, in that."""
    is_binary = True
    for start in range(0, len(df), ROWS):
        chunk = df.iloc[start : start + ROWS]
        if is_binary:
            arrays = _arrays(chunk, oids, array_oids, durations=True)
            if how := copy_binary.writers([array.type for array in arrays], oids):
                yield Block("binary", _binary(arrays, how, df), arrays)
                continue
        is_binary = False
        arrays = _arrays(chunk, oids, array_oids, durations=False)
        with pa.BufferOutputStream() as csv:
            options = arrow_csv.WriteOptions(include_header=False)
            arrow_csv.write_csv(pa.table(arrays, names=list(map(str, range(len(arrays))))), csv, options)
            yield Block("csv", csv.getvalue(), arrays)


def _arrays(chunk: pd.DataFrame, oids: list[int], array_oids: set[int], durations: bool) -> list[pa.Array]:
    """Its columns; durations: as they are, and not as text."""
    made = []
    for name, oid in zip(chunk.columns, oids, strict=True):
        column = chunk[name]
        keep = durations and oid == INTERVAL and column.dtype.kind == "m"
        array = pa.array(column, from_pandas=True) if keep else _to_arrow(column, oid, array_oids)
        made.append(_narrowed(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array, oid))
    return made


def _narrowed(array: pa.Array, oid: int) -> pa.Array:
    """Whole numbers as the column has them, if all are small enough."""
    with contextlib.suppress(pa.ArrowInvalid):
        return array.cast(NARROW[oid]) if oid in NARROW and pa.types.is_integer(array.type) else array
    return array


def _binary(arrays: list[pa.Array], how: list[copy_binary.Writer], df: pd.DataFrame) -> pa.Buffer:
    try:
        return copy_binary.rows(arrays, how)
    except OverflowError as error:
        column, row, why = error.args
        raise ValueError(f"column {df.columns[column]!r} holds {why} ({arrays[column][row]})") from None


def _check_nul(df: pd.DataFrame, arrays: list[pa.Array]) -> None:
    """Raise for text with a NUL; numbers have no such, and bytes may."""
    for name, array in zip(df.columns, arrays, strict=True):
        is_text = str(array.type) in ("string", "large_string")
        if is_text and pc.any(pc.match_substring(array, "\x00")).as_py():
            raise ValueError(f"column {name!r} holds a NUL character, which PostgreSQL cannot store in text")


def _check_names(df: pd.DataFrame) -> None:
    """Raise for columns and indexes that a table could not give back."""
    for column in df.columns:
        if not isinstance(column, str):
            raise TypeError(f"column name {column!r} is not text: rename it, for instance df.columns.map(str)")
        if "\x00" in column:
            raise ValueError(f"column name {column!r} holds a NUL character, which PostgreSQL cannot store")
        if not 0 < len(column.encode()) <= 63:
            raise ValueError(f"column name {column!r} must have 1 to 63 bytes: PostgreSQL cuts longer ones")
    if not df.columns.is_unique:
        raise ValueError(f"column names are repeated: {sorted(set(df.columns[df.columns.duplicated()]))}")
    if named := [name for name in df.index.names if name is not None]:
        raise ValueError(f"the index {named} would be lost: write df.reset_index() instead")


def _sql_type(column: pd.Series) -> str:
    """The SQL type for a new table's column. Raises TypeError where there is none."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _sql_type(_without_categories(column))
    if isinstance(dtype, pd.ArrowDtype) and (name := _arrow_sql_type(dtype.pyarrow_dtype)):
        return name
    if isinstance(dtype, pd.StringDtype):
        return "text"
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "timestamptz"
    if pd.api.types.is_object_dtype(dtype):
        return _object_sql_type(column)
    kind, size = getattr(dtype, "kind", "?"), getattr(dtype, "itemsize", 8)
    by_kind = {"b": "boolean", "M": "timestamp", "m": "interval", "f": "real" if size <= 4 else "double precision"}
    by_kind["i"] = INTEGERS_BY_SIZE.get(size, "numeric")
    by_kind["u"] = INTEGERS_BY_SIZE.get(2 * size, "numeric")  # an unsigned number needs the next larger type
    if kind not in by_kind or isinstance(dtype, pd.SparseDtype):
        raise TypeError(f"column {column.name!r} has the type {dtype}, which SQL lacks: convert it first")
    return by_kind[kind]


def _arrow_sql_type(arrow: pa.DataType) -> str | None:
    """The SQL type for a type of Arrow's that pandas describes less well; else None."""
    if pa.types.is_timestamp(arrow):
        return "timestamptz" if arrow.tz else "timestamp"
    if str(arrow) in ("string", "large_string"):
        return "text"
    tests = {"date": pa.types.is_date, "time": pa.types.is_time, "numeric": pa.types.is_decimal}
    return next((name for name, test in tests.items() if test(arrow)), None)


def _without_categories(column: pd.Series) -> pd.Series:
    """The values of a categorical column, of a type that has a missing value."""
    dtype = column.dtype.categories.dtype
    return column.astype(pd.array(np.array([], dtype)).dtype if dtype.kind in "iub" else dtype)


def _object_sql_type(column: pd.Series) -> str:
    """The SQL type that fits every Python object in the column. Raises TypeError for a mixture."""
    try:
        found = {_value_sql_type(value) for value in column if not _is_missing(value)}
    except TypeError as error:
        raise TypeError(f"column {column.name!r} holds {error}, which SQL lacks: convert it first") from None
    for wider in ("numeric", "double precision"):
        if found == {"bigint", wider}:
            return wider
    if len(found) > 1 and all(name == "jsonb" or name.endswith("[]") for name in found):
        return "jsonb"
    if len(found) > 1:
        raise TypeError(f"column {column.name!r} mixes {', '.join(sorted(found))}: make it one type first")
    return found.pop() if found else "text"


def _value_sql_type(value: Any) -> str:
    value = _plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return "bigint" if -(2**63) <= value < 2**63 else "numeric"
    if isinstance(value, SEQUENCES):
        items = {_value_sql_type(item) for item in value if not _is_missing(item)}
        item = items.pop() if len(items) == 1 else "jsonb"
        return "jsonb" if item == "jsonb" or item.endswith("[]") else f"{item}[]"
    zone = "tz" if getattr(value, "tzinfo", None) else ""
    for kind, name in (
        (bool, "boolean"),
        (float, "double precision"),
        (str, "text"),
        (Decimal, "numeric"),
        (datetime, f"timestamp{zone}"),  # before date, since it is one too
        (date, "date"),
        (time, f"time{zone}"),
        (timedelta, "interval"),
        (UUID, "uuid"),
        (BYTES, "bytea"),
        (dict, "jsonb"),
    ):
        if isinstance(value, kind):
            return name
    raise TypeError(f"objects of type {type(value).__name__}")


def _to_arrow(column: pd.Series, oid: int, array_oids: set[int]) -> pa.Array:
    """The column as an Arrow array whose CSV text the target column (type `oid`) takes."""
    try:
        column = _to_text(column, oid, array_oids)
        return pa.array(column.astype("float32") if column.dtype == "float16" else column, from_pandas=True)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise TypeError(f"column {column.name!r} cannot be written: {error}") from None


def _to_text(column: pd.Series, oid: int, array_oids: set[int]) -> pd.Series:
    """The column itself where Arrow's CSV text of it is what the target column takes, else a column of text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = _without_categories(column)
    name = repr(column.name)
    if oid == TIMESTAMP and getattr(column.dtype, "tz", None):
        cure = f"for instance df[{name}].dt.tz_convert('UTC').dt.tz_localize(None)"
        problem = f"column {name} has a time zone and the table's column has none"
        raise ValueError(f"{problem}: say which time you mean, {cure}")
    if oid in INTEGERS and column.dtype.kind == "f":
        try:
            return column.astype("Int64")  # COPY takes 7, not 7.0
        except (TypeError, OverflowError):
            problem = "goes into an integer column but holds fractions, or numbers too large for one"
            raise ValueError(f"column {name} {problem}") from None
    if column.dtype.kind == "m":
        column = column.astype(object)
    if oid in (JSON, JSONB):
        convert = _json_text
    elif column.dtype != object:
        return column
    elif oid in array_oids:
        convert = _array_text
    else:
        _object_sql_type(column)
        convert = _text
    values = [None if _is_missing(value) else convert(value) for value in column]
    return pd.Series(values, dtype="str", name=column.name)


def _plain(value: Any) -> Any:
    """A NumPy scalar as the Python object for it."""
    if isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.astype(f"{value.dtype.name.partition('[')[0]}[us]")  # of nanoseconds, item() makes an integer
    return value.item() if isinstance(value, np.generic) else value


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _json_text(value: Any) -> str:
    text = json.dumps(_jsonable(value), allow_nan=False)
    if "\\u0000" in text:
        raise ValueError("a JSON value holds a NUL character, which PostgreSQL cannot store in text")
    return text


def _jsonable(value: Any) -> Any:
    """The value with nothing in it that JSON lacks: missing values are null, numbers numbers, dates and UUIDs text."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, SEQUENCES):
        return [_jsonable(item) for item in value]
    value = _plain(value)
    if _is_missing(value):
        return None
    if isinstance(value, Decimal):
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, BYTES):
        raise TypeError("JSON has no bytes: make them text")
    return value if isinstance(value, (str, int, float)) else str(value)


def _array_text(value: Any) -> str:
    """A list as an array literal: {1,NULL,"a \\"quoted\\" text"}; lists in it make further dimensions."""
    if isinstance(value, SEQUENCES):
        return "{" + ",".join("NULL" if _is_missing(item) else _array_text(item) for item in value) + "}"
    escaped = _text(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(value: Any) -> str:
    """One value as PostgreSQL reads it."""
    value = _plain(value)
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration's member too
    if isinstance(value, BYTES):
        return "\\x" + bytes(value).hex()
    if isinstance(value, timedelta):
        return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
    return _json_text(value) if isinstance(value, (dict, *SEQUENCES)) else str(value)

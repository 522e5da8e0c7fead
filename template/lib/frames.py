"""DataFrames through PostgreSQL's COPY: the part of lib.postgres that needs pandas.

COPY moves a table as CSV several times faster than row by row, and Arrow reads and writes CSV several times faster than
pandas. CSV knows no types: they come from the cursor's description. And both sides keep NULL and "" apart: "" is in
quotes, NULL is an empty field without.
"""

import codecs
import io
import json
import math
import re
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import errors, extensions, sql
from pyarrow import csv as arrow_csv

ROWS_PER_COPY = 25_000  # bounds the memory that the CSV text takes while writing
BLOCK = 2**20  # bytes of CSV text, or one row if that is longer, that are parsed at a time

# Type oids; they are the same in every PostgreSQL.
BOOLEAN, JSON, JSONB, TIMESTAMP, TIMESTAMPTZ, BYTEA, BYTEA_ARRAY = 16, 114, 3802, 1114, 1184, 17, 1001
INTEGERS = {20, 21, 23, 26}
FLOATS = {700, 701}
TEXTS = {18, 19, 25, 1042, 1043}

# What psycopg2 would turn into something else, by type: date, interval, time, timetz.
UNKNOWN_TO_PYTHON = {1082: "infinity", 1186: "infinity|mon|year", 1083: "^24:", 1266: "^24:"}

# What NULL can be in: Arrow's own choice would make an integer column with a NULL one of floats.
PANDAS_TYPES = {
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype(na_value=np.nan),
}


def read(cur, query):
    """Return the rows of `query` (complete, no placeholders left) as a DataFrame; see `lib.postgres.read_frame`."""
    query = query.strip().rstrip(";")
    # The line breaks keep a comment at the query's end from swallowing the bracket.
    cur.execute(f"SELECT * FROM (\n{query}\n) AS q LIMIT 0")
    columns = [(column.name, column.type_code) for column in cur.description]
    if not columns:
        return pd.DataFrame()
    # By position, since SQL allows a name twice.
    schema = pa.schema([(str(i), _arrow_type(oid)) for i, (_, oid) in enumerate(columns)])
    with ThreadPoolExecutor(1) as parser:  # one block is parsed while the server sends the next
        csv = _Rows(lambda text: parser.submit(_parse, text, schema), cur.connection.cancel)
        cur.copy_expert(f"COPY (\n{query}\n) TO STDOUT (FORMAT csv)", csv)
        try:
            parsed = pa.concat_tables([schema.empty_table(), *csv.results()]).columns
        except pa.ArrowInvalid as error:
            found = re.search(r"CSV column #(\d+): (.*)", str(error))
            raise _unknown_time(columns[int(found[1])][0], found[2]) if found else error from None
    series = []
    for name, oid in columns:  # each goes when it is converted, so that not all are in memory twice
        series.append(_from_arrow(parsed.pop(0), oid, name, cur))
    df = pd.concat(series, axis=1)
    df.columns = [name for name, _ in columns]
    return df


def write(cur, df, name, table, if_exists):
    """Write `df` to `table` (quoted; `name` is for messages) in the cursor's transaction; return the number of rows."""
    if if_exists not in ("fail", "append", "replace"):
        raise ValueError(f'if_exists is "fail", "append" or "replace", not {if_exists!r}')
    _check_names(df)
    cur.execute("SELECT to_regclass(%s) IS NOT NULL AS found", [table.as_string(cur)])
    found = cur.fetchone()["found"]
    if found and if_exists == "fail":
        raise ValueError(f'table {name} exists: pass if_exists="append" or "replace", or choose another name')
    if found and if_exists == "replace":
        cur.execute(sql.SQL("DROP TABLE {}").format(table))
    if not found or if_exists == "replace":
        definitions = [
            sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(_sql_type(df[column]))) for column in df.columns
        ]
        cur.execute(sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(", ").join(definitions)))
    if not len(df.columns):
        return 0

    columns = sql.SQL(", ").join(map(sql.Identifier, df.columns))
    try:
        cur.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(columns, table))
    except errors.UndefinedColumn as error:
        raise ValueError(f"table {name}: {error.diag.message_primary}") from None
    oids = [column.type_code for column in cur.description]
    cur.execute("SELECT oid FROM pg_type WHERE typcategory = 'A' AND oid = ANY(%s)", [oids])
    array_oids = {row["oid"] for row in cur}

    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, columns)
    for text in _ahead(_csv_texts(df, oids, array_oids)):
        cur.copy_expert(copy, io.BytesIO(text), size=BLOCK)
    return len(df)


def _csv_texts(df, oids, array_oids):
    """The rows of `df` as CSV text for columns of these types, ROWS_PER_COPY at a time."""
    for start in range(0, len(df), ROWS_PER_COPY):
        chunk = df.iloc[start : start + ROWS_PER_COPY]
        arrays = [_to_arrow(chunk[name], oid, array_oids) for name, oid in zip(df.columns, oids, strict=True)]
        with pa.BufferOutputStream() as csv:
            options = arrow_csv.WriteOptions(include_header=False)
            arrow_csv.write_csv(pa.table(arrays, names=list(map(str, range(len(arrays))))), csv, options)
            text = csv.getvalue().to_pybytes()
        if b"\x00" in text:
            guilty = [name for name, array in zip(df.columns, arrays, strict=True) if _holds_nul(array)]
            raise ValueError(f"column {guilty[0]!r} holds a NUL character, which PostgreSQL cannot store in text")
        yield text


def _holds_nul(array):
    """Only text and bytes can; all else is written without."""
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(kind(array.type) for kind in kinds) and pc.any(pc.match_substring(array, "\x00")).as_py()


def _ahead(values):
    """The values of an iterator, none of them None; a thread makes the next while the caller works on one."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, values, None)
        while (value := coming.result()) is not None:
            coming = thread.submit(next, values, None)
            yield value


class _Rows:
    """A file for COPY to write to. Every BLOCK of whole rows goes to `submit`, which returns a future."""

    def __init__(self, submit, cancel):
        self.submit, self.cancel, self.futures, self.rows, self.size = submit, cancel, [], [], 0

    def write(self, row):
        """Take one row: libpq hands over just that."""
        try:
            self.rows.append(row)
            self.size += len(row)
            if self.size >= BLOCK:
                self.flush()
        except BaseException:  # you interrupt it: else libpq would fetch all that is left first
            self.cancel()
            raise

    def flush(self):
        text, self.rows, self.size = b"".join(self.rows), [], 0
        if len(self.futures) > 1:
            wait(self.futures[-2:-1])  # no more than two blocks are kept waiting
        self.futures.append(self.submit(text))

    def results(self):
        """What became of the blocks, in order."""
        if self.rows:
            self.flush()
        return [future.result() for future in self.futures]


def _parse(text, schema):
    """Whole rows of CSV text as an Arrow table."""
    if text.startswith(codecs.BOM_UTF8):
        text = codecs.BOM_UTF8 + text  # Arrow drops the first one, and this is a value's
    return arrow_csv.read_csv(
        pa.BufferReader(text),
        arrow_csv.ReadOptions(column_names=schema.names, block_size=len(text), use_threads=False),
        arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        arrow_csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _arrow_type(oid):
    """How Arrow reads the column's CSV text; text also for all that `_from_arrow` converts."""
    if oid in (TIMESTAMP, TIMESTAMPTZ):
        return pa.timestamp("us", "UTC" if oid == TIMESTAMPTZ else None)
    if oid in INTEGERS:
        return pa.int64()  # also for smallint: small integers overflow silently in arithmetic
    if oid in FLOATS:
        return pa.float64()
    return pa.bool_() if oid == BOOLEAN else pa.string()


def _from_arrow(column, oid, name, cur):
    """The column as its type wants it, as a Series; `column` comes from CSV as `_arrow_type` said."""
    cast = extensions.string_types.get(oid)
    if cast is None or not pa.types.is_string(column.type) or oid in TEXTS:
        return column.to_pandas(types_mapper=PANDAS_TYPES.get)
    if pattern := UNKNOWN_TO_PYTHON.get(oid):
        for text in column.filter(pc.match_substring_regex(column, pattern))[:1].to_pylist():
            raise _unknown_time(name, text)
    try:
        values = [None if text is None else cast(text, cur) for text in column.to_pylist()]
    except ValueError as error:  # years BC or past 9999
        raise _unknown_time(name, error) from None
    if oid == BYTEA:
        values = [None if value is None else bytes(value) for value in values]
    if oid == BYTEA_ARRAY:
        values = [value and [item and bytes(item) for item in value] for value in values]
    return pd.Series(values, dtype=object)


def _unknown_time(name, problem):
    return ValueError(f"column {name!r}: Python has no such time, cast it to text ({problem})")


def _check_names(df):
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
    named = [name for name in df.index.names if name is not None]
    if named:
        raise ValueError(f"the index {named} would be lost: write df.reset_index() instead")


def _sql_type(column):
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
    if kind == "u":
        kind, size = "i", 2 * size  # an unsigned number needs the next larger type
    by_kind = {
        "b": "boolean",
        "i": {1: "smallint", 2: "smallint", 4: "integer", 8: "bigint"}.get(size, "numeric"),
        "f": "real" if size <= 4 else "double precision",
        "M": "timestamp",
        "m": "interval",
    }
    if kind not in by_kind or isinstance(dtype, pd.SparseDtype):
        raise TypeError(f"column {column.name!r} has the type {dtype}, which SQL lacks: convert it first")
    return by_kind[kind]


def _arrow_sql_type(arrow):
    """The SQL type for a type of Arrow's that pandas describes less well; else None."""
    if pa.types.is_timestamp(arrow):
        return "timestamptz" if arrow.tz else "timestamp"
    tests = {"date": pa.types.is_date, "time": pa.types.is_time, "numeric": pa.types.is_decimal}
    tests["text"] = lambda arrow: pa.types.is_string(arrow) or pa.types.is_large_string(arrow)
    return next((name for name, test in tests.items() if test(arrow)), None)


def _without_categories(column):
    """The values of a categorical column, of a type that has a missing value."""
    dtype = column.dtype.categories.dtype
    return column.astype(pd.array(np.array([], dtype)).dtype if dtype.kind in "iub" else dtype)


def _object_sql_type(column):
    """The SQL type that fits every Python object in the column. Raises TypeError for a mixture."""
    try:
        found = {_value_sql_type(value) for value in column if not _is_missing(value)}
    except TypeError as error:
        raise TypeError(f"column {column.name!r} holds {error}, which SQL lacks: convert it first") from None
    for types, common in (
        ({"bigint", "numeric"}, "numeric"),
        ({"bigint", "double precision"}, "double precision"),
    ):
        if len(found) > 1 and found <= types:
            return common
    if len(found) > 1 and all(name == "jsonb" or name.endswith("[]") for name in found):
        return "jsonb"
    if len(found) > 1:
        raise TypeError(f"column {column.name!r} mixes {', '.join(sorted(found))}: make it one type first")
    return found.pop() if found else "text"


def _value_sql_type(value):
    value = _plain(value)
    if isinstance(value, datetime):
        return "timestamptz" if value.tzinfo else "timestamp"
    if isinstance(value, int) and not isinstance(value, bool):
        return "bigint" if -(2**63) <= value < 2**63 else "numeric"
    if isinstance(value, (list, tuple, np.ndarray)):
        items = {_value_sql_type(item) for item in value if not _is_missing(item)}
        scalar = len(items) == 1 and not next(iter(items)).startswith("json") and not next(iter(items)).endswith("[]")
        return f"{items.pop()}[]" if scalar else "jsonb"
    for kind, name in (
        (bool, "boolean"),
        (float, "double precision"),
        (str, "text"),
        (Decimal, "numeric"),
        (date, "date"),
        (time, "timetz" if getattr(value, "tzinfo", None) else "time"),
        (timedelta, "interval"),
        (UUID, "uuid"),
        ((bytes, bytearray, memoryview), "bytea"),
        (dict, "jsonb"),
    ):
        if isinstance(value, kind):
            return name
    raise TypeError(f"objects of type {type(value).__name__}")


def _to_arrow(column, oid, array_oids):
    """The column as an Arrow array whose CSV text the target column (type `oid`) takes."""
    try:
        column = _to_text(column, oid, array_oids)
        if column.dtype == "float16":
            column = column.astype("float32")
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise TypeError(f"column {column.name!r} cannot be written: {error}") from None


def _to_text(column, oid, array_oids):
    """The column itself where Arrow's CSV text of it is what the target column takes, else a column of text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = _without_categories(column)
    if oid == TIMESTAMP and getattr(column.dtype, "tz", None):
        raise ValueError(
            f"column {column.name!r} has a time zone and the table's column has none: say which time you mean, "
            f"for instance df[{column.name!r}].dt.tz_convert('UTC').dt.tz_localize(None)"
        )
    if oid in INTEGERS and column.dtype.kind == "f":
        try:
            return column.astype("Int64")  # COPY takes 7, not 7.0
        except (TypeError, OverflowError):
            raise ValueError(
                f"column {column.name!r} goes into an integer column but holds fractions, or numbers too large for one"
            ) from None
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


def _plain(value):
    """A NumPy scalar as the Python object for it."""
    if isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.astype(f"{value.dtype.name.partition('[')[0]}[us]")  # of nanoseconds, item() makes an integer
    return value.item() if isinstance(value, np.generic) else value


def _is_missing(value):
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _json_text(value):
    text = json.dumps(_jsonable(value), allow_nan=False)
    if "\\u0000" in text:
        raise ValueError("a JSON value holds a NUL character, which PostgreSQL cannot store in text")
    return text


def _jsonable(value):
    """The value with nothing in it that JSON lacks: missing values are null, numbers numbers, dates and UUIDs text."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_jsonable(item) for item in value]
    value = _plain(value)
    if _is_missing(value):
        return None
    if isinstance(value, Decimal):
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("JSON has no bytes: make them text")
    return value if isinstance(value, (str, int, float)) else str(value)


def _array_text(value):
    """A list as an array literal: {1,NULL,"a \\"quoted\\" text"}; lists in it make further dimensions."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return "{" + ",".join("NULL" if _is_missing(item) else _array_text(item) for item in value) + "}"
    escaped = _text(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(value):
    """One value as PostgreSQL reads it."""
    value = _plain(value)
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration's member too
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, timedelta):
        return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
    if isinstance(value, (dict, list, tuple, np.ndarray)):
        return _json_text(value)
    return str(value)

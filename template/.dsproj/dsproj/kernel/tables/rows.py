"""Blocks of a table as COPY takes them: as CSV text, what CSV has no writing for as PostgreSQL reads it; or in its binary format."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pyarrow as pa
from pyarrow import csv as arrow_csv

from dsproj.errors import Problem

# pandas, which frames_write imports, takes a second: to print rows of plain types goes without.
MICROSECONDS = "PostgreSQL keeps microseconds"


def sql_type(kind: pa.DataType) -> str:
    """The SQL type for an Arrow type: the one that write_frame has, jsonb for what is nested."""
    if isinstance(kind, pa.BaseExtensionType):
        known = {"arrow.uuid": "uuid", "arrow.json": "jsonb"}
        return known.get(kind.extension_name) or sql_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return sql_type(kind.value_type)
    tests: list[tuple[str, Callable[[pa.DataType], bool]]] = [
        ("jsonb", pa.types.is_nested),
        ("bytea", _is_bytes),
        ("text", _is_text),
        ("interval", pa.types.is_interval),
    ]
    if found := next((name for name, test in tests if test(kind)), None):
        return found
    import pandas as pd

    from dsproj.kernel.frames_write import _sql_type

    return _sql_type(pd.Series([], dtype=pd.ArrowDtype(kind)))


def note_of(kind: pa.DataType) -> str:
    """What is lost of an Arrow type's values, "" for nothing."""
    return MICROSECONDS if str(kind).startswith(("timestamp[ns", "time64[ns", "duration[ns")) else ""


def _is_text(kind: pa.DataType) -> bool:
    return str(kind) in ("string", "large_string", "string_view", "null")


def _is_bytes(kind: pa.DataType) -> bool:
    return str(kind) in ("binary", "large_binary", "binary_view") or pa.types.is_fixed_size_binary(kind)


def copy_text(batch: pa.RecordBatch, columns: Sequence[int] | None = None) -> bytes:
    """A block's rows as CSV, all columns or some, by number."""
    arrays = [_writable(batch.column(number)) for number in (range(batch.num_columns) if columns is None else columns)]
    with pa.BufferOutputStream() as text:
        options = arrow_csv.WriteOptions(include_header=False)
        arrow_csv.write_csv(pa.table(arrays, names=list(map(str, range(len(arrays))))), text, options)
        return text.getvalue().to_pybytes()


def copy_binary(batches: Iterator[pa.RecordBatch], columns: Sequence[int] | None, oids: Sequence[int]) -> Iterator[Any]:
    """Blocks of one schema in COPY's binary format, for columns of the types with these oids; as CSV where one has no writing there."""
    from dsproj.kernel import copy_binary as binary

    how, row = None, 1
    for number, batch in enumerate(batches):
        arrays = [_storage(batch.column(place)) for place in columns or range(batch.num_columns)]
        how = binary.writers([array.type for array in arrays], oids) if number == 0 else how
        if how is None:
            yield copy_text(batch, columns)
            continue
        if number == 0:
            yield binary.START
        try:
            yield binary.rows(arrays, how)
        except OverflowError as error:
            place, row_of_block, why = error.args
            name = batch.schema.names[columns[place] if columns else place]
            raise Problem(f"row {row + row_of_block}, column {name}: {why}") from None
        row += batch.num_rows
    if how is not None:
        yield binary.END


def _storage(array: pa.Array) -> pa.Array:
    """The array without what extends its type, and what is nested as JSON."""
    array = array.storage if isinstance(array.type, pa.BaseExtensionType) else array
    return _writable(array) if pa.types.is_nested(array.type) else array


def _writable(array: pa.Array) -> pa.Array:
    """The array, or text for it where Arrow's CSV is not what PostgreSQL reads."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return _each(array.storage, lambda value: str(UUID(bytes=value)))
        return _writable(array.storage)
    if pa.types.is_dictionary(kind):
        return _writable(array.dictionary_decode())
    if pa.types.is_nested(kind):
        from dsproj.kernel.frames_write import _json_text

        return _each(array, _json_text, maps_as_pydicts="lossy")
    if _is_bytes(kind):
        return _each(array, lambda value: "\\x" + value.hex())
    if pa.types.is_timestamp(kind):  # as it is, or the same moment in UTC
        return array.cast(pa.timestamp("us", "UTC" if kind.tz else None), safe=False)
    if pa.types.is_time64(kind):
        return array.cast(pa.time64("us"), safe=False)
    if pa.types.is_duration(kind):
        return _each(array.cast(pa.duration("us"), safe=False).cast(pa.int64()), _interval)
    if pa.types.is_interval(kind):
        return _each(array, lambda value: f"{value[0]} months {value[1]} days {value[2] // 1000} microseconds")
    return array.cast(pa.string()) if str(kind) == "string_view" else array


def _each(array: pa.Array, text: Callable[[Any], str], **options: Any) -> pa.Array:
    values = array.to_pylist(**options)
    return pa.array([None if value is None else text(value) for value in values], pa.string())


def _interval(microseconds: int) -> str:
    return "{} days {} microseconds".format(*divmod(microseconds, 86_400_000_000))


def csv_text(rows: Iterable[Sequence[str | None]]) -> bytes:
    """Rows of text, None for no value, as CSV that the inference and the normaliser read."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")

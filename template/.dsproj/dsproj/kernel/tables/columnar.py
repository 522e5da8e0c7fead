"""Parquet, Arrow (Feather) and DuckDB files: their columns have types, and Arrow has their rows in blocks."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsproj.errors import Problem
from dsproj.kernel.tables import Source, Table, chosen_part, columns_of, quoted
from dsproj.kernel.tables.rows import note_of, sql_type

ROWS = 32_768  # in a block
SQL = b"dsproj"  # in a column's metadata: its SQL type, where Arrow's does not tell
DAMAGED = "the file is damaged or cut off"

Opened = tuple[pa.Schema, int, Iterator[pa.RecordBatch]]


def read(source: Source) -> Table:
    schema, rows, _ = opened(source)
    columns = columns_of(schema.names)
    for column, each in zip(columns, schema, strict=True):
        try:
            column.type = (each.metadata or {}).get(SQL, b"").decode() or sql_type(each.type)
        except TypeError as error:
            raise Problem(f"column {column.title}: {error}") from None
        column.notes += filter(None, [note_of(each.type)])
    return Table(source, columns, rows)


def blocks(source: Source) -> Iterator[pa.RecordBatch]:
    try:
        yield from opened(source)[2]
    except (pa.ArrowException, OSError) as error:
        raise Problem(f"{DAMAGED}: {str(error).splitlines()[0]}") from None


def opened(source: Source) -> Opened:
    """(columns, number of rows, the rows)"""
    readers: dict[str, Callable[[Source], Opened]] = {"Parquet": parquet, "Arrow": arrow, "DuckDB": duckdb_file}
    try:
        return readers[source.kind](source)
    except (pa.ArrowException, OSError) as error:
        raise Problem(f"{DAMAGED}: {str(error).splitlines()[0]}") from None


def parquet(source: Source) -> Opened:
    # Without buffers ahead and threads, what is held is a page of each column, however large the groups of rows are.
    file = pq.ParquetFile(source.path, pre_buffer=False, buffer_size=1 << 20)
    return file.schema_arrow, file.metadata.num_rows, file.iter_batches(ROWS, use_threads=False)


def arrow(source: Source) -> Opened:
    """A file of Arrow's with its places at the end (also Feather's second version), or a stream."""
    with open(source.path, "rb") as file:
        start = file.read(6)
    if start.startswith(b"FEA1"):
        raise Problem(
            "this is Feather's first version: read_feather(…).to_parquet(…) of an older pandas writes it anew"
        )

    def batches() -> Iterator[Any]:
        with pa.memory_map(str(source.path)) as mapped:
            if start != b"ARROW1":
                yield from pa.ipc.open_stream(mapped)
                return
            opened = pa.ipc.open_file(mapped)
            yield from map(opened.get_batch, range(opened.num_record_batches))

    def sliced() -> Iterator[Any]:
        for batch in batches():
            yield from (batch.slice(first, ROWS) for first in range(0, batch.num_rows, ROWS))

    with pa.memory_map(str(source.path)) as mapped:
        opened = pa.ipc.open_file(mapped) if start == b"ARROW1" else pa.ipc.open_stream(mapped)
        schema = opened.schema
    return schema, sum(batch.num_rows for batch in batches()), sliced()


# DuckDB's types that Arrow has not, or not all values of: they go as text.
AS_TEXT = {"UUID": "uuid", "JSON": "jsonb", "BIT": "text", "TIME WITH TIME ZONE": "timetz"}
AS_TEXT |= dict.fromkeys(("HUGEINT", "UHUGEINT", "BIGNUM"), "numeric")
LISTED = "SELECT schema_name, {0}_name FROM duckdb_{0}s() WHERE NOT internal AND database_name = current_database()"


def duckdb_file(source: Source) -> Opened:
    """A table or view of a DuckDB file: main's by its name, another schema's as schema.name."""
    import duckdb

    try:
        con = duckdb.connect(str(source.path), read_only=True, config={"memory_limit": "200MB"})
        pairs = con.execute(f"{LISTED.format('table')} UNION ALL {LISTED.format('view')} ORDER BY ALL").fetchall()
        names = {name if schema == "main" else f"{schema}.{name}": (schema, name) for schema, name in pairs}
        table = ".".join(map(quoted, names[chosen_part(source, list(names), "table")]))
        described = con.execute(f"DESCRIBE {table}").fetchall()
        columns = [quoted(name) + "::VARCHAR" * (kind in AS_TEXT) for name, kind, *_ in described]
        ((rows,),) = con.execute(f"SELECT count(*) FROM {table}").fetchall()
        reader = con.sql(f"SELECT {', '.join(columns)} FROM {table}").to_arrow_reader(ROWS)
    except duckdb.Error as error:
        raise Problem(f"DuckDB cannot read it: {str(error).splitlines()[0]}") from None
    fields = [
        pa.field(name, each.type, metadata={SQL: AS_TEXT[kind]} if kind in AS_TEXT else None)
        for (name, kind, *_), each in zip(described, reader.schema, strict=True)
    ]
    return pa.schema(fields), rows, reader

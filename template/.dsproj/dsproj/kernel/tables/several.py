"""Several files with types, such as the Parquet files of a folder: one table, columns by name."""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from dsproj.errors import Problem
from dsproj.kernel import tables
from dsproj.kernel.schema.column_types import Column
from dsproj.kernel.tables import Source, Table
from dsproj.kernel.tables.members import at_file, members

# The types of two files' columns of one name, from the narrow to the wide; others become text.
WIDER = (
    ("smallint", "integer", "bigint", "numeric"),
    ("smallint", "integer", "real", "double precision"),
    ("bigint", "double precision"),
    ("numeric", "double precision"),
    ("date", "timestamp"),
)


def read(source: Source) -> Table:
    columns: dict[str, Column] = {}
    nested: set[str] = set()
    rows = 0
    for name, each in members(source):
        with at_file(name):
            table = typed(each)
            rows += table.rows
            if columns and columns.keys().isdisjoint(column.name for column in table.columns):
                raise Problem("none of its columns is in the files before: leave it out")
            for column in table.columns:
                known = columns.setdefault(column.name, column)
                if known is not column:
                    widen(known, column, name)
            nested.update(table.columns[number].name for number in table.source.nested)
    if source.filename:
        columns["filename"] = Column(0, "filename", "filename")
    for number, column in enumerate(columns.values()):
        column.number = number
    return Table(replace(source, keys=tuple(columns)), list(columns.values()), rows)


def typed(source: Source) -> Table:
    """The table of one file, by names of columns in SQL."""
    if source.kind == "CSV" or source.kind in tables.UNTYPED:
        raise Problem(f"this is a {source.kind} file among files with types: one table has files of one kind")
    return tables.read(replace(source, keys=(), nested=frozenset(), labels=frozenset()))


def widen(known: Column, other: Column, name: str) -> None:
    """Let a column take what another file has for it, too."""
    if {known.type, other.type} == {"text"} or known.type == other.type:
        return
    if "jsonb" in (known.type, other.type):
        raise Problem(f"column {known.title} is {other.type} and in the files before {known.type}: leave it out")
    row = next((row for row in WIDER if known.type in row and other.type in row), ("text",))
    wider = "text" if row == ("text",) else max(known.type, other.type, key=row.index)
    if wider != known.type:
        known.notes.append(f"{wider}: by {name}")
        known.type = wider


def blocks(source: Source) -> Iterator[pa.RecordBatch]:
    """The rows, with the columns that `keys` names."""
    for name, each in members(source):
        with at_file(name):
            table = typed(each)
            places = {column.name: number for number, column in enumerate(table.columns)}
            for block in tables.blocks(table.source):
                arrays = [
                    block.column(places[key]) if key in places else pa.nulls(block.num_rows) for key in source.keys
                ]
                if source.filename:
                    arrays[source.keys.index("filename")] = pa.array([name] * block.num_rows)
                yield pa.RecordBatch.from_arrays(arrays, names=list(map(str, range(len(arrays)))))

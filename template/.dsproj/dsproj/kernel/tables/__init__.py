"""Tables in files that are not CSV, in blocks: columns with the types that the file has, rows for COPY.

Each family of formats has a module: `read(source)` finds columns and types, `blocks(source)` goes through the rows. Which
one a file is for, database/data_files.py says.
"""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsproj.database.data_files import kind_of
from dsproj.errors import Problem
from dsproj.kernel.schema.column_types import Column
from dsproj.names import column_names

MODULES = {
    "Parquet": "columnar",
    "Arrow": "columnar",
    "DuckDB": "columnar",
    "SQLite": "sqlite",
    "JSON": "records",
    "workbook": "sheets",
    "Stata": "studies",
    "SAS": "studies",
    "SAS transport": "studies",
    "SPSS": "studies",
    "SPSS portable": "studies",
    "fixed width": "fixed_width",
    "files": "several",
    "text files": "several_texts",
}
# Their blocks are lists of rows of text, those of the others pyarrow's RecordBatches.
UNTYPED = ("workbook", "fixed width", "text files")
ONE_SCHEMA = ("Parquet", "Arrow", "DuckDB")  # the types of all their blocks are the same
LISTED = 10  # names in a message


@dataclass(frozen=True)
class Source:
    """A file, and what of it is asked for."""

    path: Path
    kind: str
    part: str = ""  # the sheet or table
    widths: tuple[int, ...] = ()
    encoding: str = ""
    keys: tuple[str, ...] = ()  # of JSON's records
    nested: frozenset[int] = frozenset()  # those whose values stay JSON, numbers from 0
    filename: bool = False  # of several files: is its name a column?
    labels: frozenset[int] = frozenset()  # columns of codes that are read as their labels, numbers from 0


@dataclass
class Table:
    """What was found in a file with types. source: with all that has to be said to go through its rows."""

    source: Source
    columns: list[Column]
    rows: int


def source_of(path: Path, **asked: Any) -> Source | None:
    """What the file is to be read as, with what of Source is asked for; None for a CSV file. Raises a Problem."""
    source = Source(path, kind_of(path), **asked)
    if source.kind == "archive":
        from dsproj.kernel.tables.members import kind_of_files

        source = replace(source, kind=kind_of_files(source))
    elif source.widths:
        source = replace(source, kind="fixed width")
    elif source.part and source.kind not in ("workbook", "SQLite", "DuckDB"):
        raise Problem(
            f"there is nothing in it to be chosen by #{source.part}: it holds one table", "the same without the #"
        )
    if source.filename and source.kind not in ("files", "text files"):
        raise Problem("FILENAME= is for several files")
    return source if source.kind in MODULES else None


def read(source: Source) -> Table:
    """The columns of a file that has types. Raises a Problem."""
    return module_of(source).read(source)


def blocks(source: Source) -> Iterator[Any]:
    """The rows. Raises a Problem."""
    return module_of(source).blocks(source)


def module_of(source: Source) -> Any:
    return importlib.import_module(f"dsproj.kernel.tables.{MODULES[source.kind]}")


def columns_of(titles: Sequence[str]) -> list[Column]:
    """Columns without types yet."""
    pairs = zip(column_names(titles), titles, strict=True)
    return [Column(number, name, title) for number, (name, title) in enumerate(pairs)]


def quoted(name: str) -> str:
    """A name as SQLite and DuckDB take it in SQL, whatever it is."""
    return '"' + name.replace('"', '""') + '"'


def chosen_part(source: Source, names: Sequence[str], what: str) -> str:
    """The sheet or table that is asked for, or the only one there is. Raises a Problem that lists them."""
    if source.part in names:
        return source.part
    if not source.part and len(names) == 1:
        return names[0]
    if not names:
        raise Problem(f"it holds no {what}")
    listed = ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
    why = f"there is no {what} {source.part} in it" if source.part else f"it holds {len(names)} {what}s"
    raise Problem(f"{why}: {listed}", f"make dataset SOURCE='…{source.path.suffix}#{names[0]}'")

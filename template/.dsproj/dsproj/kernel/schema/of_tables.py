"""A data file of any kind: a CSV file by its values, others with their own types, or with those that their cells suggest."""

import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.kernel.schema import reading
from dsproj.kernel.schema.column_types import shown
from dsproj.kernel.schema.dialect import ROWS, Dialect
from dsproj.names import column_names
from dsproj.sets import READER


def read(
    path: Path, part: str = "", widths: tuple[int, ...] = (), filename: bool = False, encoding: str = "", **how: Any
) -> reading.Reading:
    """Read a file; part, widths, filename: of tables.Source; encoding and the others: of reading.read. Raises a Problem."""
    from dsproj.kernel import tables  # which imports from this package

    source = tables.source_of(path, part=part, widths=widths, filename=filename, encoding=encoding)
    if source is None:
        return reading.read(path, encoding=encoding, **how)
    return with_cells(source, **how) if source.kind in tables.UNTYPED else with_types(source, **how)


def with_types(
    source: Any, header: bool | None = None, names: list[str] | None = None, bad: str = "", days: str = ""
) -> reading.Reading:
    from dsproj.kernel import tables

    if header is not None or bad:
        raise Problem("HEADER= and BAD= are for text and workbooks: this file says itself what its columns are")
    table = tables.read(source)
    if names and len(names) != len(table.columns):
        raise Problem(f"{len(names)} names are given, the file has {len(table.columns)} columns")
    if len(table.columns) > reading.MOST_COLUMNS - 1:
        most = f"a PostgreSQL table holds {reading.MOST_COLUMNS:,}, one of which is _id"
        raise Problem(f"{len(table.columns):,} columns: {most}")
    for column, name in zip(table.columns, column_names(names or ()), strict=False):
        column.name = name
    plain = Dialect("utf-8", ",", "", "", [], skip=0, short_header=False, plain=False)
    found = reading.Reading(source.path, plain, False, table.columns, table.rows)
    return replace(found, program=(f"./{READER}", *words(table.source)), kind=source.kind, is_typed=True)


def with_cells(source: Any, **how: Any) -> reading.Reading:
    """Rows of text: written down as CSV for a while, they get their types as a CSV file's do."""
    from dsproj.kernel import tables
    from dsproj.kernel.tables.rows import csv_text

    if source.kind == "text files" and how.get("header") is None:
        how["header"] = True  # what is common to them is not guessed anew: each has its own, and its columns go by name
    first: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="dsproj-") as folder:
        path = Path(folder) / "cells.csv"
        with open(path, "wb") as file:
            for block in tables.blocks(source):
                file.write(csv_text(block))
                first += [["" if cell is None else cell for cell in row] for row in block[: ROWS - len(first)]]
        if not first:
            raise Problem("the file is empty")
        dialect = Dialect("utf-8", ",", '"', "", first, skip=0, short_header=False, plain=False)
        found = reading.read(path, dialect=dialect, **how)
    kind = f"sheet {shown(source.part)}" if source.part else source.kind
    return replace(found, path=source.path, program=(f"./{READER}", *words(source)), kind=kind)


def words(source: Any) -> list[str]:
    """What get_table.sh has to be told of the file."""
    plain = all(re.fullmatch(r"[^\W\d][\w .-]*", key) for key in source.keys)
    given = {
        "--part": source.part,
        "--widths": ",".join(map(str, source.widths)),
        "--encoding": source.encoding,
        "--keys": ",".join(source.keys) if plain else json.dumps(source.keys, ensure_ascii=False),
        "--nested": numbered(source.nested),
        "--labels": numbered(source.labels),
    }
    return [f"{name}={value}" for name, value in given.items() if value] + ["--filename"] * source.filename


def numbered(columns: frozenset[int]) -> str:
    return ",".join(str(number + 1) for number in sorted(columns))

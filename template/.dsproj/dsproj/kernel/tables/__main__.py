"""Print the rows of a data file that is no CSV file as PostgreSQL's COPY takes them: docker/postgres/get_table.sh."""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dsproj.database import normalise
from dsproj.errors import Problem
from dsproj.kernel import tables
from dsproj.kernel.tables.rows import copy_binary, copy_text, csv_text


def keys(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text) if text.startswith("[") else text.split(","))


def numbers(text: str) -> frozenset[int]:
    return frozenset(normalise.columns(text))


def options(words: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """The parsed command line, and what is left of it for the normaliser."""
    parser = argparse.ArgumentParser(
        "get_table.sh", description="Print a data file as PostgreSQL's COPY takes it.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--file", default=os.environ.get("DATA_FILE"), help="default: $DATA_FILE")
    add("--part", default="", help="the sheet of a workbook, the table of a database")
    add("--columns", type=lambda text: [int(word) - 1 for word in text.split(",")], help="only these: 1,3")
    add("--keys", type=keys, default=(), help="of JSON's records, a column for each: with commas, or as a JSON list")
    add("--nested", type=numbers, default=frozenset(), help="columns 2,3 hold values that stay JSON")
    add("--labels", type=numbers, default=frozenset(), help="columns 2,3 hold codes: print their labels")
    add("--widths", type=lambda text: tuple(map(int, text.split(","))), default=(), help="of the columns: 5,3,8")
    add("--encoding", default="", help="of the file, as Python names it")
    add("--filename", action="store_true", help="of several files: the name of each row's file is the last column")
    own, rest = parser.parse_known_args(words)
    if not own.file:
        parser.error("which file? Give --file, or set DATA_FILE")
    return own, rest


def printed(own: argparse.Namespace, rest: Sequence[str]) -> Iterator[bytes]:
    """The rows, in blocks of bytes."""
    path = Path(own.file)
    asked = ("part", "widths", "encoding", "keys", "nested", "labels", "filename")
    source = tables.source_of(path, **{name: getattr(own, name) for name in asked})
    if source is None:
        raise Problem("this is a CSV file, which ./get_data.sh prints")
    blocks = tables.blocks(source)
    if source.kind in tables.UNTYPED:
        rows = (
            [[row[number] for number in own.columns] for row in block] if own.columns else block for block in blocks
        )
        yield from normalise.normalised(normalise.options([*rest, own.file]), read=map(csv_text, rows))
        return
    if rest:
        raise Problem(f"{rest[0]}: there is no such option for this kind of file; --help lists them")
    if source.kind in tables.ONE_SCHEMA and (oids := os.environ.get("COPY_TYPES", "").split()):
        yield from copy_binary(blocks, own.columns, list(map(int, oids)))
        return
    yield from (copy_text(block, own.columns) for block in blocks)


def main() -> None:
    own, rest = options()
    normalise.print_blocks(printed(own, rest), own.file)


if __name__ == "__main__":
    main()

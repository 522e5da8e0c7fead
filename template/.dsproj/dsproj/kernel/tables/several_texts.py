"""Several files of text, or workbooks: one table, columns by name. A column that a file lacks has no values there."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from dsproj.database.data_files import unpacked
from dsproj.database.normalise import BLOCK, after_lines, decoded, whole_rows
from dsproj.errors import Problem
from dsproj.kernel import tables
from dsproj.kernel.schema.dialect import Dialect, find_dialect
from dsproj.kernel.schema.header import has_header
from dsproj.kernel.tables import Source
from dsproj.kernel.tables.members import at_file, members

Row = list[str | None]
ROWS = 10_000


def blocks(source: Source) -> Iterator[list[Row]]:
    """Rows of text, that of the names first."""
    titles = titles_of(source)
    yield [[*titles, *["filename"] * source.filename]]
    for name, each in members(source):
        with at_file(name):
            rows = rows_of(each)
            own = [title.strip() for title in map(str, next(rows))]
            places = [own.index(title) if title in own else None for title in titles]
            block: list[Row] = []
            for number, row in enumerate(rows, start=2):
                if len(row) > len(own) and any(row[len(own) :]):
                    raise Problem(f"row {number} has {len(row)} values, the header has {len(own)}")
                row += [None] * (len(own) - len(row))
                values = [None if place is None else row[place] for place in places]
                block.append(values + [name] if source.filename else values)
                if len(block) == ROWS:
                    yield block
                    block = []
            yield block


def titles_of(source: Source) -> list[str]:
    """The names of the columns of all files."""
    titles: dict[str, None] = {}
    for name, each in members(source):
        with at_file(name):
            first = [title.strip() for title in map(str, next(rows_of(each), []))]
            if repeated := sorted({title for title in first if first.count(title) > 1}):
                raise Problem(f"two columns are called {repeated[0]!r}, and columns go by name: rename one")
            if titles and titles.keys().isdisjoint(first):
                raise Problem(f"none of its columns ({', '.join(first[:5])}) is in the files before: leave it out")
            titles |= dict.fromkeys(first)
    return list(titles)


def rows_of(source: Source) -> Iterator[Row]:
    """The rows of one file, names first."""
    if source.kind in tables.UNTYPED:
        cells = (row for block in tables.blocks(source) for row in block)
        yield [cell or "" for cell in next(cells)]
        yield from cells
        return
    if source.kind != "CSV":
        raise Problem(f"this is a {source.kind} file among files of text: one table has files of one kind")
    dialect = find_dialect(source.path, source.encoding)
    if not (dialect.short_header or has_header(dialect.first_rows)):
        raise Problem("it has no header line, and columns go by name")
    yield list(dialect.first_rows[0])
    rows = values(source, dialect)
    next(rows)
    yield from rows


def values(source: Source, dialect: Dialect) -> Iterator[Row]:
    """The rows of a CSV file, blank lines left out."""
    style: dict[str, Any] = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    if dialect.escape:
        style |= {"escapechar": dialect.escape, "doublequote": False}
    with unpacked(source.path) as file:
        text = decoded(iter(lambda: file.read(BLOCK), b""), dialect.encoding, check=True)
        blocks = whole_rows(after_lines(text, dialect.skip) if dialect.skip else text, len)
        lines = (line for block in blocks for line in io.StringIO(block.decode(), newline=""))
        try:
            for row in csv.reader(lines, delimiter=dialect.delimiter, skipinitialspace=True, strict=True, **style):
                if row:
                    yield [cell if cell != "" else None for cell in row]
        except csv.Error as error:
            raise Problem(f"broken quotes: {error}") from None

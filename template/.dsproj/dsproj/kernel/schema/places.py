"""Where in a file the rows and the cells are that a person should look at: by the number of the line, as editors count."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dsproj.database import normalise
from dsproj.kernel.schema.column_types import Column, shown
from dsproj.kernel.schema.dialect import EITHER, Dialect

MOST_SHOWN = 5
Cells = dict[tuple[int, str], int]  # (number of the column, value): line


@dataclass
class Lines:
    """How many rows of one sort there are, and the first of them: (line, number of values)."""

    count: int = 0
    first: list[tuple[int, int]] = field(default_factory=list)

    def add(self, line: int, values: int) -> None:
        self.count += 1
        if len(self.first) < MOST_SHOWN:
            self.first.append((line, values))

    def __str__(self) -> str:
        if not self.count:
            return "none"
        shown_ones = [f"line {line} has {values}" for line, values in self.first]
        shown_ones[0] += f" value{'s' * (self.first[0][1] != 1)}"
        return ", ".join(shown_ones) + f" and {self.count - len(self.first):,} more" * (self.count > len(self.first))


@dataclass
class Odd:
    """Rows with another number of values than there are columns."""

    width: int = 0  # 0: there are none
    filled: Lines = field(default_factory=Lines)  # with missing values at the end
    cut: Lines = field(default_factory=Lines)  # with empty values too many
    wrong: Lines = field(default_factory=Lines)


def rows_of_width(options: list[str], odd: Odd, header: bool) -> Iterator[bytes]:
    """What the normaliser prints with these options, which name a width; the rows that had another one go into `odd`."""
    chosen = normalise.options(options)
    normaliser = normalise.Normaliser(chosen)
    first = True
    for rows, line_numbers in normalise.placed(chosen, normaliser):
        lines = line_numbers() if normaliser.odd else []
        for number, values, mended in normaliser.odd:
            if not (first and header and number == 0):
                kind = odd.wrong if not mended else odd.filled if values < odd.width else odd.cut
                kind.add(lines[number], values)
        first = False
        yield rows


def lines_of_cells(options: list[str], dialect: Dialect, header: bool, wanted: set[tuple[int, str]]) -> Cells:
    """The first line that has each of these cells, as the normaliser prints them with these options."""
    chosen = normalise.options(options)
    quote = dialect.quote or '"'
    style: dict[str, Any] = {"quotechar": quote, "delimiter": dialect.printed_delimiter}
    if dialect.escape and dialect.escape != EITHER:
        style |= {"escapechar": dialect.escape, "doublequote": False}
    found: Cells = {}
    skip = int(header)
    for rows, line_numbers in normalise.placed(chosen, normalise.Normaliser(chosen)):
        left = wanted - found.keys()
        if not left:
            break
        if any(quote in value or value.encode() in rows for _, value in left):
            read = csv.reader(io.StringIO(rows.decode(), newline=""), **style)
            for line, row in list(zip(line_numbers(), read, strict=False))[skip:]:
                for cell in left & set(enumerate(row)):
                    found.setdefault(cell, line)
        skip = 0
    return found


def name_bad_cells(options: list[str], dialect: Dialect, header: bool, columns: list[Column]) -> None:
    """Note in each column which cells stand in the way of a type, and where they are."""
    some = {column.number: column.bad[: MOST_SHOWN if column.few else 1] for column in columns}
    wanted = {(number, value) for number, values in some.items() for value in values}
    lines = lines_of_cells(options, dialect, header, wanted) if wanted else {}
    for column in columns:
        if not column.bad:
            continue
        cells = [(lines.get((column.number, value), 0), value) for value in some[column.number]]
        named = [shown(value.strip() or value) + f" (line {line})" * (line > 0) for line, value in sorted(cells)]
        column.bad_note += (": " if column.few else ", such as ") + ", ".join(named)
        column.bad_note += " and others" * (column.few and len(column.bad) > len(cells))
        column.notes.append(f"{'NULL' if column.nulled else 'text'}: {column.bad_note}")

"""A table of an SQLite file. Its columns may hold anything, whatever they are declared as: all values are looked at."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from dsproj.errors import Problem
from dsproj.kernel.schema.column_types import Column, shown
from dsproj.kernel.tables import Source, Table, chosen_part, columns_of, quoted

ROWS = 10_000
AT_ONCE = 100  # columns that one look goes through
NAMES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
# Of a column: values by kind, bounds of whole numbers, texts that are dates or times without a zone, one odd text.
DAY = "substr({0}, 1, 10) GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]' AND date(substr({0}, 1, 10)) = substr({0}, 1, 10)"
LOOK = f"""
count({{0}}), sum(typeof({{0}}) = 'integer'), sum(typeof({{0}}) = 'real'), sum(typeof({{0}}) = 'text'),
min(CASE WHEN typeof({{0}}) = 'integer' THEN {{0}} END), max(CASE WHEN typeof({{0}}) = 'integer' THEN {{0}} END),
sum(typeof({{0}}) = 'text' AND length({{0}}) = 10 AND {DAY}),
sum(typeof({{0}}) = 'text' AND length({{0}}) BETWEEN 16 AND 26 AND {DAY} AND substr({{0}}, 11, 1) IN (' ', 'T')
    AND time(substr({{0}}, 12)) IS NOT NULL AND substr({{0}}, 12) NOT GLOB '*[^0-9:.]*'),
max(CASE WHEN typeof({{0}}) = 'text' THEN {{0}} END)"""
# What a declaration such as DECIMAL(10, 2) says of a column without values, in SQLite's own order.
AFFINITIES = {"bigint": "INT", "text": "CHAR|CLOB|TEXT", "bytea": "BLOB", "double precision": "REAL|FLOA|DOUB"}


def read(source: Source) -> Table:
    try:
        with closing(opened(source)) as con:
            table = table_of(source, con)
            # Also columns that are computed; 1: one that a virtual table hides, from SELECT * too.
            known = con.execute(f"PRAGMA table_xinfo({table})")
            declared = [(name, kind.upper()) for _, name, kind, _, _, _, hidden in known if hidden != 1]
            (rows,) = con.execute(f"SELECT count(*) FROM {table}").fetchone()
            columns = columns_of([title for title, _ in declared])
            for first in range(0, len(columns), AT_ONCE):
                some = columns[first : first + AT_ONCE]
                looks = ", ".join(LOOK.format(quoted(column.title)) for column in some)
                found = con.execute(f"SELECT {looks} FROM {table}").fetchone()
                width = len(found) // len(some)
                for place, column in enumerate(some):
                    *numbers, odd = found[place * width : (place + 1) * width]
                    look = Look._make([*(number or 0 for number in numbers), odd or ""])
                    decide(column, declared[first + place][1], look)
    except sqlite3.Error as error:
        raise Problem(f"SQLite cannot read it: {error}") from None
    return Table(source, columns, rows)


def opened(source: Source) -> sqlite3.Connection:
    """Read only, and as it lies there: no lock, no journal, nothing written beside it."""
    return sqlite3.connect(f"file:{quote(str(source.path.absolute()))}?mode=ro&immutable=1", uri=True)


def table_of(source: Source, con: sqlite3.Connection) -> str:
    return quoted(chosen_part(source, [name for (name,) in con.execute(NAMES)], "table"))


class Look(NamedTuple):
    """What LOOK finds in a column."""

    filled: int
    whole: int
    real: int
    text: int
    least: int
    most: int
    days: int
    times: int
    odd: str


def decide(column: Column, declared: str, look: Look) -> None:
    """The type of a column, by what it holds and by what it is declared as."""
    numbers = look.whole + look.real
    if not look.filled:
        column.type = next((kind for kind, words in AFFINITIES.items() if re.search(words, declared)), "text")
        column.notes.append("no value to judge by")
    elif numbers == look.filled:
        column.type = number_type(look, declared)
    elif look.text == look.filled:
        if re.search(r"DATE|TIME", declared) and look.days + look.times == look.filled:
            column.type = "timestamp" if look.times else "date"
    elif not numbers + look.text:
        column.type = "bytea"
    elif numbers:
        odd = f"{look.filled - numbers:,} of {look.filled:,} values are no numbers, for example {shown(look.odd)}"
        column.notes.append(f"text: {odd}")


def number_type(look: Look, declared: str) -> str:
    if look.real:
        return "double precision" if max(-look.least, look.most) <= 2**53 else "numeric"
    if "BOOL" in declared and look.least >= 0 and look.most <= 1:
        return "boolean"
    return "integer" if look.least >= -(2**31) and look.most < 2**31 else "bigint"


def blocks(source: Source) -> Iterator[pa.RecordBatch]:
    try:
        with closing(opened(source)) as con:
            cursor = con.execute(f"SELECT * FROM {table_of(source, con)}")
            while rows := cursor.fetchmany(ROWS):
                arrays = [array(values) for values in zip(*rows, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, names=list(map(str, range(len(arrays)))))
    except sqlite3.Error as error:
        raise Problem(f"SQLite cannot read it: {error}") from None


def array(values: tuple[Any, ...]) -> pa.Array:
    """One kind of value as Arrow has it; several as text."""
    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) < 2 or kinds == {int, float}:
        try:
            return pa.array(values, pa.float64() if kinds == {int, float} else None)
        except pa.ArrowException:  # a whole number that is no double precision
            pass
    return pa.array(
        [value if value is None or isinstance(value, str) else as_text(value) for value in values], pa.string()
    )


def as_text(value: Any) -> str:
    return "\\x" + value.hex() if isinstance(value, bytes) else repr(value)

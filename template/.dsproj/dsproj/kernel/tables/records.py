"""JSON: lines or an array of records, and GeoJSON's features; a column for each key that any of them has.

Read as a stream, so that a file of any size takes the memory of some records.
"""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from dsproj.database.data_files import unpacked
from dsproj.database.normalise import BLOCK, decoded
from dsproj.errors import Problem
from dsproj.kernel.schema.column_types import Column, shown
from dsproj.kernel.schema.dialect import encoding_by_start
from dsproj.kernel.schema.kinds import KINDS
from dsproj.kernel.tables import Source, Table, columns_of

ROWS = 10_000
LONGEST = 256 << 20  # characters of a record
FEATURES = re.compile(r'"features"\s*:\s*\[')
BETWEEN = re.compile(r"[\s,]*")
TIMES = [(kind, re.compile(regex, re.I)) for kind, regex in KINDS if kind in ("date", "timestamp", "timestamptz")]


class Digits(str):
    """A number with a fraction, as the file writes it."""


@dataclass
class Found:
    """What one key's values are."""

    rows: dict[str, int] = field(default_factory=dict)  # by kind
    odd: dict[str, str] = field(default_factory=dict)  # the first of each kind
    least: int = 0
    most: int = 0
    inexact: bool = False

    def add(self, value: Any) -> None:
        kind = self.kind_of(value)
        if kind not in self.rows:
            self.odd[kind] = shown(as_text(value))
        self.rows[kind] = self.rows.get(kind, 0) + 1

    def kind_of(self, value: Any) -> str:
        if isinstance(value, bool):
            return "boolean"
        if isinstance(value, int):
            self.least, self.most = min(self.least, value), max(self.most, value)
            return "integer"
        if isinstance(value, Digits):
            if len(value) > 15 and not self.inexact:
                self.inexact = Decimal(value) != Decimal(repr(float(value)))
            return "decimal"
        if isinstance(value, str):
            return "text" if "text" in self.rows else time_of(value)
        return "nested"


def time_of(text: str) -> str:
    """ "date", "timestamp" or "timestamptz" for one with the year first, else "text"."""
    for kind, pattern in TIMES:
        if pattern.fullmatch(text):
            try:
                date.fromisoformat(text[:10].replace("/", "-"))
                return kind
            except ValueError:
                break
    return "text"


def read(source: Source) -> Table:
    keys: dict[str, Found] = {}
    rows = 0
    for record in records(source):
        rows += 1
        for key, value in record.items():
            found = keys.get(key)
            if found is None:
                found = keys[key] = Found()
            if value is not None:
                found.add(value)
    if not keys:
        raise Problem("there is no record in it")
    columns = columns_of(list(keys))
    for column, found in zip(columns, keys.values(), strict=True):
        decide(column, found)
    nested = frozenset(column.number for column in columns if column.type == "jsonb")
    return Table(replace(source, keys=tuple(keys), nested=nested), columns, rows)


def decide(column: Column, found: Found) -> None:
    """The type of a column."""
    kinds = found.rows.keys()
    if not kinds:
        column.notes.append("text: no value to judge by")
    elif "nested" in kinds:
        column.type = "jsonb"
    elif kinds <= {"integer", "decimal"}:
        column.type = number_type(found)
    elif len(kinds) == 1:
        (column.type,) = kinds
    elif kinds == {"date", "timestamp"}:
        column.type = "timestamp"
    elif not kinds <= {"text", "date", "timestamp", "timestamptz"}:
        several = ", ".join(f"{rows:,} × {kind} ({found.odd[kind]})" for kind, rows in found.rows.items())
        column.notes.append(f"text: {several}")


def number_type(found: Found) -> str:
    if "decimal" in found.rows:
        exact = not found.inexact and max(-found.least, found.most) <= 2**53
        return "double precision" if exact else "numeric"
    sizes = (("integer", 31), ("bigint", 63))
    return next((name for name, bits in sizes if -(2**bits) <= found.least and found.most < 2**bits), "numeric")


def blocks(source: Source) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, Any]] = []
    for record in records(source):
        rows.append(record)
        if len(rows) == ROWS:
            yield batch(source, rows)
            rows = []
    if rows:
        yield batch(source, rows)


def batch(source: Source, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    arrays = []
    for number, key in enumerate(source.keys):
        text = as_json if number in source.nested else as_text
        values = [row.get(key) for row in rows]
        try:
            arrays.append(pa.array([None if value is None else text(value) for value in values], pa.string()))
        except UnicodeEncodeError as error:
            raise Problem(f"key {key}: half a character (\\u{ord(error.object[error.start]):04x})") from None
    return pa.RecordBatch.from_arrays(arrays, names=list(map(str, range(len(arrays)))))


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return as_json(value) if isinstance(value, (dict, list, bool)) else str(value)


def as_json(value: Any) -> str:
    return json.dumps(with_numbers(value), ensure_ascii=False)


def with_numbers(value: Any) -> Any:
    """The same with floats for Digits; JSON has no NaN, so null."""
    if isinstance(value, Digits):
        number = float(value)
        return number if number == number else None
    if isinstance(value, dict):
        return {key: with_numbers(item) for key, item in value.items()}
    return list(map(with_numbers, value)) if isinstance(value, list) else value


# --- the stream


def records(source: Source) -> Iterator[dict[str, Any]]:
    """The file's records. Raises a Problem."""
    with unpacked(source.path) as file:
        start = file.read(BLOCK)
        encoding = source.encoding or encoding_by_start(start) or "utf-8"
        bytes_of = itertools.chain([start], iter(lambda: file.read(BLOCK), b""))
        pieces = (block.decode() for block in decoded(bytes_of, encoding, check=True))
        for number, value in enumerate(values(pieces), start=1):
            if not isinstance(value, dict):
                raise Problem(f"record {number} is no object but {shown(json.dumps(value))}")
            yield of_feature(value) if value.get("type") == "Feature" and "geometry" in value else value


def of_feature(feature: dict[str, Any]) -> dict[str, Any]:
    """A GeoJSON feature as a record: its properties, its id, and its geometry."""
    properties = feature.get("properties")
    known = dict(properties) if isinstance(properties, dict) else {}
    if "id" in feature:
        known.setdefault("id", feature["id"])
    return {**known, "geometry": feature["geometry"]}


def values(pieces: Iterator[str]) -> Iterator[Any]:
    """The values of an array, of GeoJSON's features, or one after another, from pieces of a text."""
    text = Unread(pieces)
    opened = text.opened()
    for number in itertools.count(1):
        following = text.following()
        if following == "]" and opened:
            return
        if not following and opened:
            raise Problem(f"the file is cut off in record {number}")
        if not following:
            return
        yield text.value(number)


class Unread:
    """What is to be read yet; a part of it is in memory."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.pieces, self.text, self.place, self.line = pieces, next(pieces, "").lstrip(), 0, 1
        self.decode = json.JSONDecoder(parse_float=Digits, parse_constant=Digits).raw_decode

    def opened(self) -> bool:
        """Go to the first of several records, where a bracket opens them."""
        found = re.match(r"\[", self.text) or ('"FeatureCollection"' in self.text and FEATURES.search(self.text))
        self.place = found.end() if found else 0
        return bool(found)

    def following(self) -> str:
        """The character that comes next, blanks and commas aside; "" at the end."""
        while True:
            found = BETWEEN.match(self.text, self.place)
            self.place = found.end() if found else self.place
            if self.place < len(self.text) or not self.read_on(1):
                return self.text[self.place : self.place + 1]

    def read_on(self, count: int) -> bool:
        """Have so many more characters in memory, if there are any."""
        self.line += self.text.count("\n", 0, self.place)
        parts, size = [self.text[self.place :]], 0
        while size < count and (piece := next(self.pieces, "")):
            parts.append(piece)
            size += len(piece)
        self.text, self.place = "".join(parts), 0
        return size > 0

    def value(self, number: int) -> Any:
        while True:
            try:
                value, self.place = self.decode(self.text, self.place)
                return value
            except RecursionError:
                raise Problem(f"record {number} is nested too deep") from None
            except json.JSONDecodeError as error:
                line = self.line + self.text.count("\n", 0, error.pos)
                is_open = error.msg.startswith("Unterminated string") or error.pos >= len(self.text.rstrip())
                may_go_on = is_open or error.pos > len(self.text) - 12
                if may_go_on and len(self.text) < LONGEST and self.read_on(len(self.text) - self.place):
                    continue
                if is_open:
                    raise Problem(f"the file is cut off in record {number}") from None
                raise Problem(f"record {number}, line {line}: this is no JSON: {error.msg}") from None
            except ValueError:
                raise Problem(
                    f"record {number} has a number of more digits than are read, 4,300; as text it is"
                ) from None

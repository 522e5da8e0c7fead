"""Documents of a JSON file as MongoDB keeps them: dates, exact numbers, and what Extended JSON says ({"$oid": …}).

A field is known by its path: station.height, readings[].value. All of its texts that are dates, or times, become dates; one
that is none, and all stay text. A file is read twice, as a stream: once to see what its fields hold, once for its documents.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Inexact, InvalidOperation
from pathlib import Path
from typing import Any

import bson
from bson import Decimal128, ObjectId, json_util
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from dsproj.database.data_files import kind_of
from dsproj.errors import Problem
from dsproj.kernel.mongo_client import MOST
from dsproj.kernel.schema.column_types import shown
from dsproj.kernel.tables import Source
from dsproj.kernel.tables.records import Digits, Found, records

MOST_FIELDS = 5000  # told apart; a file where keys are data has no end of them
DEEPEST = 100  # MongoDB's limit
DATES = ("date", "timestamp", "timestamptz")
ROOT_ID = "_id"
FINER = re.compile(r"\.\d{3}\d*[1-9]")  # than the milliseconds that MongoDB's dates have
EXTENDED = json_util.JSONOptions(
    tz_aware=False,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
WITH_UUIDS: CodecOptions[Any] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
Fields = dict[str, "Field"]


class Field(Found):
    """What the values of one path are."""

    def kind_of(self, value: Any) -> str:
        if value is None:
            return "null"
        if isinstance(value, dict):
            return "document"
        if isinstance(value, list):
            return "array"
        kind = super().kind_of(value)
        return "text" if kind in DATES and moment(value) is None else kind

    @property
    def type(self) -> str:
        """What all values but null become, "" for several."""
        kinds = self.rows.keys() - {"null"}
        if kinds and (len(kinds) == 1 or kinds == {"date", "timestamp"}) and kinds <= set(DATES):
            return "date"
        if kinds == {"integer", "decimal"} or kinds == {"decimal"}:
            return "decimal" if self.inexact else "double"
        return next(iter(kinds)) if len(kinds) == 1 else ""

    @property
    def account(self) -> str:
        """For people."""
        return (
            self.type or ", ".join(f"{rows:,} × {kind}" for kind, rows in self.rows.items() if kind != "null") or "null"
        )


@dataclass
class Contents:
    """What a file holds."""

    documents: int = 0
    fields: Fields = field(default_factory=dict)


def source_of(path: Path) -> Source:
    """Problem for a file that holds no documents."""
    if (kind := kind_of(path)) != "JSON":
        is_table = not re.search(r"\.(ndjson|jsonl?|geojson)\b", path.name, re.I)
        what = f"this is no JSON but {kind}, which makes a table" if is_table else "no document begins in it"
        cure = "the same without TO=mongo" * is_table
        raise Problem(f"{what}; TO=mongo is for documents, {{…}}: JSON lines, or an array", cure)
    return Source(path, kind)


def look(path: Path) -> Contents:
    """The fields of all documents. Raises a Problem."""
    found = Contents()
    for document in records(source_of(path)):
        found.documents += 1
        _look_at(document, "", found, 0)
    if not found.documents:
        raise Problem("there is no document in it")
    return found


def _look_at(value: Any, path: str, found: Contents, depth: int) -> None:
    if depth >= DEEPEST:
        raise Problem(f"document {found.documents} is nested deeper than {DEEPEST} levels, the most that MongoDB takes")
    if path and (path in found.fields or len(found.fields) < MOST_FIELDS):
        known = found.fields.setdefault(path, Field())
        if is_extended(value):
            kind = type(_made_of(value, path, f"document {found.documents}: ")).__name__.replace("datetime", "date")
            known.rows[kind] = known.rows.get(kind, 0) + 1
            return
        known.add(value)
    if isinstance(value, dict):
        for key, item in value.items():
            _look_at(item, f"{path}.{key}" if path else key, found, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _look_at(item, f"{path}[]", found, depth + 1)


def documents(path: Path, fields: Fields, checksum: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, document): typed as `look` found; each has an _id, made from the file's checksum where it says none.

    So the same file makes the same _ids: a vector or a note that goes by them finds its document after a reload, and in a clone.
    """
    begin = bytes.fromhex(checksum)[:8]
    for number, record in enumerate(records(source_of(path)), start=1):
        try:
            made = {key: _typed(value, key, fields) for key, value in record.items()}
        except Problem as problem:
            raise Problem(f"document {number}: {problem.what}") from None
        yield number, made if ROOT_ID in made else {ROOT_ID: ObjectId(begin + number.to_bytes(4, "big")), **made}


def encoded(numbered: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[RawBSONDocument]:
    """Documents as they are sent. Problem with the number of one that cannot be."""
    for number, document in numbered:
        try:
            raw = bson.encode(document, codec_options=WITH_UUIDS)
        except (BSONError, OverflowError, ValueError) as error:
            raise Problem(f"document {number}: {str(error)[:200]}") from None
        if len(raw) > MOST:
            cure = "cut it into several, with a key that they share"
            raise Problem(f"document {number} is over 16 MB, the most that MongoDB takes; {cure}")
        yield RawBSONDocument(raw)


def is_extended(value: Any) -> bool:
    """Is it a value of MongoDB's Extended JSON, such as {"$oid": "…"}?"""
    return (
        isinstance(value, dict)
        and bool(value)
        and next(iter(value)).startswith("$")
        and not isinstance(_extended(value), dict)
    )


def _made_of(value: dict[str, Any], path: str, where: str = "") -> Any:
    """What Extended JSON says; Problem where it is none."""
    made = _extended(value)
    if isinstance(made, Exception):
        raise Problem(f"{where}{path}: {shown(str(value))} is no Extended JSON of MongoDB: {made}")
    return made


def _extended(value: dict[str, Any]) -> Any:
    try:
        return json_util.object_hook({key: _plain(item) for key, item in value.items()}, EXTENDED)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, InvalidOperation) as error:
        return error  # said by _made_of
    except Exception as error:  # of bson.errors, which have no class of their own in common with those
        return error


def _plain(value: Any) -> Any:
    """Inside of Extended JSON: its own numbers first."""
    if isinstance(value, Digits):
        return float(value)
    if isinstance(value, dict):
        return _extended(value) if is_extended(value) else {key: _plain(item) for key, item in value.items()}
    return list(map(_plain, value)) if isinstance(value, list) else value


def _typed(value: Any, path: str, fields: Fields) -> Any:
    if isinstance(value, dict):
        if is_extended(value):
            return _made_of(value, path)
        return {key: _typed(item, f"{path}.{key}", fields) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item, f"{path}[]", fields) for item in value]
    known = fields.get(path)
    if isinstance(value, Digits):
        return _exact(value) if known and known.type == "decimal" else float(value)
    if isinstance(value, str):
        return moment(value) if known and known.type == "date" else value
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return _exact(value, path)
    return value


def _exact(value: Any, path: str = "") -> Any:
    """A number of up to 34 digits; one with a fraction and more of them is rounded to a double, a whole one is refused."""
    try:
        return Decimal128(str(value))
    except (Inexact, InvalidOperation):
        if path:
            raise Problem(
                f"{path}: a number of {len(str(value))} digits, MongoDB's have 34 at most; as text it is kept"
            ) from None
        return float(value)


def moment(text: str) -> datetime | None:
    """A date (midnight) or time in UTC, where a text is one with the year first and no finer than milliseconds."""
    if FINER.search(text):
        return None
    try:
        found = datetime.fromisoformat(text.replace("/", "-").replace(" +", "+").replace(" -", "-"))
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        return None


def account(found: Contents, of: str) -> str:
    """Lines for people: each field, what it becomes, in how many values."""
    listed = list(found.fields.items())
    width = min(60, max(len(path) for path, _ in listed[:LISTED])) if listed else 0
    lines = [f"{of}: {found.documents:,} documents, {len(listed):,} fields"]
    lines += [
        f"  {shown(path, 60):<{width}}  {sum(each.rows.values()):>9,}  {each.account}" for path, each in listed[:LISTED]
    ]
    lines += [f"  … and {len(listed) - LISTED:,} more"] * (len(listed) > LISTED)
    return "\n".join(lines)


LISTED = 60

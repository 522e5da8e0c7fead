"""Long bytes to and from a column of type bytea: by COPY's binary format, where psycopg2 alone would write them as twice as many digits."""

# https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS: a header, for each row the number of its
# fields, for each field its length and its bytes as the type has them, and an end.

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from psycopg2 import sql

from dsproj.kernel.connection import Cursor

LIMIT = 512 * 2**20  # bytes of one value: PostgreSQL itself ends at twice as many, and has each twice in memory
HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
END = struct.pack("!h", -1)
BLOCK = 2**20

Buffer = bytes | bytearray | memoryview


def insert(cur: Cursor, table: str, values: Mapping[str, Any]) -> None:
    """Add a row to `table`: text, int (integer), float (double precision), dict (jsonb), None, and a list of buffers (bytea).

    Raises ValueError for more bytes than LIMIT.
    """
    fields = [_field(value) for value in values.values()]
    pieces: list[Buffer] = [HEADER, struct.pack("!h", len(fields))]
    for field in fields:
        size = None if field is None else sum(len(piece) for piece in field)
        if size and size > LIMIT:
            raise ValueError(f"{size / 2**20:,.0f} MB: at most {LIMIT // 2**20} MB can be kept as one value")
        pieces += [struct.pack("!i", -1 if size is None else size), *(field or [])]
    names = sql.SQL(", ").join(map(sql.Identifier, values))
    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(table), names)
    cur.copy_expert(copy, _Reader([*pieces, END]), size=BLOCK)


def fetch(cur: Cursor, query: str, params: Sequence[Any]) -> memoryview | None:
    """The one value, of type bytea, that the query selects; None where it selects no row."""
    written = _Writer()
    cur.copy_expert(cur.mogrify(f"COPY ({query}) TO STDOUT (FORMAT binary)", params).decode(), written)
    start = len(HEADER) + 2  # and the number of fields, which is the end where there is no row
    data = memoryview(b"".join(written.pieces))
    if data[len(HEADER) : start] == END:
        return None
    (size,) = struct.unpack_from("!i", data, start)
    return data[start + 4 : start + 4 + size]


def _field(value: Any) -> list[Buffer] | None:
    """A value as PostgreSQL's binary format has it, in pieces."""
    if value is None:
        return None
    if isinstance(value, list):
        return [memoryview(piece).cast("B") for piece in value]
    if isinstance(value, dict):
        return [b"\x01" + json.dumps(value).encode()]  # jsonb, version 1
    if isinstance(value, str):
        return [value.encode()]
    return [struct.pack("!d" if isinstance(value, float) else "!i", value)]


class _Reader:
    """A file for COPY to read from: the pieces one after another, none of them copied as a whole."""

    def __init__(self, pieces: list[Buffer]) -> None:
        self.blocks = self._cut(pieces)

    @staticmethod
    def _cut(pieces: list[Buffer]) -> Iterator[bytes]:
        for piece in pieces:
            whole = memoryview(piece)
            yield from (bytes(whole[start : start + BLOCK]) for start in range(0, len(whole), BLOCK))

    def read(self, size: int = BLOCK) -> bytes:
        return next(self.blocks, b"")

    readline = read  # psycopg2's types ask for it; COPY does not


class _Writer:
    """A file for COPY to write to."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

"""What write_frame's COPY reads: blocks of rows, one of which is made while the server takes another."""

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from dsproj.kernel import copy_binary

Item = TypeVar("Item")
# What stands before and after the rows.
AROUND = {"binary": (copy_binary.START, copy_binary.END), "csv": (b"", b"")}


class Block(NamedTuple):
    """Rows in one of COPY's formats, and the arrays that they were made of."""

    format: str
    rows: pa.Buffer
    arrays: list[pa.Array]


def ahead(items: Iterator[Item], thread: Executor) -> Iterator[Item]:
    """The same items, of which the thread makes the next one meanwhile."""
    coming = thread.submit(next, items, None)
    while (item := coming.result()) is not None:
        coming = thread.submit(next, items, None)
        yield item


class Rows:
    """A file for COPY to read blocks of one format from. psycopg2 makes an error of its own of what goes wrong: it is in `failed`."""

    def __init__(self, format: str, blocks: Iterator[Block]) -> None:
        self.pieces, self.rest = self.of(format, blocks), memoryview(b"")
        self.failed: BaseException | None = None

    def of(self, format: str, blocks: Iterator[Block]) -> Iterator[Any]:
        before, after = AROUND[format]
        yield before
        for block in blocks:
            yield block.rows
        yield after

    def read(self, size: int) -> bytes:
        """At most so many bytes, none at the end."""
        try:
            while not self.rest and (piece := next(self.pieces, None)) is not None:
                self.rest = memoryview(piece)
        except BaseException as error:
            self.failed = error
            raise
        part, self.rest = self.rest[:size], self.rest[size:]
        return bytes(part)

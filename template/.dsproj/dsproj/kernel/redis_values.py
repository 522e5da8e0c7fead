"""Long values to and from Redis without a copy of them in between: redis-py itself makes one to send and three to receive."""

import contextlib
from collections.abc import Iterator
from typing import Any

import redis
from redis._parsers.socket import SERVER_CLOSED_CONNECTION_ERROR, SocketBuffer

from dsproj.kernel.where import gone, url, without_password

Buffer = bytes | bytearray | memoryview
LONG = 2**16  # bytes, from which on a value is worth the trouble


class Pieces:
    """A value that lies in several places; what is sent is one after another."""

    def __init__(self, pieces: list[Buffer]) -> None:
        self.pieces = pieces
        self.size = sum(len(piece) for piece in pieces)


class Packer:
    """redis-py's packer of commands, for which one argument may be in pieces."""

    def __init__(self, packer: Any, encode: Any) -> None:
        self.packer, self.encode = packer, encode

    def pack(self, *args: Any) -> list[Buffer]:
        if not any(isinstance(arg, Pieces) for arg in args):
            return self.packer.pack(*args)
        packed, text = [], b"*%d\r\n" % len(args)
        for arg in args:
            if isinstance(arg, Pieces):
                packed += [text + b"$%d\r\n" % arg.size, *arg.pieces]
                text = b"\r\n"
            else:
                encoded = self.encode(arg)
                text += b"$%d\r\n%b\r\n" % (len(encoded), encoded)
        return [*packed, text]


@contextlib.contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise gone("this_redis", f"Redis at {without_password(url('REDIS_URL'))} does not answer: {error}") from None


def write(client: redis.Redis, key: str, data: bytes | Pieces, ttl: float | None) -> None:
    """Set a key, for `ttl` seconds or for good. Raises Unavailable where the server has gone."""
    value: Any = data
    with _available():
        client.set(key, value, px=None if ttl is None else max(1, int(ttl * 1000)))


def read(client: redis.Redis, key: str) -> bytes | bytearray | None:
    """The value of a key, where it is long in memory that nobody else has; None where there is none.

    Raises ValueError for a key that holds a list, hash, or stream, Unavailable where the server has gone.
    """
    with _available():
        return _read(client, key)


def _read(client: redis.Redis, key: str) -> bytes | bytearray | None:
    connection = client.connection_pool.get_connection()
    try:
        return connection.retry.call_with_retry(lambda: _get(connection, key), lambda _: connection.disconnect())
    except redis.ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            raise ValueError(f"{key!r} holds something that put did not write") from None
        raise
    except BaseException:
        connection.disconnect()  # what is left of the answer must not be the next one's
        raise
    finally:
        client.connection_pool.release(connection)


def _get(connection: Any, key: str) -> bytes | bytearray | None:
    connection.send_command("GET", key)
    buffer = getattr(connection._parser, "_buffer", None)
    if isinstance(buffer, SocketBuffer):
        start = buffer.get_pos()
        line = buffer.readline()
        if line[:1] == b"$" and line[1:].isdigit():
            return _read_bytes(buffer, int(line[1:]))
        buffer.rewind(start)  # an error, or nothing: what redis-py has words for
    return connection.read_response()


def _read_bytes(buffer: SocketBuffer, size: int) -> bytes | bytearray:
    if size < LONG:
        data = buffer.read(size)
        buffer.purge()
        return data
    whole = bytearray(size + 2)  # with the line's end
    here = buffer._buffer.read(size + 2)
    whole[: len(here)] = here
    with memoryview(whole) as view:
        place = len(here)
        while place < len(whole):
            try:
                got = buffer._sock.recv_into(view[place:])
            except OSError as error:
                raise redis.ConnectionError(f"Error while reading from socket: {error}") from None
            if not got:
                raise redis.ConnectionError(SERVER_CLOSED_CONNECTION_ERROR)
            place += got
    del whole[size:]
    buffer.purge()
    return whole

"""The connection to Redis, one for each process."""

import os
import time
from typing import Any

import redis

from dsproj.kernel.redis_values import Packer
from dsproj.kernel.where import Unavailable, gone, refused, url, without_password

FULL = (
    "Redis is full: it holds as much as REDIS_MEMORY in .env lets it (1g, where nothing is said), and what is there stays. "
    "To finish: delete some keys, or give it more and `make up`"
)
WAIT_SECONDS = 10  # how long a server that is still starting is waited for

_clients: dict[int, redis.Redis] = {}  # by process id, so that a forked child makes its own


class Connection(redis.Connection):
    """Says what to do when the server is full, and sends values that lie in pieces."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self._command_packer: Any = Packer(self._construct_command_packer(None), self.encoder.encode)

    def read_response(self, *words: Any, **options: Any) -> Any:
        try:
            return super().read_response(*words, **options)
        except redis.OutOfMemoryError:
            raise redis.OutOfMemoryError(FULL) from None


class SecureConnection(Connection, redis.SSLConnection):
    """The same by TLS, for a server elsewhere."""


def connect_to_redis() -> redis.Redis:
    """Return this process's `redis.Redis` client; it reconnects by itself and answers in bytes.

    Raises Unavailable at once for a wrong password, after WAIT_SECONDS when there is no server.
    """
    client = _clients.get(os.getpid())
    if client is not None:
        return client
    address = url("REDIS_URL")
    # The default of 5 s for a whole transfer would cut off a large value on a slow network.
    kind = SecureConnection if address.startswith("rediss:") else Connection
    client = redis.Redis.from_url(address, socket_timeout=60, connection_class=kind)
    where = without_password(address)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            client.ping()
            _clients[os.getpid()] = client
            return client
        except redis.AuthenticationError as error:
            raise Unavailable(f"Redis at {where} refused the connection: {error}", refused("this_redis")) from None
        except (redis.ConnectionError, redis.TimeoutError) as error:
            if time.monotonic() > deadline:
                raise gone("this_redis", f"No Redis at {where} within {WAIT_SECONDS} s: {error}") from None
            time.sleep(0.25)

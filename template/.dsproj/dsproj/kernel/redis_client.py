"""The connection to Redis, one for each process."""

import os
import time

import redis

from dsproj.kernel.where import LOGS, Unavailable, url, without_password

WAIT_SECONDS = 10  # how long a server that is still starting is waited for

_clients: dict[int, redis.Redis] = {}  # by process id, so that a forked child makes its own


def connect_to_redis() -> redis.Redis:
    """Return this process's `redis.Redis` client; it reconnects by itself and answers in bytes.

    Raises Unavailable at once for a wrong password, after WAIT_SECONDS when there is no server.
    """
    client = _clients.get(os.getpid())
    if client is not None:
        return client
    address = url("REDIS_URL")
    # The default of 5 s for a whole transfer would cut off a large value on a slow network.
    client = redis.Redis.from_url(address, socket_timeout=60)
    where = without_password(address)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            client.ping()
            _clients[os.getpid()] = client
            return client
        except redis.AuthenticationError as error:
            raise Unavailable(f"Redis at {where} refused the connection: {error}") from None
        except (redis.ConnectionError, redis.TimeoutError) as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"No Redis at {where} within {WAIT_SECONDS} s: {error}; {LOGS}", "make up") from None
            time.sleep(0.25)

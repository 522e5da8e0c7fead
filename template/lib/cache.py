"""Redis as a cache for results: JSON values, numpy arrays and DataFrames under a key.

`put("scores", scores, ttl=3600)` keeps them for an hour, `get("scores")` brings them back with their types, in any notebook or job.
"""

from typing import Any

from dsproj.kernel import redis_values, values
from dsproj.kernel.redis_client import connect_to_redis
from dsproj.kernel.where import Unavailable

__all__ = ["Unavailable", "connect_to_redis", "get", "put"]


def put(key: str, value: Any, ttl: float | None = None) -> None:
    """Store a JSON value, a numpy array or a DataFrame under `key`, for `ttl` seconds or until it is overwritten.

    A frame comes back equal, its index and types included, or is refused; in JSON, tuples become lists, keys text, numpy's numbers
    Python's. Raises TypeError, which names key, type and place, for what is none of the three (an array of objects, a dictionary that
    holds an array) and for a frame's column that Arrow cannot keep (of dictionaries, sets, or mixed types), and ValueError for
    more than 512 MB. Nothing is pickled.
    """
    redis_values.write(connect_to_redis(), key, values.encode(key, value), ttl)


def get(key: str) -> Any:
    """Return what `put` stored under `key`, in the types it had. Raises KeyError when there is nothing (any more).

    What others wrote is read where it is JSON, such as a count of `connect_to_redis().incr(key)`; else a ValueError.
    """
    data = redis_values.read(connect_to_redis(), key)
    if data is None:
        raise KeyError(f"nothing is kept under {key!r}, or no longer: put it anew")
    if data.startswith(b"PK"):
        raise KeyError(f"{key}: a DataFrame as this project stored them before its last update; put it anew")
    return values.decode(key, data)

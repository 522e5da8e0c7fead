"""Redis as a cache for results: JSON values, numpy arrays and DataFrames under a key.

`put("scores", scores, ttl=3600)` keeps them for an hour, `get("scores")` brings them back with their types.
"""

# Nothing is pickled: reading a pickle runs whatever code its writer put in it, and a cache is open to everyone who
# has its password. What is stored says itself what it is: arrays are .npy files, DataFrames Arrow streams, all else is
# JSON text.

import io
import json
import sys
from typing import Any

from dsproj.kernel.redis_client import connect_to_redis
from dsproj.kernel.where import Unavailable

__all__ = ["Unavailable", "connect_to_redis", "get", "put"]

LIMIT = 512 * 1024 * 1024  # bytes; Redis drops the connection on a longer value, so it is refused before


def put(key: str, value: Any, ttl: float | None = None) -> None:
    """Store a JSON value, a numpy array or a DataFrame under `key`, for `ttl` seconds or until it is overwritten.

    A frame comes back equal, its index and types included, or is refused; in JSON, tuples become lists, keys text.
    Raises TypeError for what is none of the three (an array of objects, a dictionary that holds an array) and for a
    frame's column that Arrow cannot keep (of dictionaries, sets, or mixed types), and ValueError for more than 512 MB.
    """
    client = connect_to_redis()
    client.set(key, _encode(key, value), px=None if ttl is None else max(1, int(ttl * 1000)))


def get(key: str) -> Any:
    """Return what `put` stored under `key`, in the types it had. Raises KeyError when there is nothing (any more)."""
    data = connect_to_redis().get(key)
    if data is None:
        raise KeyError(key)
    if data.startswith(b"\x93NUMPY"):
        import numpy as np

        return np.load(io.BytesIO(data), allow_pickle=False)
    if data.startswith(b"\xff\xff\xff\xff"):  # a message of Arrow's
        from dsproj.kernel import frames_arrow

        return frames_arrow.from_bytes(data)
    if data.startswith(b"PK"):
        raise KeyError(f"{key}: a DataFrame as this project stored them before its last update; put it anew")
    try:
        return json.loads(data)
    except ValueError:
        raise ValueError("the key holds something that put did not write") from None


def _encode(key: str, value: Any) -> bytes:
    # A value can only be an array or a frame when its library is loaded. Importing them here would make a job
    # that caches a number pay for pandas.
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    try:
        if numpy and isinstance(value, numpy.ndarray):
            data = _array_bytes(numpy, value)
        elif pandas and isinstance(value, pandas.DataFrame):
            from dsproj.kernel import frames_arrow

            data = frames_arrow.to_bytes(value, _check_size)
        else:
            data = _json_bytes(value)
    except TypeError as error:
        raise TypeError(f"put({key!r}, …): {error}") from None
    _check_size(len(data))
    return data


def _check_size(nbytes: int) -> None:
    if nbytes > LIMIT:
        raise ValueError(f"{nbytes / 2**20:,.0f} MB: Redis takes at most {LIMIT // 2**20} MB under one key")


def _array_bytes(numpy: Any, array: Any) -> bytes:
    if array.dtype.hasobject:
        raise TypeError(f"an array of {array.dtype} holds Python objects: convert it to numbers or text first")
    _check_size(array.nbytes)  # before a second copy of it is made
    buffer = io.BytesIO()
    numpy.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _json_bytes(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError) as error:
        raise TypeError(f"only JSON values, numpy arrays and DataFrames can be stored: {error}") from None

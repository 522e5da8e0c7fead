"""Redis as a cache for results: JSON values, numpy arrays and DataFrames under a key. Where it is: REDIS_URL.

Nothing is pickled: reading a pickle runs whatever code its writer put in it, and a cache is open to everyone who
has its password. What is stored says itself what it is: arrays are .npy files, DataFrames .npz files (one array a
column, and one of JSON that says how they go together), all else is JSON text.
"""

import io
import json
import os
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from time import monotonic, sleep
from uuid import UUID

import redis
from redis import exceptions

LIMIT = 512 * 1024 * 1024  # bytes; Redis drops the connection on a longer value, so it is refused before
WAIT_SECONDS = 10  # how long a server that is still starting is waited for

_clients = {}  # by process id, so that a forked child makes its own


class RedisUnavailable(ConnectionError):
    """No usable server at REDIS_URL; the message says what to do."""


def connect_to_redis():
    """Return this process's `redis.Redis` client; it reconnects by itself and answers in bytes.

    Raises RedisUnavailable at once for a wrong password, after WAIT_SECONDS when there is no server.
    """
    client = _clients.get(os.getpid())
    if client is not None:
        return client
    url = os.environ.get("REDIS_URL")
    if not url:
        raise RedisUnavailable("REDIS_URL is not set: run this inside the project's stack (`make up` starts it).")
    # The default of 5 s for a whole transfer would cut off a large value on a slow network.
    client = redis.Redis.from_url(url, socket_timeout=60)
    where = url.rpartition("@")[2].removeprefix("redis://")  # never the password
    deadline = monotonic() + WAIT_SECONDS
    while True:
        try:
            client.ping()
            break
        except exceptions.AuthenticationError as error:
            raise RedisUnavailable(f"Redis at {where} refused the connection: {error}") from None
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            if monotonic() > deadline:
                raise RedisUnavailable(
                    f"No Redis at {where} within {WAIT_SECONDS} s: {error}\n"
                    "`make up` starts the project's servers, `make logs` shows what ails them."
                ) from None
            sleep(0.25)
    _clients[os.getpid()] = client
    return client


def put(key, value, ttl=None):
    """Store a JSON value, a numpy array or a DataFrame under `key`, for `ttl` seconds or until it is overwritten.

    JSON has its own mind: a tuple comes back as a list, a dictionary's keys as text.

    Raises TypeError for what is none of the three (an array of objects, a dictionary that holds an array), and
    ValueError for more than 512 MB.
    """
    client = connect_to_redis()
    client.set(key, _encode(value), px=None if ttl is None else max(1, int(ttl * 1000)))


def get(key):
    """Return what `put` stored under `key`, in the types it had. Raises KeyError when there is nothing (any more)."""
    data = connect_to_redis().get(key)
    if data is None:
        raise KeyError(key)
    return _decode(data)


def _encode(value):
    # A value can only be an array or a frame when its library is loaded. Importing them here would make a job
    # that caches a number pay for pandas.
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy and isinstance(value, numpy.ndarray):
        if value.dtype.hasobject:
            raise TypeError(f"an array of {value.dtype} holds Python objects: convert it to numbers or text first")
        _check_size(value.nbytes)  # before a second copy of it is made
        data = _array_bytes(value)
    elif pandas and isinstance(value, pandas.DataFrame):
        data = _frame_bytes(value)
    else:
        try:
            data = json.dumps(value).encode()
        except (TypeError, ValueError) as error:
            raise TypeError(f"put takes JSON values, numpy arrays and DataFrames: {error}") from None
    _check_size(len(data))
    return data


def _decode(data):
    if data.startswith(b"\x93NUMPY"):
        import numpy as np

        return np.load(io.BytesIO(data), allow_pickle=False)
    if data.startswith(b"PK"):  # a zip file, which is what .npz is
        return _bytes_frame(data)
    try:
        return json.loads(data)
    except ValueError:
        raise ValueError("the key holds something that put did not write") from None


def _check_size(nbytes):
    if nbytes > LIMIT:
        raise ValueError(f"{nbytes / 2**20:,.0f} MB: Redis takes at most {LIMIT // 2**20} MB under one key")


def _array_bytes(array):
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _frame_bytes(df):
    """The frame as an .npz file: arrays "0", "1", …, and "layout", the JSON text that puts them together."""
    import numpy as np
    import pandas as pd

    arrays = []

    def pack(values, what):
        """Add the arrays that hold one Series; return the part of the layout that describes them."""
        dtype = values.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            categories = pack(pd.Series(dtype.categories), what)
            arrays.append(values.cat.codes.to_numpy())
            return {"is": "category", "codes": len(arrays) - 1, "of": categories, "ordered": bool(dtype.ordered)}
        if isinstance(dtype, pd.DatetimeTZDtype):
            arrays.append(values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
            return {"is": "zoned", "values": len(arrays) - 1, "zone": str(dtype.tz)}
        if isinstance(dtype, np.dtype) and not pd.api.types.is_object_dtype(dtype):
            arrays.append(values.to_numpy())
            return {"is": "array", "values": len(arrays) - 1}
        if isinstance(dtype, pd.StringDtype) or pd.api.types.is_object_dtype(dtype):
            items = values
            if isinstance(dtype, pd.StringDtype):
                items = values.astype(object).where(values.notna(), None)
            text = json.dumps(list(items), default=lambda item: _tag(item, what))
            arrays.append(np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8))
            return {"is": "objects", "values": len(arrays) - 1, "dtype": str(dtype)}
        if hasattr(dtype, "numpy_dtype") and dtype.kind in "iufb":  # Int64, boolean and their like
            arrays.append(values.to_numpy(dtype=dtype.numpy_dtype, na_value=0))
            arrays.append(values.isna().to_numpy())
            return {"is": "nullable", "values": len(arrays) - 2, "missing": len(arrays) - 1, "dtype": str(dtype)}
        raise TypeError(f"{what} has the type {dtype}, which put cannot store: convert it first")

    def pack_axis(index, what):
        if isinstance(index, pd.RangeIndex):
            return {"range": [index.start, index.stop, index.step], "names": list(index.names)}
        levels = [pack(pd.Series(index.get_level_values(i)), what) for i in range(index.nlevels)]
        return {"levels": levels, "multi": isinstance(index, pd.MultiIndex), "names": list(index.names)}

    layout = {
        "columns": pack_axis(df.columns, "the columns' names"),
        "index": pack_axis(df.index, "the index"),
        "values": [pack(df.iloc[:, i], f"column {name!r}") for i, name in enumerate(df.columns)],
    }
    layout = np.frombuffer(json.dumps(layout).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, layout=layout, **{str(i): array for i, array in enumerate(arrays)})
    return buffer.getvalue()


def _bytes_frame(data):
    import numpy as np
    import pandas as pd

    arrays = np.load(io.BytesIO(data), allow_pickle=False)
    layout = json.loads(arrays["layout"].tobytes())

    def unpack(part):
        if part["is"] == "category":
            categories = unpack(part["of"])
            codes = arrays[str(part["codes"])]
            return pd.Series(pd.Categorical.from_codes(codes, pd.Index(categories), ordered=part["ordered"]))
        values = arrays[str(part["values"])]
        if part["is"] == "zoned":
            return pd.Series(values).dt.tz_localize("UTC").dt.tz_convert(part["zone"])
        if part["is"] == "objects":
            items = json.loads(values.tobytes().decode("utf-8", "surrogatepass"), object_hook=_untag)
            return pd.Series(items, dtype=part["dtype"])
        if part["is"] == "nullable":
            values = pd.array(values, dtype=part["dtype"])
            values[arrays[str(part["missing"])]] = pd.NA
        return pd.Series(values)

    def unpack_axis(part):
        if "range" in part:
            return pd.RangeIndex(*part["range"], name=part["names"][0])
        levels = [unpack(level) for level in part["levels"]]
        if part["multi"]:
            return pd.MultiIndex.from_arrays(levels, names=part["names"])
        return pd.Index(levels[0], name=part["names"][0])

    index = unpack_axis(layout["index"])
    columns = [unpack(part) for part in layout["values"]]
    df = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=index)
    df.index, df.columns = index, unpack_axis(layout["columns"])
    return df


# Python objects that JSON lacks, as they come out of read_frame: how each is written and read.
_TAGS = {
    "decimal": (Decimal, str, Decimal),
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),  # after datetime, which is a date too
    "time": (time, time.isoformat, time.fromisoformat),
    "timedelta": (timedelta, lambda t: t // timedelta(microseconds=1), lambda n: timedelta(microseconds=n)),
    "uuid": (UUID, str, UUID),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
}


def _tag(item, what):
    import pandas as pd

    if item is pd.NA or item is pd.NaT:
        return {"__lib.cache__": "NA" if item is pd.NA else "NaT"}
    for tag, (kind, write, _) in _TAGS.items():
        if isinstance(item, kind):
            return {"__lib.cache__": tag, "value": write(item)}
    if hasattr(item, "tolist"):  # numpy's numbers and arrays
        return item.tolist()
    raise TypeError(f"{what} holds a {type(item).__name__}, which put cannot store: convert it first")


def _untag(item):
    tag = item.get("__lib.cache__")
    if tag in ("NA", "NaT"):
        import pandas as pd

        return getattr(pd, tag)
    return _TAGS[tag][2](item["value"]) if tag in _TAGS else item

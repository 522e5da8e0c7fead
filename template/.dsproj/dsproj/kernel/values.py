"""Values as bytes for Redis, and back: arrays as .npy files, DataFrames as Arrow streams, all else as JSON text."""

# Nothing is pickled: reading a pickle runs whatever code its writer put in it, and a cache is open to everyone who
# has its password. What is stored says itself what it is.

import io
import json
import sys
from typing import Any

from dsproj.kernel.redis_values import LONG, Pieces

LIMIT = 512 * 1024 * 1024  # bytes; Redis drops the connection on a longer value, so it is refused before
ARRAY = b"\x93NUMPY"
FIELDS = 9000  # characters: numpy reads no array whose header has more than 10,000


def encode(key: str, value: Any) -> bytes | Pieces:
    """The bytes of a value. Raises TypeError, with the key, for what cannot be kept, and ValueError for more than LIMIT."""
    # A value can only be an array or a frame when its library is loaded. Importing them here would make a job
    # that caches a number pay for pandas.
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    try:
        if numpy and isinstance(value, numpy.ndarray):
            return array(value)
        if pandas and isinstance(value, pandas.DataFrame):
            from dsproj.kernel import frames_arrow

            return Pieces(frames_arrow.to_pieces(value, check_size))
        try:
            data = json.dumps(value).encode()
        except (TypeError, ValueError):
            data = json.dumps(_plain(value, "", numpy)).encode()
    except TypeError as error:
        raise TypeError(f"put({key!r}, …): {error}") from None
    check_size(len(data))
    return data


def decode(key: str, data: bytes | bytearray) -> Any:
    """The value again; arrays and frames may keep `data` as their memory. ValueError for what `encode` did not make."""
    if data.startswith(ARRAY):
        return _read_array(data)
    if data.startswith(b"\xff\xff\xff\xff"):  # a message of Arrow's
        from dsproj.kernel import frames_arrow

        return frames_arrow.from_bytes(data)
    try:
        return json.loads(data)
    except ValueError:
        raise ValueError(f"{key!r} holds something that put did not write") from None


def check_size(nbytes: int) -> None:
    if nbytes > LIMIT:
        raise ValueError(f"{nbytes / 2**20:,.0f} MB: at most {LIMIT // 2**20} MB are kept under one key")


def array(array: Any) -> bytes | Pieces:
    """An array as an .npy file, a long one in its own memory.

    Raises TypeError for objects, a mask, and more fields than numpy reads back, ValueError for more than LIMIT.
    """
    import numpy

    if array.dtype.hasobject:
        raise TypeError(f"an array of {array.dtype} holds Python objects: convert it to numbers or text first")
    if isinstance(array, numpy.ma.MaskedArray):
        raise TypeError("a MaskedArray would lose its mask: store its data and its mask")
    if array.dtype.names and len(str(array.dtype.descr)) > FIELDS:
        raise TypeError(f"{len(array.dtype.names)} fields are more than an .npy file can name: make it a DataFrame")
    check_size(array.nbytes)  # before a copy of it is made
    file = io.BytesIO()
    if array.nbytes < LONG or array.dtype.names:  # names of fields can be long, and of any letters
        numpy.save(file, array, allow_pickle=False)
        return file.getvalue()
    if not array.flags.forc:
        array = numpy.ascontiguousarray(array)
    numpy.lib.format.write_array_header_2_0(file, numpy.lib.format.header_data_from_array_1_0(array))
    flat = (array if array.flags.c_contiguous else array.T).reshape(-1).view(numpy.uint8)
    return Pieces([file.getvalue(), memoryview(flat)])


def _read_array(data: bytes | bytearray) -> Any:
    import numpy as np

    file = io.BytesIO(data[: 2**12]) if len(data) >= LONG else io.BytesIO(data)
    if isinstance(data, bytes) or np.lib.format.read_magic(file) != (2, 0):
        return np.load(io.BytesIO(data), allow_pickle=False)
    shape, by_column, dtype = np.lib.format.read_array_header_2_0(file)
    return np.ndarray(shape, dtype, data, file.tell(), order="F" if by_column else "C")


def _plain(value: Any, place: str, numpy: Any) -> Any:
    """The same as JSON has it: numpy's scalars as Python's. Raises TypeError, which names the type and its place."""
    if numpy and isinstance(value, numpy.generic):
        value = value.item() if value.dtype.kind in "biufU" else value
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, dict):
        return {_name(name, place, numpy): _plain(each, f"{place}[{name!r}]", numpy) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, f"{place}[{number}]", numpy) for number, each in enumerate(value)]
    where = f", at {place}," if place else ""
    raise TypeError(
        f"a {type(value).__name__}{where} is none of what can be stored: JSON values, numpy arrays, DataFrames"
    )


def _name(name: Any, place: str, numpy: Any) -> Any:
    if numpy and isinstance(name, numpy.generic):
        name = name.item()
    if name is None or isinstance(name, str | bool | int | float):
        return name
    raise TypeError(f"a {type(name).__name__} is a key{f' at {place}' if place else ''}: those of JSON are text")

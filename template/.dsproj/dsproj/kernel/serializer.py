"""How jobs and their results are written: as JSON. What RQ's plain Queue pickled is read where it is values and no code."""

# A pickle is a program that can call whatever it can name. One that can name nothing builds numbers, text, lists and
# dictionaries: so much as JSON does. https://docs.python.org/3/library/pickle.html#restricting-globals

import io
import pickle
from typing import Any

from rq.serializers import JSONSerializer

FIRST_BYTE = b"\x80"  # of a pickle of protocol 2 or later; no JSON begins with it


class _Values(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no number, text, list or dictionary")


class Serializer(JSONSerializer):
    @staticmethod
    def loads(data: bytes, *words: Any, **options: Any) -> Any:
        return read_values(data) if is_pickle(data) else JSONSerializer.loads(data, *words, **options)


class PickleWriter(Serializer):
    """For the result of a job that was pickled: who enqueued it will unpickle that."""

    dumps = staticmethod(pickle.dumps)


def is_pickle(data: bytes) -> bool:
    return data.startswith(FIRST_BYTE)


def read_values(data: bytes) -> Any:
    return _Values(io.BytesIO(data)).load()

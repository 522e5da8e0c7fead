"""Vectors in documents of MongoDB, and the nearest of them. Each is {"dtype": "<f4", "shape": [384], "data": its bytes}."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from bson import Binary
from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.collection import Collection

from dsproj.kernel import mongo_client
from dsproj.kernel.mongo_client import MOST, answering

FIELD = "vector"
WRITTEN = 500  # documents at a time, of long vectors fewer
READ = 8 << 20  # bytes of vectors at a time
HAVE_ONE = {FIELD: {"$exists": True}}


def store_vectors(collection: Collection[Any] | str, documents: Sequence[Any], vectors: Any) -> int:
    """Keep a vector in the field "vector" of each document; return how many. The same call again changes nothing.

    collection: or its name in the project's database, where it is made if it is missing. documents: n ids of documents,
    made where there is none; or n documents themselves, each put in the place of the one with its _id. vectors: n arrays of
    numbers, of one shape, which their dtype and shape are kept with. Raises TypeError for what is no array of numbers,
    ValueError for another number of vectors than documents, a length other than that of those there, and over 16 MB.
    """
    array = _checked(vectors)
    if len(array) != len(documents):
        raise ValueError(f"{len(array):,} vectors for {len(documents):,} documents: one for each, please")
    if array[:1].nbytes > MOST - 1024:
        raise ValueError(
            f"a vector of {array[:1].nbytes / 2**20:,.1f} MB: MongoDB takes 16 MB at most, so keep it as a file in data/"
        )
    with answering():
        where = _found(collection, made=True)
        if known := where.find_one(HAVE_ONE):
            _check_same(where.name, known, array.dtype, array.shape[1:])
        step = max(1, min(WRITTEN, READ // max(1, array[:1].nbytes)))
        for start in range(0, len(array), step):
            part = slice(start, start + step)
            where.bulk_write([_write(*pair) for pair in zip(documents[part], array[part], strict=True)], ordered=False)
    return len(array)


def load_vectors(collection: Collection[Any] | str, ids: Sequence[Any] | None = None) -> tuple[list[Any], np.ndarray]:
    """Return (ids, their vectors as one array): of all documents that have one, or of these, in their order.

    Raises KeyError for a collection or a document that is not there, or has no vector.
    """
    with answering():
        where = _found(collection)
        wanted = HAVE_ONE if ids is None else {"_id": {"$in": list(ids)}, **HAVE_ONE}
        blocks = list(_blocks(where, wanted))
    found = [each for some, _ in blocks for each in some]
    parts = [block for _, block in blocks]
    # numpy's own order of bytes would come out where there are several.
    array = np.concatenate(parts).astype(parts[0].dtype, copy=False) if parts else np.empty((0, 0))
    if ids is None:
        return found, array
    place = {_key(each): number for number, each in enumerate(found)}
    if missing := [each for each in ids if _key(each) not in place]:
        raise KeyError(f"{len(missing):,} of {len(ids):,} have no vector in {where.name}, such as {missing[0]!r}")
    return list(ids), array[[place[_key(each)] for each in ids]]


def nearest(collection: Collection[Any] | str, vector: Any, n: int = 10) -> list[tuple[dict[str, Any], float]]:
    """Return the n documents whose vectors are nearest to this one, best first: [(document without its vector, cosine), …].

    All vectors are read, some megabytes at a time, so the memory does not depend on their number. A vector of zeros has the
    cosine 0. Raises KeyError for a collection that is not there or has no vectors, ValueError for a vector of another length,
    and for one with NaN in it, to which nothing is near.
    """
    asked = _checked([vector])[0]
    wanted = asked.astype(np.float64).ravel()
    if not np.isfinite(wanted).all():
        raise ValueError("the vector has NaN or an infinity in it, so nothing is near to it")
    wanted /= np.linalg.norm(wanted) or 1
    best_ids: list[Any] = []
    best = np.empty(0)
    with answering():
        where = _found(collection)
        for ids, block in _blocks(where, HAVE_ONE, asked.shape):
            flat = block.reshape(len(block), -1).astype(np.result_type(block.dtype, np.float32), copy=False)
            lengths = np.linalg.norm(flat, axis=1)
            cosines = (flat @ wanted.astype(flat.dtype)) / np.where(lengths > 0, lengths, 1)
            best_ids, best = best_ids + ids, np.concatenate([best, np.where(np.isnan(cosines), -np.inf, cosines)])
            order = np.argsort(-best, kind="stable")[:n]
            best_ids, best = [best_ids[number] for number in order], best[order]
        if not best_ids and n > 0:
            raise KeyError(f"{where.name} has no vectors; store_vectors puts them there")
        documents = {_key(each["_id"]): each for each in where.find({"_id": {"$in": best_ids}}, {FIELD: 0})}
    pairs = zip(best_ids, best, strict=True)
    return [
        (documents[_key(each)], float(cosine))
        for each, cosine in pairs
        if np.isfinite(cosine) and _key(each) in documents
    ]


def _found(collection: Collection[Any] | str, made: bool = False) -> Collection[Any]:
    if not isinstance(collection, str):
        return collection
    if made:
        return mongo_client.project_database()[collection]
    return mongo_client.collection(collection)


def _checked(vectors: Any) -> np.ndarray:
    """(n, …) numbers."""
    if hasattr(vectors, "toarray"):
        raise TypeError("a sparse matrix: fewer numbers by TruncatedSVD, or vectors.toarray()")
    array = np.asarray(vectors)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"an array of {array.dtype} is no array of numbers: vectors.astype(float), if it holds some")
    if array.ndim < 2:
        raise ValueError(f"an array of the shape {array.shape}: (n, length) is needed, for one vector v it is [v]")
    return array


def _write(document: Any, row: np.ndarray) -> Any:
    vector = {"dtype": row.dtype.str, "shape": list(row.shape), "data": Binary(row.tobytes())}
    if isinstance(document, np.generic):
        document = document.item()
    if not isinstance(document, dict):
        return UpdateOne({"_id": document}, {"$set": {FIELD: vector}}, upsert=True)
    whole = {**document, FIELD: vector}
    return ReplaceOne({"_id": document["_id"]}, whole, upsert=True) if "_id" in document else InsertOne(whole)


def _check_same(name: str, document: dict[str, Any], dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """ValueError where the vector of a document is of another kind."""
    known = document[FIELD]
    if (known["dtype"], tuple(known["shape"])) != (dtype.str, shape):
        there = f"{'×'.join(map(str, known['shape']))} of {np.dtype(known['dtype'])}"
        cure = f'to be rid of those: collection({name!r}).update_many({{}}, {{"$unset": {{"{FIELD}": 1}}}})'
        raise ValueError(
            f"a vector of {'×'.join(map(str, shape))} of {dtype}; {name} has {there} (document {document['_id']!r}); {cure}"
        )


def _blocks(
    where: Collection[Any], wanted: dict[str, Any], shape: tuple[int, ...] | None = None
) -> Iterator[tuple[list[Any], np.ndarray]]:
    """(ids, their vectors) of some documents after others; ValueError where one's length is not that of the first, or `shape`."""
    first = where.find_one(wanted, {FIELD: 1})
    if not first:
        return
    dtype = np.dtype(first[FIELD]["dtype"])
    if shape is not None:
        _check_same(where.name, first, dtype, shape)
    else:
        shape = tuple(first[FIELD]["shape"])
    count = max(1, READ // max(1, len(first[FIELD]["data"])))
    with where.find(wanted, {FIELD: 1}, batch_size=min(count, 10_000)) as cursor:
        while some := list(itertools.islice(cursor, count)):
            for document in some:
                _check_same(where.name, document, dtype, shape)
            data = b"".join(document[FIELD]["data"] for document in some)
            yield [each["_id"] for each in some], np.frombuffer(data, dtype).reshape(len(some), *shape)


def _key(identity: Any) -> Any:
    """An _id that a dict takes as a key: it may be a document."""
    return repr(identity) if isinstance(identity, (dict, list)) else identity

"""The documents of all collections of a MongoDB, a JSON line each; stores.py says why."""

import itertools
import json
import operator
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import IO, Any

import bson
import pymongo
from pymongo.collection import Collection

from dsproj.kernel.where import url

BATCH = 1000
SYSTEM_DATABASES = ("admin", "config", "local")
RESTORING = "restoring."


def dump(file: IO[bytes]) -> dict[str, int]:
    """Write a line for each collection, {"head": its name, options and indexes}, and one for each document, {"doc"}."""
    client, number = _client(), 0
    for database, name, options in _collections(client):
        collection = client[database][name]
        indexes = [dict(index) for index in collection.list_indexes() if index["name"] != "_id_"]
        head = {"database": database, "collection": name, "options": options, "indexes": indexes}
        file.write(_line("head", head))
        for document in collection.find():
            file.write(_line("doc", document))
            number += 1
    return {"documents": number}


def restore(file: IO[bytes]) -> dict[str, int]:
    """Fill collections beside the present ones, then let each take its place; what the file lacks stays."""
    client, number = _client(), 0
    filled: list[tuple[Collection[Any], str]] = []
    try:
        for kind, entries in itertools.groupby(_entries(file), operator.itemgetter(0)):
            contents = (content for _, content in entries)
            if kind == "head":
                for head in contents:
                    filled.append((_beside(client, head), head["collection"]))
                    for index in head["indexes"]:
                        extra = {key: value for key, value in index.items() if key not in ("key", "v", "ns")}
                        filled[-1][0].create_index(list(index["key"].items()), **extra)
            while documents := list(itertools.islice(contents, BATCH)):
                filled[-1][0].insert_many(documents)
                number += len(documents)
    except Exception:
        for collection, _ in filled:
            collection.drop()
        raise
    for collection, name in filled:
        collection.rename(name, dropTarget=True)
    return {"documents": number}


def count() -> dict[str, int]:
    client = _client()
    return {"documents": sum(client[db][name].count_documents({}) for db, name, _ in _collections(client))}


def _client() -> pymongo.MongoClient[Any]:
    return pymongo.MongoClient(url("MONGO_URL"), serverSelectionTimeoutMS=10000)


def _line(kind: str, content: Any) -> bytes:
    return json.dumps({kind: b64encode(bson.encode(content)).decode()}).encode() + b"\n"


def _entries(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """What `_line` made lines of: ("head" or "doc", content)."""
    for line in file:
        ((kind, content),) = json.loads(line).items()
        yield kind, bson.decode(b64decode(content))


def _collections(client: pymongo.MongoClient[Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(database name, collection name, its options) of everything that is a user's, views apart."""
    for database in sorted(set(client.list_database_names()) - set(SYSTEM_DATABASES)):
        for found in client[database].list_collections():
            if found.get("type", "collection") == "collection" and not found["name"].startswith(("system.", RESTORING)):
                yield database, found["name"], dict(found.get("options", {}))


def _beside(client: pymongo.MongoClient[Any], head: dict[str, Any]) -> Collection[Any]:
    """A new, empty collection beside the one that a head names."""
    database, name = client[head["database"]], RESTORING + head["collection"]
    database.drop_collection(name)
    return database.create_collection(name, **{key: value for key, value in head["options"].items() if key != "uuid"})

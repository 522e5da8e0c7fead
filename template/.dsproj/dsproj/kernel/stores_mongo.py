"""The documents of all collections of a MongoDB, a JSON line each; stores.py says why."""

import itertools
import json
import operator
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import IO, Any

import bson
import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.database import Database

from dsproj.kernel.where import url

BATCH, HELD = 1000, 8 << 20  # documents at a time, and about how many bytes of them
RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)  # not decoded, since Python's dates end in 9999
SYSTEM_DATABASES = ("admin", "config", "local")
RESTORING, LOADING = "dsproj_restoring.", "dsproj_loading."  # how collections begin that are not whole yet
LEDGER = "dsproj_seed"  # what documents.py has loaded into a database


def dump(file: IO[bytes]) -> dict[str, int]:
    """Write a line for each collection, {"head": its name, options and indexes}, and one for each document, {"doc"}."""
    client, number = _client(), 0
    for database, name, options in _collections(client):
        collection = client[database][name]
        head = {"database": database, "collection": name, **head_of(collection), "options": options}
        file.write(_line("head", bson.encode(head)))
        for document in collection.with_options(codec_options=RAW).find():
            file.write(_line("doc", document.raw))
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
                for head in map(bson.decode, contents):
                    collection = beside(client[head["database"]], head["collection"], head, RESTORING)
                    filled.append((collection, head["collection"]))
            for some in batches(map(RawBSONDocument, contents)):
                filled[-1][0].with_options(codec_options=RAW).insert_many(some)
                number += len(some)
    except Exception:
        for collection, _ in filled:
            collection.drop()
        raise
    for collection, name in filled:
        if name == LEDGER:
            _keep_lines(collection, {other for each, other in filled if each.database == collection.database})
    for collection, name in filled:
        collection.rename(name, dropTarget=True)
    return {"documents": number}


def count() -> dict[str, int]:
    client = _client()
    return {"documents": sum(client[db][name].count_documents({}) for db, name, _ in _collections(client))}


def _client() -> pymongo.MongoClient[Any]:
    return pymongo.MongoClient(url("MONGO_URL"), serverSelectionTimeoutMS=10000)


def batches(documents: Iterable[RawBSONDocument]) -> Iterator[list[RawBSONDocument]]:
    """What goes to the server, or comes from it, at a time."""
    some, held = list[RawBSONDocument](), 0
    for each in documents:
        some.append(each)
        held += len(each.raw)
        if len(some) == BATCH or held >= HELD:
            yield some
            some, held = [], 0
    if some:
        yield some


def _line(kind: str, content: bytes) -> bytes:
    return json.dumps({kind: b64encode(content).decode()}).encode() + b"\n"


def _entries(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """What `_line` made lines of: ("head" or "doc", content)."""
    for line in file:
        ((kind, content),) = json.loads(line).items()
        yield kind, b64decode(content)


def _collections(client: pymongo.MongoClient[Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(database name, collection name, its options) of everything that is a user's, views apart."""
    for database in sorted(set(client.list_database_names()) - set(SYSTEM_DATABASES)):
        for found in client[database].list_collections():
            if found.get("type", "collection") == "collection" and not found["name"].startswith(
                ("system.", RESTORING, LOADING)
            ):
                yield database, found["name"], dict(found.get("options", {}))


def head_of(collection: Collection[Any]) -> dict[str, Any]:
    """{options, indexes} of a collection."""
    indexes = [dict(index) for index in collection.list_indexes() if index["name"] != "_id_"]
    return {"options": collection.options(), "indexes": indexes}


def beside(database: Database[Any], name: str, head: dict[str, Any], prefix: str) -> Collection[Any]:
    """A new, empty collection beside the one of this name, with the options and indexes of `head`."""
    database.drop_collection(prefix + name)
    options = {key: value for key, value in head.get("options", {}).items() if key != "uuid"}
    made = database.create_collection(prefix + name, **options)
    for index in head.get("indexes", ()):
        extra = {key: value for key, value in index.items() if key not in ("key", "v", "ns")}
        made.create_index(list(index["key"].items()), **extra)
    return made


def _keep_lines(restored: Collection[Any], names: set[str]) -> None:
    """A ledger that comes back keeps what the present one says of collections that the backup does not have, and that stay."""
    restored.update_many({}, {"$unset": {"pending": ""}})
    for line in restored.database[LEDGER].find():
        if line["_id"] not in names and not restored.find_one({"_id": line["_id"]}):
            restored.insert_one(line)

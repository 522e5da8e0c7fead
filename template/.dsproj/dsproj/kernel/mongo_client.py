"""The connection to MongoDB, one for each process, and the project's database in it."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from bson.errors import InvalidDocument
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, ConnectionFailure, DocumentTooLarge, OperationFailure

from dsproj.kernel import where
from dsproj.kernel.where import Unavailable, url, without_password

DATABASE = "project"  # where `make dataset … TO=mongo` puts what it loads, and `collection` looks; elsewhere the URL's, if it names one
MOST = 16 << 20  # bytes of a document
NO_LOGIN = (13, 18)  # MongoDB's codes for who may not, and for a wrong password
WAIT_MILLISECONDS = 5000  # how long a server that is still starting is waited for

_clients: dict[int, MongoClient[Any]] = {}  # by process id: a client must not be carried across a fork


def connect_to_mongo() -> MongoClient[Any]:
    """Return this process's `MongoClient`; it pools its connections and reconnects by itself.

    Raises Unavailable at once when the server refuses us (wrong password), after WAIT_MILLISECONDS when there is none.
    """
    if client := _clients.get(os.getpid()):
        return client
    address = url("MONGO_URL")
    client = MongoClient(address, serverSelectionTimeoutMS=WAIT_MILLISECONDS)
    try:
        client.admin.command("ping")
    except OperationFailure as error:
        client.close()
        raise refused(error) from None
    except ConnectionFailure:
        client.close()
        raise gone() from None
    _clients[os.getpid()] = client
    return client


def refused(error: OperationFailure) -> Unavailable:
    """The error where the server does not know our password."""
    said = (error.details or {}).get("errmsg", error)
    server = without_password(url("MONGO_URL"))
    return Unavailable(f"MongoDB at {server} refused the connection: {said}", where.refused("this_mongo"))


def gone() -> Unavailable:
    """The error where no server answers."""
    server, seconds = without_password(url("MONGO_URL")), WAIT_MILLISECONDS / 1000
    return where.gone("this_mongo", f"No MongoDB at {server} within {seconds:g} s")


def project_database() -> Database[Any]:
    """The one that holds the project's collections."""
    return connect_to_mongo().get_default_database(DATABASE)


def collection(name: str) -> Collection[Any]:
    """Return a collection of the project's database. Raises KeyError, with the names there are, where it is not there."""
    with answering():
        database = project_database()
        there = sorted(database.list_collection_names())
    if name not in there:
        shown = ", ".join(each for each in there if not each.startswith(("dsproj_", "system."))) or "none"
        how = f"make dataset SOURCE=<file> TO=mongo TABLE={name}, or connect_to_mongo()[{database.name!r}][{name!r}].insert_many(…)"
        raise KeyError(f"no collection {name}; there are: {shown}. To make it: {how}")
    return database[name]


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """What the driver says in many lines, in one: Unavailable where no server answers, ValueError for a document that none takes."""
    try:
        yield
    except ConnectionFailure:
        raise gone() from None
    except BulkWriteError as error:  # which holds all the documents
        first = error.details["writeErrors"][0]
        named = first["op"].get("q", first["op"]).get("_id")
        cure = "; what is so large belongs in data/" * (
            "larger than" in first["errmsg"] or "too large" in first["errmsg"]
        )
        raise ValueError(f"MongoDB does not take document {named!r}: {first['errmsg']}{cure}") from None
    except OperationFailure as error:
        if error.code not in NO_LOGIN:
            raise
        raise refused(error) from None
    except InvalidDocument as error:
        cure = "; what is so large belongs in data/" * isinstance(error, DocumentTooLarge)
        raise ValueError(f"MongoDB does not take this document: {error}{cure}") from None

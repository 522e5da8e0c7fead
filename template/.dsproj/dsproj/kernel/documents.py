"""Load the data sets of documents into MongoDB, each once, and note them in the collection dsproj_seed.

    python3 -m dsproj.kernel.documents MODE [NAME]

once [NAME]     loads what the ledger does not have: a collection, or the documents of files that are declared since
real [NAME]     the same, and the real file where only the synthetic sample is in the collection
replace NAME    loads it anew where the ledger has another file of that name
force NAME      loads it anew, from all of its files
drop NAME       drops the collection, if a seed has made it
missing         the names of those that cannot be loaded yet: no data file
vacant NAME     may a new data set have this name?
look FILE       what is in a file: {"documents": number, "fields": {path: type}, "lines": for people}
ledger          what is loaded: [[name, documents, is it synthetic?, names of files], …]
"""

# A collection is filled beside the one that is there, and takes its place in one step, the renaming; the ledger says before
# what it will say after, so that whoever looks next knows which of the two a killed load has left (`settle`).

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError

from dsproj.errors import Problem
from dsproj.files import sha256
from dsproj.kernel.document_types import Contents, account, documents, encoded, look
from dsproj.kernel.mongo_client import project_database
from dsproj.kernel.stores_mongo import LEDGER, LOADING, RAW, batches, beside, head_of
from dsproj.report import Report, Stopwatch, serve
from dsproj.sets import PROJECT, DataSet, collections

DATA = PROJECT / "data"
OF_ID = re.compile(r"\bE11000\b.* index: _id_( |$)")  # of a user's own index, station_id_1 say, it is another matter
Entry = dict[str, Any]


def main(report: Report, mode: str = "once", name: str = "") -> Any:
    if mode == "look":
        found = looked_at(DATA / name)
        fields = {path: each.account for path, each in found.fields.items()}
        return {"documents": found.documents, "fields": fields, "lines": account(found, f"data/{name}")}
    if mode not in ("once", "real", "replace", "force", "drop", "missing", "vacant", "ledger"):
        raise Problem(f'what is "{mode}"? See the head of {__file__}')
    try:
        database = project_database()
        with alone():
            settle(database)
            return asked(report, database, mode, name)
    except PyMongoError as error:
        raise Problem(f"MongoDB: {str(error)[:300]}", "make up" * isinstance(error, ConnectionFailure)) from None


def asked(report: Report, database: Database[Any], mode: str, name: str) -> Any:
    known = entries(database)
    if mode == "ledger":
        return [line_of(each) for each in known.values()]
    if mode == "vacant":
        return check_vacant(database, name)
    if mode == "missing":
        return missing(known)
    if mode == "drop":
        return drop(report, database, known.get(name), name)
    return load_all(
        report, database, known, mode, [each for each in collections() if each.table == (name or each.table)]
    )


def line_of(entry: Entry) -> list[Any]:
    return [entry["_id"], entry["documents"], entry["synthetic"], [each["file"] for each in entry["files"]]]


def missing(known: dict[str, Entry]) -> list[str]:
    """Those that cannot be loaded yet."""
    waiting = [each for each in collections() if to_load(each, known.get(each.table))]
    return [each.table for each in waiting if not all(map(is_there, each.all))]


def load_all(report: Report, database: Database[Any], known: dict[str, Entry], mode: str, some: list[DataSet]) -> None:
    """Load what is to be loaded, each also after one that fails."""
    problems, kept = list[Problem](), list[str]()
    for each in some:
        try:
            kept += load(report, database, each, known.get(each.table), mode)
        except Problem as problem:
            problems.append(problem)
    if kept:
        report.done("seed", f"loaded already: {', '.join(kept)}")
    if problems:
        raise problems[0] if len(problems) == 1 else Problem("\n".join(map(str, problems)))


@contextmanager
def alone() -> Iterator[None]:
    """One load at a time, on this machine."""
    folder = os.open(DATA, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


# --- the ledger


def entries(database: Database[Any]) -> dict[str, Entry]:
    """{name: its line} of the collections that are there: one that was dropped by hand is not loaded."""
    there = set(database.list_collection_names())
    return {each["_id"]: each for each in database[LEDGER].find() if each["_id"] in there}


def settle(database: Database[Any]) -> None:
    """Put in order what a killed load has left."""
    there = set(database.list_collection_names())
    for each in database[LEDGER].find({"pending": {"$exists": True}}) if LEDGER in there else ():
        name, after = each["_id"], each["pending"]
        if LOADING + name not in there:  # it took its place
            database[LEDGER].replace_one({"_id": name}, {"_id": name, **after})
        elif "files" in each:
            database[LEDGER].update_one({"_id": name}, {"$unset": {"pending": ""}})
        else:
            database[LEDGER].delete_one({"_id": name})
    for left in there:
        if left.startswith(LOADING):
            database.drop_collection(left)


def publish(database: Database[Any], name: str, after: Entry) -> None:
    """Let what was filled beside take its place, the ledger's line with it."""
    ledger = database[LEDGER]
    ledger.update_one({"_id": name}, {"$set": {"pending": after}}, upsert=True)
    database[LOADING + name].rename(name, dropTarget=True)
    ledger.replace_one({"_id": name}, {"_id": name, **after})


def check_vacant(database: Database[Any], name: str) -> None:
    if name.startswith("dsproj_") or name in database.list_collection_names():
        what = (
            "is a reserved name" if name.startswith("dsproj_") else "is the name of a collection that is there already"
        )
        raise Problem(f"{name} {what}; choose another", f"make dataset SOURCE=… TO=mongo TABLE={name[:50]}_data")


# --- what is to be loaded


def file_of(part: DataSet) -> str:
    """The file in data/ to load: the synthetic sample where there is nothing else."""
    there = [name for name in (part.file, part.sample) if name and (DATA / name).is_file()]
    return there[0] if there else part.file


def is_there(part: DataSet) -> bool:
    return (DATA / file_of(part)).is_file()


def to_load(chosen: DataSet, known: Entry | None) -> list[DataSet]:
    """The files whose documents the collection lacks."""
    if not known:
        return list(chosen.all)
    loaded = {each["file"] for each in known["files"]}
    return [part for part in chosen.parts if part.file not in loaded]


def described(part: DataSet) -> Entry:
    """A file, for the ledger."""
    file = file_of(part)
    if not (DATA / file).is_file():
        raise Problem(f"{part.table}: data/{file} is missing", part.fetching)
    if not os.access(DATA / file, os.R_OK):
        raise Problem(f"{part.table}: data/{file} may not be read", f"chmod a+r data/{file}")
    return {"file": file, "sha256": sha256(DATA / file)}


def load(report: Report, database: Database[Any], chosen: DataSet, known: Entry | None, mode: str) -> list[str]:
    """Load what is to be loaded; where nothing is, what to say of it."""
    name = chosen.table
    wanted = to_load(chosen, known)
    anew = not known or is_asked_anew(chosen, known, mode)
    if known and not wanted and not anew:
        return [f"{name} ({known['documents']:,} documents)" + changed(chosen, known)]
    if not known and name in database.list_collection_names():
        may_go = f'connect_to_mongo()["{database.name}"].drop_collection("{name}")'
        what = f"{name}: there is a collection of this name that no seed has made; it is left as it is"
        raise Problem(f"{what} (if it may go, in a notebook: {may_go})")
    watch, parts = Stopwatch(), chosen.all if anew else wanted
    try:
        new = stage(report, database, name, parts, known, anew)
    except BaseException:
        database.drop_collection(LOADING + name)
        raise
    before = known["files"] if known and not anew else []
    synthetic = file_of(chosen) != chosen.file or not chosen.file
    number = database[LOADING + name].estimated_document_count()
    after = {"files": [*before, *new], "documents": number, "synthetic": synthetic, "seeded_at": datetime.now(UTC)}
    publish(database, name, {**after, "seconds": round(watch.seconds, 3)})
    report.done("seed", f"{name}: {said_of(new, anew)} in {watch.seconds:.1f} s" + " (SYNTHETIC DOCUMENTS)" * synthetic)
    return []


def is_asked_anew(chosen: DataSet, known: Entry, mode: str) -> bool:
    """Is what is loaded to be loaded again, in this mode?"""
    if mode == "real":
        return bool(known["synthetic"] and file_of(chosen) == chosen.file)
    return mode == "force" or (mode == "replace" and bool(others(chosen, known)))


def said_of(new: list[Entry], anew: bool) -> str:
    """What was loaded, for people."""
    files, count = ", ".join(f"data/{each['file']}" for each in new), sum(each["documents"] for each in new)
    return f"{count:,} documents from {files}" + " are added" * (not anew)


def stage(
    report: Report, database: Database[Any], name: str, parts: Sequence[DataSet], known: Entry | None, anew: bool
) -> list[Entry]:
    """Fill a collection beside the one of this name; the lines of the files in the ledger. Its indexes stay."""
    live = database[name]
    staged = beside(database, name, head_of(live) if known else {}, LOADING)
    before = "" if anew else copy(live, staged)
    new = [fill(report, staged, part) for part in parts]
    if before and copy(live) != before:
        what = f"{name}: something writes to it; its documents are as they were"
        raise Problem(what, "end that, then the same again")
    return new


def changed(chosen: DataSet, known: Entry) -> str:
    """What is said of a collection whose files are not what they were."""
    anew = ""
    if other := others(chosen, known):
        anew = f"; data/{other[0]} has changed since; to load it anew: make seed TABLE={chosen.table} FORCE=1"
    if known["synthetic"] and chosen.file and chosen.path.is_file():
        anew = "; these are SYNTHETIC; to load the real file that is in data/ now: make dataset"
    return anew


def others(chosen: DataSet, known: Entry) -> list[str]:
    """The files that are others now than those that were loaded."""
    now = {part.file: sha256(part.path) for part in chosen.all if part.file and part.path.is_file()}
    return [each["file"] for each in known["files"] if now.get(each["file"], each["sha256"]) != each["sha256"]]


def drop(report: Report, database: Database[Any], known: Entry | None, name: str) -> None:
    if known:
        database.drop_collection(name)
    database[LEDGER].delete_one({"_id": name})
    report.done("seed", f"{name}: {'the collection is dropped' if known else 'was not loaded'}")


# --- documents on their way


def looked_at(path: Path) -> Contents:
    """The contents of a file; Problem with its name."""
    try:
        return look(path)
    except Problem as problem:
        raise Problem(f"data/{path.name.removesuffix('.part')}: {problem.what}", problem.cure) from None


def fill(report: Report, staged: Collection[Any], part: DataSet) -> Entry:
    """Put the documents of a file into a collection; the file's line in the ledger."""
    entry = described(part)
    path = DATA / entry["file"]
    report.doing(f"loading {part.table} from data/{path.name} …")
    count = 0
    try:
        target = staged.with_options(codec_options=RAW)
        for some in batches(encoded(documents(path, look(path).fields, entry["sha256"]))):
            insert(target, some, count)
            count += len(some)
            report.doing(f"{part.table}: {count:,} documents")
    except Problem as problem:
        raise Problem(f"data/{path.name}: {problem.what}", problem.cure) from None
    return {**entry, "documents": count}


def insert(target: Collection[Any], some: Sequence[RawBSONDocument], before: int) -> None:
    """Problem with the number of the document that is not taken; `before`: how many came before these."""
    try:
        target.insert_many(some)
    except BulkWriteError as error:
        first = error.details["writeErrors"][0]
        twice = f"its _id {some[first['index']]['_id']!r} is there already" if OF_ID.search(first["errmsg"]) else ""
        raise Problem(f"document {before + first['index'] + 1}: {(twice or first['errmsg'])[:300]}") from None
    except OperationFailure as error:  # of all of them
        raise Problem(f"one of the documents {before + 1} to {before + len(some)}: {str(error)[:200]}") from None


def copy(source: Collection[Any], target: Collection[Any] | None = None) -> str:
    """Copy all documents; or without a target, only look: the same text comes back where nothing has changed."""
    digest = hashlib.sha256()
    for some in batches(source.with_options(codec_options=RAW).find()):
        for document in some:
            digest.update(document.raw)
        if target is not None:
            target.with_options(codec_options=RAW).insert_many(some)
    return digest.hexdigest()


if __name__ == "__main__":
    serve(main)

"""All data of the stack in one file, and back: PostgreSQL's databases, Redis, MongoDB."""

# A backup is a tar file in backups/ (not in git, for its owner alone): pg_dump's custom format for each database, the files
# of kernel/stores.py for the others, and manifest.json with their checksums and counts. It is the same for Docker and for
# the local stack, so it also carries data from one to the other, or to another machine.

from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from dsproj.errors import Problem
from dsproj.files import open_private, private_folder, sha256
from dsproj.host.confirm import confirm
from dsproj.host.engine import Engine
from dsproj.host.loading import loader
from dsproj.report import Report
from dsproj.settings import PROJECT, slug

BACKUPS = PROJECT / "backups"
MAIN = "postgres"  # the project's own database; elsewhere it has another name, and is the only one that is ours
FORMAT = 1
LEAST = 1 << 20  # bytes; a disk that has less is full
STORES = "dsproj.kernel.stores"
THERE = "ls backups/ shows those that there are; then: make restore FILE=backups/…tar"
# Another session that holds a table, such as a notebook in a transaction, is waited for this long.
PATIENCE = {"PGOPTIONS": "-c lock_timeout=15s"}
NO_ROLES = ["--no-privileges"]  # which name roles that another server has not
Manifest = dict[str, Any]

# psql runs what the query returns: one count for each table.
COUNTS = r"""
SELECT format('SELECT %L, %L, count(*) FROM %I.%I', table_schema, table_name, table_schema, table_name)
FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY table_schema, table_name
\gexec
"""


# --- PostgreSQL


def sql(engine: Engine, query: str, database: str = MAIN) -> list[list[str]]:
    """The rows of a query, each a list of texts. The query goes in over standard input."""
    words = ["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", dbname(engine, database), "-f", "-"]
    return [line.split("\t") for line in engine.run("this_postgres", *words, input=query).splitlines() if line]


def databases(engine: Engine) -> list[str]:
    """The names of the server's databases that hold a user's data."""
    if "this_postgres" in engine.elsewhere:
        return [MAIN]
    return [name for (name,) in sql(engine, "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")]


def row_counts(engine: Engine, of: Sequence[str] | None = None) -> dict[str, int]:
    """{"database: schema.table": number of rows}, counted, of all databases or some."""
    names = databases(engine) if of is None else of
    found = [(database, row) for database in names for row in sql(engine, COUNTS, database)]
    return {f"{database}: {schema}.{table}": int(count) for database, (schema, table, count) in found}


def others(engine: Engine) -> list[str]:
    """The stores beside PostgreSQL. One elsewhere may hold what others put there, and is left out."""
    found = engine.here("this_redis", *["this_mongo"] * engine.settings.mongo)
    return [service.removeprefix("this_") for service in found]


def say_left_out(engine: Engine, also: Collection[str] = ()) -> None:
    """That stores elsewhere stay as they are, of PostgreSQL where it is among `also`."""
    for service, store in engine.elsewhere.items():
        if service != "this_postgres" or service in also:
            print(f"{store} is elsewhere, and left out.")


# --- save


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder in backups/ for as long as it is needed. What a killed command has left there goes after a day."""
    for left in private_folder(BACKUPS).glob(".part-*"):
        if time.time() - left.stat().st_mtime > 86400:
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(dir=BACKUPS, prefix=".part-")


@contextlib.contextmanager
def full_disk_said(folder: str) -> Iterator[None]:
    """A full disk is an error with its place, also where a program found out that has words of its own for it."""
    try:
        yield
    except (Problem, OSError):
        if shutil.disk_usage(folder).free < LEAST:
            raise OSError(errno.ENOSPC, "", "backups/") from None
        raise


def save(engine: Engine, report: Report, stores: Sequence[str] | None = None, moves: bool = False) -> Path:
    """Write a backup of PostgreSQL and of `stores` (default: all); its path. It gets its name when it is whole.

    moves: for another machine, where stores that are elsewhere will still be.
    """
    name, left_out = slug(), {"this_postgres"} if moves else set[str]()
    stamp = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    loader(engine, report, "missing")  # puts the ledger in order, if a restore was killed
    with scratch() as place, full_disk_said(place):
        say_left_out(engine, left_out)
        names = databases(engine) if engine.here("this_postgres") or not moves else []
        folder, before = Path(place), row_counts(engine, names)
        files = dump(engine, report, folder, names, others(engine) if stores is None else stores)
        after = row_counts(engine, names)
        manifest = {
            "format": FORMAT,
            "project": name,
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "postgres": sql(engine, "SHOW server_version")[0][0],
            # A table that somebody was writing to meanwhile cannot be compared later.
            "rows": {table: count for table, count in after.items() if before.get(table) == count},
            "files": files,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
        partial = folder / "backup.tar"
        with open_private(partial) as file, tarfile.open(fileobj=file, mode="w") as archive:
            for member in ["manifest.json", *sorted(files)]:
                archive.add(folder / member, arcname=member)
        target = BACKUPS / f"{stamp}.tar"
        partial.rename(target)
    say("Saved", manifest)
    print(f"{target.relative_to(PROJECT)}, {target.stat().st_size / 1e6:,.1f} MB")
    return target


def dump(engine: Engine, report: Report, folder: Path, names: Sequence[str], stores: Sequence[str]) -> Manifest:
    """Write each database of PostgreSQL and each store into a file of the folder; what the manifest says of each, by the file's name."""
    files: Manifest = {}
    for number, database in enumerate(names):
        path = folder / f"postgres-{number}.dump"
        options = [f"--dbname={dbname(engine, database)}", *NO_ROLES * ("this_postgres" in engine.elsewhere)]
        with open_private(path) as file:
            engine.run("this_postgres", "pg_dump", "--format=custom", *options, stdout=file)
        files[path.name] = {"store": "postgres", "database": database}
    for store in stores:
        path = folder / f"{store}.jsonl"
        with open_private(path) as file:
            counts = engine.call("this_jupyter", STORES, "dump", store, report=report, stdout=file)
        files[path.name] = {"store": store, "counts": counts}
    for name, entry in files.items():
        entry["sha256"] = sha256(folder / name)
    return files


def say(verb: str, manifest: Manifest) -> None:
    rows = manifest["rows"]
    print(f"{verb}: PostgreSQL, {len(rows)} tables with {sum(rows.values()):,} rows")
    for entry in manifest["files"].values():
        if counts := entry.get("counts"):
            print(f"{verb}: {entry['store']}, " + ", ".join(f"{count:,} {what}" for what, count in counts.items()))


# --- restore


def unpack(path: Path, folder: Path) -> Manifest:
    """The manifest of a backup whose files are now in `folder`, whole; Problem where it is no such thing."""
    try:
        with tarfile.open(path) as archive:
            manifest: Manifest = check_manifest(json.load(member(archive, "manifest.json")))
            if manifest["format"] != FORMAT:
                raise Problem(f"{path} is a backup of format {manifest['format']}, this is {FORMAT}", "make update")
            for name, entry in manifest["files"].items():
                if not re.fullmatch(r"[a-z0-9-]+\.(dump|jsonl)", name):
                    raise Problem(f"{path}: unexpected file {name}")
                with member(archive, name) as source, open_private(folder / name) as file:
                    shutil.copyfileobj(source, file)
                if sha256(folder / name) != entry["sha256"]:
                    raise Problem(f"{path} is damaged: {name} is not what was saved. Nothing was changed.")
    except (tarfile.TarError, EOFError, zlib.error):
        raise Problem(f"{path} is no whole tar archive, which a backup is. Nothing was changed.", THERE) from None
    except (KeyError, ValueError, AttributeError) as error:
        raise Problem(f"{path} is no whole backup ({error}). Nothing was changed.", THERE) from None
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}", THERE) from None
    return manifest


def check_manifest(manifest: Any) -> Manifest:
    """The manifest, if it has the form that `save` gives it; ValueError else. A backup may come from anywhere."""
    check_fields(manifest, "manifest.json", format=int, made=str, rows=dict, files=dict)
    check_fields(manifest["rows"], "rows of manifest.json", **dict.fromkeys(manifest["rows"], int))
    for name, entry in manifest["files"].items():
        check_fields(entry, f"{name} in manifest.json", store=str, sha256=str)
        if entry["store"] == "postgres":
            check_fields(entry, f"{name} in manifest.json", database=str)
    return manifest


def check_fields(found: Any, where: str, **kinds: type) -> None:
    """ValueError where something read is no dict, or one of its values is missing or of another kind."""
    if not isinstance(found, dict):
        raise ValueError(f"{where} is no JSON object")
    if wrong := [name for name, kind in kinds.items() if not isinstance(found.get(name), kind)]:
        raise ValueError(f"{where} has no valid {', '.join(wrong)}")


def dbname(engine: Engine, database: str) -> str:
    """What --dbname takes for a database of this name, whatever it holds: a bare name could be a whole address."""
    if database == MAIN and (store := engine.elsewhere.get("this_postgres")):
        database = store.name
    quoted = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{quoted}'"


def member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """A file of an archive, open for reading."""
    found = archive.extractfile(name)
    if found is None:
        raise KeyError(f"{name} is no file")
    return found


def present(engine: Engine, report: Report) -> list[str]:
    """Lines on the data that is there now."""
    lines = [f"  PostgreSQL  {table}, {count:,} rows" for table, count in row_counts(engine).items()]
    for store in others(engine):
        counted = engine.call("this_jupyter", STORES, "count", store, report=report)
        lines += [f"  {store:<10}  {count:,} {what}" for what, count in counted.items() if count]
    return lines


def take_ours(engine: Engine, manifest: Manifest) -> None:
    """Leave what is of stores elsewhere out of a manifest; Problem where it holds what has no place here."""
    say_left_out(engine)
    for name, entry in list(manifest["files"].items()):
        service, database = f"this_{entry['store']}", entry.get("database", MAIN)
        if service in engine.elsewhere and database != MAIN:
            what = f"The backup holds a database {database}, and of {engine.elsewhere[service]} that one alone is the project's"
            raise Problem(f"{what}. Nothing was changed.")
        if service in engine.elsewhere and service != "this_postgres":
            del manifest["files"][name]
        elif entry["store"] not in ("postgres", *others(engine)):
            raise Problem(f"The backup holds {entry['store']}, which this project has not. Nothing was changed.")


def restore(engine: Engine, report: Report, file: str, force: bool) -> None:
    """Put a backup, given by its path, in the place of what is there; a person is asked first, unless `force`."""
    if not file:
        raise Problem("Which one? make restore FILE=backups/…tar")
    path = Path(file).expanduser()
    with scratch() as place, full_disk_said(place):
        folder = Path(place)
        manifest = unpack(path, folder)
        take_ours(engine, manifest)
        if there := present(engine, report):
            what = [f"A restore from {path} (of {manifest['made']}) overwrites what is there of the same name:", *there]
            confirm("\n".join(what), slug(), force)
        done: list[str] = []
        if any(entry["store"] == "postgres" for entry in manifest["files"].values()):
            loader(engine, report, "keep")
        for name, entry in manifest["files"].items():
            try:
                restore_file(engine, report, folder / name, entry)
            except Problem as problem:
                before = f"{', '.join(done)}: restored. " if done else "Nothing was changed. "
                again = f"{before}Once mended, the same again: make restore FILE={path}"
                raise Problem(f"{entry['store']} could not be restored and is as it was:\n{problem}\n{again}") from None
            done.append(entry.get("database") or entry["store"])
    verify(engine, manifest)
    loader(engine, report, "missing")
    say("Restored", manifest)


def restore_file(engine: Engine, report: Report, path: Path, entry: Manifest) -> None:
    """Put one unpacked file back, in one transaction; `entry` is what the manifest says of it."""
    with open(path, "rb") as file:
        if entry["store"] != "postgres":
            engine.call("this_jupyter", STORES, "restore", entry["store"], report=report, stdin=file)
            return
        if entry["database"] not in databases(engine):
            engine.run("this_postgres", "createdb", "--template=template0", "--", entry["database"])
        program, options = ["pg_restore"], ["--clean", "--if-exists", "--no-owner"]
        if engine.here("this_postgres"):
            options += ["--single-transaction", "--exit-on-error", f"--dbname={dbname(engine, entry['database'])}"]
        else:
            program, options = ["python3", "-m", "dsproj.database.restoring"], [*options, *NO_ROLES]
        try:
            engine.run("this_postgres", *program, *options, stdin=file, variables=PATIENCE)
        except Problem as problem:  # pg_restore has no SQLSTATE to show
            if "lock timeout" in problem.what:
                problem.what += "\nAnother session holds a table: close or restart the notebooks that use it."
            raise


def verify(engine: Engine, manifest: Manifest) -> None:
    """Problem where a table has not the number of rows that was saved. A worker may be at it: looked at twice."""
    for attempt in range(2):
        wrong = differences(manifest["rows"], row_counts(engine))
        if not wrong:
            return
        time.sleep(1 - attempt)
    raise Problem("\n".join(["Restored, but not the same (is something writing to it?):", *wrong]))


def differences(saved: dict[str, int], now: dict[str, int]) -> list[str]:
    """A line for each table that was saved and has not the same number of rows now."""
    return [
        f"  {table}: {now.get(table)} rows, saved were {count}"
        for table, count in saved.items()
        if now.get(table) != count
    ]

"""All data of the stack in one file, and back: PostgreSQL's databases, Redis, MongoDB.

    python3 local/backup.py save
    python3 local/backup.py restore FILE [--force]

A backup is a tar file in backups/ (not in git, for its owner alone): pg_dump's custom format for each database, the files
of stores.py for the others, and manifest.json with their checksums and counts. It is the same for Docker and for the local
stack, so it also carries data from one to the other, or to another machine. Standard library only.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
import tarfile
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from env import PROJECT
from inside import InsideError, Stack, confirm, databases, open_private, private_folder, row_counts

BACKUPS = PROJECT / "backups"
FORMAT = 1
STORES = "local/stores.py"
# Another session that holds a table, such as a notebook in a transaction, is waited for this long.
PATIENCE = {"PGOPTIONS": "-c lock_timeout=15s"}


def others(stack):
    """The stores beside PostgreSQL."""
    return ["redis", "mongo"] if stack.has_mongo else ["redis"]


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save(stack, stores=None):
    """Write a backup of PostgreSQL and of `stores` (default: all); its path. It gets its name when it is whole."""
    private_folder(BACKUPS)
    stamp = f"{stack.name}-{datetime.now():%Y%m%d-%H%M%S}"
    with tempfile.TemporaryDirectory(dir=BACKUPS, prefix=".part-") as name:
        folder, files, before = Path(name), {}, row_counts(stack)
        for number, database in enumerate(databases(stack)):
            path = folder / f"postgres-{number}.dump"
            with open_private(path) as file:
                stack.run("this_postgres", "pg_dump", "--format=custom", f"--dbname={database}", stdout=file)
            files[path.name] = {"store": "postgres", "database": database}
        for store in others(stack) if stores is None else stores:
            path = folder / f"{store}.jsonl"
            with open_private(path) as file:
                stack.run("this_jupyter", "python", STORES, "dump", store, stdout=file)
            files[path.name] = {"store": store, "counts": json.loads(stack.said.splitlines()[-1])}
        for path in folder.iterdir():
            files[path.name]["sha256"] = sha256(path)
        after = row_counts(stack)
        manifest = {
            "format": FORMAT,
            "project": stack.name,
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),  # noqa: UP017, for older Pythons
            "postgres": stack.sql("SHOW server_version")[0][0],
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


def say(verb, manifest):
    rows = manifest["rows"]
    print(f"{verb}: PostgreSQL, {len(rows)} tables with {sum(rows.values()):,} rows")
    for entry in manifest["files"].values():
        if counts := entry.get("counts"):
            print(f"{verb}: {entry['store']}, " + ", ".join(f"{count:,} {what}" for what, count in counts.items()))


def unpack(path, folder):
    """The manifest of a backup whose files are now in `folder`, whole; InsideError where it is no such thing."""
    try:
        with tarfile.open(path) as archive:
            manifest = json.load(archive.extractfile("manifest.json"))
            if manifest["format"] != FORMAT:
                raise InsideError(f"{path} is a backup of format {manifest['format']}, this is {FORMAT}: make update")
            for name, entry in manifest["files"].items():
                if not re.fullmatch(r"[a-z0-9-]+\.(dump|jsonl)", name):
                    raise InsideError(f"{path}: unexpected file {name}")
                with archive.extractfile(name) as source, open_private(folder / name) as file:
                    shutil.copyfileobj(source, file)
                if sha256(folder / name) != entry["sha256"]:
                    raise InsideError(f"{path} is damaged: {name} is not what was saved. Nothing was changed.")
    except (tarfile.TarError, KeyError, ValueError, EOFError, AttributeError) as error:
        raise InsideError(f"{path} is no whole backup ({error}). Nothing was changed.") from None
    except OSError as error:
        raise InsideError(f"{path}: {error.strerror}. The backups that there are: ls backups/") from None
    return manifest


def present(stack):
    """Lines on the data that is there now."""
    lines = [f"  PostgreSQL  {table}, {count:,} rows" for table, count in row_counts(stack).items()]
    for store in others(stack):
        counted = json.loads(stack.run("this_jupyter", "python", STORES, "count", store).splitlines()[-1])
        lines += [f"  {store:<10}  {count:,} {what}" for what, count in counted.items() if count]
    return lines


def restore(stack, path, force):
    """Put a backup in the place of what is there."""
    private_folder(BACKUPS)
    with tempfile.TemporaryDirectory(dir=BACKUPS, prefix=".part-") as name:
        folder = Path(name)
        manifest = unpack(path, folder)
        known = {"postgres", *others(stack)}
        if foreign := {entry["store"] for entry in manifest["files"].values()} - known:
            raise InsideError(
                f"The backup holds {', '.join(foreign)}, which this project has not. Nothing was changed."
            )
        if there := present(stack):
            what = [f"A restore from {path} (of {manifest['made']}) overwrites what is there of the same name:", *there]
            confirm("\n".join(what), stack.name, force)
        done = []
        for file, entry in manifest["files"].items():
            try:
                restore_file(stack, folder / file, entry)
            except InsideError as error:
                before = f"{', '.join(done)}: restored. " if done else "Nothing was changed. "
                again = f"{before}Once mended, the same again: make restore FILE={path}"
                raise InsideError(
                    f"{entry['store']} could not be restored and is as it was:\n{error}\n{again}"
                ) from None
            done.append(entry.get("database") or entry["store"])
    verify(stack, manifest)
    say("Restored", manifest)


def restore_file(stack, path, entry):
    with open(path, "rb") as file:
        if entry["store"] == "postgres":
            restore_database(stack, file, entry["database"])
        else:
            stack.run("this_jupyter", "python", STORES, "restore", entry["store"], stdin=file)


def restore_database(stack, file, database):
    """One transaction: all of it or nothing."""
    if database not in databases(stack):
        stack.run("this_postgres", "createdb", "--template=template0", database)
    options = ["--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error"]
    try:
        stack.run("this_postgres", "pg_restore", *options, f"--dbname={database}", stdin=file, environment=PATIENCE)
    except InsideError as error:
        if "lock timeout" in str(error):
            raise InsideError(
                f"{error}\nAnother session holds a table: close or restart the notebooks that use it."
            ) from None
        raise


def verify(stack, manifest):
    """InsideError where a table has not the number of rows that was saved. A worker may be at it: looked at twice."""
    for attempt in range(2):
        now = row_counts(stack)
        wrong = [
            f"{table}: {now.get(table)} rows, saved were {n}"
            for table, n in manifest["rows"].items()
            if now.get(table) != n
        ]
        if not wrong:
            return
        time.sleep(1 - attempt)
    raise InsideError("Restored, but not the same (is something writing to it?):\n" + "\n".join(wrong))


def main():
    parser = argparse.ArgumentParser(description="All data of the stack in one file, and back.")
    parser.add_argument("--engine", choices=("docker", "local"), help="default: ENGINE in .env")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("save")
    back = commands.add_parser("restore")
    back.add_argument("file", nargs="?", default="")
    back.add_argument("--force", action="store_true", help="do not ask")
    arguments = parser.parse_args()
    try:
        stack = Stack(arguments.engine)
        if arguments.command == "save":
            save(stack)
        elif not arguments.file:
            raise InsideError("Which one? make restore FILE=backups/…tar")
        else:
            restore(stack, Path(arguments.file).expanduser(), arguments.force)
    except InsideError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted; what was not finished is as it was.")


if __name__ == "__main__":
    main()

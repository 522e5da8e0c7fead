"""Move PostgreSQL's data to a new major version, and keep the old data until you delete it."""

# Every database is dumped, the version in the project changed (`copier update -d postgres_version=19`); the new server
# makes a data folder of its own beside the old one, all is restored, and the number of rows of every table compared. Where
# a step fails, the project goes back to the old version, whose data was never touched.

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from pathlib import Path

from dsproj.errors import Problem
from dsproj.host import backup, update
from dsproj.host.engine import Engine
from dsproj.report import Report
from dsproj.settings import PROJECT, answer

PATIENCE = 120  # seconds for the server to answer


def upgrade(engine: Engine, report: Report, major: str) -> None:
    """To PostgreSQL `major`, such as "19"; Problem where it stays as it was."""
    if store := engine.elsewhere.get("this_postgres"):
        raise Problem(f"{store} is elsewhere: who runs that server upgrades it. Nothing was changed.")
    old = answer("postgres_version")
    if not major.isdecimal() or not old.isdecimal() or int(major) <= int(old):
        following = int(old) + 1 if old.isdecimal() else "19"
        raise Problem(
            f"This project has PostgreSQL {old}; to a newer one, for example: make upgrade-postgres TO={following}"
        )
    update.refuse_unsaved_work(f"make upgrade-postgres TO={major}")
    copier = update.find_copier()
    # Nobody writes meanwhile.
    engine.stop(report)
    start(engine, report)
    counts = backup.row_counts(engine)
    saved = backup.save(engine, report, stores=())
    try:
        engine.set_aside(old)
        change_version(copier, major)
        engine = anew(engine)
        start(engine, report)
        restore(engine, report, saved)
        if wrong := backup.differences(counts, backup.row_counts(engine)):
            raise Problem("\n".join(["the new database does not hold what the old one held:", *wrong]))
    except (Problem, KeyboardInterrupt) as error:
        print("Going back to the old version.", flush=True)
        update.git("reset", "--quiet", "--hard")
        update.git("clean", "--quiet", "--force", "-d")
        engine.take_back(old, major)
        engine = anew(engine)
        with contextlib.suppress(Problem):  # the first one is what has to be said
            start(engine, report)
        raise Problem(
            f"PostgreSQL stays at {old}, with its data as it was: {str(error) or 'interrupted'}\nThen: make up"
        ) from None
    print(f"PostgreSQL {old} -> {major}: {len(counts)} tables with {sum(counts.values()):,} rows, compared one by one.")
    print(f"The old data is kept. When you are sure: {engine.forget(old)}")
    print(f'Now: make up, and keep the change: git commit -am "PostgreSQL {major}"')


def anew(engine: Engine) -> Engine:
    """An engine that knows nothing of images built before the version changed."""
    return type(engine)(engine.settings)


def change_version(copier: list[str], major: str) -> None:
    """The version that the project has of the template, with one answer changed; Copier speaks on the screen."""
    command = [*copier, "update", "--trust", "--defaults", "--quiet", "--data", f"postgres_version={major}"]
    if subprocess.run([*command, "--vcs-ref", ":current:"], cwd=PROJECT).returncode:
        raise Problem("copier update failed")
    if update.git("ls-files", "--unmerged"):
        raise Problem("the new version is in conflict with edits of yours in the files of docker/postgres")


def start(engine: Engine, report: Report) -> None:
    """Start the database alone, and wait until it answers."""
    engine.start("this_postgres", report=report)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:  # over TCP: the server that initialises a new folder listens on the socket alone
            engine.run("this_postgres", "pg_isready", "--quiet", "--host=127.0.0.1")
            return
        except Problem:
            if time.monotonic() > deadline:
                raise Problem("PostgreSQL does not answer", "make logs S=this_postgres") from None
            time.sleep(0.5)


def restore(engine: Engine, report: Report, saved: Path) -> None:
    with tempfile.TemporaryDirectory(dir=backup.BACKUPS, prefix=".part-") as scratch:
        manifest = backup.unpack(saved, Path(scratch))
        for name, entry in manifest["files"].items():
            backup.restore_file(engine, report, Path(scratch) / name, entry)

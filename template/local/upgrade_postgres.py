"""Move PostgreSQL's data to a new major version, and keep the old data until you delete it.

    python3 local/upgrade_postgres.py 19

Dumps every database, changes the version in the project (`copier update -d postgres_version=19`), lets the new server make
a data folder of its own beside the old one, restores, and compares the number of rows of every table. Where a step fails,
the project goes back to the old version, whose data was never touched. Standard library only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import backup
import update
from env import PROJECT
from inside import InsideError, Stack, row_counts

STATE = PROJECT / ".local"
PATIENCE = 120  # seconds for the server to answer


def run(*command):
    """Run a command with its output on the screen; InsideError where it fails."""
    if subprocess.run(command, cwd=PROJECT).returncode:
        raise InsideError(f"failed: {' '.join(map(str, command))}")


class Docker:
    """The image keeps a version's data in /var/lib/postgresql/18, and refuses to start beside that of an older one: it moves
    to kept/18 in the same volume."""

    def alone(self):
        run("docker", "compose", "stop", "this_jupyter", "this_worker", "this_monitor")
        self.start()

    def start(self):
        run("docker", "compose", "up", "--detach", "--build", "this_postgres")

    def in_volume(self, script, *arguments):
        """Run a shell script where the volume is mounted, with no server on it."""
        run("docker", "compose", "rm", "--stop", "--force", "this_postgres")
        shell = [
            "run",
            "--rm",
            "--no-deps",
            "--entrypoint",
            "sh",
            "this_postgres",
            "-euc",
            f"cd /var/lib/postgresql; {script}",
        ]
        run("docker", "compose", *shell, "sh", *arguments)

    def set_aside(self, old):
        self.in_volume('[ ! -e "kept/$1" ]; mkdir -p kept; mv "$1" kept/', old)

    def take_back(self, old, new):
        # The new server's folder, half filled, must not be taken for an upgraded one at the next try.
        self.in_volume('rm -rf "$2"; [ -e "$1" ] || mv "kept/$1" .', old, new)

    def forget(self, old):
        return f"docker compose exec this_postgres rm -r /var/lib/postgresql/kept/{old}"


class Local:
    """The data folder of the old version moves to .local/postgres-18."""

    def alone(self):
        run(sys.executable, "local/stack.py", "down")
        self.start()

    def start(self):
        run(sys.executable, "local/stack.py", "up", "this_postgres")

    def set_aside(self, old):
        run(sys.executable, "local/stack.py", "down")
        if self.folder(old).exists():
            raise InsideError(f"{self.folder(old)} is there already, from an earlier upgrade; move it away first")
        os.rename(STATE / "postgres", self.folder(old))

    def take_back(self, old, new):
        run(sys.executable, "local/stack.py", "down")
        if self.folder(old).exists():
            if (STATE / "postgres").exists():
                os.rename(STATE / "postgres", STATE / f"postgres-failed-{time.time_ns()}")
            os.rename(self.folder(old), STATE / "postgres")

    def folder(self, major):
        return STATE / f"postgres-{major}"

    def forget(self, old):
        return f"rm -r .local/postgres-{old}"


def wait(stack):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            # Over TCP: the server that initialises a new folder listens on the socket alone.
            return stack.run("this_postgres", "pg_isready", "--quiet", "--host=127.0.0.1")
        except InsideError:
            if time.monotonic() > deadline:
                raise InsideError("PostgreSQL does not answer; its log: make logs S=this_postgres") from None
            time.sleep(0.5)


def upgrade(stack, new):
    old = update.answer("postgres_version")
    if not new.isdecimal() or not old.isdecimal() or int(new) <= int(old):
        raise InsideError(
            f"This project has PostgreSQL {old}; to a newer one, for example: make upgrade-postgres TO={int(old) + 1}"
        )
    update.refuse_unsaved_work()
    copier = update.find_copier()
    engine = Local() if stack.is_local else Docker()
    engine.alone()
    wait(stack)
    counts = row_counts(stack)
    saved = backup.save(stack, stores=())
    try:
        engine.set_aside(old)
        # The version that the project has of the template, with one answer changed.
        answer = ["--data", f"postgres_version={new}", "--vcs-ref", ":current:"]
        run(*copier, "update", "--trust", "--defaults", "--quiet", *answer)
        if update.git("ls-files", "--unmerged"):
            raise InsideError("the new version is in conflict with edits of yours in the files of docker/postgres")
        engine.start()
        wait(stack)
        restore(stack, saved)
        if (now := row_counts(stack)) != counts:
            wrong = [
                f"  {table}: {count} rows, now {now.get(table)}"
                for table, count in counts.items()
                if now.get(table) != count
            ]
            raise InsideError("\n".join(["the new database does not hold what the old one held:", *wrong]))
    except (InsideError, KeyboardInterrupt) as error:
        print("Going back to the old version.", flush=True)
        update.git("reset", "--quiet", "--hard")
        update.git("clean", "--quiet", "--force", "-d")
        engine.take_back(old, new)
        engine.start()
        raise InsideError(
            f"PostgreSQL stays at {old}, with its data as it was: {error or 'interrupted'}\nThen: make up"
        ) from None
    print(f"PostgreSQL {old} -> {new}: {len(counts)} tables with {sum(counts.values()):,} rows, compared one by one.")
    print(f"The old data is kept. When you are sure: {engine.forget(old)}")
    print(f'Now: make up, and keep the change: git commit -am "PostgreSQL {new}"')


def restore(stack, saved):
    with tempfile.TemporaryDirectory(dir=backup.BACKUPS, prefix=".part-") as name:
        manifest = backup.unpack(saved, Path(name))
        for file, entry in manifest["files"].items():
            backup.restore_file(stack, Path(name) / file, entry)


def main():
    parser = argparse.ArgumentParser(description="Move PostgreSQL's data to a new major version.")
    parser.add_argument("major", nargs="?", default="", help="such as 19")
    parser.add_argument("--engine", choices=("docker", "local"), help="default: ENGINE in .env")
    arguments = parser.parse_args()
    try:
        upgrade(Stack(arguments.engine), arguments.major)
    except (InsideError, update.UpdateError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

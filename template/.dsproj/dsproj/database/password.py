"""Have a store know the password of .env, which may have been lost or edited since its data folder was made."""

import hashlib
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dsproj.errors import Problem


def digest(password: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 100_000).hex()


def is_known(noted: Path, password: str) -> bool:
    """Is this the password that a store has learned last? Its data folder has a note of it, so that asking costs nothing."""
    salt, _, known = (noted.read_text() if noted.exists() else "").partition(":")
    return digest(password, salt) == known


def note(noted: Path, password: str) -> None:
    """Note that a store has learned a password, for the owner of its data folder."""
    salt = secrets.token_hex(8)
    noted.touch(mode=0o600)
    noted.write_text(f"{salt}:{digest(password, salt)}")
    os.chown(noted, (owner := noted.parent.stat()).st_uid, owner.st_gid)


def use(folder: Path, password: str, command: Sequence[str] = ("postgres",)) -> None:
    """Set PostgreSQL's with no server on the folder; `command` is what its server program is called by, its owner's."""
    if is_known(folder / "dsproj.password", password):
        return
    quoted = password.replace("'", "''")
    statement = f"ALTER ROLE postgres PASSWORD '{quoted}';\n\n"  # on standard input: in no list of processes
    # In a container a killed server's lock names process 1, which is the entry point now: PostgreSQL asks no parent of its own.
    variables = {**os.environ, "PG_GRANDPARENT_PID": str(os.getppid())}
    single = [*command, "--single", "-j", "-D", str(folder), "postgres"]
    done = subprocess.run(single, input=statement, env=variables, cwd="/", capture_output=True, text=True)
    if done.returncode or "ERROR" in done.stderr:
        raise Problem("The password could not be set anew:\n" + "\n".join(done.stderr.strip().splitlines()[-3:]))
    note(folder / "dsproj.password", password)


if __name__ == "__main__":
    try:
        use(Path(os.environ["PGDATA"]), os.environ["POSTGRES_PASSWORD"])
    except Problem as problem:
        sys.exit(str(problem))

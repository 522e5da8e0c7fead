"""PostgreSQL's data folder and command line, for every kind of user: it refuses root, and a user without a name."""

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from dsproj.database import password
from dsproj.errors import Problem
from dsproj.host.places import POSTGRES, RUN, STATE, again
from dsproj.host.variables import postgres_bin

# Where the machine has locales or not, in which language it speaks or not: the same order and the same messages.
LOCALE = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
SMALL_SHARED_MEMORY = 256 << 20


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs."""
    if not (folder := postgres_bin()):
        raise Problem("PostgreSQL is not in .local/venv", f"rm -r .local/venv, then: {again()}")
    return str(folder / name)


def works(prefix: Sequence[str]) -> bool:
    """May this user run a command with such a prefix?"""
    return bool(shutil.which(prefix[0])) and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0


def ordinary_user() -> tuple[int, int]:
    """(uid, gid) of a named user that is not root, preferably nobody."""
    others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not others:
        raise Problem("PostgreSQL refuses to run as root, and there is no other user here: make one, run as it.")
    chosen = next((entry for entry in others if entry.pw_name == "nobody"), others[0])
    return chosen.pw_uid, chosen.pw_gid


def as_acceptable_user() -> list[str]:
    """What goes in front of a PostgreSQL command so that it runs as a user it accepts: [] for most."""
    me = os.geteuid()
    with contextlib.suppress(KeyError):  # a uid without a name
        if me != 0 and pwd.getpwuid(me):
            return []
    uid, gid = ordinary_user()
    # In a user namespace this user goes by another's number; to the file system all stays the same.
    namespace = ["unshare", "--user", f"--map-user={uid}", f"--map-group={gid}"]
    if works(namespace):
        own(POSTGRES, me, os.getegid())
        return namespace
    if me != 0:
        raise Problem(f"PostgreSQL needs a user with a name; uid {me} has none, and no user namespaces.")
    # Inside a container without privileges: really become that user, but keep root's way through folders.
    capabilities = ["--securebits=+no_setuid_fixup", "--inh-caps=-all,+dac_override", "--ambient-caps=+dac_override"]
    demoted = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *capabilities]
    if works(demoted):
        own(POSTGRES, uid, gid)
        return demoted
    raise Problem("PostgreSQL refuses to run as root; unshare and setpriv do not help here: run as another user.")


def own(folder: Path, uid: int, gid: int) -> None:
    """Give the data folder to the user that the server will run as; it must be its owner."""
    if not folder.exists() or folder.stat().st_uid == uid:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


def initialize(variables: Mapping[str, str]) -> None:
    """Make the data folder where there is none: whole, or not at all."""
    if (POSTGRES / "PG_VERSION").exists():
        return
    if POSTGRES.exists() and any(POSTGRES.iterdir()):
        raise Problem(f"{POSTGRES} is no PostgreSQL data folder and not empty: move it away, then: make up")
    fresh, secret = STATE / "postgres.new", RUN / "postgres.password"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    prefix = as_acceptable_user()
    if prefix and prefix[0] == "setpriv":
        own(fresh, *ordinary_user())
    secret.touch(mode=0o600)
    secret.write_text(variables["PGPASSWORD"] + "\n")
    try:
        command = [program("initdb"), f"--pgdata={fresh}", "--username=postgres", f"--pwfile={secret}"]
        options = ["--auth=scram-sha-256", "--text-search-config=english", "--no-instructions", *LOCALE]
        variables = {**variables, "TZ": "Etc/UTC"}
        made = subprocess.run([*prefix, *command, *options], env=variables, cwd=STATE, capture_output=True, text=True)
    finally:
        secret.unlink()
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
    """Have the data folder know the password of .env."""
    password.use(POSTGRES, variables["PGPASSWORD"], [*as_acceptable_user(), program("postgres")])


def command(variables: Mapping[str, str]) -> list[str]:
    """The server's command line. Over TCP on this machine alone: a socket's path may have 107 bytes at most."""
    settings = {"listen_addresses": "127.0.0.1", "port": variables["PGPORT"], "unix_socket_directories": ""}
    shared = Path("/dev/shm")  # macOS has none
    if shared.exists() and shutil.disk_usage(shared).total < SMALL_SHARED_MEMORY:
        settings["dynamic_shared_memory_type"] = "mmap"
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [*as_acceptable_user(), program("postgres"), "-D", str(POSTGRES), *options]

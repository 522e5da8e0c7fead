"""Make .env: passwords, ports and ids of this machine. Made once, then only read.

    python3 local/env.py [--engine docker|local] [--workers N]

The ports that are tried first stand in .env.example. Standard library only: it runs before anything is installed. An
existing .env is never touched, so a database keeps the password that its volume was made with; only a variable that a
newer template needs is added at the end, and the number of workers changed by `make scale`.
"""

import argparse
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

# Below 32768, where operating systems begin to hand out ports for outgoing connections.
HIGHEST_PORT = 32767
MOST_WORKERS = 32  # as many as local/supervisord.conf knows


def port_is_free(port):
    """Can a server listen on this TCP port of 127.0.0.1?"""
    with socket.socket() as probe:
        # As servers do: a port whose last connection is just closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(wanted, taken=()):
    """The wanted port, or the next one above it that is free and not among `taken`; OSError where there is none."""
    top = max(HIGHEST_PORT, min(wanted + 1000, 65535))
    for port in range(wanted, top + 1):
        if port not in taken and port_is_free(port):
            return port
    raise OSError(f"no free port from {wanted} to {top} on 127.0.0.1")


def docker_answers():
    """Is there a Docker engine that this user may use, and Compose 2.24 or newer?"""
    if not shutil.which("docker"):
        return False
    try:
        info = subprocess.run(["docker", "info"], capture_output=True, timeout=20)
        compose = subprocess.run(
            ["docker", "compose", "version", "--short"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.match(r"v?(\d+)\.(\d+)", compose.stdout.strip())
    return info.returncode == 0 and version is not None and tuple(map(int, version.groups())) >= (2, 24)


def owner():
    """Numeric user and group id for written files: this user's, or 0:0 where the engine maps root to it (rootless)."""
    if not hasattr(os, "getuid"):  # Windows: Docker Desktop maps all ids to the user
        return 1000, 1000
    if shutil.which("docker"):
        try:
            options = ["docker", "info", "--format", "{{.SecurityOptions}}"]
            if "rootless" in subprocess.run(options, capture_output=True, text=True, timeout=20).stdout:
                return 0, 0
        except (OSError, subprocess.TimeoutExpired):
            pass
    return os.getuid(), os.getgid()


def read(path):
    """The variables of an env file as a dict; {} where there is no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def values(engine, example):
    """Fresh values for every variable, as a dict in the order of the file; `example` is what .env.example holds."""
    # The data stores' ports follow from the folder: projects of one machine differ, also from those that are down now.
    place = int(hashlib.sha256(str(PROJECT).encode()).hexdigest(), 16) % 1000
    wanted = {
        "JUPYTER_PORT": int(example["JUPYTER_PORT"]),
        "MONITOR_PORT": int(example["MONITOR_PORT"]),
        "PGPORT": 15000 + place,
        "REDIS_PORT": 16000 + place,
    }
    if "MONGO_PORT" in example:
        wanted["MONGO_PORT"] = 27000 + place
    ports = {}
    for name, port in wanted.items():
        ports[name] = free_port(port, ports.values())
    uid, gid = owner()
    fresh = {
        "ENGINE": engine or ("docker" if docker_answers() else "local"),
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "REDIS_PASSWORD": secrets.token_hex(16),
        "MONITOR_PASSWORD": secrets.token_hex(8),
        "JUPYTER_TOKEN": secrets.token_hex(24),
        **ports,
        "NB_UID": uid,
        "NB_GID": gid,
        "WORKERS": 1,
    }
    if "MONGO_PASSWORD" in example:
        fresh["MONGO_PASSWORD"] = secrets.token_hex(16)
    return {name: str(value) for name, value in fresh.items()}


def create(path, text):
    """Write a new file that only its owner may read; False where it exists already. Never half a file."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        try:
            os.link(partial, path)  # unlike a rename, fails where the name is taken
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        return True
    except FileExistsError:
        return False
    finally:
        partial.unlink()


def change(new, path=PROJECT / ".env"):
    """Give variables of an existing env file other values, all or none; every other line stays as it is."""
    text = path.read_text(encoding="utf-8")
    for name, value in new.items():
        line = f"{name}={value}"
        changed, found = re.subn(rf"(?m)^{name}=.*$", line, text)
        text = changed if found else f"{text.rstrip()}\n{line}\n"
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    create(partial, text)
    os.replace(partial, path)


def write_workers(wanted):
    """Note in .env how many workers are to run, now and after the next start; ValueError for a wrong number."""
    if not 0 <= wanted <= MOST_WORKERS:
        raise ValueError(f"From 0 to {MOST_WORKERS} workers, please, not {wanted}")
    change({"WORKERS": wanted})


def make(engine=None, project=PROJECT):
    """Make .env and config/jupyter.env where they are missing.

    Returns lines that say what was done beyond the plain, such as a port that was busy.
    """
    path, notes = project / ".env", []
    example = read(project / ".env.example")
    if not path.exists():
        fresh = values(engine, example)
        head = "# Made by local/env.py for this machine; .env.example explains each line. Never in git.\n"
        create(path, head + "".join(f"{name}={value}\n" for name, value in fresh.items()))
        for name in ("JUPYTER_PORT", "MONITOR_PORT"):
            if fresh[name] != example[name]:
                notes.append(f"port {example[name]} is busy: {name}={fresh[name]} in .env")
    elif not example.keys() <= (present := read(path)).keys():
        missing = {name: value for name, value in values(engine, example).items() if name not in present}
        text = path.read_text(encoding="utf-8")
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write("" if text.endswith("\n") or not text else "\n")
            file.writelines(f"{name}={value}\n" for name, value in missing.items())
        if missing:
            notes.append(f".env: added {', '.join(missing)}")
    credentials = project / "config" / "jupyter.env"
    if not credentials.exists():
        create(credentials, credentials.with_name("jupyter.env.example").read_text(encoding="utf-8"))
    return notes


def main():
    parser = argparse.ArgumentParser(description="Make .env where there is none.")
    parser.add_argument(
        "--engine", choices=("docker", "local"), help="what runs the servers; default: Docker if it answers"
    )
    parser.add_argument("--workers", type=int, help="write this number of workers into .env")
    arguments = parser.parse_args()
    try:
        for note in make(arguments.engine):
            print(note)
        if arguments.workers is not None:
            write_workers(arguments.workers)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f".env could not be written: {error}")


if __name__ == "__main__":
    main()

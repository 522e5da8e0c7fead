"""What `make remote` has the other machine do, in the project there: python3 -m dsproj.host.remote_side ACTION, over ssh."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.files import open_private, private_folder, replace_text, sha256
from dsproj.host import away, carrying, docker_program, first_env, stores_moving, up
from dsproj.host.backup import BACKUPS
from dsproj.host.engine import Engine, chosen
from dsproj.report import Report, serve
from dsproj.settings import PROJECT, change, read

# What .env says of the machine and not of the project.
OF_MACHINE = r"ENGINE|\w+_PORT|PGPORT|NB_UID|NB_GID|WORKERS|\w+_MEMORY"
OF_CLUSTER = dict.fromkeys(("COMPOSE_FILE", "CLUSTER_ADDRESS"))  # of a hub, whose networks the other machine has not


def look(report: Report, engine: Engine) -> dict[str, Any]:
    """The files that are here, git's branches, and which variables .env has beside those of the machine."""
    names = [name for name in read(PROJECT / ".env") if not re.fullmatch(OF_MACHINE, name)]
    return {"files": carrying.listing(), "git": carrying.branches(), "variables": names}


def lacking(report: Report, engine: Engine) -> list[str]:
    return carrying.lacking(_given())


def unpack(report: Report, engine: Engine) -> None:
    carrying.unpack(sys.stdin.buffer)


def mirror(report: Report, engine: Engine) -> list[str]:
    """Be as the other side is: its files, and its .env but for what is this machine's."""
    given, note = _given(), away.read()
    said = carrying.mirror(given["files"], note.get("base"))
    away.write(note, base=given["files"])
    _settings(given["env"])
    return said


def _settings(text: str) -> None:
    """Write .env as it is on the other side, with the values of this machine; the first time, those that suit it."""
    path, known = PROJECT / ".env", read(PROJECT / ".env")
    if not known:
        engine = "local" if docker_program.trouble() else "docker"
        known = first_env.values(engine, read(PROJECT / ".env.example"))
        known = {name: value for name, value in known.items() if not re.fullmatch(r"WORKERS|\w+_MEMORY", name)}
    kept = {name: value for name, value in known.items() if re.fullmatch(OF_MACHINE, name)}
    partial = path.with_name(".env.part")
    replace_text(partial, text, mode=0o600)
    change({**OF_CLUSTER, **kept}, partial)
    os.replace(partial, path)


def ready(report: Report, engine: Engine) -> None:
    """Have the stores run, with all that has to be installed or built for that."""
    first_env.make()
    engine = chosen()
    engine.settings.check_secrets()
    engine.check()
    stores_moving.pause(engine, report)


def receive(report: Report, engine: Engine) -> None:
    """Take a backup: a line of JSON about it, then the file."""
    saved = json.loads(sys.stdin.buffer.readline())
    away.write(away.read(), carried=[*away.read().get("carried", ()), saved["file"]])
    take(sys.stdin.buffer, saved)


def take(stream: Any, saved: dict[str, Any]) -> None:
    """Write a backup that comes in a stream to where `saved` says, whole or not at all."""
    path = PROJECT / "backups" / Path(saved["file"]).name
    partial = private_folder(BACKUPS) / f".{path.name}.part"
    partial.unlink(missing_ok=True)
    with open_private(partial) as file:
        shutil.copyfileobj(stream, file, 1 << 20)
    if sha256(partial) != saved["sha256"]:
        partial.unlink()
        raise Problem("The backup did not come whole: the connection was cut off", "the same command")
    os.replace(partial, path)


def restore(report: Report, engine: Engine) -> None:
    stores_moving.restore(engine, report, _given())
    _clear()
    away.write(away.read(), phase="visiting")


def start(report: Report, engine: Engine) -> dict[str, Any]:
    """`make up`; what runs it, the pages' ports, and what could not be loaded, if anything."""
    engine, problem = up.up(report)
    said = [] if problem is None else str(problem).splitlines()
    ports = {name: engine.settings.port(name) for name in ("JUPYTER_PORT", "MONITOR_PORT")}
    return {"engine": engine.name, "said": said, "ports": ports}


def save(report: Report, engine: Engine) -> dict[str, Any]:
    """A backup, and a look at the files, with nobody at work."""
    _clear()
    stores_moving.pause(engine, report)
    saved = stores_moving.save(engine, report)
    away.write(away.read(), carried=[saved["file"]])
    return {"saved": saved, **look(report, engine)}


def send(report: Report, engine: Engine) -> None:
    carrying.pack(_given(), sys.stdout.buffer)


def hand_over(report: Report, engine: Engine) -> None:
    with open(PROJECT / _given()["file"], "rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)


def leave(report: Report, engine: Engine) -> None:
    """The project is elsewhere now: stop, and remember what was here."""
    engine.stop(report)
    _clear()
    away.write(away.read(), phase="left", base=carrying.listing(), **_given())


def _clear() -> None:
    """Delete the backups that travelled: they are where they were to go."""
    note = away.read()
    for name in note.get("carried", ()):
        (PROJECT / name).unlink(missing_ok=True)
    away.write(note, carried=[])


def _given() -> Any:
    return json.load(sys.stdin.buffer)


ACTIONS = (look, lacking, unpack, mirror, ready, receive, restore, start, save, send, hand_over, leave)


def main(report: Report, action: str) -> Any:
    """Do one of ACTIONS, when no other one is at work: a command that was cut off may still be."""
    if os.environ.get("DSPROJ_LINES") and action not in ("send", "hand_over"):
        sys.stdout = sys.stderr  # what a command prints for people is no data
    with away.alone(waits=True):
        try:
            return next(each for each in ACTIONS if each.__name__ == action)(report, chosen())
        except OSError as error:
            raise Problem(f"{error.filename or action}: {error.strerror or error}") from None


if __name__ == "__main__":
    serve(main)

"""Is the project here, or on the other machine? The note about it, .local/remote.json, on both; see remote.py."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from dsproj.errors import Problem
from dsproj.files import private_folder, replace_text
from dsproj.settings import PROJECT

NOTE = PROJECT / ".local" / "remote.json"
Note = dict[str, Any]
# phase, of the machine it comes from: "going" (all is here still), "away", "returning", "home" (all is here again);
# of the other one: "arriving" (not whole yet), "visiting", "left".


def read() -> Note:
    """What is noted; {} for a project that is where it always was."""
    try:
        return dict(json.loads(NOTE.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Problem(f"{NOTE} cannot be read: {error}") from None


def write(note: Note, **changed: Any) -> None:
    """Note it, also in `note`; on the disk before this returns."""
    note.update(changed)
    private_folder(NOTE.parent)
    replace_text(NOTE, json.dumps(note), mode=0o600)


def refuse(destroys: bool = False) -> None:
    """Problem where the data are elsewhere now, and those here are old; a copy that was left behind may be destroyed."""
    note = read()
    phase, where = note.get("phase"), f"{note.get('host')}, in {note.get('folder')}"
    if phase == "away":
        what = f"The project is on {where}, with its data, since {note['since']}; those here are as they were then"
        raise Problem(what, "make remote, which opens it there; to bring it back: make remote-down")
    if phase == "returning":
        raise Problem(f"The project is on its way back from {where}", "make remote-down")
    if phase == "arriving":
        raise Problem(f"This copy is not whole: it comes from {note['from']}", "there: make remote")
    if phase == "left" and not destroys:
        what = f"The project went back to {note['from']}, {note['since']}; this copy is as it was then"
        raise Problem(what, "there: make remote. To make this one a project of its own: rm .local/remote.json")


@contextlib.contextmanager
def alone(waits: bool) -> Iterator[None]:
    """One command at a time moves the project: another one waits, or is a Problem."""
    try:
        import fcntl
    except ImportError:
        raise Problem("make remote needs Linux or macOS here; on Windows, type it in WSL.") from None
    with open(private_folder(NOTE.parent) / "remote.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Problem("Another make remote or make remote-down is at work here; wait for that one.") from None
        yield

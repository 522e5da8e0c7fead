"""The folder on the other machine: is it free, or this project's? What has to be there; and the machine room, which does the rest."""

from __future__ import annotations

import getpass
import socket
import tarfile
from typing import IO, Any

from dsproj.errors import Problem
from dsproj.host.ssh import Machine
from dsproj.settings import PROJECT, ROOM

CLAIM = """
import base64, json, os, shutil, sys, tarfile
wanted, note = json.loads(base64.b64decode(sys.argv[2]))
folder = os.path.realpath(os.path.expanduser(wanted))
path = os.path.join(folder, ".local", "remote.json")
known = json.load(open(path)) if os.path.exists(path) else {}
mine = known.get("id") == note["id"] or not (os.path.exists(folder) and set(os.listdir(folder)) - {".local"})
fits = mine and sys.version_info >= (3, 9) and shutil.which("git")
if fits and note["room"]:
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    if not known:
        with open(path + ".part", "w") as file:
            json.dump({"id": note["id"], "phase": "arriving", "from": note["from"]}, file)
        os.replace(path + ".part", path)
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as room:
        room.extractall(folder)
print(json.dumps({"folder": folder, "mine": mine, "git": bool(shutil.which("git")), "python": sys.version.split()[0],
                  "fits": bool(fits), "phase": known.get("phase"), "since": known.get("since")}))
"""


def claim(machine: Machine, note: dict[str, Any], room: bool) -> dict[str, Any]:
    """Take the folder of the note there, with `room` bring the machine room; what the script found. Problem where it cannot be."""
    source = f"{getpass.getuser()}@{socket.gethostname()}, {PROJECT}"
    about = {"id": note["id"], "from": source, "room": room}
    found: dict[str, Any] = machine.script(CLAIM, note["folder"], about, send=_room if room else None)
    folder, again = found["folder"], "install it there; then the same command"
    if not found["mine"]:
        what = f"{folder} on {machine.host} is there already, and no copy of this project"
        raise Problem(what, f"make remote HOST={note['host']} DIR=another")
    if not found["git"]:
        raise Problem(f"no git on {machine.host}", again)
    if not found["fits"]:
        what = f"python3 on {machine.host} is {found['python']}; 3.9 or newer is needed, 3.11 for the local stack"
        raise Problem(what, again)
    return found


def _room(stream: IO[bytes]) -> None:
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        archive.add(ROOM, ROOM.name, filter=lambda member: None if "__pycache__" in member.name else member)

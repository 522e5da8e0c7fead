"""`make remote`: the project goes to a larger machine, by ssh, and is used from here; `make remote-down`: it comes back."""
# The data are on both machines before it is noted that they are valid on the other one (away.py). Each step can be done twice:
# after an interruption, the same command begins at what is noted, and finds what has been copied.

from __future__ import annotations

import functools
import json
import secrets
import shlex
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO, Any

from dsproj.errors import Problem
from dsproj.host import away, carrying, first_env, remote_side, stores_moving, up
from dsproj.host.claim import claim
from dsproj.host.engine import chosen
from dsproj.host.links import links
from dsproj.host.ports import free_port
from dsproj.host.ssh import Machine, Stream
from dsproj.report import Report, Stopwatch
from dsproj.settings import PROJECT, Settings, read, slug

SIDE = "dsproj.host.remote_side"
PAGES = ("JUPYTER_PORT", "MONITOR_PORT")


class There(Report):
    """Says what the other machine reports, as what it is."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def doing(self, text: str) -> None:
        self.report.doing(f"there: {text}")

    def done(self, what: str, text: str, seconds: float | None = None) -> None:
        self.report.done("there", f"{what} {text}", seconds)


class Trip:
    """The project on its way, or away. note: away.py's, with id, host, folder and, of the tunnel, pid and ports."""

    def __init__(self, report: Report, note: away.Note) -> None:
        self.report, self.note = report, note
        self.machine = Machine(note["host"], note.get("socket", ""))
        self.name = self.machine.host.rpartition("@")[2].partition(".")[0]  # as files and branches are called

    def connect(self) -> None:
        self.report.doing(f"connecting to {self.machine.host} …")
        self.machine.connect()
        away.write(self.note, socket=self.machine.socket)

    def claim(self, room: bool = True) -> dict[str, Any]:
        found = claim(self.machine, self.note, room)
        away.write(self.note, folder=found["folder"])
        return found

    def ask(self, action: str, given: Any = None, send: Stream | None = None, receive: Stream | None = None) -> Any:
        """Have remote_side.py there do something. Its standard input: `given`, or what `send` writes; its output: `receive`."""
        send = send or functools.partial(_write, json.dumps(given).encode())
        return self.machine.call(
            self.note["folder"], SIDE, action, report=There(self.report), send=send, receive=receive
        )

    def copy_files(self) -> carrying.Listing:
        """Make the files there as they are here; those that both have."""
        for _ in range(9):
            files, watch = carrying.listing(), Stopwatch()
            if wanted := self.ask("lacking", files):
                self.ask("unpack", send=functools.partial(carrying.pack, self._told(wanted)))
                self.report.done("files", f"{len(wanted):,} copied", watch.seconds)
                if carrying.listing() != files:
                    continue
            for line in self.ask("mirror", {"files": files, "env": (PROJECT / ".env").read_text(encoding="utf-8")}):
                self.report.done("files", line)
            if carrying.listing() == files:
                return files
        raise Problem("Files of the project keep changing; close what writes to them", "make remote")

    def _told(self, paths: list[str]) -> Iterator[str]:
        for number, path in enumerate(paths, start=1):
            self.report.doing(f"{number:,} of {len(paths):,}  {path}")
            yield path

    def move(self) -> None:
        """Bring everything there. Until the last step the project is here, and only its work pauses."""
        self.claim()
        first_env.make()
        engine = chosen()
        engine.check()
        if not first_env.holds(engine.name):
            up.up(self.report)
        self.copy_files()
        self.report.done("there", f"{self.machine.host}, in {self.note['folder']}: starting the stores")
        self.ask("ready")
        self.report.done("here", "work ends, the stores are saved")
        stores_moving.pause(engine, self.report)
        files = self.copy_files()
        saved = stores_moving.save(engine, self.report)
        self._drop_backup(saved)
        self.report.doing("the stores' contents travel …")
        with open(PROJECT / saved["file"], "rb") as file:
            self.ask("receive", send=functools.partial(_write, json.dumps(saved).encode() + b"\n", file=file))
        self.ask("restore", saved)
        since = f"{time.strftime('%Y-%m-%d %H:%M')}"
        away.write(
            self.note, phase="away", since=since, base={"files": files, "git": carrying.branches()}, stopped=False
        )

    def _drop_backup(self, saved: dict[str, Any]) -> None:
        """Of the backups of tries that were cut off only the last one stays."""
        if (old := self.note.get("saved")) and old != saved["file"]:
            (PROJECT / old).unlink(missing_ok=True)
        away.write(self.note, saved=saved["file"])

    def open(self) -> None:
        """Stop here, start there, bring the pages' ports here."""
        away.write(self.note, phase="away")
        if not self.note["stopped"]:
            chosen().stop(self.report)
            away.write(self.note, stopped=True)
        started = self.ask("start")
        self.tunnel(started["ports"])
        for line in started["said"]:
            self.report.done("there", line)
        runs = {"docker": "Docker", "local": "the local stack"}[started["engine"]]
        self.report.done("remote", f"the project runs on {self.machine.host}, in {self.note['folder']}, by {runs}")

    def tunnel(self, there: dict[str, int]) -> None:
        pid, known = self.machine.pid(), self.note.get("tunnel", {})
        if known.get("pid") != pid or known.get("there") != there:
            self.close_tunnel()
            settings, here = Settings(), dict[str, int]()
            for name in PAGES:
                here[name] = free_port(known.get("here", {}).get(name) or settings.port(name), here.values())
                if not self.machine.forward(here[name], there[name]):
                    raise Problem(f"ssh cannot open port {here[name]} here", "make remote")
            away.write(self.note, tunnel={"pid": pid, "here": here, "there": there})
        if not self.answers():
            forbidden = f"does sshd on {self.machine.host} forbid AllowTcpForwarding?"
            raise Problem(f"JupyterLab does not answer through the tunnel; {forbidden}", "make remote")

    def answers(self) -> bool:
        """Does JupyterLab answer through the tunnel?"""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(20):
            try:
                direct.open(f"http://127.0.0.1:{self.note['tunnel']['here'][PAGES[0]]}/api", timeout=10).close()
                return True
            except urllib.error.HTTPError:
                return True
            except OSError:
                time.sleep(0.2)
        return False

    def close_tunnel(self) -> None:
        known = self.note.get("tunnel", {})
        if known and known["pid"] == self.machine.pid():
            for name in PAGES:
                self.machine.forward(known["here"][name], known["there"][name], "cancel")

    def fetch(self) -> None:
        """Bring back what is there; the project is here again once all of it is."""
        away.write(self.note, phase="returning")
        if self.claim(room=False)["phase"] == "left":
            raise Problem(f"The project on {self.machine.host} went back already, to another folder than {PROJECT}.")
        self.close_tunnel()  # what a page saved from now on would come too late
        self.report.done("there", "work ends, the stores are saved")
        there = self.ask("save")
        saved, base = there["saved"], self.note["base"]
        self.report.doing("the stores' contents travel …")
        self.ask("hand_over", saved, receive=lambda stream: remote_side.take(stream, saved))
        if wanted := [
            path for path in carrying.lacking(there["files"]) if there["files"][path] != base["files"].get(path)
        ]:
            self.ask("send", wanted, receive=carrying.unpack)
            self.report.done("files", f"{len(wanted):,} copied")
        self._merge(there, base)
        engine = chosen()
        engine.check()
        stores_moving.pause(engine, self.report)
        stores_moving.restore(engine, self.report, saved)
        away.write(self.note, phase="home")

    def _merge(self, there: dict[str, Any], base: dict[str, Any]) -> None:
        takes = self.note.get("takes_git", False) or carrying.branches() == base["git"]
        away.write(self.note, takes_git=takes)  # half taken, they would look like a change that was made here
        said = carrying.merge(there["files"], base["files"], self.name, takes)
        said += [] if takes else carrying.join(there["git"], base["git"], self.name)
        if more := [name for name in there["variables"] if name not in read(PROJECT / ".env")]:
            said.append(f"these variables stand in .env there, and not here: {', '.join(more)}")
        for line in said:
            self.report.done("files", line)

    def leave(self) -> None:
        """Stop there, and let the copy know that it is one."""
        self.ask("leave", {"since": f"{time.strftime('%Y-%m-%d %H:%M')}"})
        folder = shlex.quote(self.note["folder"])
        there = f"cd {folder} && python3 .dsproj destroy FORCE=1 IMAGES=1 && cd .. && rm -rf {folder}"
        print(f"The copy there stays, stopped. To remove it: {self.machine.by_hand} {shlex.quote(there)}")

    def forget(self) -> None:
        """The project is here, and that is all; where it was is the default the next time."""
        self.machine.close()
        known = {name: self.note[name] for name in ("id", "host", "folder")}
        self.note.clear()
        away.write(self.note, **known, phase="back")
        shutil.rmtree(carrying.ARRIVING, ignore_errors=True)


def _write(text: bytes, stream: IO[bytes], file: IO[bytes] | None = None) -> None:
    stream.write(text)
    if file:
        shutil.copyfileobj(file, stream, 1 << 20)


def go(report: Report, host: str, folder: str) -> None:
    """`make remote`: bring the project to the machine, or go on with that, or open it where it is."""
    with away.alone(waits=False):
        note = away.read()
        phase = note.get("phase", "back")
        _refuse(note, phase, host)
        if phase == "home":
            _finish(Trip(report, note))
            phase = "back"
        if phase in ("back", "going"):
            to, usual = host or note["host"], f"~/{slug()}"
            place = folder or (note.get("folder", usual) if to == note.get("host") else usual)
            identity = note.get("id") or secrets.token_hex(8)
            Machine(to)  # Problem where that is no machine's name
            if note.get("host", to) != to:
                Machine(note["host"], note.get("socket", "")).close()
            note = {"id": identity, "host": to, "folder": place, "phase": "going", **_same(note, to)}
            away.write(note)
        trip = Trip(report, note)
        trip.connect()
        if note["phase"] == "going":
            try:
                trip.move()
            except Problem as problem:
                problem.what += "\nThe project is still here. To work here meanwhile: make up"
                raise
        trip.open()
    for what, address in here():
        print(f"{what:<11} {address}")
    print("To bring all of it back: make remote-down")


def _refuse(note: away.Note, phase: str, host: str) -> None:
    """Problem where the project cannot go, or not to there."""
    if phase in ("arriving", "visiting", "left"):
        raise Problem("This is the copy on the other machine; make remote is for the one that it comes from.")
    if not (host or note.get("host")):
        raise Problem("Which machine?", "make remote HOST=user@machine")
    if phase in ("away", "returning", "home") and host not in ("", note["host"]):
        raise Problem(f"The project is on {note['host']}, in {note['folder']}, already", "make remote-down")
    if phase in ("back", "going") and "docker/cluster" in Settings().get("COMPOSE_FILE", ""):
        raise Problem("Workers on other machines look for the project here", "make cluster-down, then the same command")


def _same(note: away.Note, host: str) -> away.Note:
    """What is still true of an earlier try to go to this machine."""
    return {name: note[name] for name in ("socket", "saved") if name in note and note.get("host") == host}


def here() -> list[tuple[str, str]]:
    """The links through the tunnel, if it is open; Problem else."""
    note = away.read()
    trip, ports = Trip(Report(), note), note.get("tunnel", {}).get("here")
    if not ports or trip.machine.pid() != note["tunnel"]["pid"]:
        raise Problem(f"The project is on {note['host']}, and the tunnel to it is closed", "make remote")
    return links(Settings({**Settings(), **{name: str(port) for name, port in ports.items()}}))


def back(report: Report) -> bool:
    """`make remote-down`: bring the project back; is everything to run here again then? Not where it never was away."""
    with away.alone(waits=False):
        note = away.read()
        if note.get("phase") not in ("going", "away", "returning", "home"):
            print("The project is here; there is nothing to bring back.")
            return "phase" in note  # cut off while everything started, say
        trip = Trip(report, note)
        if note["phase"] in ("away", "returning"):
            trip.connect()
            trip.fetch()
        _finish(trip)
        return True


def _finish(trip: Trip) -> None:
    """Let the other machine rest. All is here: where that one cannot be reached, it is said, and work goes on."""
    try:
        trip.connect()
        trip.leave()
    except Problem as problem:
        if trip.note["phase"] != "going":  # else there was nothing of value yet
            print(f"All is here again. The copy there was not stopped:\n{problem.what}\nTo finish: make remote-down")
            return
    trip.forget()

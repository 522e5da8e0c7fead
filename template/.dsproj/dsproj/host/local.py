"""The servers without Docker: processes of this user, in .local/. What speaks to them runs there, dsproj.local."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from dsproj import elsewhere
from dsproj import settings as env
from dsproj.errors import Problem
from dsproj.host import places, venv
from dsproj.host import variables as shared
from dsproj.host.engine import STORES, Engine, State, told
from dsproj.host.places import (
    LOGS,
    MARKER,
    POSTGRES,
    PYTHON,
    RUN,
    STATE,
    TOOLS,
    VENV,
    again,
    listed,
    process_names,
)
from dsproj.report import Report

DATA = ("postgres", "redis", "mongo", "jupyter", "logs", "run", "home", "postgres.new")
PID_FILE = RUN / "supervisord.pid"
KEPT_RUNNING = (*STORES, "this_jupyter")  # where packages come: the kernels hold a day's work
ROOM_TO_START = 64 << 20  # bytes: some segments of PostgreSQL's log, of 16 MiB each, and what Redis writes anew


class Local(Engine):
    name = "local"

    # --- life

    def check(self, fresh: bool = False) -> None:
        if os.name == "nt":
            cure = "on Windows: Docker Desktop and make up ENGINE=docker, or WSL"
            raise Problem("The local stack needs Linux or macOS", cure)
        places.check_folder()
        elsewhere.check(self.settings, env.PROJECT)
        if STATE.exists() and (owner := STATE.stat().st_uid) != os.geteuid():
            raise Problem(f".local/ belongs to uid {owner}, and this is uid {os.geteuid()}: run it as that user.")
        if not PYTHON.exists():
            venv.base_python()

    def start(self, *services: str, report: Report) -> None:
        self.check()
        places.ports(self.settings)
        with self._alone(report):
            venv.ensure(report)
            try:
                if (here := self.here(*services)) or not services:
                    self._inside("up", *here, report=report)
            finally:  # the very first start may have moved a port
                self.settings.update(env.read(env.PROJECT / ".env"))

    def stop(self, report: Report) -> None:
        stopped = False
        if PYTHON.exists() or PID_FILE.exists():
            with self._alone(report):
                if not PYTHON.exists():  # removed while servers run
                    venv.ensure(report)
                stopped = self._inside("down", report=report)
        if not stopped:
            report.done("stack", "nothing runs")

    def states(self) -> list[State]:
        if PYTHON.exists() and RUN.exists():
            return [State(**state) for state in self._inside("states")]
        return [State(places.service_of(name), name) for name in listed(self.settings)]

    counting = (
        "Each process has its limit for itself (RLIMIT_DATA), and more is refused to it; Redis, as data, three quarters of its limit.\n"
        if sys.platform == "linux"
        else "This system holds no process to a limit; only Redis, which has its own.\n"
    ) + "Used and peak are those of a service's largest process that runs now."

    def usage(self) -> list[State]:
        return [State(**found) for found in self._inside("usage")] if PYTHON.exists() and RUN.exists() else []

    def notes(self, states: list[State]) -> list[str]:
        lines = []
        if PYTHON.exists() and not any(state.running for state in states) and self._inside("leftovers"):
            lines.append(f"Servers run without supervisord, which must have been killed; this sets it right: {again()}")
        if self.settings.mongo:
            mongo = "this_mongo is SecantusDB, a young server with MongoDB's protocol"
            lines.append(f"{mongo}; MongoDB itself needs ENGINE=docker.")
        return lines

    def need(self, *services: str) -> None:
        running = self._running()
        if missing := [service for service in self.here(*services) if service not in running]:
            raise Problem(f"{', '.join(missing)}: not running", again())

    def logs(self, service: str) -> NoReturn:
        files = [LOGS / f"{name}.log" for name in process_names(self.settings, service)]
        there = [os.path.relpath(file, env.PROJECT) for file in files if file.exists()]
        if not there:
            raise Problem("There is no log yet; this starts the stack", again())
        if not self._running():
            subprocess.run(["tail", "-n", "100", *there], cwd=env.PROJECT)
            raise Problem("Nothing runs; these are the last lines of the logs", again())
        become(dict(os.environ), "tail", "-n", "100", "-F", *there)

    def scale(self, workers: int, report: Report) -> None:
        with self._alone(report):
            env.change({"WORKERS": workers})
            self.settings["WORKERS"] = str(workers)
            if not self._running():
                return report.done("workers", f"{workers}, from the next start on: {again()}")
            if self.settings.cluster:
                self._inside("renew", "this_dask", report=report)  # one process has them all
            self._inside("up", report=report)

    def install(self, report: Report, changed: bool) -> str:
        if not PYTHON.exists():
            return f"nothing runs yet, and it is installed by: {again()}"
        with self._alone(report):
            venv.ensure(report)
            running = self._running() if changed else []  # what is new can be imported at once
            for name in (
                name for each in running if each not in KEPT_RUNNING for name in process_names(self.settings, each)
            ):
                self._inside("renew", name, report=report)
                report.done(name, "restarted")
        return "those that run can import it" if self._running() else f"nothing runs yet: {again()}"

    def _running(self) -> list[str]:
        """The services that have a process; without asking how they are."""
        return self._inside("running") if PYTHON.exists() and RUN.exists() else []

    def _inside(self, command: str, *words: str, report: Report | None = None) -> Any:
        """Have the venv's Python do something, see local/commands.py; what it returned."""
        variables = {**shared.inherited(), "PYTHONPATH": str(env.ROOM)}
        if inside := os.environ.get(MARKER):  # a terminal of JupyterLab, which a stop would end
            variables[MARKER] = inside
        return told([str(PYTHON), "-m", "dsproj.local.commands", command, *words], variables, report or Report())

    @contextlib.contextmanager
    def _alone(self, report: Report) -> Iterator[None]:
        """Two terminals, one stack: the second command waits for the first. A full disk is said as such."""
        self.check()
        import fcntl  # which Windows has not

        try:
            places.make_folders()
            with open(RUN / "lock", "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    report.done("stack", "another command is starting or stopping it; waiting for that one")
                    fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise of_system(error) from None

    # --- services of the user's own

    def renew(self, service: str, report: Report) -> None:
        with self._alone(report):
            self._inside("renew", service, report=report)

    def withdraw(self, service: str) -> None:
        with self._alone(Report()):
            self._inside("withdraw", service)

    # --- data

    def holds(self) -> list[str]:
        return [f".local/{folder.name}, {_size(folder) / 1e6:,.1f} MB" for folder in _folders()]

    def built(self) -> list[str]:
        return [f".local/{path.name}" for path in (VENV, TOOLS) if path.exists()]

    def destroy(self, report: Report, built: bool) -> None:
        self.stop(report)
        for folder in [*_folders(), *((VENV, TOOLS) if built else ())]:
            shutil.rmtree(folder, ignore_errors=True)
        if left := [folder.name for folder in _folders()]:
            raise Problem(f"Could not be removed: {', '.join(left)} in .local/")

    def set_aside(self, major: str) -> None:
        self.stop(Report())
        kept = STATE / f"postgres-{major}"
        if kept.exists():
            raise Problem(f"{kept} is there already, from an earlier upgrade; move it away first")
        POSTGRES.rename(kept)

    def take_back(self, old: str, new: str) -> None:
        self.stop(Report())
        if (kept := STATE / f"postgres-{old}").exists():
            if POSTGRES.exists():
                POSTGRES.rename(STATE / f"postgres-failed-{time.time_ns()}")
            kept.rename(POSTGRES)

    def forget(self, major: str) -> str:
        return f"rm -r .local/postgres-{major}"

    # --- run something in the stack

    def command(self, service: str, *words: str, variables: Mapping[str, str] | None = None) -> list[str]:
        if not PYTHON.exists():
            raise Problem("The local stack is not installed yet", again())
        pairs = [f"{name}={value}" for name, value in (variables or {}).items()]
        held = service == "this_jupyter" and shutil.which("prlimit")  # where its kernels run, as large as those
        limit = ["prlimit", f"--data={places.data_limit(self.settings, service)[0]}:"] if held else []
        return [*limit, *(["env", *pairs] if pairs else []), *self.client(service, words)]

    def variables(self, service: str) -> dict[str, str]:
        return (shared.for_stores if service == "this_postgres" else shared.for_work)(self.settings)

    def replace(self, service: str, *words: str) -> NoReturn:
        variables = self.variables(service)
        if not shutil.which(words[0], path=variables["PATH"]):
            raise no_such(words[0])
        become(variables, *self.command(service, *words))

    def once(self, *words: str) -> list[str]:
        with self._alone(Report()):
            venv.ensure(Report())
        return list(words)


def become(variables: dict[str, str], *words: str) -> NoReturn:
    """Become a program, in the project's folder, with these variables."""
    os.chdir(env.PROJECT)
    sys.stdout.flush()
    try:
        os.execvpe(words[0], list(words), variables)
    except FileNotFoundError:
        raise no_such(words[0]) from None


def no_such(command: str) -> Problem:
    return Problem(f"{command}: there is no such command.")


def of_system(error: OSError) -> Problem:
    """What an error of the operating system means for the stack."""
    place = error.filename or STATE
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return full_disk(str(place))
    return Problem(f"{place}: {error.strerror or error}")


def full_disk(place: str) -> Problem:
    what = f"The disk is full: {place}; the servers need {ROOM_TO_START // 2**20} MB to start, and more for new data"
    return Problem(what, f"make room, then: {again()}")


def _folders() -> list[Path]:
    # An earlier major version's data too, which an upgrade keeps.
    found = [STATE / name for name in DATA] + sorted(STATE.glob("postgres-*"))
    return [folder for folder in found if folder.is_dir()]


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())

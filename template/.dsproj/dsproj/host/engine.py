"""What runs the servers, behind one interface: docker.py and local.py are the two there are, and nothing else knows that.

`chosen()` is the one that ENGINE names. "Run this in the stack" is `run`, `call` or `replace`.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from dsproj import elsewhere
from dsproj.errors import Problem
from dsproj.host import services
from dsproj.report import LINES, Report, relay
from dsproj.settings import PROJECT, Settings

SERVICES = ("this_postgres", "this_redis", "this_mongo", "this_worker", "this_monitor", "this_jupyter")
OF_DASK = ("this_scheduler", "this_dask")
STORES = ("this_postgres", "this_redis", "this_mongo")
CLIENTS = ("psql", "pg_dump", "pg_restore")  # programs of PostgreSQL's that speak to it
KEPT = 12  # last lines of a log that are shown


@dataclasses.dataclass
class State:
    """One process or container of a service. health: "healthy", or what is wrong in a few words ("stopped")."""

    service: str
    name: str
    pid: str = ""
    port: str = ""
    seconds: float | None = None  # since it started
    health: str = "stopped"
    running: bool = False
    reason: str = ""  # what an unhealthy one's check says
    used: int = 0  # bytes of memory, where `usage` was asked for; None: not known, or no limit
    limit: int | None = None
    peak: int | None = None


def present(settings: Settings) -> list[str]:
    """The project's services, without the user's own: of MongoDB and Dask those that this project has, of stores those here."""
    found = [name for name in SERVICES if name != "this_mongo" or settings.mongo]
    found = [name for name in found if name not in elsewhere.stores(settings)]
    return [*found, *(OF_DASK if settings.cluster else ())]


def memory_variable(service: str) -> str:
    """The variable of .env that says how much memory a service may have; "" for one that the user has defined in Compose."""
    if service in services.known():
        return "WORKER_MEMORY"
    return f"{service.removeprefix('this_').upper()}_MEMORY" if service in SERVICES + OF_DASK else ""


class Engine(ABC):
    """The project's servers, run in one of two ways."""

    name: str

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    @property
    def elsewhere(self) -> dict[str, elsewhere.Store]:
        """The stores that have no service here; what runs where they would, runs, and speaks to the server elsewhere."""
        return elsewhere.stores(self.settings)

    def here(self, *services: str) -> list[str]:
        """Those of the services that are."""
        return [name for name in services if name not in self.elsewhere]

    def client(self, service: str, words: Sequence[str]) -> list[str]:
        """A command line for `service`: of PostgreSQL elsewhere, its programs by TLS."""
        by_tls = service == "this_postgres" and service in self.elsewhere and words[0] in CLIENTS
        return [*(["python3", "-m", "dsproj.database.tls"] if by_tls else []), *words]

    # --- life

    @abstractmethod
    def check(self, fresh: bool = False) -> None:
        """Problem where this engine cannot be used: not installed, no answer, too old, another project's containers.

        fresh: the project was generated just now, so data that is there already is an earlier project's.
        """

    @abstractmethod
    def start(self, *services: str, report: Report) -> None:
        """Start some services, or all, and wait until they work. this_postgres alone is not waited for: the seed is."""

    @abstractmethod
    def stop(self, report: Report) -> None:
        """Stop everything; the data stays."""

    @abstractmethod
    def states(self) -> list[State]:
        """Every service, also those that do not run."""

    def notes(self, states: list[State]) -> list[str]:
        """What a person has to know beside the states, a line each."""
        return []

    @abstractmethod
    def usage(self) -> list[State]:
        """What runs, with its memory."""

    counting = ""  # how `usage` counts, and where a limit does not hold

    @abstractmethod
    def logs(self, service: str) -> NoReturn:
        """Follow the log of a service, of all for "": becomes the program that does."""

    @abstractmethod
    def scale(self, workers: int, report: Report) -> None:
        """Run that many workers, now and after the next start."""

    @abstractmethod
    def install(self, report: Report, changed: bool) -> str:
        """Install what the lock says, and restart what has to be; what to say of the kernels that run. They keep running.

        changed: packages that were there already have other versions now.
        """

    # --- services of the user's own, see services.py

    @abstractmethod
    def renew(self, service: str, report: Report) -> None:
        """Start a service of the user's own, anew where it runs; without waiting for it."""

    @abstractmethod
    def withdraw(self, service: str) -> None:
        """Stop such a service, and remove it."""

    def others(self) -> list[str]:
        """The names of services that this engine has beside."""
        return []

    # --- data

    @abstractmethod
    def holds(self) -> list[str]:
        """What `destroy` would remove, a line each; [] where there is nothing."""

    @abstractmethod
    def built(self) -> list[str]:
        """What was built to run the servers, a line each, and can be built again: images, an environment."""

    @abstractmethod
    def destroy(self, report: Report, built: bool) -> None:
        """Remove the servers with their data, and with `built` what they were built from."""

    @abstractmethod
    def set_aside(self, major: str) -> None:
        """Put PostgreSQL's data folder of a major version where the next server does not see it. Stops the server."""

    @abstractmethod
    def take_back(self, old: str, new: str) -> None:
        """Undo set_aside; what the new version has begun goes out of the way."""

    @abstractmethod
    def forget(self, major: str) -> str:
        """The command that removes what set_aside has kept."""

    # --- run something in the stack

    @abstractmethod
    def command(self, service: str, *words: str, variables: Mapping[str, str] | None = None) -> list[str]:
        """The command line that runs `words` where `service` runs, not at a terminal."""

    @abstractmethod
    def variables(self, service: str) -> dict[str, str]:
        """The environment in which `command` has to be started on this machine."""

    @abstractmethod
    def replace(self, service: str, *words: str) -> NoReturn:
        """Become a program that runs where `service` runs, at this terminal: psql, a shell."""

    @abstractmethod
    def once(self, *words: str) -> list[str]:
        """The command line that runs `words` where kernels run, whether the stack is up or not."""

    def is_inside(self) -> bool:
        """Does this process run where JupyterLab does, from which the engine cannot be asked?"""
        return False

    def need(self, *services: str) -> None:
        """Problem where one of these services does not run."""
        running = {state.service for state in self.states() if state.running}
        if missing := [name for name in self.here(*services) if name not in running]:
            raise Problem(f"{', '.join(missing)}: not running", "make up")

    def run(self, service: str, *words: str, variables: Mapping[str, str] | None = None, **streams: Any) -> str:
        """Run a program where `service` runs; what it printed, or a Problem with its complaint.

        streams: stdin or input, and stdout, as subprocess.run takes them.
        """
        command = self.command(service, *words, variables=variables)
        streams = {
            "stdout": subprocess.PIPE,
            **({} if "input" in streams else {"stdin": subprocess.DEVNULL}),
            **streams,
        }
        how: dict[str, Any] = {"cwd": PROJECT, "env": self.variables(service), "encoding": "utf-8", "errors": "replace"}
        done = subprocess.run(command, stderr=subprocess.PIPE, **how, **streams)
        if done.returncode:
            self.need(service)
            raise Problem(
                "\n".join(done.stderr.strip().splitlines()[-4:]) or f"{words[0]} ended with {done.returncode}"
            )
        return done.stdout or ""

    def call(self, service: str, module: str, *words: str, report: Report | None = None, **streams: Any) -> Any:
        """Run a module of this package where `service` runs; what it returns, or the Problem that it raised.

        The other side is report.serve. streams: stdin and stdout, as subprocess.Popen takes them.
        """
        command = self.command(service, "python3", "-m", module, *words, variables={LINES: "1"})
        try:
            return told(command, self.variables(service), report or Report(), **streams)
        except Problem as problem:
            if problem.log:  # the module itself has not said why
                self.need(service)
            raise


def told(command: list[str], variables: Mapping[str, str], report: Report, **streams: Any) -> Any:
    """Run a command that speaks in JSON lines on standard error; its result, or the Problem that it raised."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **streams}
    how: dict[str, Any] = {"cwd": PROJECT, "env": {**variables, LINES: "1"}, "encoding": "utf-8", "errors": "replace"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, **how, **streams) as process:
        result, problem, others = relay(process.stderr or (), report)
    if problem:
        raise problem
    if process.returncode:
        raise Problem(f"{' '.join(command[:4])} … ended with {process.returncode}", log=others)
    return result


def chosen(settings: Settings | None = None) -> Engine:
    """The engine that ENGINE names: in the calling shell, else in .env."""
    settings = settings or Settings()
    if settings.engine == "local":
        from dsproj.host.local import Local

        return Local(settings)
    from dsproj.host.docker import Docker

    return Docker(settings)


def free_of_lines() -> dict[str, str]:
    """This process's environment, for a program that shall speak to people."""
    return {name: value for name, value in os.environ.items() if name != LINES}

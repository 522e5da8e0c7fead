"""python -m dsproj.local.commands up [service …] | down | states | running: what host/local.py asks of the venv."""

import contextlib
import hashlib
import itertools
import os
import shutil
import time
from collections.abc import Callable
from typing import Any

import psutil

from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.host import places
from dsproj.host import services as own
from dsproj.host.local import ROOM_TO_START, full_disk, of_system
from dsproj.host.ports import move, port_is_free
from dsproj.local import health, postgres, processes, supervision
from dsproj.report import Report, Stopwatch, serve
from dsproj.settings import PROJECT, ROOM, Settings, addresses, read

PATIENCE = 180  # seconds until a service that has not become healthy is reported
SHORT_PATIENCE = 8  # the same for one that keeps ending


def up(report: Report, *services: str) -> None:
    """Start some services, or all of them, and wait until they are healthy; see Engine.start."""
    settings = Settings()
    names = [name for service in services or [""] for name in places.process_names(settings, service)]
    if (free := shutil.disk_usage(places.STATE).free) < ROOM_TO_START and not supervision.answers():
        raise full_disk(f"{places.STATE}, {free / 1e6:.0f} MB free")
    postgres.check()
    while True:
        ran = ensure_supervisord(settings, report)
        # A restart for one service leaves none stopped.
        for name in (ran - set(names)) & set(places.process_names(settings)):
            supervision.start(name)
        if not services:
            stop_surplus_workers(settings, report)
        try:
            return bring_up(names, settings, report, empty=bool(services))
        except Problem:
            if not settle_ports(settings, report):  # else another program took a port on the way
                raise


def down(report: Report) -> bool:
    """Stop everything; False where nothing ran."""
    not_from_inside()
    known = processes.leftovers()  # what a job started may not be recognized later, without the worker above it
    stopped = supervision.stop_all(report)
    processes.end_leftovers(report, known)
    return stopped


def renew(report: Report, name: str) -> None:
    """Start a service of the user's own, anew where it runs."""
    supervision.configure_again()
    supervision.stop(name)
    (places.RUN / f"{name}.json").unlink(missing_ok=True)  # what it has noted of itself
    supervision.start(name)


def withdraw(report: Report, name: str) -> None:
    """Stop a service of the user's own."""
    supervision.stop(name)


def running(report: Report) -> list[str]:
    """The services that have a process."""
    return sorted({places.service_of(name) for name, process in supervision.processes().items() if process["pid"]})


def leftovers(report: Report) -> int:
    """How many processes of this stack there are that a killed supervisord has left."""
    return 0 if supervision.answers() else len(processes.leftovers())


def states(report: Report) -> list[dict[str, Any]]:
    """The fields of engine.State for every process."""
    settings = Settings()
    os.environ.update(addresses(settings))
    known = supervision.processes()
    return [state(name, settings, known.get(name)) for name in places.listed(settings, known)]


def state(name: str, settings: Settings, process: health.Process | None) -> dict[str, Any]:
    found: dict[str, Any] = {"service": (service := places.service_of(name)), "name": name}
    if process is None:
        return found
    reason = health.wrong(name, settings, process)
    found |= {"health": "unhealthy" if reason else "healthy", "reason": reason or ""}
    if process["pid"]:
        found |= {"pid": str(process["pid"]), "seconds": process["now"] - process["start"], "running": True}
    if service in places.PORTS:
        found["port"] = str(settings.port(places.PORTS[service]))
    return found


def usage(report: Report) -> list[dict[str, Any]]:
    """The fields of engine.State for every process that runs."""
    settings = Settings()
    found = []
    for name, process in supervision.processes().items():
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile, or not started
            found += [processes.memory(settings, name, process["pid"])] if process["pid"] else []
    return found


def bring_up(names: list[str], settings: Settings, report: Report, empty: bool) -> None:
    """Start processes and wait until they are healthy; with `empty`, an answer of this_postgres will do."""
    known = supervision.processes()
    stopped = [name for name in names if not health.is_alive(known.get(name))]
    for name in stopped:
        if name in known:  # waiting for its next try
            supervision.stop(name)
        supervision.start(name)
    os.environ.update(addresses(settings))
    watch, waiting = Stopwatch(), [name for name in names if name not in own.known()]  # those are for services.wait
    while waiting:
        known = supervision.processes()
        for name in list(waiting):
            reason = health.wrong(name, settings, known.get(name), empty)
            if reason is None:
                waiting.remove(name)
                if not empty or name != "this_postgres":  # which is said when all are up
                    report.done(name.removesuffix("_1"), "healthy", watch.seconds)
            elif watch.seconds > (PATIENCE if health.is_alive(known.get(name)) else SHORT_PATIENCE):
                raise failure(name, reason)
        if waiting:
            report.doing("waiting for " + " ".join(waiting))
            time.sleep(0.1)


def failure(name: str, reason: str) -> Problem:
    """What a person needs to see of a process that is not healthy: the end of its log, repetitions once."""
    log = places.LOGS / f"{name}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:] if log.exists() else []
    if shutil.disk_usage(places.STATE).free < ROOM_TO_START:
        reason = "the disk is full"
    what = f"{name} is not healthy: {reason}. The end of .local/logs/{name}.log:"
    return Problem(what, places.again(), [line[:200] for line, _ in itertools.groupby(lines)])


def stop_surplus_workers(settings: Settings, report: Report) -> None:
    for name in sorted(supervision.processes().keys() - places.process_names(settings)):
        if name.startswith("this_worker_"):
            supervision.stop(name)
            report.done(name, "stopped")


def ensure_supervisord(settings: Settings, report: Report) -> set[str]:
    """Have a supervisord that runs with the present settings; ends what a killed one has left.

    Returns the names of processes that ran, and were stopped for other settings.
    """
    ran = set[str]()
    noted = places.RUN / "fingerprint"
    if not supervision.answers():
        processes.end_leftovers(report)
    settle_ports(settings, report)
    if supervision.answers():
        if noted.exists() and noted.read_text() == fingerprint():
            supervision.configure_again()
            return ran
        not_from_inside()
        report.done("settings", "changed since the start; restarting")
        ran = {name for name, process in supervision.processes().items() if process["pid"]}
        supervision.stop_all(Report())
        settle_ports(settings, report)
    supervision.start_supervisord()
    replace_text(noted, fingerprint())
    return ran


def not_from_inside() -> None:
    """A restart ends JupyterLab's terminals, and this command with them."""
    if os.environ.get(places.MARKER) == places.marker():
        raise Problem("This would stop JupyterLab, in whose terminal it runs: use a terminal outside.")


def fingerprint() -> str:
    """Changes when running servers should be restarted: with the settings, the folder's place or these files."""
    folders = (PROJECT / "local").glob("*"), ROOM.rglob("*.py"), (ROOM / "jupyter").rglob("*.json")
    files = {PROJECT / "config" / "jupyter.env", places.STAMP, *itertools.chain(*folders)}
    values = {name: value for name, value in read(PROJECT / ".env").items() if name != "WORKERS"}
    digest = hashlib.sha256(f"{PROJECT}\n{places.marker()}\n{values}\n".encode())
    for file in sorted(file for file in files if file.is_file()):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def settle_ports(settings: Settings, report: Report) -> dict[str, int]:
    """Whoever comes second to a port gives way: what finds its port taken gets the next free one; {variable: port}."""
    known = supervision.processes()
    idle = [name for name in places.process_names(settings) if not health.is_steady(known.get(name))]
    wanted = {name: settings.port(places.PORTS[name]) for name in idle if name in places.PORTS}
    taken = [name for name, port in wanted.items() if not port_is_free(port) and not processes.may_listen(port, name)]
    busy = [places.PORTS[name] for name in taken]
    if busy and settings.is_for_once:  # .env is the other engine's, whose servers may be what listens there
        listed = ", ".join(f"{places.PORTS[name]}={wanted[name]}" for name in taken)
        cure = f"make down, or other ports in .env; then: {places.again()}"
        raise Problem(f"Taken by the other engine's servers, or by another program: {listed}", cure)
    return move(busy, settings, report)


def main(report: Report, command: str, *words: str) -> Any:
    """What the command returns. Raises Problem, for whatever goes wrong."""
    try:
        commands: tuple[Callable[..., Any], ...] = (up, down, renew, withdraw, running, leftovers, states, usage)
        return {each.__name__: each for each in commands}[command](report, *words)
    except supervision.REFUSALS as error:
        what = f"supervisord answers with an error ({error}); start afresh"
        raise Problem(what, places.again().replace("up", "down up")) from None
    except OSError as error:
        raise of_system(error) from None


if __name__ == "__main__":
    serve(main)

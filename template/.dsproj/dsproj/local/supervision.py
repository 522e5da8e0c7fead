"""supervisord: start it, ask it, stop it. Spoken to over its socket in .local/run."""

import contextlib
import http.client
import os
import socket
import subprocess
import tempfile
import time
import xmlrpc.client
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.host import services
from dsproj.host.engine import OF_DASK, STORES
from dsproj.host.places import MARKER, PYTHON, RUN, marker
from dsproj.host.variables import inherited
from dsproj.report import Report
from dsproj.settings import PROJECT, Settings

SOCKET = "supervisor.sock"
GUARD = "guard"  # no service: see guard.py
CONFIGURATION = RUN / "supervisord.conf"
REFUSALS = (http.client.HTTPException, xmlrpc.client.Error)

# A service of Dask or of the user's own, after those of local/supervisord.conf.
PROGRAM = """
[program:{name}]
command = ../venv/bin/python -m dsproj.local.service %(program_name)s
autostart = false
autorestart = true
startretries = 20
priority = 40
stopwaitsecs = 60
redirect_stderr = true
stdout_logfile = ../logs/%(program_name)s.log
stdout_logfile_maxbytes = 5MB
stdout_logfile_backups = 2
"""


def ask(method: str, *words: Any, timeout: float = 10) -> Any:
    """A call of supervisord's own interface, such as ask("startProcess", name): a request over the socket."""
    socket.setdefaulttimeout(timeout)  # supervisor's transport knows no other
    with contextlib.chdir(RUN):  # so that a long path to the project does no harm
        transport = SupervisorTransport(serverurl=f"unix://{SOCKET}")
        with xmlrpc.client.ServerProxy("http://localhost", transport) as server:
            return getattr(server.supervisor, method)(*words)


def answers() -> bool:
    """Does this project's supervisord run?"""
    try:
        return bool(ask("getState", timeout=3)["statename"] == "RUNNING")
    except (OSError, *REFUSALS):
        return False


def processes() -> dict[str, dict[str, Any]]:
    """What supervisord says of each process that is or was meant to run, by process name; {} when it does not run."""
    try:
        known = ask("getAllProcessInfo")
    except (OSError, *REFUSALS):
        return {}
    used = (entry for entry in known if entry["start"] and entry["statename"] != "STOPPED")
    return {entry["name"]: entry for entry in used if entry["name"] != GUARD}


def configure() -> bool:
    """Write what supervisord reads: local/supervisord.conf, and the services of the user's own. Was it another before?"""
    dask = OF_DASK if Settings().cluster else ()
    programs = [PROGRAM.format(name=name) for name in [*dask, *services.known()]]
    text = "".join([(PROJECT / "local" / "supervisord.conf").read_text(encoding="utf-8"), *programs])
    if CONFIGURATION.exists() and CONFIGURATION.read_text(encoding="utf-8") == text:
        return False
    replace_text(CONFIGURATION, text)
    return True


def configure_again() -> None:
    """Have the supervisord that runs know the services of the user's own as they are listed now; all else runs on."""
    if configure():
        ((added, changed, removed),) = ask("reloadConfig")
        for name in [*changed, *removed]:
            stop(name)
            ask("removeProcessGroup", name)
        for name in [*added, *changed]:
            ask("addProcessGroup", name)


def start_supervisord() -> None:
    """Start it as a daemon and wait until it answers."""
    configure()
    (RUN / SOCKET).unlink(missing_ok=True)
    # By a short path to .local/run: that of a socket may have 104 bytes at most.
    place = None if len(tempfile.gettempdir()) < 50 else "/tmp"
    with tempfile.TemporaryDirectory(prefix="dsproj-", dir=place) as short:
        os.symlink(RUN, f"{short}/run")
        variables = inherited() | {MARKER: marker(), "DSPROJ_SERVICE": "supervisord", "DSPROJ_RUN": f"{short}/run"}
        # For service.py. Relative to .local/run, as all in supervisord.conf: the project may be moved meanwhile.
        variables["PYTHONPATH"] = "../../.dsproj"
        command = [str(PYTHON), "-m", "supervisor.supervisord", "--configuration", CONFIGURATION.name]
        done = subprocess.run(command, cwd=RUN, env=variables, capture_output=True, text=True, start_new_session=True)
        if done.returncode == 0:
            for _ in range(100):
                if answers():
                    return
                time.sleep(0.05)
    said = (done.stderr or done.stdout).strip().splitlines()[-3:]
    raise Problem("supervisord does not start (.local/logs/supervisord.log)", log=said)


def full_name(name: str) -> str:
    """The workers are a group of processes under one name."""
    return f"this_worker:{name}" if name.startswith("this_worker") else name


def start(name: str) -> None:
    """Start a process unless it runs."""
    with contextlib.suppress(xmlrpc.client.Fault):  # it has been started meanwhile
        ask("startProcess", full_name(name), False)


def stop(name: str, wait: bool = True) -> None:
    """Stop a process as its kind likes to be stopped; with `wait`, return when it has ended."""
    with contextlib.suppress(xmlrpc.client.Fault):  # it has ended meanwhile
        ask("stopProcess", full_name(name), wait, timeout=90)


def stop_all(report: Report, patience: float = 120) -> bool:
    """Stop all processes, the ones that use the stores first, then supervisord; False where it did not run."""
    if not answers():
        return False
    stop(GUARD)
    for stores in (False, True):
        waiting = {name for name in processes() if name.startswith(STORES) == stores}
        for name in waiting:
            stop(name, wait=False)
        deadline = time.monotonic() + patience
        while waiting:
            ended = waiting - processes().keys()
            for name in sorted(ended):
                report.done(name.removesuffix("_1"), "stopped")
            waiting -= ended
            if time.monotonic() > deadline:
                raise Problem(f"{', '.join(sorted(waiting))} still runs after {patience} s", "make down")
            time.sleep(0.1)
    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        supervisord = psutil.Process(ask("getPID"))
        ask("shutdown")
        supervisord.wait(patience)
    (RUN / SOCKET).unlink(missing_ok=True)
    return True

"""Find and end processes that killed parents left behind."""

# Every process of the stack carries the folder's marker in its environment. PostgreSQL's children overwrite theirs with
# their title; those are known by their working folder. So nothing but this stack's processes is ever touched.

import contextlib
import os
import re
import signal
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from dsproj.host import places
from dsproj.host.engine import STORES
from dsproj.host.places import MARKER, POSTGRES, marker
from dsproj.report import Report
from dsproj.settings import Settings


def leftovers() -> dict[psutil.Process, str]:
    """{process: name of its service} of this stack, without this process and its ancestors."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    stack, found = marker(), {}
    for process in psutil.process_iter():
        if process.pid in mine:
            continue
        with contextlib.suppress(psutil.Error, OSError):  # gone meanwhile, or somebody else's
            variables = process.environ()
            if variables.get(MARKER) == stack:
                found[process] = variables.get("DSPROJ_SERVICE", "?")
            elif process.cwd() == str(POSTGRES) and POSTGRES.exists():
                found[process] = "this_postgres"
    # In a container root may not look into the processes of others, but the server has noted its own in its folder.
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        pid, folder, start = (POSTGRES / "postmaster.pid").read_text().splitlines()[:3]
        server = psutil.Process(int(pid))
        is_it = server.name() == "postgres" and server.create_time() < int(start) + 2  # else another has its number now
        if is_it and folder == str(POSTGRES):  # else this is a copy's note of the original's
            found[server] = "this_postgres"
    for process, owner in list(found.items()):
        with contextlib.suppress(psutil.Error):  # what a job started may have an environment of its own
            found |= {child: owner for child in process.children(recursive=True) if child.pid not in mine} | found
    return found


def memory(settings: Settings, name: str, pid: int) -> dict[str, Any]:
    """The fields of engine.State: of the largest of a service's process, its children and theirs; a limit is each one's."""
    used, peaks, service = [0], [0], places.service_of(name)
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with contextlib.suppress(psutil.Error):  # gone meanwhile
            used.append(process.memory_info().rss)
            peaks += _numbers(process.pid, "status", r"VmHWM:\s+(\d+)")
    is_redis = service == "this_redis"
    limits = [places.memory(settings, service)] if is_redis else _numbers(pid, "limits", r"Max data size\s+(\d+)")
    sizes = {"used": max(used), "limit": next(iter(limits), None), "peak": max(peaks) << 10 or None}
    return {"service": service, "name": name, **sizes}


def _numbers(pid: int, name: str, pattern: str) -> list[int]:
    """Numbers in what Linux says of a process, also of another user's."""
    with contextlib.suppress(OSError):
        return list(map(int, re.findall(pattern, Path(f"/proc/{pid}/{name}").read_text())))
    return []


def may_listen(port: int, name: str) -> bool:
    """Does a process of this stack, a killed parent's child perhaps, listen on a port, or may that one not be asked?"""
    for process, owner in leftovers().items():
        try:
            if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in process.net_connections()):
                return True
        except psutil.AccessDenied:  # nobody's database, in a container without privileges
            if owner == name:
                return True
        except psutil.Error:  # gone meanwhile
            continue
    return False


def end(processes: Collection[psutil.Process], patience: float = 60) -> None:
    """Ask them to end as each likes it, and make them after `patience` seconds."""
    ids = {process.pid for process in processes}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            # A child is its parent's: a worker waits for its job, a database for its own children.
            if process.ppid() not in ids:
                process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def end_leftovers(report: Report, known: Mapping[psutil.Process, str] = MappingProxyType({})) -> None:
    """End whatever is left of this stack, supervisord included, and of these; what uses the stores goes before them."""
    if left := {process: owner for process, owner in known.items() if process.is_running()} | leftovers():
        report.done("stack", f"ending {len(left)} processes that were left behind; a job may take up to a minute")
        end([process for process, owner in left.items() if owner not in STORES])
        end([process for process, owner in left.items() if owner in STORES])

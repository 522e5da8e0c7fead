"""Find and end processes that killed parents left behind. Run with the environment's Python, which has psutil.

    python local/processes.py       ends whatever is left of this stack, supervisord included

Every process of the stack carries the folder's marker in its environment. PostgreSQL's children overwrite theirs with
their title; those are known by their working folder. So nothing but this stack's processes is ever touched.
"""

import os
import signal

import psutil
from paths import POSTGRES, marker

STORES = ("this_postgres", "this_redis", "this_mongo")  # what the other services use, and so the last to end


def leftovers():
    """{process: name of its service} of this stack, without this process and its ancestors."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    stack, found = marker(), {}
    for process in psutil.process_iter():
        if process.pid in mine:
            continue
        try:
            owner = owner_of(process, stack)
        except (psutil.Error, OSError):  # gone meanwhile, or somebody else's
            continue
        if owner:
            found[process] = owner
    return found


def owner_of(process, stack):
    """The name of the service that a process belongs to; None where it is none of this stack."""
    environment = process.environ()
    if environment.get("DSPROJ_STACK") == stack:
        return environment.get("DSPROJ_SERVICE", "?")
    folder = process.cwd()
    if POSTGRES.exists() and folder == str(POSTGRES):
        return "this_postgres"
    return None


def end(processes, patience=60):
    """Ask them to end as each likes it, and make them after `patience` seconds.

    Only those whose parent is not among them are asked: a worker waits for its job, a database for its own children.
    """
    ids = {process.pid for process in processes}
    for process in processes:
        try:
            if process.ppid() not in ids:
                process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for process in alive:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(alive, timeout=5)


if __name__ == "__main__":
    if left := leftovers():
        print(f"ending {len(left)} processes that were left behind; a job may take up to a minute", flush=True)
        end([process for process, owner in left.items() if owner not in STORES])
        end([process for process, owner in left.items() if owner in STORES])

"""The processes that a job starts end with it."""

# Linux hands a process whose parent has died to the nearest ancestor that asks for such: here, the worker. So what a job
# leaves behind is in the end a child of the worker, even where it went to a session of its own.

import contextlib
import ctypes
import os
import signal
from pathlib import Path

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h


def adopt() -> None:
    """Be the one to whom orphans come, on Linux."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    file = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(map(int, file.read_text().split())) if file.exists() else set()


def end(kept: set[int]) -> None:
    """End all children but these; theirs come here when they go, and end too."""
    while left := children() - kept:
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

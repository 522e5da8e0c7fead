"""How much memory a process may have, and had."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsproj.kernel import stories

MB = 2**20
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes

# What a container knows of itself, by version 2 or 1 of control groups.
LIMITS = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
EVENTS = Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control")


def peak(function: Callable[..., Any], *args: Any, **kwargs: Any) -> int:
    """Call a function, and return how many bytes of memory (resident, RSS; 1 MB is 2**20) it had at its highest.

    It runs in a forked child, so its result and what it changes are gone. The child begins as a copy of this process: what
    is loaded here counts; for the call alone, subtract `peak(int)`. Raises MemoryError when it is killed, for its memory
    say, and RuntimeError with its traceback when it fails.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    killed_before = kills()
    if not (child := os.fork()):
        code = 1
        try:
            function(*args, **kwargs)
            code = 0
        except BaseException as error:
            os.write(writing, stories.of_error(error)[-50_000:].encode(errors="replace"))  # less than a pipe holds
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading, encoding="utf-8", errors="replace") as pipe:
        story = pipe.read()
    _, status, usage = os.wait4(child, 0)
    if os.WIFSIGNALED(status):
        raise MemoryError(of_death(status, usage.ru_maxrss, kills() > killed_before))
    if status:
        raise RuntimeError(f"{stories.in_short(story)}\n\n{story}")
    return usage.ru_maxrss * UNIT


def of_death(status: int, maxrss: int, of_memory: bool) -> str:
    """What is said of a process that a signal ended: limit, peak and cure, where it was its memory."""
    variable = "WORKER_MEMORY" if "RQ_WORKER_ID" in os.environ else "JUPYTER_MEMORY"
    what = f"by signal {os.WTERMSIG(status)}; its peak was {maxrss * UNIT / MB:,.0f} MB of memory"
    if of_memory:
        what = f"for its memory, {what}, and all of this service may have {limit() / MB:,.0f} MB"
        return f"Killed {what}: set {variable} in .env higher, then: make up. Or let it work on less at a time."
    return f"Killed {what}. Where nobody killed it, memory ran out: see {variable} in .env."


def limit() -> float:
    """How many bytes this service may have; infinity where nothing but the machine limits it."""
    texts = [file.read_text().strip() for file in LIMITS if file.exists()]
    return min([int(text) for text in texts if text.isdigit()], default=float("inf"))


def kills() -> int:
    """How many processes of this service have been killed for their memory."""
    lines = [line.split() for file in EVENTS if file.exists() for line in file.read_text().splitlines()]
    return sum(int(number) for name, number in lines if name == "oom_kill")

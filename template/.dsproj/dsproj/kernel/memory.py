"""How much memory a process may have, and had."""

import os
import resource
import signal
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
    is loaded here counts; for the call alone, subtract `peak(int)`. Of OpenMP's threads it has one. Raises MemoryError when
    it is killed, for its memory say, and RuntimeError with its traceback when it fails.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    killed_before = kills()
    if not (child := os.fork()):
        code = 1
        try:
            _use_one_thread()
            function(*args, **kwargs)
            code = 0
        except BaseException as error:
            code = 2 if isinstance(error, MemoryError) else 1
            os.write(writing, stories.of_error(error)[-50_000:].encode(errors="replace"))  # less than a pipe holds
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading, encoding="utf-8", errors="replace") as pipe:
        story = pipe.read()
    _, status, usage = os.wait4(child, 0)
    if os.WIFSIGNALED(status):
        raise MemoryError(of_death(status, usage.ru_maxrss, kills() > killed_before))
    if os.waitstatus_to_exitcode(status) == 2:
        raise MemoryError(f"{stories.in_short(story)}\n{cure()}")
    if status:
        raise RuntimeError(f"{stories.in_short(story)}\n\n{story}")
    return usage.ru_maxrss * UNIT


def _use_one_thread() -> None:
    """OpenMP's threads are not copied with a process: where the parent had used some, scikit-learn would wait for them."""
    if "sklearn" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(1, user_api="openmp")


def of_death(status: int, maxrss: int, of_memory: bool, peak_was: str = "its peak was") -> str:
    """What is said of a process that a signal ended: limit, peak and cure, where it was its memory."""
    number = os.WTERMSIG(status)
    what = f"by signal {number} ({signal.strsignal(number)}); {peak_was} {maxrss * UNIT / MB:,.0f} MB of memory"
    if of_memory:
        return f"Killed for its memory, {what}. {cure()}"
    guess = f" Where nobody killed it, memory ran out: see {variable()} in .env." if number == signal.SIGKILL else ""
    return f"Killed {what}.{guess}"


def of_kernel(code: int | None, of_memory: bool) -> str:
    """What is said of a kernel that has ended with such a code (of subprocess.Popen), called from who started it."""
    if code is None or code >= 0:
        return "Why is not known." if code is None else f"It ended itself, with exit code {code}."
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # of all that this process has started
    return of_death(-code, largest, of_memory, "its peak was at most")


def cure() -> str:
    """The limit, and what to do where it is too low."""
    most, whose = limit(), "All" if container_limit() == limit() else "A process"
    where = f"set {variable()} in .env higher, then: make up. Or let it work on less at a time."
    return f"{whose} of this service may have {most / MB:,.0f} MB: {where}"


def variable() -> str:
    """The variable of .env that limits this service."""
    return "WORKER_MEMORY" if "RQ_WORKER_ID" in os.environ else "JUPYTER_MEMORY"


def limit() -> int:
    """How many bytes of memory there are: as *_MEMORY in .env says for this service, or all that the machine has."""
    own, _ = resource.getrlimit(resource.RLIMIT_DATA)  # this process's, on the local stack
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(min(container_limit(), own if own != resource.RLIM_INFINITY else machine, machine))


def container_limit() -> float:
    """How many bytes this container may have; infinity outside of one."""
    texts = [file.read_text().strip() for file in LIMITS if file.exists()]
    return min([int(text) for text in texts if text.isdigit()], default=float("inf"))


def kills() -> int:
    """How many processes of this service have been killed for their memory."""
    lines = [line.split() for file in EVENTS if file.exists() for line in file.read_text().splitlines()]
    return sum(int(number) for name, number in lines if name == "oom_kill")

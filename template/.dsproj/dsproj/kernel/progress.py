"""How far a job or a cell is, noted in Redis: another notebook watches it."""

import contextlib
import os
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsIndex

import redis
from rq import get_current_job
from rq.job import Job
from tqdm import tqdm

from dsproj.kernel.bar import bar as new_bar
from dsproj.kernel.redis_client import connect_to_redis

PREFIX = "dsproj:progress:"
KEPT = 24 * 3600  # seconds
OFTEN = 0.2  # seconds from one note to the next, and from one look to the next
SILENT = 30  # seconds without a note after which that is said


class Progress:
    """Iterate over it, or say `update(n)`; used with `with`, it notes an error too. `key` is what `watch` asks for."""

    def __init__(self, total: SupportsIndex | Iterable[Any], key: str | None) -> None:
        items = range(total) if isinstance(total, SupportsIndex) else total
        self.items = items if isinstance(items, Collection) else list(items)
        job = get_current_job()
        notebook = Path(os.environ.get("JPY_SESSION_NAME", "")).stem
        self.key = key or (job.id if job else notebook or "progress")
        self.n, self.total, self.noted = 0, len(self.items), 0.0
        self.start = time.time()
        self.bar = None if job else new_bar(self.total, desc=f"{self.key}: ", unit="item")
        self._note("running")

    def update(self, n: int = 1) -> None:
        """So much more is done."""
        self.n += n
        if self.bar is not None:
            self.bar.update(n)
        if self.n >= self.total:
            self.close()
        elif time.time() - self.noted > OFTEN:
            self._note("running")

    def close(self, state: str = "done") -> None:
        self._note(state)
        if self.bar is not None:
            self.bar.close()

    def _note(self, state: str) -> None:
        self.noted = time.time()
        fields: dict[Any, Any] = {
            "n": self.n,
            "total": self.total,
            "start": self.start,
            "noted": self.noted,
            "state": state,
        }
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):  # the work goes on, unseen
            with connect_to_redis().pipeline() as pipeline:
                pipeline.hset(PREFIX + self.key, mapping=fields)
                pipeline.expire(PREFIX + self.key, KEPT)
                pipeline.execute()

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self.items:
                yield item
                self.update()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if self.n < self.total:
            self.close("done" if kind is None else "stopped" if kind is GeneratorExit else "failed")


def progress(total: SupportsIndex | Iterable[Any], key: str | None = None) -> Progress:
    """Count to `total`, a number or a list, where other notebooks can `watch(key)` it.

        for number in progress(1000): …                            with progress(rows) as done: … done.update(50)

    The key is the job's id in a job, in JupyterLab the notebook's name without .ipynb, or what you choose.
    """
    return Progress(total, key)


def watch(key: str | Job) -> None:
    """Show how far the `progress` of that key (or job) is, until it has ended; interrupting it ends only the watching."""
    name = key.id if isinstance(key, Job) else key
    client = connect_to_redis()
    if not client.exists(PREFIX + name):
        known = sorted(each.decode().removeprefix(PREFIX) for each in client.scan_iter(PREFIX + "*"))
        print(f"Nothing notes its progress as {name!r}; there is: {', '.join(known) or 'nothing at all'}")
        return
    with contextlib.suppress(KeyboardInterrupt), new_bar(0, desc=f"{name}: ", unit="item") as bar:
        while _look(client, name, bar):
            time.sleep(OFTEN)


def _look(client: redis.Redis, name: str, bar: tqdm) -> bool:
    """Show what is noted now; False where it is the last."""
    names = "n", "total", "start", "noted", "state"
    n, total, start, noted, state = (value and value.decode() for value in client.hmget(PREFIX + name, names))
    if state is None:  # forgotten
        return False
    bar.n, bar.total, bar.start_t, bar.last_print_t = int(n), int(total), float(start), time.time()
    if state == "running" and client.hget(Job.key_for(name), "status") in (b"failed", b"stopped", b"canceled"):
        state = "failed"
    silent = time.time() - float(noted)
    quiet = f"no news for {silent:.0f} s" if silent > SILENT and state == "running" else ""
    bar.set_postfix_str(state if state in ("failed", "stopped") else quiet)
    return state == "running"

"""How far a job or a cell is, noted in Redis: another notebook watches it."""

import contextlib
import os
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, SupportsIndex

import redis
from rq import get_current_job
from rq.job import Job
from tqdm import tqdm

from dsproj.kernel.bar import bar as new_bar
from dsproj.kernel.redis_client import connect_to_redis

PREFIX = "dsproj:progress:"
NAMES = "n", "total", "start", "noted", "state"
KEPT = 24 * 3600  # seconds
OFTEN = 0.2  # seconds from one note to the next, and from one look to the next
SILENT = 30  # seconds without a note after which that is said


class Progress:
    """Count to `total`, a number or a list, where other notebooks can `watch(key)` it.

        for number in progress(1000): …                          done = progress(len(rows)); …; done.update(50)

    The key is the job's id in a job, in JupyterLab the notebook's name without .ipynb, or what you choose.
    """

    def __init__(self, total: SupportsIndex | Iterable[Any], key: str | None = None) -> None:
        items = range(total) if isinstance(total, SupportsIndex) else total
        self.items = items if isinstance(items, Collection) else list(items)
        job, notebook = get_current_job(), Path(os.environ.get("JPY_SESSION_NAME", "")).stem
        self.key = key or (job.id if job else notebook or "progress")
        self.n, self.total, self.noted, self.start = 0, len(self.items), 0.0, time.time()
        # A job has nobody who looks.
        self.bar = new_bar(self.total, desc=f"{self.key}: ", unit="item", disable=bool(job))
        self._note("running" if self.total else "done")

    def update(self, n: int = 1) -> None:
        """So much more is done."""
        self.n += n
        self.bar.update(n)
        if self.n >= self.total:
            self.close("done")
        elif time.time() - self.noted > OFTEN:
            self._note("running")

    def close(self, state: str = "stopped") -> None:
        self._note(state)
        self.bar.close()

    def __iter__(self) -> Iterator[Any]:
        try:
            for item in self.items:
                yield item
                self.update()
        finally:
            if self.n < self.total:
                self.close()

    def _note(self, state: str) -> None:
        self.noted = time.time()
        values: Any = (self.n, self.total, self.start, self.noted, state)
        # Where Redis is away, the work goes on unseen.
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError), connect_to_redis().pipeline() as pipeline:
            pipeline.hset(PREFIX + self.key, mapping=dict(zip(NAMES, values, strict=True)))
            pipeline.expire(PREFIX + self.key, KEPT).execute()


progress = Progress


def watch(key: str | Job) -> None:
    """Show how far the `progress` of that key (or job) is, until it has ended; interrupting it ends only the watching."""
    name, client = key.id if isinstance(key, Job) else key, connect_to_redis()
    if not client.exists(PREFIX + name):
        known = sorted(each.decode().removeprefix(PREFIX) for each in client.scan_iter(PREFIX + "*"))
        some = ", ".join(known[:5]) + (", …" if known[5:] else "")
        print(f"Nothing notes its progress as {name!r}; there is: {some or 'nothing at all'}")
        return
    with contextlib.suppress(KeyboardInterrupt), new_bar(0, desc=f"{name}: ", unit="item") as bar:
        while _look(client, name, bar):
            time.sleep(OFTEN)


def _look(client: redis.Redis, name: str, bar: tqdm) -> bool:
    """Show what is noted now; False where it is the last."""
    n, total, start, noted, state = (value.decode() for value in client.hmget(PREFIX + name, NAMES))
    bar.n, bar.total, bar.start_t, bar.last_print_t = int(n), int(total), float(start), time.time()
    if client.hget(Job.key_for(name), "status") in (b"failed", b"stopped", b"canceled"):
        state = "failed"
    silent = time.time() - float(noted)
    quiet = f"no news for {silent:.0f} s" if silent > SILENT else ""
    bar.set_postfix_str({"running": quiet, "done": ""}.get(state, state))
    return state == "running"

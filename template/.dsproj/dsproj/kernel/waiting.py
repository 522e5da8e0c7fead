"""Wait for jobs, with a bar."""

import contextlib
import itertools
import json
import time
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeAlias

import redis
from rq import Queue, Worker
from rq.exceptions import DeserializationError
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job, JobStatus
from rq.results import Result

from dsproj.kernel import stories
from dsproj.kernel.allowed import EACH
from dsproj.kernel.bar import bar as new_bar
from dsproj.kernel.serializer import Serializer

NO_WORKER_AFTER = 30  # seconds without any worker before wait() gives up; a restart takes less
NO_REDIS_AFTER = 60  # seconds that wait() rides out a Redis that is away
LOST_AFTER = 20  # seconds without news before wait() looks for jobs that nobody will do any more

ENDED = {JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED}
LOST = "lost"

State: TypeAlias = JobStatus | str | None  # None: Redis does not know the job


class JobsFailed(RuntimeError):
    """Some jobs failed for good; the message tells of the first. ids: of those jobs; failures: {item: traceback}, where a
    job has no items {id: traceback}; results: as `wait` returns them, with None for a failure."""

    def __init__(self, ids: list[str], message: str, failures: dict[Hashable, str], results: list[Any]) -> None:
        super().__init__(message)
        self.ids, self.failures, self.results = ids, failures, results

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message, without the frames that led to it."""
        return f"{type(self).__name__}: {self}".splitlines()


class NoWorker(RuntimeError):
    """Jobs are waiting and nobody is there to do them."""


def wait(jobs: Iterable[Job], timeout: float | None = None) -> list[Any]:
    """Wait for all jobs, with a progress bar, and return their results in the order of `jobs`, or of the items.

    A worker, Redis or PostgreSQL that is restarted meanwhile is waited for, and a job that is tried again too. Raises,
    once every job has ended, JobsFailed if some failed for good; NoWorker when there is nobody to do them; TimeoutError
    after `timeout` seconds. In the last two cases, and when you interrupt it, the jobs stay queued: call wait(jobs) again.
    """
    jobs = list(jobs)
    pending = dict.fromkeys(job.id for job in jobs)
    failed: dict[str, State] = {}
    start = last_redis = time.monotonic()
    search = _Search(jobs)
    sizes = {job.id: 1 if (items := items_of(job)) is None else len(items) for job in jobs}
    unit = "job" if len(sizes) == sum(sizes.values()) else "item"
    with new_bar(sum(sizes.values()), unit=unit) as bar:
        while pending:
            now = time.monotonic()
            try:
                states = search.look(pending, now)
                last_redis = now
                for job_id, state in states.items():
                    del pending[job_id]
                    if state != JobStatus.FINISHED:
                        failed[job_id] = state
                        bar.set_postfix(failed=len(failed))
                    bar.update(sizes[job_id])
                if pending and not states:
                    _wait_for_news(jobs[0].connection, pending, 10 * (time.monotonic() - now))
            except (redis.ConnectionError, redis.TimeoutError):
                if time.monotonic() - last_redis > NO_REDIS_AFTER:
                    raise
                time.sleep(0.5)
            if pending and timeout is not None and time.monotonic() - start > timeout:
                raise TimeoutError(f"{len(pending)} of {len(jobs)} jobs are not done after {timeout} s; they go on")
    return _results(jobs, failed)


def items_of(job: Job) -> list[Any] | None:
    """The items that a job has its share of; None for any other job."""
    with contextlib.suppress(DeserializationError):
        if job.func_name == EACH:
            return list(job.args[1])
    return None


class _Search:
    """What has become of the jobs, and whether somebody is there to do them."""

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.last_news = self.last_look = self.last_search = self.last_worker = time.monotonic()
        self.nowhere: set[str] = set()

    def look(self, pending: Iterable[str], now: float) -> dict[str, State]:
        """Those of the pending jobs that have ended since. Raises NoWorker."""
        states = _states(self.jobs[0].connection, pending)
        if states:
            self.last_news = self.last_worker = now
        elif now - self.last_look > 1:
            self.last_look = now
            self._look_for_worker(len(list(pending)), now)
        if now - max(self.last_news, self.last_search) > LOST_AFTER:
            self.last_search, before = now, self.nowhere
            waiting = set(pending)
            self.nowhere = _nowhere([job for job in self.jobs if job.id in waiting])
            return dict.fromkeys(self.nowhere & before, LOST)  # twice, so not just moving from list to list
        return states

    def _look_for_worker(self, pending: int, now: float) -> None:
        home = Queue(self.jobs[0].origin, connection=self.jobs[0].connection, serializer=Serializer)
        if Worker.all(queue=home):
            self.last_worker = now
        elif now - self.last_worker > NO_WORKER_AFTER:
            cure = "`make up` starts one, `make logs` shows why it is gone."
            raise NoWorker(f"{pending} of {len(self.jobs)} jobs wait and no worker listens on {home.name!r}.\n{cure}")


def _states(connection: redis.Redis, ids: Iterable[str]) -> dict[str, State]:
    """Those of the jobs that have ended, as {id: state}; the state of a job that Redis does not know is None."""
    ids = list(ids)
    with connection.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hget(Job.key_for(job_id), "status")
        answers = pipeline.execute()
    states = {job_id: answer and JobStatus(answer.decode()) for job_id, answer in zip(ids, answers, strict=True)}
    return {job_id: state for job_id, state in states.items() if state is None or state in ENDED}


def _wait_for_news(connection: redis.Redis, pending: Iterable[str], longest: float) -> None:
    """Return when one of the next jobs in line has a result, and after up to 1 s in any case."""
    # The time grows with that of asking for all: prompt for a few jobs, no burden for a million.
    longest = min(max(0.1, longest), 1)
    start = time.monotonic()
    next_in_line = itertools.islice(pending, 20)
    # RQ appends every result to a stream of the job's own, and Redis tells those who block on it.
    if connection.xread({Result.get_key(job_id): "0-0" for job_id in next_in_line}, block=int(longest * 1000)):
        time.sleep(max(0, 0.005 - (time.monotonic() - start)))


def _nowhere(jobs: list[Job]) -> set[str]:
    """The ids of jobs that are in no list of their queue: somebody emptied it, or died just between two lists."""
    known: set[str] = set()
    connection = jobs[0].connection
    for name in {job.origin for job in jobs}:
        home = Queue(name, connection=connection, serializer=Serializer)
        lists = (home.started_job_registry, home.scheduled_job_registry, home.deferred_job_registry)
        known.update(*(each.get_job_ids(cleanup=False) for each in lists))
        known.update(home.job_ids, IntermediateQueue(home.key, connection).get_job_ids())
    missing = {job.id for job in jobs} - known
    return missing - _states(connection, missing).keys()


def _results(jobs: list[Job], failed: Mapping[str, State]) -> list[Any]:
    """What the jobs returned, for each item where they have items. Raises JobsFailed."""
    outcomes = [(job.id, *outcome) for job in jobs for outcome in _outcomes(job, failed)]
    results = [result for _, _, result, _ in outcomes]
    if not (failures := {_key(item): story for _, item, _, story in outcomes if story}):
        return results
    ids = list(dict.fromkeys(job_id for job_id, _, _, story in outcomes if story))
    names = [str(key) for key in itertools.islice(failures, 11)]
    some = ", ".join(names[:10]) + (", …" if names[10:] else "")
    what = "jobs" if all(job_id == item for job_id, item, _, _ in outcomes) else "items"
    first, story = next(iter(failures.items()))
    count = f"{len(failures):,} of {len(results):,} {what} failed: {some}"
    message = f"{stories.in_short(story)}\n\n{count}\n\nThe first, {first}:\n{story}"
    raise JobsFailed(ids, message, failures, results)


def _outcomes(job: Job, failed: Mapping[str, State]) -> list[tuple[Any, Any, str | None]]:
    """(item, result, None or why it has none) for each item of a job; for one without items, its id stands for it."""
    items = items_of(job)
    found = None if job.id in failed else job.latest_result()
    if found is None:  # or it ended well, and longer ago than results are kept
        story = _story(job, failed.get(job.id))
        return [(item, None, story) for item in (items or [job.id])]
    if items is None:
        return [(job.id, found.return_value, None)]
    return [(item, *outcome) for item, outcome in zip(items, found.return_value, strict=True)]


def _key(item: Any) -> Hashable:
    try:
        hash(item)
    except TypeError:
        return json.dumps(item)
    return item


def _story(job: Job, state: State) -> str:
    """Why a job has no result."""
    result = job.latest_result()
    if result and result.exc_string:
        return result.exc_string
    if state is LOST:
        return "It is in no list of the queue any more, and nobody will do it. Enqueue it again."
    if state is None:
        return "Redis no longer knows it: it was deleted, or ended longer ago than results are kept."
    return f"It was {JobStatus(state).value}."

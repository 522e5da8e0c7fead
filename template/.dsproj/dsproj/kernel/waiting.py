"""Wait for jobs, with a bar."""

import importlib.util
import itertools
import time
from collections.abc import Iterable
from typing import Any, TypeAlias

import redis
from rq import Queue, Worker
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job, JobStatus
from rq.results import Result
from rq.serializers import JSONSerializer

# The notebook's bar needs ipywidgets and warns when it is missing; the plain one works everywhere.
if importlib.util.find_spec("ipywidgets"):
    from tqdm.auto import tqdm
else:
    from tqdm import tqdm

NO_WORKER_AFTER = 30  # seconds without any worker before wait() gives up; a restart takes less
NO_REDIS_AFTER = 60  # seconds that wait() rides out a Redis that is away
LOST_AFTER = 20  # seconds without news before wait() looks for jobs that nobody will do any more

ENDED = {JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED}
LOST = "lost"

State: TypeAlias = JobStatus | str | None  # None: Redis does not know the job


class JobsFailed(RuntimeError):
    """Some jobs failed for good. `ids` names them; the message carries the first one's own traceback."""

    def __init__(self, ids: list[str], message: str) -> None:
        super().__init__(message)
        self.ids = ids


class NoWorker(RuntimeError):
    """Jobs are waiting and nobody is there to do them."""


def wait(jobs: Iterable[Job], timeout: float | None = None) -> list[Any]:
    """Wait for all jobs, with a progress bar, and return their results in the order of `jobs`.

    A worker, Redis or PostgreSQL that is restarted meanwhile is waited for, and a job that is tried again too. Raises,
    once every job has ended, JobsFailed if some failed for good; NoWorker when there is nobody to do them; TimeoutError
    after `timeout` seconds. In the last two cases, and when you interrupt it, the jobs stay queued: call wait(jobs) again.
    """
    jobs = list(jobs)
    pending = dict.fromkeys(job.id for job in jobs)
    failed: dict[str, State] = {}
    start = last_redis = time.monotonic()
    search = _Search(jobs)
    with tqdm(total=len(pending), unit="job") as bar:
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
                    bar.update()
                if pending and not states:
                    _wait_for_news(jobs[0].connection, pending, 10 * (time.monotonic() - now))
            except (redis.ConnectionError, redis.TimeoutError):
                if time.monotonic() - last_redis > NO_REDIS_AFTER:
                    raise
                time.sleep(0.5)
            if pending and timeout is not None and time.monotonic() - start > timeout:
                raise TimeoutError(f"{len(pending)} of {len(jobs)} jobs are not done after {timeout} s; they go on")
    if failed:
        raise _failure(jobs, failed)
    return [job.return_value(refresh=True) for job in jobs]


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
        home = Queue(self.jobs[0].origin, connection=self.jobs[0].connection, serializer=JSONSerializer)
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
        home = Queue(name, connection=connection, serializer=JSONSerializer)
        lists = (home.started_job_registry, home.scheduled_job_registry, home.deferred_job_registry)
        known.update(*(each.get_job_ids(cleanup=False) for each in lists))
        known.update(home.job_ids, IntermediateQueue(home.key, connection).get_job_ids())
    missing = {job.id for job in jobs} - known
    return missing - _states(connection, missing).keys()


def _failure(jobs: list[Job], states: dict[str, State]) -> JobsFailed:
    failed = {job.id: states[job.id] for job in jobs if job.id in states}
    some = ", ".join(list(failed)[:10]) + (", …" if len(failed) > 10 else "")
    first = next(job for job in jobs if job.id in failed)
    state = failed[first.id]
    result = first.latest_result()
    if result and result.exc_string:
        story = result.exc_string
    elif state is LOST:
        story = "It is in no list of the queue any more, and nobody will do it. Enqueue it again."
    elif state is None:
        story = "Redis no longer knows it: it was deleted, or ended longer ago than results are kept."
    else:
        story = f"It was {JobStatus(state).value}."
    message = f"{len(failed)} of {len(jobs)} jobs failed: {some}\n\nThe first, {first.id}:\n{story}"
    return JobsFailed(list(failed), message)

"""Long work on the job queue: cut a table into ranges of its key, let the workers do them, wait with a bar.

A job is a function in lib/ and JSON arguments, so whoever reaches Redis can at most call what is already there;
nothing is pickled. A job can run twice (a worker dies, the job is retried): write it so that this does no harm.
Edit the function as you like: the next job runs what the file says then.
"""

import hashlib
import importlib
import importlib.util
import inspect
import itertools
import json
import random
import re
import time

from psycopg2 import sql
from redis import exceptions
from rq import Queue, Retry, Worker
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job, JobStatus
from rq.registry import DeferredJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result
from rq.serializers import JSONSerializer

from lib.cache import connect_to_redis
from lib.postgres import identifier, transaction

# The notebook's bar needs ipywidgets and warns when it is missing; the plain one works everywhere.
if importlib.util.find_spec("ipywidgets"):
    from tqdm.auto import tqdm
else:
    from tqdm import tqdm

JOB_TIMEOUT = 600  # seconds that one job may take
RESULT_TTL = 24 * 3600  # seconds that its result is kept
FAILURE_TTL = 7 * 24 * 3600  # seconds that the traceback of a failed one is kept
# Where the caller leaves the size of a range open: eight ranges, but of so many rows at least, or at most.
RANGES, SIZES = 8, (10_000, 50_000)
NO_WORKER_AFTER = 30  # seconds without any worker before wait() gives up; a restart takes less
NO_REDIS_AFTER = 60  # seconds that wait() rides out a Redis that is away
LOST_AFTER = 20  # seconds without news before wait() looks for jobs that nobody will do any more

UNDER_WAY = {JobStatus.QUEUED, JobStatus.STARTED, JobStatus.SCHEDULED, JobStatus.DEFERRED}
FAILED = {JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED}
LOST = "lost"


class JobsFailed(RuntimeError):
    """Some jobs failed for good. `ids` names them; the message carries the first one's own traceback."""

    def __init__(self, ids, message):
        super().__init__(message)
        self.ids = ids


class NoWorker(RuntimeError):
    """Jobs are waiting and nobody is there to do them."""


def queue(name="default"):
    """Return the RQ queue `name`. Its jobs are JSON, so its workers must run with `-S json`."""
    return Queue(name, connection=connect_to_redis(), serializer=JSONSerializer, default_timeout=JOB_TIMEOUT)


def enqueue_ranges(function, table, size=None, kwargs=None):
    """Enqueue `function(first_id, last_id, **kwargs)` for ranges of `size` rows that together cover `table`.

    The ranges are of the integer key `_id`, both ends included, in order and without gaps; the last may be
    smaller. Without `size` there are RANGES equal ones, within SIZES: so large that the queue's own work per job
    (some 20 ms) is little beside the job's, so small that several workers have their share and a retry costs little.
    Give a `size` where a row takes longer than SQL: a job may take JOB_TIMEOUT seconds.
    An empty table gives no jobs. A job whose worker or server fails is tried up to four times, some 2, 5 and 10 s
    apart; one with a mistake in its code fails at once.

    Returns the list of jobs, one a range. Calling this again while they are queued or running returns the same
    jobs, not twice the work; those that have ended are run afresh.

    Raises ValueError for a size below 1, TypeError for a function that a worker cannot import or call this way
    (one from a notebook cell) and for arguments that are not JSON, LookupError for a table without an integer `_id`.
    """
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ValueError(f"size is a number of rows, at least 1, not {size!r}")
    kwargs = kwargs or {}
    _check_function(function, kwargs)
    ranges = _key_ranges(table, size)
    if not ranges:
        return []

    name = f"{function.__module__}.{function.__qualname__}"
    digest = hashlib.sha256(json.dumps([name, table, kwargs], sort_keys=True).encode()).hexdigest()[:8]
    prefix = re.sub("[^A-Za-z0-9]+", "_", f"{function.__name__}_{table}")
    ids = [f"{prefix}-{first}-{last}-{digest}" for first, last in ranges]

    default = queue()
    known = Job.fetch_many(ids, default.connection, serializer=JSONSerializer)
    jobs = {job.id: job for job in known if job and job.get_status(refresh=False) in UNDER_WAY}
    # One transaction: either all of it is queued, or nothing.
    with default.connection.pipeline() as pipeline:
        for job in known:
            if job and job.id not in jobs:
                # RQ stumbles over the note of an execution that died with its worker, so away with all of them first.
                job.execution_registry.cleanup(time.time() + 3600)
                job.delete(pipeline=pipeline, remove_from_queue=False)  # else its old result would linger
        new = default.enqueue_many(
            [
                Queue.prepare_data(
                    function,
                    args=(first, last),
                    kwargs=kwargs,
                    job_id=job_id,
                    timeout=JOB_TIMEOUT,
                    result_ttl=RESULT_TTL,
                    failure_ttl=FAILURE_TTL,
                    retry=_retry(),
                )
                for job_id, (first, last) in zip(ids, ranges, strict=True)
                if job_id not in jobs
            ],
            pipeline=pipeline,
        )
        pipeline.execute()
    jobs |= {job.id: job for job in new}
    return [jobs[job_id] for job_id in ids]


def wait(jobs, timeout=None):
    """Wait for all jobs, with a progress bar, and return their results in the order of `jobs`.

    A worker, Redis or PostgreSQL that is restarted meanwhile is waited for, and a job that is tried again too.

    Raises, once every job has ended, JobsFailed if some failed for good; NoWorker when there is nobody to do
    them; TimeoutError after `timeout` seconds. In the last two cases, and when you interrupt it, the jobs stay
    queued: call wait(jobs) again.
    """
    jobs = list(jobs)
    pending = dict.fromkeys(job.id for job in jobs)
    failed, nowhere = {}, set()
    start = last_news = last_look = last_search = last_worker = last_redis = time.monotonic()
    with tqdm(total=len(pending), unit="job") as bar:
        while pending:
            now = time.monotonic()
            try:
                states = _states(jobs[0].connection, pending)
                if states:
                    last_news = last_worker = now
                elif now - last_look > 1:
                    last_look = now
                    home = Queue(jobs[0].origin, connection=jobs[0].connection, serializer=JSONSerializer)
                    if Worker.all(queue=home):
                        last_worker = now
                    elif now - last_worker > NO_WORKER_AFTER:
                        raise NoWorker(
                            f"{len(pending)} of {len(jobs)} jobs wait and no worker listens on {home.name!r}.\n"
                            "`make up` starts one, `make logs` shows why it is gone."
                        )
                if now - max(last_news, last_search) > LOST_AFTER:
                    last_search, before = now, nowhere
                    nowhere = _nowhere([job for job in jobs if job.id in pending])
                    states = dict.fromkeys(nowhere & before, LOST)  # twice, so not just moving from list to list
                last_redis = now
                for job_id, state in states.items():
                    del pending[job_id]
                    if state != JobStatus.FINISHED:
                        failed[job_id] = state
                        bar.set_postfix(failed=len(failed))
                    bar.update()
                if pending and not states:
                    _wait_for_news(jobs[0].connection, pending, 10 * (time.monotonic() - now))
            except (exceptions.ConnectionError, exceptions.TimeoutError):
                if time.monotonic() - last_redis > NO_REDIS_AFTER:
                    raise
                time.sleep(0.5)
            if pending and timeout is not None and time.monotonic() - start > timeout:
                raise TimeoutError(f"{len(pending)} of {len(jobs)} jobs are not done after {timeout} s; they go on")
    if failed:
        failed = {job.id: failed[job.id] for job in jobs if job.id in failed}
        raise JobsFailed(list(failed), _failure_message(jobs, failed))
    return [job.return_value(refresh=True) for job in jobs]


def _retry():
    """Three more tries, ever later; not to the second, so that jobs that failed together do not come back together."""
    return Retry(max=3, interval=[seconds + random.randint(0, seconds // 2) for seconds in (2, 5, 10)])


def _check_function(function, kwargs):
    """Raise TypeError for what would fail in the worker, while the mistake is still in front of you."""
    if not (inspect.isfunction(function) or inspect.isbuiltin(function)):
        raise TypeError(f"a job is a plain function, not {function!r}")
    module, name = function.__module__, function.__qualname__
    if module == "__main__":
        raise TypeError(f"{name} lives in this notebook, where no worker can import it: move it to a file in lib/")
    if "<" in name:  # <lambda>, <locals>
        raise TypeError(f"{name} is made inside another function: define it at the top of its module in lib/")
    try:
        target = importlib.import_module(module)
        for part in name.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        raise TypeError(f"a worker cannot import {module}.{name}: {error}") from None
    try:
        json.dumps(kwargs, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"arguments of a job must be JSON: {error}") from None
    try:
        inspect.signature(function).bind(1, 1, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name} cannot be called with (first_id, last_id) and these arguments: {error}") from None
    except ValueError:
        pass  # some built-in functions tell no signature


def _key_ranges(table, size):
    """The ranges `(first, last)` of `_id`, `size` rows each; None chooses a size."""
    name = identifier(table)
    with transaction(reading=True) as cur:
        cur.execute(
            "SELECT atttypid::regtype::text AS type FROM pg_class"
            " LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attname = '_id' AND NOT attisdropped"
            " WHERE pg_class.oid = to_regclass(%s)",
            [name.as_string(cur)],
        )
        found = cur.fetchone()
        if found is None:
            raise LookupError(f"there is no table {table}")
        if found["type"] not in ("smallint", "integer", "bigint"):
            raise LookupError(
                f"table {table} has no integer key _id; "
                f"ALTER TABLE {table} ADD COLUMN _id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY makes one"
            )
        cur.execute(
            sql.SQL("SELECT count(*) AS rows, count(_id) AS keys, min(_id) AS first, max(_id) AS last FROM {}").format(
                name
            )
        )
        rows, keys, first, last = cur.fetchone().values()
        if not rows:
            return []
        if keys < rows:
            raise LookupError(f"table {table} has {rows - keys:,} rows without a key: their _id is NULL")
        if size is None:
            number = max(min(RANGES, -(-rows // SIZES[0])), -(-rows // SIZES[1]))
            size = -(-rows // number)
        if last - first + 1 == rows:
            starts = range(first, last + 1, size)
        else:
            # Keys are missing. Counting rows all the same keeps the jobs even: every size-th row starts a range.
            numbered = sql.SQL("SELECT _id, row_number() OVER (ORDER BY _id) AS n FROM {}").format(name)
            cur.execute(sql.SQL("SELECT _id FROM ({}) AS keys WHERE (n - 1) %% %s = 0").format(numbered), [size])
            starts = sorted({row["_id"] for row in cur})
    return list(zip(starts, [start - 1 for start in starts[1:]] + [last], strict=True))


def _states(connection, ids):
    """Those of the jobs that have ended, as {id: state}; the state of a job that Redis does not know is None."""
    with connection.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hget(Job.key_for(job_id), "status")
        answers = pipeline.execute()
    states = {job_id: answer and JobStatus(answer.decode()) for job_id, answer in zip(ids, answers, strict=True)}
    return {
        job_id: state for job_id, state in states.items() if state is None or state in FAILED | {JobStatus.FINISHED}
    }


def _wait_for_news(connection, pending, longest):
    """Return when one of the next jobs in line has a result, and after some time in any case.

    The time is up to 1 s and grows with that of asking for all: prompt for a few jobs, no burden for a million.
    """
    longest = min(max(0.1, longest), 1)
    start = time.monotonic()
    next_in_line = itertools.islice(pending, 20)
    # RQ appends every result to a stream of the job's own, and Redis tells those who block on it.
    if connection.xread({Result.get_key(job_id): "0-0" for job_id in next_in_line}, block=int(longest * 1000)):
        time.sleep(max(0, 0.005 - (time.monotonic() - start)))


def _nowhere(jobs):
    """The ids of jobs that are in no list of their queue: somebody emptied it, or died just between two lists."""
    known, connection = set(), jobs[0].connection
    for name in {job.origin for job in jobs}:
        home = Queue(name, connection=connection, serializer=JSONSerializer)
        lists = (StartedJobRegistry, ScheduledJobRegistry, DeferredJobRegistry)
        known.update(*(kind(queue=home, serializer=JSONSerializer).get_job_ids(cleanup=False) for kind in lists))
        known.update(home.job_ids, IntermediateQueue(home.key, connection).get_job_ids())
    missing = {job.id for job in jobs} - known
    return missing - _states(connection, missing).keys()


def _failure_message(jobs, failed):
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
        story = f"It was {state.value}."
    return f"{len(failed)} of {len(jobs)} jobs failed: {some}\n\nThe first, {first.id}:\n{story}"

"""The job queue: ranges of a table's key, or items of a list, shared out among jobs. waiting.py waits for them."""

# A job is JSON: the name of a function in lib/, and its arguments. Workers call nothing else (allowed.py) and unpickle no
# code (serializer.py), so whoever reaches Redis can at most have the project's own functions called.

import hashlib
import inspect
import json
import pkgutil
import random
import re
import reprlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from psycopg2 import sql
from rq import Queue, Retry
from rq.job import Job, JobStatus

from dsproj.kernel import allowed
from dsproj.kernel.allowed import EACH
from dsproj.kernel.connection import Cursor, identifier, transaction
from dsproj.kernel.redis_client import connect_to_redis
from dsproj.kernel.serializer import Serializer

try:  # where workers may run on other machines
    from dsproj.kernel.same_code import stamp
except ImportError:

    def stamp(job: Job) -> None:
        """Nothing: all workers have the folder that notebooks have."""


JOB_TIMEOUT = 600  # seconds that one job may take
RESULT_TTL = 24 * 3600  # seconds that its result is kept
FAILURE_TTL = 7 * 24 * 3600  # seconds that the traceback of a failed one is kept
# Where the caller leaves the size of a range open: eight ranges, but of so many rows at least, or at most. So large that
# the queue's own work per job (some 20 ms) is little beside the job's, so small that several workers have their share and
# a retry costs little. Of wide rows there are fewer: in Python, what takes that many bytes on the server's disk takes several
# times as much.
RANGES, LEAST, MOST, BYTES = 8, 20_000, 50_000, 8 << 20
CHUNKS = 100  # jobs that the items of a long list are shared out among

UNDER_WAY = {JobStatus.QUEUED, JobStatus.STARTED, JobStatus.SCHEDULED, JobStatus.DEFERRED}


class JobQueue(Queue):
    """RQ's queue, which refuses at once what a worker would."""

    def create_job(self, func: Any, *args: Any, **options: Any) -> Job:
        allowed.check(func)
        job = super().create_job(func, *args, **options)
        stamp(job)
        return job


def queue(name: str = "default") -> Queue:
    """Return the RQ queue `name`. Its jobs are JSON, and functions of lib/."""
    return JobQueue(name, connection=connect_to_redis(), serializer=Serializer, default_timeout=JOB_TIMEOUT)


def enqueue_ranges(
    function: Callable[..., Any],
    table: str,
    size: int | None = None,
    kwargs: Mapping[str, Any] | None = None,
    job_timeout: int = JOB_TIMEOUT,
) -> list[Job]:
    """Enqueue `function(first_id, last_id, **kwargs)` for ranges of `size` rows that together cover `table`.

    The ranges are of the integer key `_id`, both ends included, in order and without gaps; the last may be smaller. Give a
    `size` where a row takes longer than SQL: a job may take `job_timeout` seconds. Without one, a range has up to 50,000
    rows, or 8 MB of the server's disk. A job whose worker or server fails is tried up to four times, some 2, 5 and 10 s
    apart; one with a mistake in its code fails at once.

    Returns the list of jobs, none for an empty table: one a range, or 100 that share out more ranges than that. Calling
    this again while they are queued or running returns the same jobs, not twice the work; those that have ended are run
    afresh.

    Raises ValueError for a size below 1, TypeError for a function that a worker cannot import or call this way
    (one from a notebook cell) and for arguments that are not JSON, LookupError for a table without an integer `_id`.
    """
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ValueError(f"size is a number of rows, at least 1, not {size!r}")
    kwargs = dict(kwargs or {})
    _check_function(function, ("first_id", "last_id"), kwargs)
    if not (ranges := key_ranges(table, size)):
        return []
    if len(ranges) > CHUNKS:
        return _share_out(function, ranges, kwargs, job_timeout, spread=True)
    name = _name(function)
    digest = _digest(name, table, kwargs)
    prefix = re.sub("[^A-Za-z0-9]+", "_", f"{function.__name__}_{table}")
    wanted = {f"{prefix}-{first}-{last}-{digest}": (first, last) for first, last in ranges}
    return _enqueue(function, wanted, kwargs, job_timeout)


def enqueue_each(
    function: Callable[..., Any],
    items: Iterable[Any],
    kwargs: Mapping[str, Any] | None = None,
    job_timeout: int = JOB_TIMEOUT,
) -> list[Job]:
    """Enqueue `function(item, **kwargs)` for every item, many small ones in one job: `wait` gives a result for each.

    Up to 100 items are a job each; more are shared out among 100 jobs. An item may take `job_timeout` seconds. One that
    fails ends no other: `wait` then raises JobsFailed, whose `failures` are by item, and whose `results` are the others'.
    Items, arguments and results are JSON (an array's numbers too). Raises TypeError as enqueue_ranges does.
    """
    items = items.tolist() if hasattr(items, "tolist") else list(items)
    kwargs = dict(kwargs or {})
    _check_function(function, ("item",), kwargs)
    return _share_out(function, items, kwargs, job_timeout)


def _share_out(
    function: Callable[..., Any],
    items: list[Any],
    kwargs: dict[str, Any],
    job_timeout: int,
    spread: bool = False,
) -> list[Job]:
    """At most CHUNKS jobs that call `function(item, **kwargs)` for all items; with `spread`, `function(*item, …)`."""
    name = _name(function)
    try:
        digest = _digest(name, items, kwargs, spread)
    except (TypeError, ValueError) as error:
        raise TypeError(f"items of jobs must be JSON: {error}") from None
    size = -(-len(items) // CHUNKS) or 1
    shares = {start: items[start : start + size] for start in range(0, len(items), size)}
    ids = {start: f"{function.__name__}-{start}-{start + size - 1}-{digest}" for start in shares}
    wanted = {ids[start]: (name, share, kwargs, job_timeout, spread) for start, share in shares.items()}
    words = {ids[start]: f"{name}, {len(share):,} × from {reprlib.repr(share[0])}" for start, share in shares.items()}
    return _enqueue(EACH, wanted, {}, job_timeout * size, words) if wanted else []


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _digest(*what: Any) -> str:
    return hashlib.sha256(json.dumps(what, allow_nan=False, sort_keys=True).encode()).hexdigest()[:8]


def _enqueue(
    function: Callable[..., Any] | str,
    wanted: Mapping[str, Sequence[Any]],
    kwargs: dict[str, Any],
    job_timeout: int,
    words: Mapping[str, str] = MappingProxyType({}),
) -> list[Job]:
    """The jobs of these ids, each with its arguments: those that are under way, and for the rest new ones.

    `words` say what the dashboard calls them; RQ's own choice is the call.
    """
    default = queue()
    times: dict[str, Any] = {"timeout": job_timeout, "result_ttl": RESULT_TTL, "failure_ttl": FAILURE_TTL}
    known = Job.fetch_many(list(wanted), default.connection, serializer=Serializer)
    jobs = {job.id: job for job in known if job and job.get_status(refresh=False) in UNDER_WAY}
    # One transaction: either all of it is queued, or nothing.
    with default.connection.pipeline() as pipeline:
        for job in known:
            if job and job.id not in jobs:
                # RQ stumbles over the note of an execution that died with its worker, so away with all of them first.
                job.execution_registry.cleanup(time.time() + 3600)
                job.delete(pipeline=pipeline, remove_from_queue=False)  # else its old result would linger
        new = [
            Queue.prepare_data(
                function,
                args=args,
                kwargs=kwargs,
                job_id=job_id,
                retry=_retry(),
                description=words.get(job_id),
                **times,
            )
            for job_id, args in wanted.items()
            if job_id not in jobs
        ]
        jobs |= {job.id: job for job in default.enqueue_many(new, pipeline=pipeline)}
        pipeline.execute()
    return [jobs[job_id] for job_id in wanted]


def _retry() -> Retry:
    """Three more tries, ever later; not to the second, so that jobs that failed together do not come back together."""
    return Retry(max=3, interval=[seconds + random.randint(0, seconds // 2) for seconds in (2, 5, 10)])


def _check_function(function: Any, given: Sequence[str], kwargs: Mapping[str, Any]) -> None:
    """Raise TypeError for what would fail in the worker, while the mistake is still in front of you."""
    if not (inspect.isfunction(function) or inspect.isbuiltin(function)):
        raise TypeError(f"a job is a plain function, not {function!r}")
    allowed.check(function)
    module, name = function.__module__, function.__qualname__
    if "<" in name:  # <lambda>, <locals>
        raise TypeError(f"{name} is made inside another function: define it at the top of its module in lib/")
    try:
        pkgutil.resolve_name(f"{module}:{name}")
    except (ImportError, AttributeError) as error:
        raise TypeError(f"a worker cannot import {module}.{name}: {error}") from None
    try:
        json.dumps(kwargs, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"arguments of a job must be JSON: {error}") from None
    try:
        inspect.signature(function).bind(*given, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name} cannot be called with ({', '.join(given)}) and these arguments: {error}") from None
    except ValueError:
        pass  # some built-in functions tell no signature


def key_ranges(table: str, size: int | None, most: int = MOST) -> list[tuple[int, int]]:
    """The ranges `(first, last)` of `_id`, `size` rows each; None chooses one by bytes, of `most` rows at most."""
    name = identifier(table)
    with transaction(reading=True) as cur:
        _check_key(cur, table)
        known = sql.SQL("SELECT count(*), count(_id), min(_id), max(_id), pg_table_size(%s::regclass) FROM {}")
        cur.execute(known.format(name), [name.as_string(cur)])
        rows, keys, first, last, stored = cur.fetchone() or (0, 0, 0, 0, 0)
        if not rows:
            return []
        if keys < rows:
            raise LookupError(f"table {table} has {rows - keys:,} rows without a key: their _id is NULL")
        if size is None:
            # Of a view, or of partitions, it is not known how wide the rows are.
            number = max(min(RANGES, -(-rows // LEAST)), -(-rows // (most if stored else MOST)), -(-stored // BYTES))
            size = -(-rows // number)
        if last - first + 1 == rows:
            starts = list(range(first, last + 1, size))
        else:
            # Keys are missing. Counting rows all the same keeps the jobs even: every size-th row starts a range.
            numbered = sql.SQL("SELECT _id, row_number() OVER (ORDER BY _id) AS n FROM {}").format(name)
            cur.execute(sql.SQL("SELECT _id FROM ({}) AS keys WHERE (n - 1) %% %s = 0").format(numbered), [size])
            starts = sorted({row["_id"] for row in cur})
    return list(zip(starts, [start - 1 for start in starts[1:]] + [last], strict=True))


def _check_key(cur: Cursor, table: str) -> None:
    """Raise LookupError for a table that is not there, or has no integer key."""
    cur.execute(
        "SELECT atttypid::regtype::text FROM pg_class"
        " LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attname = '_id' AND NOT attisdropped"
        " WHERE pg_class.oid = to_regclass(%s)",
        [identifier(table).as_string(cur)],
    )
    found = cur.fetchone()
    if found is None:
        raise LookupError(f"there is no table {table}")
    if found[0] not in ("smallint", "integer", "bigint"):
        cure = f"ALTER TABLE {table} ADD COLUMN _id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        raise LookupError(f"table {table} has no integer key _id; {cure} makes one")

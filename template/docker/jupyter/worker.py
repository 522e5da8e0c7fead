#!/usr/bin/env python3
"""Do the queue's jobs, each in a process of its own: RQ's worker, with what this project adds to it.

worker.py [NAME]

- pandas and lib/ are imported before the fork, so that a job begins within milliseconds. Before each job lib/ is looked
  at: what was edited is imported anew, and nobody restarts anything.
- NAME is the place where the worker runs: its container (the default), or its number on the local stack. Whoever starts
  under a name knows that its predecessor there is dead, and hands on the job that died with it.
- Times are short: the job of a worker that is dead and has no successor begins again within 100 s.
"""

import contextlib
import gc
import importlib
import json
import logging
import os
import socket
import sys
import time
from importlib.util import cache_from_source
from pathlib import Path

import psycopg2
import redis
from rq import Queue, Worker, job
from rq.executions import Execution, ExecutionRegistry
from rq.intermediate_queue import IntermediateQueue
from rq.job import JobStatus
from rq.registry import ScheduledJobRegistry, StartedJobRegistry
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

ROOT = Path(os.environ["PROJECT_ROOT"])
IMPORT_TIMEOUT = 10  # seconds; a module that takes longer is left to the jobs, which have their own time limit

RESULT_LIMIT = 16 * 2**20  # characters of JSON; results stay in Redis, so in memory, for hours

# Errors of the job's own code, unlike those of a server that is away: another try would only repeat them.
MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    JobTimeoutException,
    LookupError,
    NameError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    psycopg2.DataError,
    psycopg2.ProgrammingError,
)

# The heartbeat of a job is valid for 60 s more than the monitoring interval; an idle worker wakes up 15 s before its own
# time is over, and then looks for jobs whose heartbeat is overdue. So one is found 5 + 60 + 15 s after its worker's death.
TIMES = {"worker_ttl": 30, "maintenance_interval": 14, "job_monitoring_interval": 5}

log = logging.getLogger("rq.worker")


class Library:
    """lib/, imported into this process as it is on the disk."""

    def __init__(self, root):
        self.root = root
        self.files = {}

    def refresh(self):
        """Import all of it anew if a file was changed, added or removed; what fails to import is left to the jobs."""
        files = {}
        for path in sorted(self.root.glob("lib/**/*.py")):
            with contextlib.suppress(OSError):  # an editor is just replacing it
                files[path] = (path.stat().st_mtime_ns, path.stat().st_size)
        if files == self.files:
            return
        if self.files:
            log.info("lib/ has changed: importing it anew")
        for path, stamp in files.items():
            # Python takes compiled code for fresh when its source has the same size and was changed in the same second.
            if path in self.files and self.files[path] != stamp:
                Path(cache_from_source(path)).unlink(missing_ok=True)
        self.files = files
        for name in [name for name in sys.modules if name.split(".")[0] == "lib"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        for path in files:
            self.load(".".join(path.relative_to(self.root).with_suffix("").parts).removesuffix(".__init__"))
        # What is here now stays: a garbage collection in a job's process would touch, and so copy, all of it.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def load(self, name):
        try:
            with UnixSignalDeathPenalty(IMPORT_TIMEOUT, JobTimeoutException):
                importlib.import_module(name)
        except BaseException as error:  # whatever a user's module may raise, sys.exit() included
            sys.modules.pop(name, None)
            log.warning("%s does not import (%s: %s)", name, type(error).__name__, error)


class Job(job.Job):
    """A job that fails at once, with a clear message, where another try would fail alike."""

    def perform(self):
        try:
            result = super().perform()
            try:
                size = len(json.dumps(result))
            except (TypeError, ValueError) as error:
                raise TypeError(
                    f"{self.func_name} returned what is not JSON ({error}); return a number or text"
                ) from None
            if size > RESULT_LIMIT:
                raise ValueError(
                    f"{self.func_name} returned {size / 2**20:,.0f} MB; write that to a table or with lib.cache.put, "
                    f"and return its name: a result may have {RESULT_LIMIT >> 20} MB"
                )
            return result
        except MISTAKES:
            self.retries_left = 0
            raise

    @property
    def func(self):
        """The function to call; where its module does not import, the reason, for which RQ has a general message."""
        try:
            return super().func
        except ValueError:
            importlib.import_module(self.func_name.rpartition(".")[0])
            raise


class ProjectWorker(Worker):
    job_class = Job
    max_connection_wait_time = 2.0  # seconds from one try to the next while Redis is away

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.library = Library(ROOT)

    def bootstrap(self, *args, **kwargs):
        super().bootstrap(*args, **kwargs)
        # Only now: it takes seconds the first time, and the worker is registered, so healthy, meanwhile.
        with contextlib.suppress(ImportError):
            importlib.import_module("pandas")
        # libpq prepares for encryption when it first connects, which takes half as long as the connection itself.
        with contextlib.suppress(psycopg2.Error):
            psycopg2.connect("", connect_timeout=2).close()
        self.library.refresh()

    def execute_job(self, job, queue):
        self.library.refresh()
        super().execute_job(job, queue)


def connect(url):
    """A connection to Redis, waited for as long as it takes."""
    # Each job's process connects anew, and need not look up this package's version each time to tell the server.
    connection = redis.from_url(url, driver_info=None)
    said = False
    while True:
        try:
            connection.ping()
            return connection
        except (redis.ConnectionError, redis.TimeoutError) as error:
            if not said:
                log.warning("Waiting for Redis: %s", error)
            said = True
            time.sleep(0.2)


def bury_predecessor(name, queue):
    """Let RQ treat the jobs of a dead worker of this name as abandoned now, not when their heartbeat is overdue.

    RQ's own rules still decide: a job with retries left is queued again, another is shown as failed.
    """
    connection = queue.connection
    started = StartedJobRegistry(queue=queue, serializer=JSONSerializer)
    scheduled = ScheduledJobRegistry(queue=queue, serializer=JSONSerializer)
    for job_id, execution_id in started.get_job_and_execution_ids(cleanup=False):
        try:
            execution = Execution.fetch(execution_id, job_id, connection)
        except ValueError:  # ended just now
            continue
        if execution.worker_name == name:
            found = queue.fetch_job(job_id)
            if found and found.get_status() == JobStatus.SCHEDULED and found not in scheduled:
                found.set_status(JobStatus.STARTED)  # died while it put the job off until later
            connection.zadd(started.key, {execution.composite_key: 1}, xx=True)
            ExecutionRegistry(job_id, connection).remove(execution, connection)
    started.cleanup()
    if dead := Worker.find_by_key(Worker.redis_worker_namespace_prefix + name, connection, serializer=JSONSerializer):
        dead.register_death()
    # The lock of one that died while it cleaned up would keep all others from it for a quarter of an hour.
    if 0 < connection.ttl(queue.registry_cleaning_key) < 840:
        connection.delete(queue.registry_cleaning_key)


def requeue_dequeued(queue):
    """Put jobs back that a worker had taken from the queue and not begun; a live worker does so within milliseconds."""
    intermediate = IntermediateQueue(queue.key, queue.connection)
    if not (seen := set(intermediate.get_job_ids())):
        return
    time.sleep(1)
    seen -= set(StartedJobRegistry(queue=queue, serializer=JSONSerializer).get_job_ids(cleanup=False))

    def put_back(pipeline):
        stuck = seen.intersection(job_id.decode() for job_id in pipeline.lrange(intermediate.key, 0, -1))
        pipeline.multi()
        for job_id in stuck:
            pipeline.lrem(intermediate.key, 0, job_id)
            pipeline.lpush(queue.key, job_id)

    queue.connection.transaction(put_back, intermediate.key)


def main(name):
    sys.path[0] = str(ROOT)  # instead of this file's own folder
    connection = connect(os.environ["REDIS_URL"])
    queue = Queue("default", connection=connection, serializer=JSONSerializer, job_class=Job)
    bury_predecessor(name, queue)
    requeue_dequeued(queue)
    worker = ProjectWorker([queue], name, connection=connection, serializer=JSONSerializer, **TIMES)
    # Retries with a pause are the scheduler's work. It has the worker's name too, and so gets its predecessor's lock.
    worker.scheduler = RQScheduler([queue], connection=connection, serializer=JSONSerializer, name=name)
    worker.scheduler.acquire_locks(auto_start=True)
    worker.work()


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else socket.gethostname())
    except (redis.ConnectionError, redis.TimeoutError) as error:
        sys.exit(f"Redis is gone ({error}); starting afresh")

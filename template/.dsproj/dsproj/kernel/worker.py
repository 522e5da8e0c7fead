"""Do the queue's jobs, each in a process of its own: RQ's worker, with what this project adds to it."""

# python3 -m dsproj.kernel.worker [NAME]
#
# - pandas and lib/ are imported before the fork, so that a job begins within milliseconds. Before each job lib/ is looked
#   at: what was edited is imported anew, and nobody restarts anything.
# - An idle worker has forked the next job's process already, which has logged in at PostgreSQL and Redis (prefork.py).
# - NAME is the place where the worker runs: its container (the default), or its number on the local stack. Whoever starts
#   under a name knows that its predecessor there is dead, and hands on the job that died with it.
# - Times are short: the job of a worker that is dead and has no successor begins again within 100 s.

import contextlib
import importlib
import json
import logging
import os
import socket
import sys
import time
from typing import Any

import psycopg2
import redis
from redis.maint_notifications import MaintNotificationsConfig
from rq import Queue, Worker, executions, job, utils, worker_registration
from rq.exceptions import DeserializationError
from rq.intermediate_queue import IntermediateQueue
from rq.scheduler import RQScheduler

from dsproj.kernel import allowed, connection, family, memory, stories
from dsproj.kernel.library import Library
from dsproj.kernel.prefork import Prefork
from dsproj.kernel.serializer import PickleWriter, Serializer, is_pickle
from dsproj.settings import PROJECT

IDLE_AFTER = 0.05  # seconds without a job; while they follow one another, a fork ahead would only be in their way
RESULT_LIMIT = 16 * 2**20  # characters of JSON; results stay in Redis, so in memory, for hours

# The heartbeat of a job is valid for 60 s more than the monitoring interval; an idle worker wakes up 15 s before its own
# time is over, and then looks for jobs whose heartbeat is overdue. So one is found 5 + 60 + 15 s after its worker's death.
TIMES = {"worker_ttl": 30, "maintenance_interval": 14, "job_monitoring_interval": 5}

BY_QUEUE = (
    "Give it plain numbers (int of numpy's) and text, by `from lib.jobs import queue; queue().enqueue(function, …)`."
)

# All names of functions that come from Redis, the job's and its callbacks', are looked up by this.
job.import_attribute = allowed.resolve

log = logging.getLogger("rq.worker")


class Job(job.Job):
    """A job that fails at once, with a clear message, where another try would fail alike."""

    def perform(self) -> Any:
        try:
            result = super().perform()
            try:
                size = len(json.dumps(result))
            except (TypeError, ValueError) as error:
                what = f"{self.func_name} returned what is not JSON ({error})"
                raise TypeError(f"{what}; return a number or text") from None
            if size > RESULT_LIMIT:
                what = f"{self.func_name} returned {size / 2**20:,.0f} MB"
                cure = "write that to a table or with lib.cache.put, and return its name"
                raise ValueError(f"{what}; {cure}: a result may have {RESULT_LIMIT >> 20} MB")
            return result
        except allowed.MISTAKES:
            if PROJECT.is_dir():  # where it was moved, nothing can be imported any more: no mistake of the job
                self.retries_left = 0
            raise
        except MemoryError as error:
            error.add_note(f"MemoryError: {memory.cure()}")
            raise

    @property
    def func(self) -> Any:
        if self.instance is not None:
            raise TypeError(f"{self.func_name} is a method: a job is a plain function")
        return super().func

    def _deserialize_data(self) -> None:
        if is_pickle(self.data):
            self.serializer = PickleWriter
        try:
            super()._deserialize_data()
        except DeserializationError as error:
            if not is_pickle(self.data):
                raise
            why = f"by pickle, with more than values in it ({error.__cause__}), and a worker unpickles no code"
            raise DeserializationError(f"This job was enqueued {why}. {BY_QUEUE}") from None


class ProjectWorker(Worker):
    job_class = Job
    story = ""  # of a job's process that was killed
    killed_before = 0
    max_connection_wait_time = 2.0  # seconds from one try to the next while Redis is away
    next_horse: Prefork | None = None  # RQ calls the process of a job a work horse

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.library = Library(PROJECT)

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        super().bootstrap(*args, **kwargs)
        # Only now: it takes seconds the first time, and the worker is registered, so healthy, meanwhile.
        with contextlib.suppress(ImportError):
            importlib.import_module("pandas")
        # libpq prepares for encryption when it first connects, which takes half as long as the connection itself.
        with contextlib.suppress(psycopg2.Error):
            psycopg2.connect("", connect_timeout=2).close()
        self.library.refresh()

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: Any = None
    ) -> tuple[job.Job, Queue] | None:
        if self.next_horse is None:
            if found := super().dequeue_job_and_maintain_ttl(timeout, IDLE_AFTER):
                return found
            self.library.refresh()
            self.next_horse = Prefork(self.prepare_horse, self.run_horse)
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def prepare_horse(self) -> None:
        self.setup_work_horse_signals()
        with contextlib.suppress(psycopg2.Error, redis.RedisError):
            self.connection.ping()
            connection.connect_once()

    def run_horse(self, job_id: str, execution_id: str) -> None:
        os.environ |= {"RQ_WORKER_ID": self.name, "RQ_JOB_ID": job_id}
        found = self.job_class.fetch(job_id, connection=self.connection, serializer=self.serializer)
        found.redis_server_version = self.get_redis_server_version()
        self.execution = executions.Execution.fetch(execution_id, job_id, self.connection)
        self.main_work_horse(found, self.queues[0])

    def fork_work_horse(self, job: job.Job, queue: Queue) -> None:
        ready, self.next_horse = self.next_horse, None
        if ready and self.execution and ready.tell(job.id, self.execution.id):
            self._horse_pid = ready.pid
        else:
            super().fork_work_horse(job, queue)

    def should_run_maintenance_tasks(self) -> bool:
        last, now = self.last_cleaned_at, utils.now()
        return not (last and last <= now) or super().should_run_maintenance_tasks()  # a clock may have been set back

    def run_maintenance_tasks(self) -> None:
        self.register_again()
        free_cleaning(self.queues[0])
        super().run_maintenance_tasks()

    def maintain_heartbeats(self, *args: Any) -> None:
        self.register_again()
        super().maintain_heartbeats(*args)

    def register_again(self) -> None:
        """After a laptop's sleep, or where the clock was set, Redis has forgotten this worker as one that is long silent."""
        with self.connection.pipeline() as pipeline:
            pipeline.hset(self.key, mapping={**self.serialize(), "state": self.get_state()})
            worker_registration.register(self, pipeline)
            pipeline.execute()

    def execute_job(self, job: job.Job, queue: Queue) -> None:
        if not PROJECT.is_dir():  # the job goes back to the queue, see requeue_dequeued
            sys.exit("The project's folder was moved: starting afresh where it is now")
        if self.library.refresh() and self.next_horse:
            self.next_horse.end()
            self.next_horse = None
        mine, self.killed_before = family.children(), memory.kills()
        try:
            super().execute_job(job, queue)
        finally:
            family.end(kept=mine)

    def handle_work_horse_killed(self, job: job.Job, retpid: Any, ret_val: Any, rusage: Any) -> None:
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)
        if ret_val is not None and os.WIFSIGNALED(ret_val):
            self.story = memory.of_death(ret_val, rusage.ru_maxrss, memory.kills() > self.killed_before)

    def handle_job_failure(self, *args: Any, exc_string: str = "", **options: Any) -> None:
        if self.story:
            exc_string, self.story = f"The job's process terminated unexpectedly. {self.story}", ""
        super().handle_job_failure(*args, exc_string=exc_string, **options)

    def _finalize_failure(self, job: job.Job, queue: Queue, execution: executions.Execution, exc_info: Any) -> None:
        """Note the traceback from the user's own code on, without the frames that led there."""
        kind, error, frames = exc_info
        super()._finalize_failure(job, queue, execution, (kind, error, stories.users_frames(frames)))


def connect(url: str) -> redis.Redis:
    """A connection to Redis, waited for as long as it takes."""
    # Each job's process connects anew: without this package's version, and the question whether the server is one that
    # announces its maintenance.
    plain = {"driver_info": None, "maint_notifications_config": MaintNotificationsConfig(enabled=False)}
    connection = redis.from_url(url, **plain)
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


def bury_predecessor(name: str, queue: Queue) -> None:
    """Let RQ treat the jobs of a dead worker of this name as abandoned now, not when their heartbeat is overdue."""
    # RQ's own rules still decide: a job with retries left is queued again, another is shown as failed.
    connection, started, scheduled = queue.connection, queue.started_job_registry, queue.scheduled_job_registry
    for job_id, execution_id in started.get_job_and_execution_ids(cleanup=False):
        try:
            execution = executions.Execution.fetch(execution_id, job_id, connection)
        except ValueError:  # ended just now
            continue
        if execution.worker_name == name:
            found = queue.fetch_job(job_id)
            if found and found.get_status() == job.JobStatus.SCHEDULED and found not in scheduled:
                found.set_status(job.JobStatus.STARTED)  # died while it put the job off until later
            connection.zadd(started.key, {execution.composite_key: 1}, xx=True)
            executions.ExecutionRegistry(job_id, connection).remove(execution, connection)
    started.cleanup()
    if dead := Worker.find_by_key(Worker.redis_worker_namespace_prefix + name, connection, serializer=Serializer):
        dead.register_death()
    free_cleaning(queue)


def free_cleaning(queue: Queue) -> None:
    """The lock of one that died while it cleaned up would keep all others from it for a quarter of an hour."""
    if 0 < queue.connection.ttl(queue.registry_cleaning_key) < 840:
        queue.connection.delete(queue.registry_cleaning_key)


def requeue_dequeued(queue: Queue) -> None:
    """Put jobs back that a worker had taken from the queue and not begun; a live worker does so within milliseconds."""
    intermediate = IntermediateQueue(queue.key, queue.connection)
    if not (seen := set(intermediate.get_job_ids())):
        return
    time.sleep(1)
    seen -= set(queue.started_job_registry.get_job_ids(cleanup=False))

    def put_back(pipeline: Any) -> None:
        stuck = seen.intersection(job_id.decode() for job_id in pipeline.lrange(intermediate.key, 0, -1))
        pipeline.multi()
        for job_id in stuck:
            pipeline.lrem(intermediate.key, 0, job_id)
            pipeline.lpush(queue.key, job_id)

    queue.connection.transaction(put_back, intermediate.key)


def main(name: str, kind: type[ProjectWorker] = ProjectWorker) -> None:
    family.adopt()
    connection = connect(os.environ["REDIS_URL"])
    queue = Queue("default", connection=connection, serializer=Serializer, job_class=Job)
    bury_predecessor(name, queue)
    requeue_dequeued(queue)
    worker = kind([queue], name, connection=connection, serializer=Serializer, **TIMES)
    # Retries with a pause are the scheduler's work. It has the worker's name too, and so gets its predecessor's lock.
    worker.scheduler = RQScheduler([queue], connection=connection, serializer=Serializer, name=name)
    worker.scheduler.acquire_locks(auto_start=True)
    worker.work()


def start(name: str, kind: type[ProjectWorker] = ProjectWorker) -> None:
    try:
        main(name, kind)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        sys.exit(f"Redis is gone ({error}); starting afresh")


if __name__ == "__main__":
    start(sys.argv[1] if len(sys.argv) > 1 else socket.gethostname())

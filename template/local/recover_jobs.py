"""Hand on the jobs that killed workers had: run before a worker starts, with the environment's Python.

RQ does this itself, but only when a job's heartbeat is overdue, a minute or two later. A worker of this machine whose
process is gone will send none any more. RQ's own rules still decide: a job with retries left is queued again, another
is shown as failed.
"""

import os
import socket
import time

import psutil
import redis
from rq import Queue, Worker
from rq.intermediate_queue import IntermediateQueue
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer


def is_gone(worker):
    return worker.hostname == socket.gethostname() and worker.pid and not psutil.pid_exists(worker.pid)


def give_up_started(worker, queue, connection):
    """Let RQ treat the job that a dead worker was busy with as abandoned, now."""
    registry = StartedJobRegistry(queue=queue, serializer=JSONSerializer)
    if overdue := {execution.composite_key: 1 for execution in worker.get_current_executions()}:
        connection.zadd(registry.key, overdue, xx=True)
        registry.cleanup()


def requeue_dequeued(queue, connection):
    """Put jobs back that a worker had taken from the queue and not begun; a live worker does so within milliseconds."""
    waiting = IntermediateQueue(queue.key, connection)
    if seen := set(waiting.get_job_ids()):
        time.sleep(1)
        started = set(StartedJobRegistry(queue=queue, serializer=JSONSerializer).get_job_ids(cleanup=False))
        for job in seen.intersection(waiting.get_job_ids()) - started:
            waiting.remove(job)
            queue.push_job_id(job, at_front=True)
            print(f"job {job}: its worker was killed before it began; queued again", flush=True)


def main():
    connection = redis.from_url(os.environ["REDIS_URL"])
    queue = Queue("default", connection=connection, serializer=JSONSerializer)
    for worker in Worker.all(connection=connection, serializer=JSONSerializer):
        if is_gone(worker):
            give_up_started(worker, queue, connection)
            worker.register_death()
    requeue_dequeued(queue, connection)


if __name__ == "__main__":
    main()

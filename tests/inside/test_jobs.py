import math
import operator
import os
import time
from uuid import uuid4

import pytest
from dsproj.kernel import jobs, waiting
from lib.jobs import JobsFailed, NoWorker, enqueue_ranges, queue, wait
from lib.postgres import connect_to_postgres, encode_targets, read_frame
from rq import Retry, Worker
from rq.executions import ExecutionRegistry
from rq.job import JobStatus

KWARGS = {"label": "label", "codes": {"no": 0, "yes": 1}}


@pytest.fixture
def worker():
    if not Worker.all(queue=queue()):
        pytest.skip("no worker is running: `make up` starts one")


@pytest.fixture
def idle_queue(monkeypatch):
    """A queue that no worker listens on, in the place of the default one."""
    name = f"test_{uuid4().hex[:12]}"
    monkeypatch.setattr(jobs, "queue", lambda: queue(name))
    yield jobs.queue()
    jobs.queue().delete(delete_jobs=True)


def test_the_whole_table_through_the_queue(table, worker):
    todo = enqueue_ranges(encode_targets, table, 2, kwargs={"table": table, **KWARGS})
    assert wait(todo, timeout=60) == [2, 2, 1]
    encoded = read_frame(f"SELECT target FROM {table} WHERE label IS NOT NULL ORDER BY _id")
    assert encoded["target"].tolist() == [0, 1, 0, 1]
    again = enqueue_ranges(encode_targets, table, 2, kwargs={"table": table, **KWARGS})
    assert wait(again, timeout=60) == [2, 2, 1]
    for job in again:
        job.delete()


def test_a_failure_comes_back_with_its_traceback(worker):
    good, bad = queue().enqueue(math.sqrt, 4), queue().enqueue(math.sqrt, -1)
    with pytest.raises(JobsFailed, match="ValueError") as failure:
        wait([good, bad], timeout=60)
    assert failure.value.ids == [bad.id]
    assert wait([good]) == [2.0]
    good.delete()
    bad.delete()


def test_a_mistake_in_the_code_fails_at_once(table, worker):
    """Not after the pauses of the retries, which are there for servers that are away."""
    start = time.monotonic()
    todo = enqueue_ranges(encode_targets, table, 5, kwargs={"table": "no_such_table", **KWARGS})
    with pytest.raises(JobsFailed, match="UndefinedTable"):
        wait(todo, timeout=60)
    assert time.monotonic() - start < 15
    for job in todo:
        job.delete()


@pytest.mark.parametrize(
    ("function", "args", "message"), [("set", [], "not JSON"), ("operator.mul", ["x", 2**25], "32 MB")]
)
def test_a_result_that_redis_should_not_hold(function, args, message, worker):
    job = queue().enqueue(function, args=args)
    with pytest.raises(JobsFailed, match=message):
        wait([job], timeout=60)
    job.delete()


def test_a_job_that_never_ends_is_ended(worker):
    job = queue().enqueue(time.sleep, 3600, job_timeout=1, retry=Retry(max=3))
    with pytest.raises(JobsFailed, match="JobTimeoutException"):
        wait([job], timeout=60)
    job.delete()


def test_a_job_that_kills_its_process_is_tried_again_and_then_reported(worker):
    job = queue().enqueue(os.kill, 0, 9, retry=Retry(max=1))
    with pytest.raises(JobsFailed, match="terminated unexpectedly"):
        wait([job], timeout=60)
    job.delete()


def test_a_job_that_is_in_no_list_any_more_is_reported(table, idle_queue, monkeypatch):
    monkeypatch.setattr(waiting, "LOST_AFTER", 0.5)
    todo = enqueue_ranges(operator.add, table, 2)
    idle_queue.connection.delete(idle_queue.key)
    with pytest.raises(JobsFailed, match="in no list") as failure:
        wait(todo, timeout=20)
    assert failure.value.ids == [job.id for job in todo]


def test_jobs_that_died_with_their_worker_can_be_enqueued_again(table, idle_queue):
    todo = enqueue_ranges(operator.add, table, 5)
    todo[0].set_status(JobStatus.FAILED)
    note = ExecutionRegistry(todo[0].id, idle_queue.connection)
    idle_queue.connection.zadd(note.key, {"gone": time.time() + 60})
    again = enqueue_ranges(operator.add, table, 5)
    assert again[0].get_status() == JobStatus.QUEUED


def test_the_size_follows_the_table(table, idle_queue):
    con, cur = connect_to_postgres()
    cur.execute(f"INSERT INTO {table} SELECT generate_series(100, 80099)")
    con.commit()
    todo = enqueue_ranges(operator.add, table)
    assert len(todo) == 8


def test_ranges_cover_the_keys_without_gaps(table, idle_queue):
    todo = enqueue_ranges(operator.add, table, 2)
    assert [tuple(job.args) for job in todo] == [(1, 2), (3, 10), (11, 11)]


def test_ranges_of_keys_without_gaps_are_even(table, idle_queue):
    con, cur = connect_to_postgres()
    cur.execute(f"TRUNCATE {table}")
    cur.execute(f"INSERT INTO {table} SELECT generate_series(-10, 32550)")
    con.commit()
    todo = enqueue_ranges(operator.add, table)
    assert [tuple(job.args) for job in todo] == [(-10, 8130), (8131, 16271), (16272, 24412), (24413, 32550)]


def test_running_a_cell_twice_does_not_double_the_work(table, idle_queue):
    first = enqueue_ranges(operator.add, table, 2)
    assert enqueue_ranges(operator.add, table, 2) == first
    assert idle_queue.count == 3


def test_rows_without_a_key_are_said(table, idle_queue):
    con, cur = connect_to_postgres()
    cur.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ALTER _id DROP NOT NULL")
    cur.execute(f"INSERT INTO {table} VALUES (NULL)")
    con.commit()
    with pytest.raises(LookupError, match="1 rows without a key"):
        enqueue_ranges(operator.add, table)


def test_an_empty_table_needs_no_jobs(table, idle_queue):
    con, cur = connect_to_postgres()
    cur.execute(f"DELETE FROM {table}")
    con.commit()
    assert wait(enqueue_ranges(operator.add, table, 2)) == []


def test_waiting_without_a_worker_ends(table, idle_queue, monkeypatch):
    monkeypatch.setattr(waiting, "NO_WORKER_AFTER", 1)
    todo = enqueue_ranges(operator.add, table, 5)
    with pytest.raises(NoWorker, match="make up"):
        wait(todo)
    with pytest.raises(TimeoutError):
        wait(todo, timeout=0.1)


def from_a_notebook(first_id, last_id):
    return first_id


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"size": 0}, ValueError, "size"),
        ({"size": 2.5}, ValueError, "size"),
        ({"table": "no_such_table"}, LookupError, "no table"),
        ({"table": "pg_class"}, LookupError, "_id"),
        ({"function": "lib.postgres.encode_targets"}, TypeError, "plain function"),
        ({"function": lambda first_id, last_id: None}, TypeError, "<lambda>"),
        ({"kwargs": {"codes": {1, 2}}}, TypeError, "JSON"),
        ({"kwargs": {"no_such": 1}}, TypeError, "no_such"),
    ],
)
def test_mistakes_are_found_before_anything_is_queued(change, error, message, table, idle_queue):
    call = {"function": encode_targets, "table": table, "size": 2} | change
    with pytest.raises(error, match=message):
        enqueue_ranges(**call)
    assert idle_queue.count == 0


def test_a_function_of_the_notebook_is_no_job(table, monkeypatch):
    monkeypatch.setattr(from_a_notebook, "__module__", "__main__")
    with pytest.raises(TypeError, match="lib/"):
        enqueue_ranges(from_a_notebook, table, 2)

import math
import time
from pathlib import Path
from uuid import uuid4

import nbformat
import numpy as np
import pytest
from dsproj.kernel import allowed, jobs, waiting
from dsproj.kernel import progress as progress_module
from dsproj.settings import PROJECT
from lib import probes
from lib.jobs import JobsFailed, NoWorker, enqueue_each, enqueue_ranges, progress, queue, wait, watch
from lib.postgres import connect_to_postgres, encode_targets, read_frame
from rq import Callback, Queue, Retry, Worker
from rq.executions import ExecutionRegistry
from rq.job import JobStatus
from rq.results import Result
from rq.serializers import JSONSerializer

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
    good, bad = queue().enqueue(probes.root, 4), queue().enqueue(probes.root, -1)
    with pytest.raises(JobsFailed, match="ValueError") as failure:
        wait([good, bad], timeout=60)
    assert failure.value.ids == [bad.id]
    assert wait([good]) == [2.0]
    good.delete()
    bad.delete()


def of_stranger(function, *args, **options):
    """What whoever reaches Redis can write there, past what lib.jobs refuses."""
    stranger = Queue(connection=queue().connection, serializer=JSONSerializer)
    return stranger.enqueue(function, args=args, **options)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("os.system", ["touch opened"]),
        ("subprocess.getoutput", ["touch opened"]),
        ("builtins.eval", ["open('opened', 'w')"]),
        ("eval", ["open('opened', 'w')"]),
        ("lib.probes.os.system", ["touch opened"]),
        ("lib.probes.subprocess.getoutput", ["touch opened"]),
        ("lib.probes.math.sqrt", [4]),
        ("lib.probes.root.__call__", [4]),
        ("dsproj.kernel.jobs.queue", []),
        ("library.os.system", ["touch opened"]),
        ("no_such_module.f", []),
    ],
)
def test_a_worker_calls_functions_of_lib_alone(function, args, worker):
    job = of_stranger(function, *args, retry=Retry(max=3))
    with pytest.raises(JobsFailed, match="not defined in lib/") as failure:
        wait([job], timeout=60)
    assert "rq/worker" not in str(failure.value)
    assert not Path("opened").exists()
    job.delete()


def test_a_worker_imports_nothing_that_is_not_of_lib(worker):
    """Importing a module runs it."""
    Path("stray.py").write_text("open('opened', 'w')\n")
    try:
        job = of_stranger("stray.f")
        with pytest.raises(JobsFailed, match="not defined in lib/"):
            wait([job], timeout=60)
        assert not Path("opened").exists()
        job.delete()
    finally:
        Path("stray.py").unlink()


def test_a_notebook_in_the_queue_takes_values_and_no_code(worker):
    path = PROJECT / "ipynb" / "20300101-1-Stranger.ipynb"
    cell = nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell("print(x)")]), path)
    try:
        job = of_stranger(allowed.NOTEBOOK, "ipynb/" + path.name, {"x": "open('opened', 'w')"})
        assert wait([job], timeout=60) == [""]
        assert not list(PROJECT.rglob("opened"))
        outside = of_stranger(allowed.NOTEBOOK, "/etc/passwd", {})
        with pytest.raises(JobsFailed, match="no such notebook"):
            wait([outside], timeout=60)
    finally:
        path.unlink()


def test_callbacks_are_functions_of_lib_too(worker):
    job = of_stranger("lib.probes.root", 4, on_success=Callback("subprocess.getoutput"))
    with pytest.raises(JobsFailed, match="subprocess.getoutput is not defined in lib/"):
        wait([job], timeout=60)
    job.delete()


def test_modules_that_the_user_lists_are_allowed(monkeypatch):
    with pytest.raises(TypeError, match="JOB_MODULES"):
        allowed.resolve("math.sqrt")
    monkeypatch.setenv("JOB_MODULES", "fractions, math")
    assert allowed.resolve("math.sqrt")(4) == 2
    with pytest.raises(TypeError, match="JOB_MODULES"):
        allowed.resolve("fractions.operator.add")
    with pytest.raises(TypeError, match="JOB_MODULES"):
        allowed.resolve("mathematics.sqrt")


def test_jobs_of_rqs_plain_queue_are_done(worker):
    """The literature's way. They are pickled, and what they return comes back by pickle."""
    plain = Queue(connection=queue().connection)
    todo = [plain.enqueue(probes.root, number) for number in (4, 9)]
    assert wait(todo, timeout=60) == [2.0, 3.0]
    assert todo[0].return_value(refresh=True) == 2.0
    stranger = plain.enqueue("os.system", "touch opened")
    with pytest.raises(JobsFailed, match="not defined in lib/"):
        wait([stranger], timeout=60)
    assert not Path("opened").exists()
    for job in [*todo, stranger]:
        job.delete()


class Opens:
    def __reduce__(self):
        return open, ("opened", "w")


@pytest.mark.parametrize("argument", [Opens(), np.int64(4)])
def test_a_pickle_of_more_than_values_names_the_cure(argument, worker):
    job = Queue(connection=queue().connection).enqueue("lib.probes.root", argument)
    with pytest.raises(JobsFailed, match=r"by pickle.*lib\.jobs import queue"):
        wait([job], timeout=60)
    assert not Path("opened").exists()
    assert job.latest_result().exc_string.startswith(
        "rq.exceptions.DeserializationError: This job was enqueued by pickle"
    )
    job.delete()


def test_what_a_worker_would_refuse_is_refused_at_once(idle_queue):
    for function in (math.sqrt, "os.system", "text".upper):
        with pytest.raises(TypeError, match="move it to a file in lib/"):
            idle_queue.enqueue(function, 4)
    assert idle_queue.count == 0


def test_a_traceback_begins_in_the_users_code(worker):
    job = queue().enqueue(probes.root, -1)
    with pytest.raises(JobsFailed):
        wait([job], timeout=60)
    assert "probes.py" in job.latest_result().exc_string.splitlines()[1]
    job.delete()


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
    ("function", "args", "message"),
    [("lib.probes.unique", [], "not JSON"), ("lib.probes.repeat", ["x", 2**25], "32 MB")],
)
def test_a_result_that_redis_should_not_hold(function, args, message, worker):
    job = queue().enqueue(function, args=args)
    with pytest.raises(JobsFailed, match=message):
        wait([job], timeout=60)
    job.delete()


def test_a_result_that_is_kept_no_longer_is_said(worker):
    job = queue().enqueue(probes.root, 4)
    assert wait([job], timeout=60) == [2.0]
    job.connection.delete(Result.get_key(job.id))
    with pytest.raises(JobsFailed, match="ended longer ago than results are kept"):
        wait([job], timeout=60)
    job.delete()


def test_a_job_that_never_ends_is_ended(worker):
    job = queue().enqueue(probes.sleep, 3600, job_timeout=1, retry=Retry(max=3))
    with pytest.raises(JobsFailed, match="JobTimeoutException"):
        wait([job], timeout=60)
    job.delete()


def test_a_job_that_kills_its_process_is_tried_again_and_then_reported(worker):
    job = queue().enqueue(probes.kill, 9, retry=Retry(max=1))
    with pytest.raises(JobsFailed, match="terminated unexpectedly"):
        wait([job], timeout=60)
    job.delete()


def test_a_job_that_is_in_no_list_any_more_is_reported(table, idle_queue, monkeypatch):
    monkeypatch.setattr(waiting, "LOST_AFTER", 0.5)
    todo = enqueue_ranges(probes.add, table, 2)
    idle_queue.connection.delete(idle_queue.key)
    with pytest.raises(JobsFailed, match="in no list") as failure:
        wait(todo, timeout=20)
    assert failure.value.ids == [job.id for job in todo]


def test_jobs_that_died_with_their_worker_can_be_enqueued_again(table, idle_queue):
    todo = enqueue_ranges(probes.add, table, 5)
    todo[0].set_status(JobStatus.FAILED)
    note = ExecutionRegistry(todo[0].id, idle_queue.connection)
    idle_queue.connection.zadd(note.key, {"gone": time.time() + 60})
    again = enqueue_ranges(probes.add, table, 5)
    assert again[0].get_status() == JobStatus.QUEUED


def test_each_item_has_its_result_in_order(worker):
    numbers = [number for number in range(2500) if number % 1000 != 7]
    todo = enqueue_each(probes.digits, numbers, kwargs={"base": 7})
    assert len(todo) == 100
    assert enqueue_each(probes.digits, numbers, kwargs={"base": 7})[-1] == todo[-1]
    assert wait(todo, timeout=60) == [number % 7 for number in numbers]


def test_many_ranges_are_shared_out_among_jobs(table, worker):
    con, cur = connect_to_postgres()
    cur.execute(f"TRUNCATE {table}")
    cur.execute(f"INSERT INTO {table} SELECT generate_series(1, 500)")
    con.commit()
    todo = enqueue_ranges(probes.add, table, 2)
    assert len(todo) <= 100
    assert enqueue_ranges(probes.add, table, 2)[-1] == todo[-1]
    assert wait(todo, timeout=60) == [2 * first + 1 for first in range(1, 500, 2)]


def test_failures_and_results_are_by_item(worker):
    with pytest.raises(JobsFailed, match="no digits of 7") as caught:
        wait(enqueue_each(probes.digits, range(2500)), timeout=60)
    failed = caught.value
    assert list(failed.failures) == [7, 1007, 2007]
    assert "probes.py" in failed.failures[1007].splitlines()[1]
    assert failed.results == [None if number % 1000 == 7 else number % 10 for number in range(2500)]
    lines = str(failed).splitlines()
    assert lines[0].startswith("lib/probes.py, line ") and "raise LookupError" in lines[0]
    assert lines[1:4] == ["LookupError: no digits of 7", "", "3 of 2,500 items failed: 7, 1007, 2007"]


def test_an_item_is_tried_again_and_those_before_it_are_not(worker):
    calls = Path("calls").resolve()  # where the worker sees it too
    items = list(range(101))  # makes 2 and 3 one job
    try:
        assert wait(enqueue_each(probes.away_once, items, kwargs={"path": str(calls)}), timeout=60) == items
        assert [calls.read_text().split().count(item) for item in ("2", "3")] == [1, 2]
    finally:
        calls.unlink(missing_ok=True)


def test_items_of_a_job_that_died_are_all_named(worker):
    with pytest.raises(JobsFailed, match="terminated unexpectedly") as caught:
        wait(enqueue_each(probes.dies, [1, 2]), timeout=90)
    assert list(caught.value.failures) == [1] and caught.value.results == [None, 2]


@pytest.mark.parametrize(
    ("function", "items", "message"),
    [
        (probes.digits, [{1, 2}], "items of jobs must be JSON"),
        (probes.digits, [float("nan")], "items of jobs must be JSON"),
        (math.sqrt, [4], "move it to a file in lib/"),
        (probes.add, [1], "cannot be called with"),
    ],
)
def test_items_that_cannot_be_jobs_are_refused_at_once(function, items, message, idle_queue):
    with pytest.raises(TypeError, match=message):
        enqueue_each(function, items)
    assert idle_queue.count == 0
    assert enqueue_each(probes.digits, []) == []


def test_arrays_are_items_and_unhashable_items_can_fail(worker):
    assert wait(enqueue_each(probes.digits, np.arange(3)), timeout=60) == [0, 1, 2]
    with pytest.raises(JobsFailed) as caught:
        wait(enqueue_each(probes.digits, [[1]]), timeout=60)
    assert list(caught.value.failures) == ["[1]"]


def test_progress_of_a_job_is_watched_from_elsewhere(worker, capsys):
    job = queue().enqueue(probes.counted, 20, 0.1)
    wait_until(lambda: progress_module.PREFIX + job.id in keys())
    start = time.monotonic()
    watch(job)
    assert 0.5 < time.monotonic() - start < 20
    shown = capsys.readouterr().err
    assert "20/20" in shown and "item/s" in shown, shown
    assert wait([job], timeout=20) == [20]
    job.delete()


def test_watching_what_failed_or_was_never_there_ends(worker, capsys):
    job = queue().enqueue(probes.fails_halfway, 10)
    with pytest.raises(JobsFailed, match="half-way"):
        wait([job], timeout=60)
    watch(job.id)
    assert "failed" in capsys.readouterr().err or "stopped" in capsys.readouterr().err
    watch("no such key")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 and "no such key" in printed[0] and job.id in printed[0]
    job.delete()


def test_progress_counts_updates_and_notes_its_end():
    done = progress(10, key="test-progress")
    done.update(4)
    done.update(6)
    assert noted("test-progress") == (b"10", b"done")
    for item in progress([1, 2, 3], key="test-progress"):
        if item == 2:
            break
    assert noted("test-progress") == (b"1", b"stopped")
    assert list(progress([], key="test-progress")) == [] and noted("test-progress") == (b"0", b"done")


def keys():
    return {key.decode() for key in queue().connection.scan_iter(progress_module.PREFIX + "*")}


def noted(key):
    return tuple(queue().connection.hmget(progress_module.PREFIX + key, "n", "state"))


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_size_follows_the_table(table, idle_queue):
    con, cur = connect_to_postgres()
    cur.execute(f"INSERT INTO {table} SELECT generate_series(100, 160099)")
    con.commit()
    todo = enqueue_ranges(probes.add, table)
    assert len(todo) == 8


def test_ranges_of_wide_rows_have_fewer_of_them(table, idle_queue):
    con, cur = connect_to_postgres()
    cur.execute(f"TRUNCATE {table}")
    cur.execute(f"ALTER TABLE {table} ALTER label SET STORAGE EXTERNAL")  # as wide on the disk as in memory
    cur.execute(f"INSERT INTO {table} SELECT n, repeat('x', 1000000) FROM generate_series(1, 70) n")
    con.commit()
    todo = enqueue_ranges(probes.add, table)
    assert [tuple(job.args) for job in todo] == [*((first, first + 7) for first in range(1, 65, 8)), (65, 70)]


def test_parts_of_what_has_no_size_have_no_more_rows_than_jobs():
    con, cur = connect_to_postgres()
    name = f"test_{uuid4().hex[:12]}"
    cur.execute(f"CREATE VIEW {name} AS SELECT n AS _id FROM generate_series(1, 900000) AS n")
    con.commit()
    try:
        assert len(jobs.key_ranges(name, None, most=10**6)) == 18
    finally:
        cur.execute(f"DROP VIEW {name}")
        con.commit()


def test_ranges_cover_the_keys_without_gaps(table, idle_queue):
    todo = enqueue_ranges(probes.add, table, 2)
    assert [tuple(job.args) for job in todo] == [(1, 2), (3, 10), (11, 11)]


def test_ranges_of_keys_without_gaps_are_even(table, idle_queue):
    con, cur = connect_to_postgres()
    cur.execute(f"TRUNCATE {table}")
    cur.execute(f"INSERT INTO {table} SELECT generate_series(-10, 32550)")
    con.commit()
    todo = enqueue_ranges(probes.add, table)
    assert [tuple(job.args) for job in todo] == [(-10, 16270), (16271, 32550)]


def test_running_a_cell_twice_does_not_double_the_work(table, idle_queue):
    first = enqueue_ranges(probes.add, table, 2)
    assert enqueue_ranges(probes.add, table, 2) == first
    assert idle_queue.count == 3


def test_rows_without_a_key_are_said(table, idle_queue):
    con, cur = connect_to_postgres()
    cur.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ALTER _id DROP NOT NULL")
    cur.execute(f"INSERT INTO {table} VALUES (NULL)")
    con.commit()
    with pytest.raises(LookupError, match="1 rows without a key"):
        enqueue_ranges(probes.add, table)


def test_an_empty_table_needs_no_jobs(table, idle_queue):
    con, cur = connect_to_postgres()
    cur.execute(f"DELETE FROM {table}")
    con.commit()
    assert wait(enqueue_ranges(probes.add, table, 2)) == []


def test_waiting_without_a_worker_ends(table, idle_queue, monkeypatch):
    monkeypatch.setattr(waiting, "NO_WORKER_AFTER", 1)
    todo = enqueue_ranges(probes.add, table, 5)
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
        ({"function": math.hypot}, TypeError, "move it to a file in lib/"),
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

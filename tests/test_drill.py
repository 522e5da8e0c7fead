"""The failure drill: in the midst of a run over 32,561 rows something dies, and nobody lifts a hand.

DSPROJ_DRILL=5 kills each victim five times, at random moments; the default is once.
"""

import os
import random
import signal
import subprocess
import time

import pytest
from conftest import command, wait_for
from stacks import BOTH, SERVICES, stack_of

ROUNDS = int(os.environ.get("DSPROJ_DRILL", "1"))
ROWS = 32_561
JOBS = 33
LEFT = 120  # seconds after the run until no job may be noted as started

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads /proc"),
]

TABLE = f"""
CREATE TABLE drill (_id integer PRIMARY KEY, label text, target smallint);
INSERT INTO drill SELECT n, CASE WHEN n % 4 = 0 THEN 'yes' ELSE 'no' END FROM generate_series(1, {ROWS}) AS n;
"""

# What a notebook's cell does, again and again: the jobs of a new run have the ids of the old one's. The first line of output
# tells when they are queued.
RUN = """
from itertools import pairwise
from lib.jobs import enqueue_ranges, wait
from lib.postgres import encode_targets
jobs = enqueue_ranges(encode_targets, "drill", 1000, {"table": "drill", "label": "label", "codes": {"no": 0, "yes": 1}})
begin = jobs[0].enqueued_at
print("queued", len(jobs), flush=True)
encoded = sum(wait(jobs, timeout=280))
for job in jobs:
    job.refresh()
ends = sorted(job.ended_at for job in jobs)
standstill = max((after - before).total_seconds() for before, after in pairwise([begin, *ends]))
print("encoded", encoded, (ends[-1] - begin).total_seconds(), standstill, flush=True)
"""

STATE = """
from lib.jobs import queue
home = queue()
print(home.started_job_registry.count, home.failed_job_registry.count, home.intermediate_queue.get_job_ids())
"""


@pytest.fixture(scope="module", params=BOTH)
def project(request, tmp_path_factory):
    with stack_of(request, request.param, tmp_path_factory.mktemp("drill") / "project", "drill") as made:
        assert "is running" in made.generate().printed, made.printed
        made.sql(TABLE)
        yield made


def kill(pids):
    """kill -9, as a crash does it: the engine's own `docker kill` counts as a stop on purpose."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # ended by itself
            continue
        except PermissionError:  # containers' processes, on a machine where this user is not root
            command("sudo", "-n", "kill", "-9", pid)


def victims(project, what):
    """The processes to kill: {what: the service it belongs to} is in the test's parameters."""
    if what == "worker":
        return project.worker_family()[:1]
    if what == "worker and horse":
        return project.worker_family()
    return project.host_process_id(what)


def run(project, what=None, duration=0.0):
    """One run over all rows, with a murder in it; seconds that it took, and the longest time in which no job ended."""
    project.sql("UPDATE drill SET target = NULL")
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": project.path}
    with subprocess.Popen([*project.run_command, "python", "-c", RUN], **options) as driver:
        try:
            assert driver.stdout.readline().split() == ["queued", str(JOBS)]
            if what:
                time.sleep(random.uniform(0, duration))
                kill(victims(project, what))
            printed, errors = driver.communicate(timeout=300)
        finally:
            driver.kill()
    assert driver.returncode == 0, errors
    word, encoded, seconds, standstill = printed.split()
    # wait() does not lie: every job was done, and what they say they did is in the table.
    assert int(encoded) == ROWS
    wait_for(lambda: project.states() == dict.fromkeys(SERVICES, "healthy"), LEFT, "a healthy stack")
    assert project.sql("SELECT count(*), sum(target) FROM drill WHERE target IS NOT NULL") == f"{ROWS}|{ROWS // 4}"
    return float(seconds), float(standstill)


@pytest.mark.parametrize("what", ["worker", "worker and horse", "this_redis", "this_postgres"])
def test_drill(project, what):
    undisturbed, _ = run(project)
    for _ in range(ROUNDS):
        start = time.monotonic()
        took, standstill = run(project, what, undisturbed)
        wait_for(lambda: project.python(STATE).split() == ["0", "0", "[]"], LEFT, "the end of every job")
        rest = time.monotonic() - start
        print(
            f"{project.kind}: {what} killed: {took:.1f} s, {standstill:.1f} s at a standstill, at rest after {rest:.1f} s"
        )
        assert standstill < 100, "the job of a killed worker begins again within 100 s"

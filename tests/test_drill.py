"""The failure drill: in the midst of a run over 32,561 rows something dies, and nobody lifts a hand.

DSPROJ_DRILL=5 kills each victim five times, at random moments; the default is once.
"""

import os
import random
import re
import signal
import subprocess
import time

import pytest
from conftest import ROOT, command, free_port, wait_for
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


@pytest.mark.parametrize(
    "what",
    [
        "worker",
        *(
            pytest.param(each, marks=pytest.mark.local_shows_it)
            for each in ("worker and horse", "this_redis", "this_postgres")
        ),
    ],
)
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


COUNTS = "SELECT count(*), count(DISTINCT id), coalesce(sum((data ->> 'square')::bigint), 0) FROM events"
EVENTS = 1000


@pytest.mark.local_shows_it
def test_a_collector_that_is_killed_again_and_again_loses_and_doubles_nothing(project):
    """The code of docs/collectors.md, on a feed that the project serves itself, which repeats some events after a break."""
    page = (ROOT / "docs/collectors.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    port = free_port(23000) if project.kind == "local" else 8070
    host = "127.0.0.1" if project.kind == "local" else "feed"
    place = project.path / "lib"
    feed = (
        (ROOT / "tests/feed.py").read_text().replace("PORT, TOTAL, REPEATED = 8070", f"PORT, TOTAL, REPEATED = {port}")
    )
    (place / "feed.py").write_text(feed)
    (place / "collect.py").write_text(re.sub(r'FEED = ".*"', f'FEED = "http://{host}:{port}/"', code))
    project.make("service", "NAME=feed", f"FUNCTION=lib.feed.{'serve_here' if project.kind == 'local' else 'serve'}")
    said = project.make("service", "NAME=collector", "FUNCTION=lib.collect.run")
    assert "collector      runs lib.collect.run; its log: make logs S=collector" in said
    assert project.states() == dict.fromkeys([*SERVICES, "feed", "collector"], "healthy")
    stored = 0
    for number in range(10 if "DSPROJ_DRILL" in os.environ else 4):
        if number == 6:  # Docker waits twice as long after each death, until one has lived for ten seconds
            time.sleep(10 if project.kind == "docker" else 0)
        (pid,) = wait_for(lambda: project.host_process_id("collector"), 90, "its next start")
        time.sleep(random.uniform(0.1, 1.2))
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda pid=pid: project.host_process_id("collector") not in ([], [pid]), 90, "its next start")
        before, stored = stored, int(project.sql(COUNTS).split("|")[0])
        assert stored >= before
    squares = sum(number**2 for number in range(1, EVENTS + 1))
    wait_for(lambda: project.sql(COUNTS).startswith(f"{EVENTS}|"), 90, "the last event")
    assert project.sql(COUNTS) == f"{EVENTS}|{EVENTS}|{squares}"
    assert project.sql("SELECT last_id FROM cursors") == str(EVENTS)

    project.make("down")
    assert project.states() == {}
    assert "collector      healthy" in project.make("up")
    assert project.states() == dict.fromkeys([*SERVICES, "feed", "collector"], "healthy")
    for name in ("collector", "feed"):
        project.make("service", f"DROP={name}")
    assert project.states() == dict.fromkeys(SERVICES, "healthy") and project.sql(COUNTS).startswith(f"{EVENTS}|")
    assert project.git("status", "--porcelain", "config") == ""

"""The local stack where nobody looks: other users, full tables, packed giants, kills at random. The long ones are the drill's."""

import gzip
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import PREFIX, ROOT, checked, command, free_port, wait_for
from stacks import IDENTITY, SERVICES, LocalStack, stack_of

DRILL = "DSPROJ_DRILL" in os.environ
LIMIT = 600  # seconds
needs_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
long = pytest.mark.skipif(not DRILL, reason="takes minutes: nox -s drill")
STRANGER = ("setpriv", "--reuid=4242", "--regid=4242", "--clear-groups")

LIB = """
def label(first, last):
    from lib.postgres import connect_to_postgres
    con, cur = connect_to_postgres()
    cur.execute("UPDATE big SET label = _id %% 7 WHERE _id BETWEEN %s AND %s", [first, last])
    con.commit()

def one_more(n):
    return n + 1

def slow(n):
    import time
    time.sleep(0.3)
    return n
"""


@pytest.fixture(scope="module")
def project(request, tmp_path_factory):
    with stack_of(request, LocalStack, tmp_path_factory.mktemp("odd") / "project", "odd") as made:
        made.generate(dataset_source=ROOT / "hooks/samples/adult.data")
        (made.path / "lib/odd.py").write_text(LIB)
        yield made


def refused(place, *words):
    """What a command says that cannot be done: in a few lines, and never with a traceback."""
    done = command("make", *words, cwd=place)
    assert done.returncode and "Traceback" not in done.printed and done.printed.count("\n") < 6, done.printed
    return done.printed


# --- other users


@needs_root
def test_what_a_process_knows_is_for_its_user_alone(project):
    """Passwords stand in the environment of kernels and workers; the kernel shows that to their user and to root."""
    ids = [pid for name in project.states() for pid in project.host_process_id(name)]
    assert len(ids) >= 5
    for pid in ids:
        done = command(*STRANGER, "cat", f"/proc/{pid}/environ")
        assert done.returncode and "Permission denied" in done.printed
    # PostgreSQL's server may be nobody's, as are other programs; it knows no secret.
    (server,) = project.host_process_id("this_postgres")
    told = Path(f"/proc/{server}/environ").read_bytes()
    assert b"DSPROJ_STACK" in told and not [secret for secret in project.secrets if secret.encode() in told]


@needs_root
def test_another_user_is_told_whose_project_it_is(project):
    place = Path(tempfile.mkdtemp(prefix="dsproj-test-"))
    try:
        place.chmod(0o755)
        shutil.copytree(project.path, place / "project", ignore=shutil.ignore_patterns(".local"), symlinks=True)
        for word in ("ps", "up", "backup", "url", "down"):
            done = command(*STRANGER, "/usr/bin/python3", ".dsproj", word, cwd=place / "project")
            assert done.returncode and "may be read by uid 0 alone, and this is uid 4242" in done.printed, done.printed
    finally:
        shutil.rmtree(place)


@needs_root
def test_a_folder_that_nobody_may_write_to_is_said(project):
    place = project.path.parent / "read-only"
    place.mkdir()
    if command("mount", "--bind", project.path, place).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        checked("mount", "-o", "remount,ro,bind", place)
        for words in (["up"], ["backup"], ["notebook", "NAME=x"], ["dataset", "SOURCE=/etc/hosts"], ["down"]):
            said = refused(place, *words)
            assert "Read-only file system" in said, said
        assert "healthy" in checked("make", "ps", cwd=place)
    finally:
        checked("umount", place)


# --- many, large, at once

CONNECT = """
import sys, threading
from dsproj.kernel import connection
connection.WAIT_SECONDS = 2
everybody, answers = threading.Barrier(int(sys.argv[1])), []
def kernel():
    try:
        con, cur = connection.connect_to_postgres()
        cur.execute("SELECT 1 FROM adult LIMIT 1")
        answers.append(cur.fetchone()[0])
    except connection.Unavailable as error:
        answers.append(str(error))
    everybody.wait()  # nobody has gone before all have asked
threads = [threading.Thread(target=kernel) for _ in range(int(sys.argv[1]))]
for each in threads: each.start()
for each in threads: each.join()
print(answers.count(1), next((answer for answer in answers if answer != 1), "none refused"))
"""


def test_fifty_kernels_have_a_connection_each_and_the_one_too_many_is_told_what_helps(project):
    assert project.python(CONNECT, "50").strip() == "50 none refused"
    said = project.python(CONNECT, "120")
    assert "has no connection left" in said and "To finish: shut down kernels" in said
    assert project.python(CONNECT, "50").strip() == "50 none refused"


WRITE = """
import os, psycopg2
con = psycopg2.connect("")
cur = con.cursor()
cur.execute("CREATE TABLE written (n int)")
n = 0
while not os.path.exists("enough"):
    n += 1
    cur.execute("INSERT INTO written VALUES (%s)", [n])
    con.commit()
"""


def test_a_backup_while_somebody_writes_holds_one_moment(project):
    writer = subprocess.Popen([*LocalStack.run_command, "python", "-c", WRITE], cwd=project.path)
    try:
        wait_for(
            lambda: (
                project.sql("SELECT to_regclass('written')") and project.sql("SELECT max(n) > 50 FROM written") == "t"
            )
        )
        saved = re.search(r"backups/\S+\.tar", project.make("backup"))[0]
    finally:
        (project.path / "enough").touch()
        writer.wait(60)
    last = int(project.sql("SELECT max(n) FROM written"))
    project.make("restore", f"FILE={saved}", "FORCE=1")
    count, first, most = map(int, project.sql("SELECT count(*), min(n), max(n) FROM written").split("|"))
    assert first == 1 and 50 < count == most <= last


def test_what_is_packed_a_thousandfold_fills_no_memory(project, tmp_path):
    """One is data, and loads; one has a single line of a gigabyte, and is refused."""
    data, endless = tmp_path / "thousandfold.csv.gz", tmp_path / "endless.csv.gz"
    with gzip.open(data, "wb") as file:
        file.write(b"a,b\n")
        for _ in range(3000):
            file.write(b"1," + b"x" * 10_000 + b"\n")
    with gzip.open(endless, "wb") as file:
        for _ in range(1000 if DRILL else 100):
            file.write(b"1" * 2**20)
    assert data.stat().st_size * 500 < 30_000_000
    project.make("dataset", f"SOURCE={data}")
    assert project.sql("SELECT count(*), sum(length(b)) FROM thousandfold") == "3000|30000000"
    said = command("/usr/bin/time", "-f", "%M KB", "make", "dataset", f"SOURCE={endless}", cwd=project.path).printed
    assert "a row longer than 8 MB" in said and "Traceback" not in said, said
    if peak := re.search(r"(\d+) KB", said):
        assert int(peak[1]) < 300_000
    assert not list(project.path.glob("data/endless*"))


def test_one_name_and_the_same_ports_twice_at_once(tmp_path):
    """Both come up, each with ports of its own, though one loses the race between looking at a port and taking it."""
    made = [LocalStack(tmp_path / name / "same", f"{PREFIX}-same") for name in ("one", "two")]
    ports = {"jupyter_port": free_port(20600), "monitor_port": free_port(21600)}
    try:
        with ThreadPoolExecutor() as pool:
            for done in pool.map(lambda stack: stack.generate(**ports).printed, made):
                assert "same is running" in done, done
        for stack in made:
            assert set(stack.states()) == SERVICES and set(stack.states().values()) == {"healthy"}
        for name in ("JUPYTER_PORT", "MONITOR_PORT", "PGPORT", "REDIS_PORT"):
            assert made[0].env[name] != made[1].env[name]
    finally:
        for stack in made:
            stack.remove()


# --- the drill's


WORK = """
from lib.jobs import enqueue_each, wait
from lib.odd import slow
assert wait(enqueue_each(slow, range(24)), timeout=120) == list(range(24))
"""


@long
def test_a_clock_that_jumps_stops_nothing(project, monkeypatch):
    """By half a day and back with jobs under way, by more than a year and back between them; timers go on, as ever."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler here")
    place = Path(tempfile.mkdtemp(prefix="dsproj-test-"))
    place.chmod(0o755)  # the database's user has to reach it
    clock, library = place / "clock", place / "clock.so"

    def set_clock(hours):
        clock.write_bytes((hours * 3600).to_bytes(8, sys.byteorder, signed=True))

    def hours():
        return int(project.sql("SELECT extract(epoch FROM now())::bigint / 3600"))

    def work():
        return subprocess.Popen([*LocalStack.run_command, "python", "-c", WORK], cwd=project.path)

    def all_is_well():
        return set(project.states()) == SERVICES and set(project.states().values()) == {"healthy"}

    try:
        set_clock(0)
        checked("cc", "-shared", "-fPIC", "-o", library, ROOT / "tests" / "clock.c")
        project.make("down")
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("SHIFT", str(clock))
        project.make("up")
        begin = hours()
        for jump in (12, -12, 0, 400 * 24, -30 * 24):
            if abs(jump) <= 12:
                waiting = work()
                time.sleep(3)
                set_clock(jump)
                assert waiting.wait(180) == 0
            set_clock(jump)
            assert hours() - begin - jump in (0, 1) and work().wait(180) == 0
            try:
                wait_for(all_is_well, 60)
            except AssertionError:
                print(jump, project.make("ps"), project.log("this_worker_1")[-1500:])
                raise
            saved = re.search(r"backups/\S+\.tar", project.make("backup"))[0]
            project.make("restore", f"FILE={saved}", "FORCE=1")
            project.make("down")
            project.make("up")
            assert (
                all_is_well() and project.sql("SELECT count(*) = (SELECT row_count FROM dsproj_seed) FROM adult") == "t"
            )
    finally:
        project.make("down")
        monkeypatch.undo()
        shutil.rmtree(place)
        project.make("up")


@long
def test_every_row_is_done_though_workers_are_killed(project):
    """Five million rows, two workers, each killed again and again."""
    rows = 5_000_000
    project.sql(f"CREATE TABLE big AS SELECT n AS _id, NULL::bigint AS label FROM generate_series(1, {rows}) n")
    project.sql("ALTER TABLE big ADD PRIMARY KEY (_id)")
    project.make("scale", "N=2")
    work = "from lib.jobs import enqueue_ranges, wait; from lib.odd import label; wait(enqueue_ranges(label, 'big', 50000))"
    started = time.monotonic()
    waiting = subprocess.Popen([*LocalStack.run_command, "python", "-c", work], cwd=project.path)
    kills = 0
    while waiting.poll() is None and time.monotonic() - started < LIMIT:
        time.sleep(random.uniform(1, 4))
        if kills < 40:
            for pid in project.host_process_id(f"this_worker_{random.choice((1, 2))}"):
                os.kill(pid, signal.SIGKILL)
                kills += 1
    assert waiting.wait(60) == 0
    print(f"{rows:,} rows, {kills} kills: {time.monotonic() - started:.0f} s")
    assert project.sql("SELECT count(*) FROM big WHERE label = _id % 7") == str(rows)


MANY = """
import sys, time
from lib.cache import connect_to_redis
from lib.jobs import queue
from lib.odd import one_more
q, number = queue(), int(sys.argv[1])
for start in range(0, number, 1000):
    q.enqueue_many([q.prepare_data(one_more, (n,)) for n in range(start, start + 1000)])
print("redis", connect_to_redis().info("memory")["used_memory_human"], flush=True)
while len(q) or q.started_job_registry.count:
    time.sleep(1)
print("failed", q.failed_job_registry.count)
"""


@long
def test_many_jobs_wait_for_eight_workers(project):
    """2,000 for each time of the drill; the 100,000 of DSPROJ_DRILL=50 take an hour on two cores."""
    number = 2_000 * int(os.environ["DSPROJ_DRILL"])
    project.make("scale", "N=8")
    started = time.monotonic()
    said = checked(*LocalStack.run_command, "python", "-c", MANY, number, cwd=project.path, timeout=3 * 3600)
    print(f"{number:,} jobs: {time.monotonic() - started:.0f} s, {said}")
    assert "failed 0" in said and set(project.states().values()) == {"healthy"}
    project.make("scale", "N=1")


@long
def test_a_generation_that_is_killed_is_finished_by_make_up(tmp_path):
    """Wherever it was: what is rendered comes up; where not even that was done, the same command again is what remains."""
    for number in range(10):
        stack = LocalStack(tmp_path / f"killed{number}", f"{PREFIX}-killed{number}")
        data = {"project_slug": stack.slug, "stack": "local", "jupyter_port": free_port(20000), "monitor_port": free_port(21000),
                "dataset_source": ROOT / "hooks/samples/adult.data"}  # fmt: skip
        words = [part for name, value in data.items() for part in ("--data", f"{name}={value}")]
        copier = [
            sys.executable,
            "-m",
            "copier",
            "copy",
            "--trust",
            "--defaults",
            "--quiet",
            *words,
            str(ROOT),
            str(stack.path),
        ]
        generation = subprocess.Popen(copier, env=os.environ | IDENTITY, start_new_session=True)
        try:
            time.sleep(moment := random.uniform(1, 20))
            os.killpg(generation.pid, signal.SIGKILL)
            generation.wait()
            print(f"killed after {moment:.1f} s")
            done = command("make", "up", cwd=stack.path) if (stack.path / "Makefile").exists() else None
            if done is None or "files of the project are missing" in done.printed:
                checked(*copier, "--overwrite", env=os.environ | IDENTITY)
            stack.make("up")
            assert set(stack.states().values()) == {"healthy"}
            assert stack.sql("SELECT count(*) = (SELECT row_count FROM dsproj_seed) FROM adult") == "t"
        finally:
            stack.remove()
            shutil.rmtree(stack.path, ignore_errors=True)

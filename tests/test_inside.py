"""Where notebooks and jobs run: the thorough tests of what `lib/` imports from the machine room, run inside a project; and
the worker: what is edited in lib/ is what the next job runs, and what a job leaves behind is cleared away."""

import json
import os
import runpy
import shutil
import signal
import stat
import time

import pytest
import requests
from conftest import ROOT, checked, wait_for
from stacks import BOTH, stack_of

ENQUEUE = """
import sys
from lib.jobs import queue, wait
print(wait([queue().enqueue(sys.argv[1])], timeout=120)[0])
"""


# Between two cells of one kernel, an edit: what the notebook answers, and what a job does.
CELLS = """
import nbclient, nbformat, pathlib
path = pathlib.Path("lib/sums.py")
path.write_text("def add(a, b):\\n    return a + b\\n")
both = "print(add(2, 3), wait([queue().enqueue(add, 2, 3)], timeout=120)[0])"
cells = [
    "from lib.jobs import queue, wait\\nfrom lib.postgres import connect_to_postgres\\nfrom lib.sums import add\\ncon, cur = connect_to_postgres()",
    both,
    "from pathlib import Path\\nPath('../lib/sums.py').write_text('def add(a, b):\\\\n    return min(a, b)\\\\n\\\\ndef new():\\\\n    return 42\\\\n');",
    both,
    "from lib.sums import new\\ncur.execute('SELECT 1')\\nprint(new(), cur.fetchone()[0])",
]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": "ipynb"}}).execute()
for cell in notebook.cells:
    print("".join(output.get("text", "") for output in cell.outputs if output.get("name") == "stdout"), end="")
path.unlink()
"""


# What a notebook shows of progress, and of a job that fails.
SHOWN = """
import nbclient, nbformat, pathlib
path = pathlib.Path("lib/fails.py")
path.write_text("def fail(item):\\n    return 1 / item\\n")
cells = [
    "from lib.jobs import enqueue_each, progress, wait\\nfrom lib.fails import fail\\nfor _ in progress(3, 'three'):\\n    pass",
    "wait(enqueue_each(fail, [1, 0]))",
]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
client = nbclient.NotebookClient(notebook, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": "ipynb"}})
client.execute()
path.unlink()
for cell in notebook.cells:
    for output in cell.outputs:
        print(output.output_type, output.get("name"), output.get("data", {}).get("text/html"), *output.get("traceback", []), sep="|")
"""

# Two kernels at one time: one computes and puts, the other gets, and counts on the same count.
TWO_KERNELS = """
import subprocess
from jupyter_client.manager import start_new_kernel
WRITE = '''
import time
import numpy as np, pandas as pd
from lib.cache import connect_to_redis, put
from lib.jobs import progress
for n in progress(range(1, 31), "shared"):
    put("shared:array", np.full((300, 400), float(n)))
    put("shared:frame", pd.DataFrame({"n": range(n), "text": "a"}))
    for _ in range(20):
        connect_to_redis().incr("shared:count")
    time.sleep(0.1)
'''
READ = '''
import time
from lib.cache import connect_to_redis, get
from lib.jobs import watch
arrays, frames, asked = [], [], 0
while asked < 2000 and (not frames or frames[-1] < 30):
    try:
        array, frame = get("shared:array"), get("shared:frame")
        assert array.min() == array.max(), "a torn array"
        arrays.append(int(array.max()))
        frames.append(len(frame))
    except KeyError:
        pass
    asked = asked + 1
    connect_to_redis().incr("shared:count")
    time.sleep(0.05)
watch("shared")
whole = get("shared:count") == 600 + asked
print(len(set(frames)) > 3, frames == sorted(frames), arrays == sorted(arrays), frames[-1] == 30, whole)
'''
(one, writing), (two, reading) = (start_new_kernel(stderr=subprocess.DEVNULL) for _ in range(2))
writing.execute(WRITE)
reading.execute_interactive(READ, timeout=200)
for kernel, client in ((one, writing), (two, reading)):
    client.stop_channels()
    kernel.shutdown_kernel(now=True)
from lib.cache import connect_to_redis
connect_to_redis().delete("shared:array", "shared:frame", "shared:count")
"""

# What a job may leave behind: a child, a grandchild, and one that hides in a session and an environment of its own.
FAMILY = """
import os, subprocess, time

def leave(seconds):
    subprocess.Popen(["sh", "-c", "sleep 3601 & sleep 3602"])
    subprocess.Popen(["setsid", "sh", "-c", "trap '' TERM; sleep 3603 & wait"], env={"PATH": os.defpath}, start_new_session=True)
    time.sleep(seconds)
    return len(left())

def left():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue
        if "sleep" in words and any(number in words for number in ("3601", "3602", "3603")):
            found.append(int(pid))
    return found
"""

LEAVE = """
import sys, time
from lib.jobs import JobsFailed, queue, wait
from rq.command import send_stop_job_command
seconds, timeout, stop = map(float, sys.argv[1:])
job = queue().enqueue("lib.family.leave", seconds, job_timeout=int(timeout))
while stop and job.get_status().value != "started":
    time.sleep(0.05)
if stop:
    time.sleep(stop)
    send_stop_job_command(queue().connection, job.id)
try:
    print(wait([job], timeout=60)[0])
except JobsFailed as failed:
    print(failed)
print(wait([queue().enqueue("lib.family.left")], timeout=60)[0])
"""

HOG = """
def hog():
    return len([bytes(20 * 2**20) + b"x" for _ in range(200)])
"""

# What a kernel, and a job, has of config/jupyter.env.
CREDENTIALS = """
import nbclient, nbformat
from lib.jobs import queue, wait
cell = nbformat.v4.new_code_cell("import os; print(os.environ['MINE'])")
notebook = nbformat.v4.new_notebook(cells=[cell])
nbclient.NotebookClient(notebook, kernel_name="python3").execute()
print(notebook.cells[0].outputs[0]["text"], wait([queue().enqueue("lib.probes.variable", "MINE")], timeout=60)[0])
"""
AWS = "AKIA" + "Q3EGRZ7YJ5KXW2LB"  # put together, so that no tool takes this file for what it looks for

# Which hosts the dashboard answers as, where MONITOR_HOSTS names two more.
HOSTS = """
import os
os.environ["MONITOR_HOSTS"] = "jobs.example.org, 192.0.2.1"
from dsproj.kernel import monitor
from flask import Flask
for host in ("jobs.example.org", "192.0.2.1:8443", "example.org"):
    with Flask("any").test_request_context(headers={"Host": host}):
        print(monitor.refuse_other_hosts() is None)
"""


@pytest.fixture(scope="module", params=BOTH)
def project(request, tmp_path_factory):
    with stack_of(request, request.param, tmp_path_factory.mktemp("inside") / "project", "inside") as made:
        # A user's credentials may be there already.
        (made.path / "config").mkdir(parents=True)
        (made.path / "config" / "jupyter.env").write_text("MINE=made-for-this-test\n")
        (made.path / "config" / "jupyter.env").chmod(0o600)
        made.generate(mongo=True)
        shutil.copytree(ROOT / "tests" / "inside", made.path / "inside", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "tests" / "inside" / "probes.py", made.path / "lib")
        yield made


def test_no_password_in_a_process_list_at_any_health_check(project):
    """MongoDB's among them. Each service is asked every five seconds at the least."""
    for _ in range(40):
        running = checked("ps", "-eww", "-o", "args")
        assert not [secret for secret in project.secrets if secret in running]
        time.sleep(0.2)


# The same Python on both engines; MongoDB is another server on each.
INSIDE = ["mongo"]
INSIDE_ONCE = "postgres copy_binary jobs cache memory models documents cell_to_lib sql_magic literature".split()


@pytest.mark.parametrize(
    "name", [*INSIDE, *(pytest.param(name, marks=pytest.mark.local_shows_it) for name in INSIDE_ONCE)]
)
def test_inside_a_project(project, name):
    printed = project.run("python", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", f"inside/test_{name}.py")
    assert "passed" in printed and "skipped" not in printed, printed


def answer(project, function):
    """What a job that calls `function` returns; or the error, as text."""
    done = project.try_python(ENQUEUE, function)
    return done.stdout.strip() if done.returncode == 0 else done.stderr


def test_edited_code_is_what_the_next_job_runs(project):
    module = project.path / "lib" / "answers.py"
    workers = project.worker_start()
    for number in range(5):  # at once and of the same size, where compiled code is easily taken for fresh
        module.write_text(f"def ask():\n    return {number}\n")
        assert answer(project, "lib.answers.ask") == str(number)
    # Through another module too, which has not changed itself.
    (project.path / "lib" / "asking.py").write_text("from lib.answers import ask\n\ndef again():\n    return ask()\n")
    assert answer(project, "lib.asking.again") == "4"
    module.write_text("def ask():\n    return 'edited'\n")
    assert answer(project, "lib.asking.again") == "edited"

    (project.path / "lib" / "clock.py").write_text("import time\n\ndef now():\n    return time.time()\n")
    module.write_text("def ask(:\n")
    assert "SyntaxError" in answer(project, "lib.answers.ask")
    module.write_text("import no_such_module\n")
    assert "no_such_module" in answer(project, "lib.answers.ask")
    module.write_text("raise SystemExit(3)\n")
    assert float(answer(project, "lib.clock.now")) > 0, "a module that does not import spoils no other job"
    module.write_text("def ask():\n    return 'mended'\n")
    assert answer(project, "lib.answers.ask") == "mended"
    assert project.worker_start() == workers, "nobody was restarted"


def test_a_job_starts_at_once_and_pandas_is_there(project):
    (project.path / "lib" / "timing.py").write_text(
        "import sys, time\n\ndef begun():\n    return [time.time(), 'pandas' in sys.modules]\n"
    )
    code = """
import time
from lib.jobs import queue, wait
late = []
for _ in range(10):
    time.sleep(0.2)
    start = time.time()
    begun, pandas = wait([queue().enqueue("lib.timing.begun")], timeout=60)[0]
    assert pandas
    late.append(begun - start)
print(sorted(late)[2])
"""
    # 0.05 s on a quiet machine; tests run on busy ones.
    assert float(project.python(code).split()[-1]) < 0.5


READY = """
import time
from lib.jobs import queue, wait
from lib.postgres import read_frame
for _ in range(2):  # the first learns lib/born.py
    time.sleep(1)
    begin = time.clock_gettime(time.CLOCK_BOOTTIME)
    (born,) = wait([queue().enqueue("lib.born.born")], timeout=60)
time.sleep(1)
read_frame("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle' AND pid <> pg_backend_pid()")
(rows,) = wait([queue().enqueue("lib.born.rows")], timeout=60)
print(born < begin - 0.1, rows)
"""
BORN = """
import os
from lib.postgres import read_frame

def born():
    return int(open("/proc/self/stat").read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")

def rows():
    return len(read_frame("SELECT 1"))
"""


def test_an_idle_worker_has_the_process_of_the_next_job_ready(project):
    (project.path / "lib" / "born.py").write_text(BORN)
    assert project.python(READY).split() == ["True", "1"], "and a connection that was lost meanwhile is made again"
    worker, *children = project.worker_family()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    assert project.python(READY).split() == ["True", "1"], "where it died, a job has another"
    worker, *children = project.worker_family()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children[1:]), 30, "the end of its child")


FORGET = """
from lib.cache import connect_to_redis
from dsproj.kernel.waiting import Worker
redis = connect_to_redis()
(worker,) = Worker.all(connection=redis)
registries = list(redis.scan_iter("rq:workers*"))
with redis.pipeline(transaction=True) as at_once:  # the worker, which goes on, may sign in again at any moment
    at_once.delete(worker.key)  # what Redis does with what is overdue, and another worker with who is gone
    for registry in registries:
        at_once.srem(registry, worker.key)
    assert at_once.execute() [0] == 1
"""


def test_a_worker_that_redis_has_forgotten_comes_back(project):
    """As after a laptop's sleep, when all notes of the worker are overdue at once."""
    project.python(FORGET)
    wait_for(lambda: project.states()["this_worker"] == "healthy" and "True" in project.python(REGISTERED), 45)


REGISTERED = """
from lib.cache import connect_to_redis
from dsproj.kernel.waiting import Worker
print([(worker.get_state(), worker.pid > 0) for worker in Worker.all(connection=connect_to_redis())])
"""


def test_stop_lets_the_job_end(project):
    (project.path / "lib" / "slow.py").write_text("import time\n\ndef nap():\n    time.sleep(8)\n    return 'slept'\n")
    project.python("""
import time
from lib.jobs import queue
job = queue().enqueue("lib.slow.nap", job_id="nap")
while job.get_status().value != "started":
    time.sleep(0.05)
""")
    project.restart_worker()
    state = project.python("from lib.jobs import queue; print(queue().fetch_job('nap').return_value())")
    assert state.strip() == "slept", "it ended before its worker did"


@pytest.mark.parametrize(
    ("seconds", "timeout", "stop", "end"), [(2, 60, 0, "5"), (3600, 1, 0, "JobTimeout"), (3600, 60, 1, "stopped")]
)
def test_what_a_job_started_ends_with_it(project, seconds, timeout, stop, end):
    (project.path / "lib" / "family.py").write_text(FAMILY)
    *story, left = project.python(LEAVE, str(seconds), str(timeout), str(stop)).splitlines()
    assert end in "\n".join(story)
    assert left == "[]"


def test_a_job_that_died_of_memory_says_limit_peak_and_variable(project):
    if project.kind != "docker":
        pytest.skip("nobody is killed there: inside/test_memory.py has its MemoryError")
    (project.path / "lib" / "hog.py").write_text(HOG)
    said = answer(project, "lib.hog.hog")
    assert "Killed for its memory, by signal 9 (Killed); its peak was " in said
    assert "may have 2,048 MB: set WORKER_MEMORY in .env higher" in said


def test_the_dashboard_shows_a_worker_at_work_and_answers_no_foreign_host(project):
    (project.path / "lib" / "slow.py").write_text("import time\n\ndef rest():\n    time.sleep(8)\n")
    project.python("from lib.jobs import queue; queue().enqueue('lib.slow.rest')")
    address = f"http://127.0.0.1:{project.env['MONITOR_PORT']}/0/data/workers.json"
    login = ("dsproj", project.env["MONITOR_PASSWORD"])

    def busy():
        reply = requests.get(address, auth=login)
        assert reply.status_code == 200
        return [worker for worker in reply.json()["workers"] if worker["state"] == "busy"]

    assert len(wait_for(busy, 60, "a busy worker")) == 1
    reply = requests.get(address, auth=login, headers={"Host": "evil.example:80"})
    assert reply.status_code == 403 and "MONITOR_HOSTS" in reply.text
    assert requests.get(address.replace("127.0.0.1", "localhost"), auth=login).status_code == 200
    assert project.python(HOSTS).split() == ["True", "True", "False"]
    wait_for(lambda: not busy(), 60, "the end of the job")


def test_a_kernel_runs_what_was_edited_and_answers_as_a_job_does(project):
    assert project.python(CELLS).splitlines()[-3:] == ["5 5", "2 2", "42 1"]


@pytest.mark.local_shows_it
def test_a_notebook_shows_bars_in_its_own_colours_and_the_users_line(project):
    bar, waiting, failed, *_ = project.python(SHOWN).splitlines()
    assert bar.startswith('display_data|None|<progress value="3" max="3"') and "three: 3 of 3 items" in bar
    assert waiting.startswith('display_data|None|<progress value="2" max="2"') and "2 of 2 jobs" in waiting
    first = "error|None|None|JobsFailed: lib/fails.py, line 2, in fail: return 1 / item|ZeroDivisionError: division by zero||"
    assert failed.startswith(f"{first}1 of 2 items failed: 0||The first, 0:|Traceback (most recent call last):|  File ")


ODD = """
import os
import time

def run(seconds=3600):
    print("began", flush=True)
    time.sleep(seconds)

async def quietly():
    run()

def needs(url):
    pass

def returns():
    return 1

def fails():
    return {}["no such key"]
"""


REFUSED = [
    (
        "NAME=odd FUNCTION=lib.odd.rnu",
        "lib/odd.py has no function rnu; it has: run, quietly, needs, returns, fails",
    ),
    ("NAME=odd FUNCTION=lib.od.run", "lib.od.run: there is no lib/od.py"),
    ("NAME=odd FUNCTION=lib.broken.run", "No module named 'no_such_module'"),
    ("NAME=odd FUNCTION=lib.odd.os.system", "there is no lib/odd/os.py"),
    ("NAME=odd FUNCTION=os.system", "FUNCTION=os.system: a function of lib/ is meant"),
    ("NAME=odd FUNCTION=lib.odd.needs", "lib.odd.needs needs arguments (url)"),
    ("NAME=odd", "There is no service odd; to add it, which function of lib/?"),
    ("NAME=this_odd FUNCTION=lib.odd.run", "NAME=this_odd is no name for a service"),
    ("NAME=Odd FUNCTION=lib.odd.run", "NAME=Odd is no name for a service"),
    ("DROP=odd", "There is no service odd; there are: none"),
]


@pytest.mark.local_shows_it
def test_a_service_of_ones_own_that_cannot_be_is_said_in_a_line(project):
    place = project.path / "lib" / "odd.py"
    place.write_text(ODD)
    (project.path / "lib" / "broken.py").write_text("import no_such_module\n")
    for words, what in REFUSED if project.kind == "local" else REFUSED[:2]:
        said = project.refused("service", *words.split())
        assert what in said and len(said.splitlines()) <= 4, said  # the last is of make
    assert project.git("status", "--porcelain", "config") == ""
    listed = project.path / "config" / "services.json"
    before = listed.read_text()
    listed.write_text('{"services": {"mine": {"image": "redis:8", "command": ["sleep", "9"]}}}')
    said = project.refused("service", "NAME=mine", "FUNCTION=lib.odd.run")
    assert "There is a service mine already" in said and "sleep" in listed.read_text()
    listed.write_text(before)

    for function, line in [
        ("returns", "it returned, where a service goes on until it is stopped"),
        ("fails", """line 19, in fails: return {}["no such key"]: KeyError: 'no such key'"""),
    ]:
        said = project.refused("service", f"NAME={function}", f"FUNCTION=lib.odd.{function}")
        assert line in said and f"make logs S={function}" in said, said
    ps = wait_for(
        lambda: (said := project.make("ps")).count("unhealthy: ended after") == 2 and said, 60, "two that fail"
    )
    assert "KeyError" in ps and "fails" in project.make("service")
    assert "KeyError: 'no such key'" in project.log("fails")
    said = project.refused("up")
    assert "does not run" in said and "token=" in said, "all else runs, and is said"
    assert "fails runs lib.odd.fails already" in project.refused("service", "NAME=fails", "FUNCTION=lib.odd.run")
    place.write_text(ODD.replace('{}["no such key"]', "run()"))
    assert "runs lib.odd.fails" in project.make("service", "NAME=fails")
    names = ["returns", "fails"]
    if project.kind == "local":
        names.append("quiet-one_2")
        assert "runs lib.odd.quietly" in project.make("service", "NAME=quiet-one_2", "FUNCTION=lib.odd.quietly")
        assert project.states()["quiet-one_2"] == "healthy"
    for name in names:
        project.make("service", f"NAME={name}", "DROP=1")
    assert "fails" not in project.states() and "no service of your own" in project.make("service")


@pytest.mark.local_shows_it
def test_two_kernels_share_arrays_frames_and_a_count(project):
    assert "True True True True True" in project.python(TWO_KERNELS)


# --- documents


LISTED = "import json; from lib.mongo import collection as c; print(json.dumps([str(d) for d in c('{}').find()]))"
JANUARY = '{"_id": 1, "on": "2026-01-31", "deep": {"n": [1, 2.5]}}\n{"_id": 2, "on": "2026-02-01"}\n'


def documents_of(project, name):
    return json.loads(project.python(LISTED.format(name)).splitlines()[-1])


def state(project):
    """What a refused file must leave as it was: the project's files, the ledger, the documents."""
    files = [path for folder in ("data", "docker") for path in (project.path / folder).rglob("*") if path.is_file()]
    kept = {path: path.read_bytes() for path in [*files, project.path / ".gitignore"]}
    return kept, documents_of(project, "dsproj_seed"), documents_of(project, "notes")


@pytest.mark.local_shows_it
def test_documents_are_added_changed_and_withdrawn(project, tmp_path):
    assert (
        "collection field_notes, 240 documents" in project.printed
        and "THESE DOCUMENTS ARE SYNTHETIC" in project.printed
    )
    file = tmp_path / "Notes 1.ndjson"
    file.write_text(JANUARY)
    printed = project.make("dataset", f"SOURCE={file}", "TO=mongo", "TABLE=notes")
    assert "2 documents, 5 fields" in printed and "deep.n[]" in printed and "notes: 2 documents" in printed
    first = ["{'_id': 1, 'on': datetime.datetime(2026, 1, 31, 0, 0), 'deep': {'n': [1, 2.5]}}",
             "{'_id': 2, 'on': datetime.datetime(2026, 2, 1, 0, 0)}"]  # fmt: skip
    assert documents_of(project, "notes") == first
    assert "loaded already: notes (2 documents)" in project.make("dataset", f"SOURCE={file}", "TO=mongo", "TABLE=notes")

    # What is refused leaves everything as it was.
    before = state(project)
    other = tmp_path / "other.json"
    for text, words, said in [
        ('[{"_id": 3, "on": 5}]', (), "other types: on (date: integer)"),
        ('[{"_id": 3}, {"_id": 3}]', ("MODE=replace",), "document 2: its _id 3 is there already"),
        ('[{"_id": 3}, {', ("MODE=append",), "the file is cut off in record 2"),
        ("[{}]", ("HEADER=no",), "HEADER= is for tables"),
    ]:
        other.write_text(text)
        assert said in project.refused("dataset", f"SOURCE={other}", "TO=mongo", "TABLE=notes", *words)
        assert state(project) == before, text

    other.write_text('[{"_id": 3}]')
    link = "http://127.0.0.1:1/notes.json"
    said = f"To finish: make dataset SOURCE={link} TO=mongo, or of the file where it is now"
    assert said in project.refused("dataset", f"SOURCE={link}", "TO=mongo", "TABLE=notes", "MODE=append")
    assert "are added" in project.make("dataset", f"SOURCE={other}", "TO=mongo", "TABLE=notes", "MODE=append")
    assert documents_of(project, "notes") == [*first, "{'_id': 3}"]
    project.python("from lib.mongo import collection as c; c('notes').drop()")
    assert "notes: 3 documents" in project.make("seed", "TABLE=notes")
    other.write_text('[{"_id": 4}]')
    project.make("dataset", f"SOURCE={other}", "TO=mongo", "TABLE=notes", "MODE=replace")
    assert documents_of(project, "notes") == ["{'_id': 4}", "{'_id': 3}"]

    assert "FORCE=1" in project.refused("dataset", "DROP=notes")
    project.make("dataset", "DROP=notes", "FORCE=1")
    assert not [line for line in documents_of(project, "dsproj_seed") if "'notes'" in line]
    for path in [*(project.path / "data").glob("[Nn]ot*"), *(project.path / "data").glob("other*")]:
        path.unlink()
    for path in (project.path / "docker/mongo/datasets").glob("*.dropped"):
        path.unlink()


@pytest.mark.local_shows_it
def test_a_json_file_with_nested_values_becomes_a_table_unless_told(project, tmp_path):
    (tmp_path / "nested.json").write_text('[{"a": {"b": 1}}]')
    assert "as documents of MongoDB: the same with TO=mongo" in project.make(
        "dataset", f"SOURCE={tmp_path}/nested.json"
    )
    project.make("dataset", "DROP=nested", "FORCE=1")


# --- credentials


@pytest.mark.local_shows_it
def test_make_check_finds_a_key_and_says_where_it_belongs(project):
    cloud = project.path / "lib" / "cloud.py"
    cloud.write_text(f'KEY = "{AWS}"\n')
    printed = project.refused("check")
    assert "lib/cloud.py:1: AWS Access Key" in printed and "config/jupyter.env" in printed and AWS not in printed
    cloud.unlink()


def test_credentials_reach_kernels_and_jobs_and_no_file_of_git(project):
    assert project.python(CREDENTIALS).split() == ["made-for-this-test"] * 2
    assert "config/jupyter.env" not in project.git("ls-files").splitlines()
    assert stat.S_IMODE((project.path / "config/jupyter.env").stat().st_mode) == 0o600


# The last: it stops the stack.
def test_what_a_job_started_ends_with_the_stack(project):
    if project.kind != "local":
        pytest.skip("a container's processes end with it")
    (project.path / "lib" / "family.py").write_text(FAMILY)
    project.python("from lib.jobs import queue; queue().enqueue('lib.family.leave', 5)")
    family = runpy.run_path(str(project.path / "lib" / "family.py"))
    wait_for(lambda: len(family["left"]()) >= 5, 30, "the job's children")
    project.make("down")
    assert family["left"]() == []

"""Dask, in a project with `cluster`: tables in parts, the certificate, the dashboard, edited code; and no word of it without."""

import os
import re
import shutil
import stat
import time

import pytest
import requests
from conftest import PREFIX, command, wait_for
from stacks import BOTH, RUN_AND_SAVE, SERVICES, DockerStack

LIMIT = 350 << 20  # bytes that a worker may have

KINDS = """
CREATE TABLE kinds AS SELECT n AS _id, CASE WHEN n %% 3 > 0 THEN n END AS number, n / 7.0::float8 AS real, n / 8.0::numeric AS exact,
    CASE WHEN n %% 4 > 0 THEN 'tëxt ' || n WHEN n = 4 THEN '' END AS name, n %% 2 = 0 AS even, date '2026-01-01' + n AS day,
    timestamptz '2026-01-01 12:00+02' + n * interval '1 s' AS moment, ARRAY[n, n + 1] AS pair, jsonb_build_object('n', n) AS doc
    FROM generate_series(1, 1000) AS n
""".replace("%%", "%")
# A row takes 1 KB, in pandas too.
LARGE = f"""
DROP TABLE IF EXISTS large;
CREATE TABLE large AS SELECT n AS _id, n % 10 AS kind, n / 3.0::float8 AS amount, repeat(md5(n::text), 30) AS note
    FROM generate_series(1, {3 * LIMIT // 960}) AS n;
ALTER TABLE large ADD PRIMARY KEY (_id)
"""
TYPES = """
import pandas as pd
from lib.cluster import connect_to_cluster, read_table
from lib.postgres import read_frame
client = connect_to_cluster()
whole, parts = read_frame("SELECT * FROM kinds ORDER BY _id"), read_table("kinds", size=300)
assert parts.npartitions == 4 and list(parts.dtypes) == list(whole.dtypes), parts.dtypes
pd.testing.assert_frame_equal(parts.compute().reset_index(drop=True), whole)
pd.testing.assert_frame_equal(parts.map_partitions(lambda df: df).compute().reset_index(drop=True), whole)
assert parts.number.sum().compute() == whole.number.sum() and len(parts) == 1000
assert len(read_table("kinds")["name"].compute()) == 1000
assert client is connect_to_cluster()
for table in ("nowhere", "pg_class"):
    try:
        read_table(table)
    except LookupError as error:
        print(error)
"""
THREE_TIMES = """
import os
from distributed import wait
from lib.cluster import connect_to_cluster, read_table
client = connect_to_cluster()
before = client.run(os.getpid)
large = read_table("large").persist()  # all of it is kept: what does not fit goes to the worker's disk
wait(large)
means = large.groupby("kind").amount.mean().compute()
assert len(means) == 10
assert client.run(os.getpid) == before, "a worker died"
size = large.memory_usage(deep=True).sum().compute()
(limit, on_disk), = client.run(lambda dask_worker: (dask_worker.memory_manager.memory_limit, len(dask_worker.data.disk))).values()
print(round(size / limit, 2), on_disk)
"""
EDITED = """
import pathlib, time
from lib.cluster import connect_to_cluster
module = pathlib.Path("lib/edited.py")
answers = []
for number in (1, 2):
    module.write_text(f"def answer():\\n    return {number}\\n")
    client = connect_to_cluster()
    answers.append(client.submit(eval, "__import__('lib.edited').edited.answer()", pure=False).result(timeout=60))
module.unlink()
print(answers)
"""
# Those who know where the scheduler is, and have not its certificate, or another one.
STRANGERS = """
import os, pathlib, socket, ssl
from distributed import Client
from dsproj.kernel import cluster_server
address = os.environ["DASK_SCHEDULER_ADDRESS"]
host, port = address.removeprefix("tls://").split(":")
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection((host, int(port)), 5) as plain, context.wrap_socket(plain) as wrapped:
        said = wrapped.recv(100)
        print("without: let in" if said else "without: refused")
except (ssl.SSLError, ConnectionError):
    print("without: refused")
for name, url, security in (("plain", address.replace("tls", "tcp"), None), ("another", address, "made")):
    if security:
        cluster_server.MADE = pathlib.Path("/tmp/dsproj-another.pem")
        cluster_server.MADE.unlink(missing_ok=True)
        security = cluster_server.security()
    try:
        Client(url, security=security, timeout=3)
        print(name + ": let in")
    except (OSError, ValueError) as error:
        print(name + ": refused")
cluster_server.MADE.unlink()
"""


@pytest.fixture(scope="module", params=BOTH)
def project(request, tmp_path_factory):
    if request.param is DockerStack:
        request.getfixturevalue("engine")
    made = request.param(tmp_path_factory.mktemp("dask") / "project", f"{PREFIX}-dask-{request.param.kind}")
    made.remove()
    try:
        made.generate(dataset="none", cluster="true", stack="none")
        size = LIMIT + (200 << 20) * (made.kind == "docker")
        env = re.sub("(?m)^ENGINE=.*", f"ENGINE={made.kind}", (made.path / ".env").read_text())
        (made.path / ".env").write_text(f"{env}DASK_MEMORY={size >> 20}m\n")
        made.make("up")
        yield made
    finally:
        made.remove()


pytestmark = pytest.mark.local_shows_it


def test_the_stack_has_a_scheduler_and_a_worker(project):
    assert project.states() == dict.fromkeys([*SERVICES, "this_scheduler", "this_dask"], "healthy")
    pem = project.path / ".local/dask.pem"
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    assert pem.read_text().count("BEGIN") == 3  # key, certificate, and whose it is
    assert not project.git("status", "--porcelain", "--ignored=no", ".local")


def test_a_table_in_parts_is_that_of_read_frame(project):
    project.sql(KINDS)
    printed = project.python(TYPES)
    assert "there is no table nowhere" in printed and "no integer key _id" in printed


def test_a_table_three_times_a_workers_memory_is_processed_and_no_worker_dies(project):
    project.sql(LARGE)
    times, spilled = map(float, project.python(THREE_TIMES).split())
    project.sql("DROP TABLE large")
    assert times >= 3 and spilled > 10


def test_edited_code_is_what_runs(project):
    assert project.python(EDITED).strip() == "[1, 2]"


def test_strangers_are_refused_and_the_log_stays_short(project):
    printed = project.python(STRANGERS)
    assert printed.split("\n")[:3] == ["without: refused", "plain: refused", "another: refused"]
    before = project.log("this_scheduler")
    time.sleep(12)
    assert project.log("this_scheduler") == before


def test_the_dashboard_is_behind_the_token_of_jupyterlab(project):
    page = f"http://127.0.0.1:{project.env['JUPYTER_PORT']}/dask/status"
    token = {"Authorization": f"token {project.env['JUPYTER_TOKEN']}"}
    found = requests.get(page, headers=token, timeout=20)
    assert found.status_code == 200 and "Dask" in found.text
    without = requests.get(page, timeout=20)
    assert without.status_code == 403 or "/login" in without.url
    assert "bokeh" not in without.text.lower()


def test_a_worker_with_other_code_is_refused(project, tmp_path):
    """A worker on another machine has its own copy of the code; here it is a process with a copy of the project."""
    if project.kind == "docker":
        pytest.skip("test_cluster.py shows it, with three engines")
    copy = tmp_path / "copy"
    for name in ("lib", ".dsproj"):
        shutil.copytree(project.path / name, copy / name)
    (copy / ".local").mkdir()
    shutil.copy(project.path / ".local/dask.pem", copy / ".local")
    (copy / "lib/other.py").write_text("VALUE = 1\n")
    python = "import os, sys; os.environ['PYTHONPATH'] = sys.argv[1] + ':' + sys.argv[1] + '/.dsproj'; os.chdir(sys.argv[1])\n"
    python += "import subprocess; worker = subprocess.Popen([sys.executable, '-m', 'dsproj.kernel.cluster_server', 'dask', '1', '300000000'],"
    python += " env=os.environ | {'DSPROJ_SERVICES': sys.argv[1]})\n"
    python += "os.chdir(sys.argv[2]); sys.path[:0] = [sys.argv[2], sys.argv[2] + '/.dsproj']\n"
    python += "from lib.cluster import connect_to_cluster\nfrom distributed import Client\nfrom dsproj.kernel import cluster_server\n"
    python += "Client(os.environ['DASK_SCHEDULER_ADDRESS'], security=cluster_server.security()).wait_for_workers(2, timeout=60)\n"
    python += "try:\n    connect_to_cluster()\nexcept Exception as error:\n    print(error)\nworker.terminate(); worker.wait()\n"
    printed = project.python(python, str(copy), str(project.path))
    assert "1 of Dask's workers" in printed and "make deploy" in printed


def test_a_worker_and_the_scheduler_come_back(project):
    if project.kind == "docker":
        pytest.skip("the engine's own restart")
    for service in ("this_dask", "this_scheduler"):
        (pid,) = project.host_process_id(service)
        command("kill", "-9", pid)
        wait_for(
            lambda service=service, pid=pid: (
                project.states()[service] == "healthy" and [pid] != project.host_process_id(service)
            )
        )
    asked = "from lib.cluster import connect_to_cluster\nprint(connect_to_cluster().submit(sum, [1, 2, 3]).result())"
    # Its worker, which ended with it, is on its way, on a busy machine for longer than one who asks waits.
    wait_for(lambda: project.try_python(asked).stdout.strip() == "6", 120, "the next answer")


def test_as_many_workers_as_of_the_queue(project):
    project.make("scale", "N=2")
    count = "from lib.cluster import connect_to_cluster\nc = connect_to_cluster(); c.wait_for_workers(2, timeout=60); print(len(c.run(int)))"
    assert project.python(count).split() == ["2"]
    project.make("scale", "N=1")


def test_the_notebook_runs(project):
    (name,) = (f"ipynb/{path.name}" for path in (project.path / "ipynb").glob("*-Scale_Out.ipynb"))
    for _ in range(2 if "DSPROJ_DRILL" in os.environ else 1):
        project.python(RUN_AND_SAVE, project.inner_port, project.env["JUPYTER_TOKEN"], name)
    assert project.sql("SELECT to_regclass('dsproj_signals') IS NULL") == "t"


def test_nothing_of_it_is_in_a_project_without(render):
    without, has = render("without", dataset="none"), render("with", dataset="none", cluster=True)
    files = {name: {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
             for name, folder in (("without", without), ("with", has))}  # fmt: skip
    more = files["with"] - files["without"]
    assert {"lib/cluster.py", ".dsproj/dsproj/kernel/cluster.py"} <= more
    for name in (
        "docker-compose.yml",
        ".env.example",
        "README.md",
        "docker/jupyter/requirements.txt",
        "docker/jupyter/requirements.lock",
    ):
        assert not re.search(r"\bdask\b|distributed==|scheduler", (without / name).read_text()), name

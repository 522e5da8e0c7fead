"""Jobs on several machines: on three engines in network namespaces (nox -s drill), and what of it needs no other machine."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from conftest import PREFIX, ROOT, checked, command, wait_for
from engines import machines
from stacks import IDENTITY, LocalStack
from test_dask import STRANGERS
from test_registry import CONFIG, answers
from test_render import make_env

IMAGES = ("quay.io/jupyter/minimal-notebook:2026-07-28", "postgres:18", "redis:8")

# Beside the project's own functions: where is it done, and what does a job on a machine that is cut off leave behind?
LIB = """
import os, time
from lib.postgres import connect_to_postgres

VERSION = 1

def nap(seconds):
    time.sleep(seconds)
    return os.environ.get("NODE", "hub"), VERSION

def seen(name):
    return os.environ.get(name)

def slow(seconds):
    con, cur = connect_to_postgres()
    cur.execute("INSERT INTO starts VALUES (%s, now())", [os.environ.get("NODE", "hub")])
    con.commit()
    time.sleep(seconds)
    return os.environ.get("NODE", "hub")
"""

CREDENTIAL = 'is $HOME & "more"'  # of the user's own, in config/jupyter.env


def fill(name):
    return {"CLUSTER_IMAGE": "r:5000/a-jupyter:1", "CLUSTER_NETWORK": "n", "CLUSTER_SECRET": "s"}.get(name, "1")


def test_swarm_takes_the_stack_which_publishes_nothing_and_holds_no_secret(render):
    project = render(cluster=True)
    path = project / "docker/cluster/workers.yml"
    text = path.read_text()
    stack = yaml.safe_load(text)
    for name, service in stack["services"].items():
        assert "ports" not in service and "env_file" not in service, name
        assert service["networks"] == ["cluster"] and service["secrets"][0]["mode"] == 0o400
    assert not re.search("PASSWORD|TOKEN|REDIS_URL", text)
    if not shutil.which("docker") or command("docker", "stack", "config", "--help").returncode:
        pytest.skip("the docker program is not installed")
    variables = {name: fill(name) for name in re.findall(r"\$\{(CLUSTER_\w+)", text)}
    checked("docker", "stack", "config", "--compose-file", path, cwd=project, env=os.environ | variables)


def test_the_hub_is_composes_own_with_one_network_more(render):
    project = render(cluster=True, mongo=True, project_slug="mine")
    make_env(project, "docker")
    if not shutil.which("docker") or command("docker", "compose", "version").returncode:
        pytest.skip("Docker Compose is not installed")

    def services():
        read = json.loads(checked("docker", "compose", "config", "--format", "json", cwd=project))
        return read["services"], read["networks"]

    plain, _ = services()
    with (project / ".env").open("a") as file:
        file.write("COMPOSE_FILE=docker-compose.yml:docker/cluster/hub.yml\n")
    joined, networks = services()
    assert networks["cluster"] | {"ipam": {}} == {"name": "mine-cluster", "external": True, "ipam": {}}
    for name, service in joined.items():
        both = name in ("this_postgres", "this_redis", "this_mongo", "this_scheduler")
        expected = {"default", "cluster"} if both else {"cluster"} if name == "this_dask" else {"default"}
        assert set(service.pop("networks")) == expected, name
        assert service == {key: value for key, value in plain[name].items() if key != "networks"}, name


@pytest.mark.parametrize("target", ["cluster", "deploy", "cluster-down"])
def test_the_local_stack_says_in_a_line_what_it_takes(render, target):
    project = render(cluster=True)
    make_env(project, "local")
    done = command("make", target, "REGISTRY=r:5000", cwd=project)
    said = done.stderr.splitlines()
    assert done.returncode and said[0] == "Workers on other machines take Docker, and ENGINE=local", done.printed
    assert said[1].startswith("To finish: more workers here: make scale N=4; or ENGINE=docker")


def test_what_is_no_cluster_is_told_which_command_makes_it_one(engine, render):
    project = render(cluster=True)
    make_env(project, "docker")
    done = command("make", "deploy", "REGISTRY=r:5000", cwd=project)
    assert "not prepared as a cluster's hub\nTo finish: make cluster\n" in done.stderr and done.returncode
    done = command("make", "cluster", "ADDRESS=203.0.113.9", cwd=project)
    assert "203.0.113.9:2377: bind: cannot assign requested address\nTo finish: make cluster ADDRESS=" in done.stderr
    assert checked("docker", "info", "--format", "{{.Swarm.LocalNodeState}}").strip() == "inactive"
    assert "CLUSTER" not in (project / ".env").read_text()


# --- never silently old code: one worker as other machines have it, with a copy of the project, on the local stack

ENQUEUE = (
    "from lib.jobs import enqueue_each; from lib.where import nap; print([job.id for job in enqueue_each(nap, [{}])])"
)
ASK = "from lib.jobs import queue; job = queue().fetch_job({!r}); print(job.get_status().value, job.return_value(), len(job.results()))"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    made = LocalStack(tmp_path_factory.mktemp("local") / "project", "cluster-local")
    try:
        made.generate(cluster=True, dataset="none")
        (made.path / "lib/where.py").write_text(LIB)
        made.make("scale", "N=0")  # no cluster is there, so those of this machine are meant
        yield made
    finally:
        made.remove()


@contextlib.contextmanager
def elsewhere(stack, tmp_path, deployed=None):
    """A worker with a copy of the project as it is now; `deployed` some time before now is one that was cut off."""
    copy = tmp_path / f"copy{time.monotonic_ns()}"
    # As an image has it. Compiled code would be taken for that of a file that was edited in the same second.
    shutil.copytree(stack.path, copy, ignore=shutil.ignore_patterns(".local", ".git", "__pycache__"))
    variables = (
        f"cd {copy}; PYTHONPATH={copy}:{copy}/.dsproj COMMIT=abcdef NODE=other DEPLOYED={deployed or time.time()}"
    )
    words = [
        sys.executable,
        "local/stack.py",
        "exec",
        "bash",
        "-c",
        f"{variables} exec python -m dsproj.kernel.cluster_worker",
    ]
    log = copy / "log"
    with log.open("w") as file:
        process = subprocess.Popen(words, cwd=stack.path, stderr=file, stdout=file)
    try:
        yield process, log
    finally:
        process.terminate()
        process.wait(30)


def told(stack):
    code = "from dsproj.kernel.same_code import newest; from lib.cache import connect_to_redis as c; print(newest(c()))"
    return "abcdef" in stack.python(code)


def enqueued(stack, seconds):
    (job,) = eval(stack.python(ENQUEUE.format(seconds)))
    return job


def test_a_worker_with_another_lib_is_refused_when_jobs_are_enqueued(stack, tmp_path):
    module = stack.path / "lib/where.py"
    with elsewhere(stack, tmp_path):
        wait_for(lambda: told(stack), 60, "a worker that tells its code")
        job = enqueued(stack, 0.01)
        wait_for(
            lambda: stack.python(ASK.format(job)).startswith("finished [[['other', 1], None]] 1"),
            30,
            "the job, done elsewhere",
        )
        module.write_text(LIB.replace("VERSION = 1", "VERSION = 2"))
        refused = stack.try_python(ENQUEUE.format(0.02))
        assert refused.returncode
        assert "Workers on other machines run commit abcdef, and lib/where.py is another here\n" in refused.stderr
        assert (
            "To finish: git commit, then: make deploy; or by this machine's workers alone: make scale N=0"
            in refused.stderr
        )
        module.write_text(LIB)
        assert enqueued(stack, 0.03)  # as it was: nothing to deploy
    wait_for(lambda: not told(stack), 30, "its end")
    module.write_text(LIB.replace("VERSION = 1", "VERSION = 2"))
    assert enqueued(stack, 0.04), "without workers elsewhere, code is edited and runs"


def test_a_worker_that_comes_back_with_old_code_takes_no_job(stack, tmp_path):
    module = stack.path / "lib/where.py"
    stack.python("from lib.jobs import queue; queue().empty()")
    module.write_text(LIB.replace("VERSION = 1", "VERSION = 3"))
    job = enqueued(stack, 0.05)
    module.write_text(LIB)
    with elsewhere(stack, tmp_path, deployed=time.time() - 600) as (_, log):
        wait_for(lambda: "to bring it here: make deploy" in log.read_text(), 60, "what it says")
        assert f"{job} was enqueued with another lib/ than this worker has" in log.read_text()
    assert stack.python(ASK.format(job)).startswith("queued None 0")
    # One deployed since does it: code that is newer than the job is what workers of this machine would run, too.
    with elsewhere(stack, tmp_path):
        wait_for(lambda: stack.python(ASK.format(job)).startswith("finished [[['other', 1], None]] 1"), 60, "the job")


# --- three machines

drill = pytest.mark.skipif("DSPROJ_DRILL" not in os.environ, reason="three engines, half an hour: nox -s drill")


class Cluster:
    """A project on the first of three machines, which is the hub, and a registry. figures: what was measured."""

    def __init__(self, made, folder):
        self.hub, *self.others = self.machines = made
        self.path, self.slug, self.figures = folder / "project", f"{PREFIX}-cluster", {}

    def generate(self):
        words = ["copier", "copy", "--trust", "--defaults", "--quiet", "--vcs-ref=HEAD", ROOT, self.path]
        data = {"project_slug": self.slug, "stack": "docker", "dataset": "none", "jupyter_stack": "minimal"}
        data |= {"cluster": True, "ci": "none"}
        done = self.hub.run(
            sys.executable,
            "-m",
            *words,
            *(f"--data={key}={value}" for key, value in data.items()),
            env=IDENTITY,
            timeout=2400,
        )
        assert done.returncode == 0, done.printed

    def make(self, *words):
        done = self.try_make(*words)
        assert done.returncode == 0, f"{words}\n{done.printed}"
        return done.stdout

    def try_make(self, *words):
        return self.hub.run("make", *words, cwd=self.path)

    def refused(self, *words):
        done = self.try_make(*words)
        assert done.returncode and "Traceback" not in done.printed, done.printed
        return done.stderr

    def commit(self, text):
        (self.path / "lib/where.py").write_text(text)
        checked("git", "add", "--all", cwd=self.path)
        command("git", "commit", "--quiet", "--message=News", cwd=self.path, env=os.environ | IDENTITY)

    def try_python(self, code):
        return self.hub.run("docker", "compose", "exec", "-T", "this_jupyter", "python", "-c", code, cwd=self.path)

    def python(self, code):
        done = self.try_python(code)
        assert done.returncode == 0, f"{code}\n{done.printed}"
        return done.stdout.strip()

    def sql(self, query):
        words = ["docker", "compose", "exec", "-T", "this_postgres", "psql", "-At", "-c", query]
        return self.hub.run(*words, cwd=self.path).stdout.split()

    def nap(self, number, seconds=1.5):
        """({what the jobs of that sleep returned}, seconds that all of them took)."""
        code = "import time; from lib.jobs import *; from lib.where import nap; start = time.time()\n"
        code += f"jobs = enqueue_each(nap, [{seconds} + number / 1e6 for number in range({number})])\n"
        code += "found = wait(jobs); print(repr((sorted(map(tuple, found)), time.time() - start)))"
        return eval(self.python(code))

    def nodes(self):
        listed = self.hub.docker("node", "ls", "--format", "{{.Hostname}} {{.Status}}").splitlines()
        return dict(line.split() for line in listed)

    @property
    def services(self):
        return [f"{self.slug}_workers", f"{self.slug}_dask"]

    def tasks(self):
        words = ["service", "ps", "--quiet", "--filter=desired-state=running", *self.services]
        return set(self.hub.docker(*words).split())

    def log(self):
        """What workers say, those that ended too; `docker service logs` may wait for ever for a machine that was cut off."""
        label = f"label=com.docker.stack.namespace={self.slug}"
        found = [(each, each.docker("ps", "--all", "--quiet", f"--filter={label}").split()) for each in self.machines]
        return "".join(each.run("docker", "logs", container).printed for each, many in found for container in many)


@pytest.fixture(scope="module")
def cluster(engine, tmp_path_factory):
    """The project is generated, and its stack runs; nothing of a cluster is there yet."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    folder = tmp_path_factory.mktemp("cluster")
    before = checked("iptables-save"), checked("ip", "-brief", "address", "show", "docker0")
    with machines(folder, 3) as made:
        address = made[0].registry
        storage = {"delete": {"enabled": True}, "filesystem": {"rootdirectory": str(folder / "registry")}}
        (folder / "config.yml").write_text(json.dumps(CONFIG | {"storage": storage, "http": {"addr": address}}))
        with subprocess.Popen(["docker", "save", *IMAGES], stdout=subprocess.PIPE) as saved:
            checked("docker", "-H", made[0].socket, "load", "--quiet", stdin=saved.stdout)
        found = Cluster(made, folder)
        found.registry = Registry(folder / "config.yml", address)
        try:
            found.generate()
            found.make("scale", "N=0")  # what is measured is done elsewhere
            with (found.path / ".env").open("a") as file:
                file.write("CLUSTER_ENCRYPTION=off\n" * (not can_encrypt()))
            found.commit(LIB)
            found.sql("CREATE TABLE starts (node text, at timestamptz)")
            found.sql("CREATE TABLE numbers AS SELECT n AS _id, n % 7 AS kind FROM generate_series(1, 100000) AS n")
            yield found
        finally:
            found.registry.stop()
            print(json.dumps(found.figures, indent=1))
    left = command("ip", "netns").stdout + command("ip", "-brief", "link").stdout
    assert not [machine.name for machine in made if machine.name in left]
    assert checked("ip", "-brief", "address", "show", "docker0").split()[2] == before[1].split()[2]
    rules = {
        line for line in before[0].splitlines() if line.startswith("-A") and "docker0" in line and "--dport" not in line
    }
    assert rules <= set(checked("iptables-save").splitlines())


def can_encrypt():
    """Has this kernel what IPsec takes? Where it has not, Docker sends nothing between the machines."""
    link = ["src", "192.0.2.77", "dst", "192.0.2.78", "proto", "esp", "spi", "0x7777"]
    key = ["enc", "cbc(aes)", "0x" + "00" * 16]
    works = command("ip", "xfrm", "state", "add", *link, *key).returncode == 0
    command("ip", "xfrm", "state", "delete", *link)
    return works


class Registry:
    def __init__(self, config, address):
        self.config, self.address = config, address
        self.start()

    def start(self):
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(["docker-registry", "serve", self.config], **silent)
        wait_for(lambda: answers(self.address), 30, "the registry")

    def stop(self):
        self.process.terminate()
        self.process.wait()


@drill
def test_make_cluster_says_what_to_type_on_the_others(cluster):
    hub = cluster.hub
    assert "not prepared as a cluster's hub" in cluster.refused("deploy", f"REGISTRY={hub.registry}")
    assert "203.0.113.9:2377: bind: cannot assign" in cluster.refused("cluster", "ADDRESS=203.0.113.9")
    before = {
        name: hub.docker("compose", "-p", cluster.slug, "ps", "-q", name) for name in ("this_jupyter", "this_monitor")
    }
    for _ in range(2):
        said = cluster.make("cluster", f"ADDRESS={hub.address}")
        assert "2377/tcp, 7946/tcp and udp, 4789/udp, and protocol 50 (ESP)" in said
    after = {name: hub.docker("compose", "-p", cluster.slug, "ps", "-q", name) for name in before}
    assert before == after, "kernels go on"
    (line,) = [line.split() for line in said.splitlines() if "swarm join" in line]
    for machine in cluster.others:
        assert machine.run(*line).returncode == 0
    wait_for(lambda: list(cluster.nodes().values()) == ["Ready"] * 3, 30, "all machines")
    assert "Other machines still work for this project" in cluster.refused("destroy", "FORCE=1")


@drill
def test_an_interrupted_deploy_is_finished_by_the_same_command(cluster):
    (cluster.path / "lib/new.py").write_text("")
    assert "this is not committed: lib/new.py" in cluster.refused("deploy", f"REGISTRY={cluster.hub.registry}")
    (cluster.path / "lib/new.py").unlink()
    (cluster.path / "config/jupyter.env").write_text(f"CREDENTIAL='{CREDENTIAL}'\n")
    words = [*cluster.hub.inside(), sys.executable, ".dsproj", "deploy", f"REGISTRY={cluster.hub.registry}"]
    environment = os.environ | {"DOCKER_HOST": cluster.hub.socket}
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    how["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell's & would have it ignore
    with subprocess.Popen(words, cwd=cluster.path, env=environment, **how) as process:
        assert any("is built" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert "the same command goes on" in process.stderr.read()
    start = time.monotonic()
    cluster.make("deploy", f"REGISTRY={cluster.hub.registry}")
    cluster.figures["first deploy"] = time.monotonic() - start
    found, _ = cluster.nap(24, 0.5)
    assert {node for node, _ in found} == {machine.name for machine in cluster.machines}
    ask = "from lib.jobs import *; from lib.where import seen; print(wait(enqueue_each(seen, ['CREDENTIAL'])))"
    assert eval(cluster.python(ask)) == [CREDENTIAL]
    start = time.monotonic()
    before = cluster.tasks()
    cluster.make("deploy")
    cluster.figures["deploy of what runs"] = time.monotonic() - start
    assert before == cluster.tasks(), "nobody restarts"


# On each worker a list; each worker then sums those of all, and so fetches them from the others.
DASK = """
import os
from lib.cluster import connect_to_cluster, read_table
client = connect_to_cluster()
client.wait_for_workers({workers}, timeout=60)
where = client.run(lambda: os.environ.get("NODE", "hub"))
lists = [client.submit(lambda n: [n] * 1000, number, workers=[each], pure=False) for number, each in enumerate(where)]
sums = [client.submit(lambda *of: sum(map(sum, of)), *lists, workers=[each], pure=False).result(60) for each in where]
numbers = read_table("numbers", size=5000)
kinds = numbers.map_partitions(lambda part: part.assign(node=os.environ.get("NODE", "hub"))).compute()
print((sorted(where.values()), set(sums), sorted(set(kinds.node)), len(kinds), int(numbers.kind.sum().compute())))
"""


@drill
def test_dask_works_on_every_machine_and_the_hubs_own_beside_them(cluster):
    machines = [machine.name for machine in cluster.machines]
    cluster.hub.run(
        "docker", "compose", "up", "--detach", "--no-deps", "--scale=this_dask=1", "this_dask", cwd=cluster.path
    )
    try:
        where, sums, read, rows, total = eval(cluster.python(DASK.format(workers=4)))
    finally:
        cluster.hub.run("docker", "compose", "rm", "--force", "--stop", "this_dask", cwd=cluster.path)
    assert where == sorted([*machines, "hub"]) and sums == {1000 * (1 + 2 + 3)}
    assert set(read) <= set(where) and len(read) > 1
    assert (rows, total) == (100_000, sum(number % 7 for number in range(1, 100_001)))


@drill
def test_two_machines_sleep_for_nearly_twice_as_many(cluster):
    times = {}
    for count in (1, 2, 4):
        cluster.make("scale", f"N={count}")
        found, times[count] = cluster.nap(24)
        assert len({node for node, _ in found}) == min(count, 3)
    cluster.figures["24 jobs of 1.5 s on 1, 2, 4 workers"] = times
    assert times[1] >= 1.7 * times[2], times


@drill
def test_code_that_is_edited_is_refused_until_it_is_deployed(cluster):
    (cluster.path / "lib/where.py").write_text(LIB.replace("VERSION = 1", "VERSION = 2"))
    refused = cluster.try_python("from lib.jobs import *; from lib.where import nap; enqueue_each(nap, [0.1])")
    assert (
        refused.returncode
        and "lib/where.py is another here\nTo finish: git commit, then: make deploy" in refused.stderr
    )
    connect = "from lib.cluster import *; connect_to_cluster()"
    refused = cluster.try_python(connect)
    assert (
        refused.returncode
        and "have another lib/ than this notebook\nTo finish: git commit, then: make deploy" in refused.stderr
    )
    cluster.commit(LIB.replace("VERSION = 1", "VERSION = 2"))
    start = time.monotonic()
    cluster.make("deploy")
    cluster.figures["deploy of an edit"] = time.monotonic() - start
    assert {version for _, version in cluster.nap(4, 0.1)[0]} == {2}
    cluster.python(connect)


@drill
def test_a_commit_that_does_not_start_is_taken_back(cluster):
    module = cluster.path / ".dsproj/dsproj/kernel/cluster_worker.py"
    whole = module.read_text()
    module.write_text(f"raise SystemExit('no worker today')\n{whole}")
    cluster.commit(LIB.replace("VERSION = 1", "VERSION = 2"))
    start = time.monotonic()
    said = cluster.refused("deploy")
    cluster.figures["a commit that does not start: make deploy says so after"] = time.monotonic() - start
    assert "The new workers do not start, and Swarm goes back to those before" in said
    assert {version for _, version in cluster.nap(4, 0.1)[0]} == {2}
    cluster.figures["a commit that does not start: a job is done again after"] = time.monotonic() - start
    assert "no worker today" in cluster.log()
    module.write_text(whole)
    cluster.commit(LIB.replace("VERSION = 1", "VERSION = 2"))
    cluster.make("deploy")
    assert {version for _, version in cluster.nap(4, 0.1)[0]} == {2}


DASK_NAPS = """
import time
from lib.cluster import connect_to_cluster
client = connect_to_cluster()
client.wait_for_workers(2, timeout=60)
print(client.gather([client.submit(lambda n: time.sleep(1.5) or n, n, pure=False) for n in range(30)]) == list(range(30)))
"""


@drill
def test_a_job_on_a_machine_that_is_cut_off_is_done_again_and_counts_once(cluster):
    cluster.hub.docker("node", "update", "--availability=drain", cluster.hub.name)
    cluster.make("scale", "N=2")
    enqueue = "from lib.jobs import *; from lib.where import slow; print(enqueue_each(slow, [35])[0].id)"
    job = cluster.python(enqueue)
    node = wait_for(lambda: cluster.sql("SELECT node FROM starts"), 30, "its start")[0]
    (lost,) = [machine for machine in cluster.others if machine.name == node]
    pool = ThreadPoolExecutor(1)
    dask = pool.submit(cluster.python, DASK_NAPS)
    time.sleep(8)  # both of Dask's workers are at it
    cut = time.monotonic()
    lost.cut()
    dask.add_done_callback(
        lambda _: cluster.figures.update({"machine cut off: all of Dask's results after": time.monotonic() - cut})
    )
    try:
        wait_for(lambda: cluster.nodes()[node] == "Down", 60, "what Swarm notices")
        cluster.figures["machine cut off: Swarm says Down after"] = time.monotonic() - cut
        assert wait_for(
            lambda: cluster.sql("SELECT node FROM starts WHERE node <> '" + node + "'"), 120, "the second try"
        )
        cluster.figures["machine cut off: its job begins anew after"] = time.monotonic() - cut
    finally:
        lost.back()
    assert dask.result(180) == "True"
    fetch = f"from lib.jobs import queue; job = queue().fetch_job({job!r}); print(job.get_status().value, len(job.results()), job.return_value())"
    wait_for(lambda: cluster.python(fetch).startswith("finished"), 120, "its result")
    back = time.monotonic()
    wait_for(lambda: cluster.nodes()[node] == "Ready", 60, "the machine's return")
    time.sleep(max(0, 50 - (time.monotonic() - back)))  # the one that was cut off has done its work, too
    (other,) = [machine.name for machine in cluster.others if machine.name != node]
    assert cluster.python(fetch) == f"finished 1 [['{other}', None]]"
    assert cluster.sql("SELECT count(*) FROM starts") == ["2"]
    cluster.hub.docker("node", "update", "--availability=active", cluster.hub.name)


@drill
def test_the_registry_may_be_away_and_the_hub_may_restart(cluster):
    cluster.registry.stop()
    try:
        cluster.make("scale", "N=3")
        cluster.commit(LIB.replace("VERSION = 1", "VERSION = 3"))
        assert "was not taken" in cluster.refused("deploy")
        cluster.commit(LIB.replace("VERSION = 1", "VERSION = 2"))
        assert {version for _, version in cluster.nap(6, 0.2)[0]} == {2}
    finally:
        cluster.registry.start()
    enqueue = "from lib.jobs import *; from lib.where import nap; print([job.id for job in enqueue_each(nap, [3 + n / 1e3 for n in range(20)])])"
    jobs = eval(cluster.python(enqueue))
    time.sleep(4)
    start = time.monotonic()
    cluster.make("down")
    cluster.make("up")
    cluster.figures["hub down and up"] = time.monotonic() - start
    ask = f"from lib.jobs import queue; print({{queue().fetch_job(each).get_status().value for each in {jobs!r}}})"
    wait_for(lambda: cluster.python(ask) == "{'finished'}", 180, "all jobs, after the hub's restart")
    cluster.figures["all of 20 jobs of 3 s done, from the hub's stop on"] = time.monotonic() - start


@drill
def test_the_hubs_machine_may_restart(cluster):
    enqueue = "from lib.jobs import *; from lib.where import nap; print([job.id for job in enqueue_each(nap, [3 + n / 1e4 for n in range(20)])])"
    jobs = eval(cluster.python(enqueue))
    time.sleep(4)
    start = time.monotonic()
    cluster.hub.stop()
    cluster.hub.start()
    cluster.figures["hub's engine stopped and started"] = time.monotonic() - start
    time.sleep(20)
    states = cluster.hub.run(
        "docker", "compose", "ps", "--all", "--format", "{{.Service}} {{.State}}", cwd=cluster.path
    ).stdout
    cluster.figures["of its containers then run by themselves"] = sorted(states.splitlines())
    again = time.monotonic()
    cluster.make("up")
    cluster.figures["make up after it"] = time.monotonic() - again
    ask = f"from lib.jobs import queue; print({{queue().fetch_job(each).get_status().value for each in {jobs!r}}})"
    wait_for(lambda: cluster.python(ask) == "{'finished'}", 180, "all jobs, after the machine's restart")
    cluster.figures["all of 20 jobs of 3 s done, from the engine's stop on"] = time.monotonic() - start
    where, sums, *_ = eval(cluster.python(DASK.format(workers=3)))
    assert len(where) == 3 and sums == {1000 * (1 + 2)}


@drill
def test_a_stranger_reaches_nothing(cluster):
    allowed = {("tcp", "2377"), ("tcp", "7946"), ("udp", "7946"), ("udp", "4789")}
    for machine in cluster.machines:
        listed = machine.run("ss", "-Hlntu").stdout.splitlines()
        found = {(words[0], *words[4].rpartition(":")[::2]) for words in map(str.split, listed)}
        foreign = {(kind, port) for kind, place, port in found if not place.startswith(("127.", "[::1]"))}
        assert foreign <= allowed, machine.name
    for port in (5432, 6379, 8888, 9181):
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((cluster.hub.address, port)), f"{port} is open to the switch"
    secrets = [
        line.partition("=")[2]
        for line in (cluster.path / ".env").read_text().splitlines()
        if re.match(r"\w+(PASSWORD|TOKEN)=", line)
    ]
    secrets += (cluster.path / ".local/dask.pem").read_text().split("-----")[2].split()  # the key
    for machine in cluster.machines:
        found = machine.docker("ps", "-q", "--filter", f"label=com.docker.stack.namespace={cluster.slug}").split()
        said = machine.docker("inspect", *found)
        assert said.count('"Healthcheck"') == len(found) > 1
        assert not [secret for secret in secrets if secret in said], machine.name
    said = cluster.hub.docker("service", "inspect", *cluster.services) + cluster.log()
    said += "".join(
        cluster.hub.docker("secret", "inspect", name) for name in cluster.hub.docker("secret", "ls", "-q").split()
    )
    assert not [secret for secret in secrets if secret in said]
    # A container of somebody else's, on a machine of the cluster: in no network of it, and in it, without the certificate.
    network = f"{cluster.slug}-cluster"
    inspected = json.loads(cluster.hub.docker("network", "inspect", network))[0]
    places = [
        each["IPv4Address"].partition("/")[0] for each in inspected["Containers"].values() if "this_" in each["Name"]
    ]
    assert len(places) == 3 and inspected["Options"].get("encrypted", "no") == ("" if can_encrypt() else "no")
    stranger = cluster.others[0]
    checked("ip", "-n", stranger.name, "route", "delete", "default")  # a gateway beyond may take any connection
    image = stranger.docker("ps", "--format={{.Image}}").splitlines()[0]
    servers = {"this_postgres", "this_redis", "this_scheduler"}
    python = ["--entrypoint=python", image, "-c"]
    apart = stranger.docker("run", "--rm", *python, WHO_ANSWERS, *places)
    inside = stranger.docker("run", "--rm", f"--network={network}", *python, WHO_ANSWERS, *places, *servers)
    assert apart == "" and servers <= set(inside.split()), (apart, inside)
    where = "--env=DASK_SCHEDULER_ADDRESS=tls://this_scheduler:8786"
    refused = stranger.docker("run", "--rm", f"--network={network}", where, *python, STRANGERS).splitlines()
    assert refused == ["without: refused", "plain: refused", "another: refused"]
    listening = cluster.hub.run(
        "docker", "compose", "exec", "-T", "this_scheduler", "python", "-c", LISTENING, cwd=cluster.path
    )
    assert listening.stdout.split() == ["8786"], listening.printed
    assert cluster.hub.run(sys.executable, "-c", DASHBOARD, cwd=cluster.path).stdout.split() == ["refused", "200"]


# Which servers take a connection?
WHO_ANSWERS = """
import contextlib, socket, sys
for place in sys.argv[1:]:
    for port in (5432, 6379, 8786):
        with contextlib.suppress(OSError), socket.create_connection((place, port), 2):
            print(place)
"""
# The ports on which a container listens beyond its loopback, which ends in 7F.
LISTENING = """
lines = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}")]
print(*{int(words[1].rpartition(":")[2], 16) for words in lines if words[3] == "0A" and not words[1].startswith(("0100007F", "0B00007F"))})
"""
# Of the dashboard, to those who have JupyterLab's token and to others.
DASHBOARD = """
import urllib.error, urllib.request
env = dict(line.strip().split("=", 1) for line in open(".env") if "=" in line)
for headers in ({}, {"Authorization": f"token {env['JUPYTER_TOKEN']}"}):
    request = urllib.request.Request(f"http://127.0.0.1:{env['JUPYTER_PORT']}/dask/status", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            print("refused" if "/login" in reply.url else reply.status)
    except urllib.error.HTTPError as error:
        print("refused" if error.code == 403 else error.code)
"""


@drill
def test_cluster_down_leaves_the_hub_as_it_was(cluster):
    for _ in range(2):
        cluster.make("cluster-down")
        assert cluster.hub.docker("info", "--format", "{{.Swarm.LocalNodeState}}") == "inactive"
        assert "CLUSTER_ADDRESS" not in (cluster.path / ".env").read_text()
        assert "COMPOSE_FILE" not in (cluster.path / ".env").read_text()
        assert f"{cluster.slug}-cluster" not in cluster.hub.docker("network", "ls", "--format={{.Name}}")
    for machine in cluster.others:
        machine.docker("swarm", "leave")
        wait_for(lambda machine=machine: not machine.docker("ps", "-q"), 60, "no worker left")
    cluster.make("scale", "N=1")
    assert {node for node, _ in cluster.nap(3, 0.1)[0]} == {"hub"}
    assert cluster.sql("SELECT count(*) FROM starts") == ["2"]


@drill
def test_a_hub_whose_swarm_is_gone_says_what_to_type(cluster):
    cluster.make("cluster", f"ADDRESS={cluster.hub.address}")
    cluster.hub.docker("swarm", "leave", "--force")
    gone = "This hub's swarm or network is gone\nTo finish: make cluster; or without one: make cluster-down\n"
    assert gone in cluster.refused("up")
    said = cluster.refused("destroy", "FORCE=1")
    assert "Other machines still work for this project\nTo finish: make cluster-down destroy\n" in said
    cluster.make("cluster", f"ADDRESS={cluster.hub.address}")
    cluster.make("up")
    cluster.hub.docker("swarm", "leave", "--force")
    cluster.make("cluster-down")
    cluster.make("up")
    cluster.make("scale", "N=1")
    assert {node for node, _ in cluster.nap(3, 0.2)[0]} == {"hub"}

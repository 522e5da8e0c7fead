"""What speaks to a registry of images: Debian's docker-registry, on loopback. Where it is not installed, this is skipped."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request

import pytest
from conftest import checked, command, free_port, wait_for
from stacks import IDENTITY

pytestmark = pytest.mark.engine

CONFIG = {"version": "0.1", "log": {"level": "error"}, "storage": {"delete": {"enabled": True}}}


@pytest.fixture(scope="module")
def registry(engine, tmp_path_factory):
    """The address of a registry of our own, with one small image in it: NAME:PORT/small:1."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    folder, address = tmp_path_factory.mktemp("registry"), f"127.0.0.1:{free_port(22000)}"
    storage = CONFIG["storage"] | {"filesystem": {"rootdirectory": str(folder / "data")}}
    (folder / "config.yml").write_text(json.dumps(CONFIG | {"storage": storage, "http": {"addr": address}}))
    process = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stderr=subprocess.DEVNULL)
    image = f"{address}/small:1"
    try:
        wait_for(lambda: answers(address), 30, "the registry")
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        checked("docker", "build", "--quiet", "--tag", image, folder)
        checked("docker", "push", "--quiet", image)
        yield address
    finally:
        command("docker", "image", "rm", image)
        process.terminate()
        process.wait()


def answers(address):
    try:
        return urllib.request.urlopen(f"http://{address}/v2/", timeout=5).status == 200
    except OSError:
        return False


@pytest.mark.index
def test_make_lock_writes_the_digests_that_a_registry_has(registry, render):
    project = render()
    compose, dockerfile = project / "docker-compose.yml", project / "docker/jupyter/Dockerfile"
    before = compose.read_text(), dockerfile.read_text()
    compose.write_text(before[0].replace("image: redis:8\n", f"image: {registry}/small:1\n"))
    dockerfile.write_text(re.sub("FROM .*", f"FROM {registry}/other:2  # mine", before[1]))
    lock = [sys.executable, ".dsproj", "lock"]
    done = command(*lock, cwd=project)
    digest = checked(
        "docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", f"{registry}/small:1"
    ).strip()
    image = f"{registry}/small:1@{digest.partition('@')[2]}"
    assert done.returncode == 0 and f"{registry}/small:1 sha256:" in done.stdout, done.printed
    assert f"    image: {image}\n" in compose.read_text()
    assert f"FROM {registry}/other:2  # mine\n" in dockerfile.read_text()
    assert f"no digest from {registry}/other:2 (not found): as it was" in done.stdout
    again = compose.read_text(), dockerfile.read_text()
    checked(*lock, cwd=project)
    assert (compose.read_text(), dockerfile.read_text()) == again
    checked("docker", "pull", "--quiet", image)


def git(project, *words):
    return checked("git", *words, cwd=project, env=os.environ | IDENTITY)


def test_what_cannot_be_published_is_said_in_a_line(engine, render):
    project = render(project_slug="unpublished")
    git(project, "init", "--quiet")
    git(project, "add", "--all")

    def refused(*words):
        done = command("make", "publish", *words, cwd=project)
        assert done.returncode and "Traceback" not in done.printed, done.printed
        return done.stderr

    assert "Which registry are the images for?\nTo finish: make publish TO=ghcr.io/" in refused()
    assert "Foo/Bar: no place in a registry" in refused("TO=Foo/Bar")
    assert "nothing is committed yet" in refused("TO=127.0.0.1:9/ada")
    git(project, "commit", "--quiet", "--message", "Start")
    (project / "lib" / "new.py").write_text("")
    assert "An image is of a commit, and this is not committed: lib/new.py\n" in refused("TO=127.0.0.1:9/ada")


@pytest.fixture
def other(tmp_path):
    """A second engine, with no network of its own: a function that runs docker on it."""
    socket = f"unix://{tmp_path}/socket"
    options = ["--data-root", tmp_path / "data", "--exec-root", tmp_path / "exec", "--pidfile", tmp_path / "pid"]
    # A bridge of its own: with --bridge=none an engine takes docker0 away from the first one when it starts.
    bridge = f"second{os.getpid() % 100_000}"
    checked("ip", "link", "add", bridge, "type", "bridge")
    checked("ip", "address", "add", "10.213.77.1/24", "dev", bridge)
    bare = [f"--bridge={bridge}", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(["dockerd", *options, "--host", socket, *bare], stderr=log)
    try:
        wait_for(lambda: command("docker", "-H", socket, "version").returncode == 0, 60, "a second engine")
        yield lambda *words: checked("docker", "-H", socket, *words).strip()
        command("docker", "-H", socket, "rm", "--force", "database", "lab")
    finally:
        process.terminate()
        process.wait()
        checked("ip", "link", "delete", bridge)


@pytest.mark.index
@pytest.mark.skipif("DSPROJ_DRILL" not in os.environ, reason="it sends two gigabytes: nox -s drill")
def test_a_published_commit_starts_on_another_engine(registry, other, made):
    project = made(stack="none", image_namespace=f"{registry}/ada", author_name="Ada")
    commit = project.git("rev-parse", "HEAD").strip()

    def publish():
        printed = project.make("publish")
        return dict(re.findall(r"(\w+) +pushed: (\S+)@sha256:", printed))

    first = publish()
    assert first == {kind: f"{registry}/ada/{project.slug}-{kind}:{commit[:12]}" for kind in ("jupyter", "postgres")}
    assert project.git("status", "--porcelain") == ""
    (project.path / "lib" / "news.py").write_text("NEWS = 42\n")
    project.git("add", "--all")
    git(project.path, "commit", "--quiet", "--message", "News")
    second = publish()
    layers = [
        json.loads(checked("docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", names["jupyter"]))
        for names in (first, second)
    ]
    assert layers[0][:-1] == layers[1][:-1] and layers[0] != layers[1], "an edit of lib/ is the last layer"

    for name in second.values():
        other("pull", "--quiet", name)
    labels = json.loads(other("image", "inspect", "--format", "{{json .Config.Labels}}", second["jupyter"]))
    assert labels["org.opencontainers.image.revision"] == project.git("rev-parse", "HEAD").strip()
    assert labels["org.opencontainers.image.authors"] == "Ada" and not labels["com.docker.compose.project"]
    port, lab = free_port(23000), free_port(24000)
    host, inside = ["run", "--network=host", "--name"], ["--env=PGHOST=127.0.0.1", f"--env=PGPORT={port}"]
    inside.append("--env=PGPASSWORD=secret")
    other(*host, "database", "--detach", "--env=POSTGRES_PASSWORD=secret", f"--env=PGPORT={port}", second["postgres"])
    query = "from lib.postgres import read_frame as r; import lib.news; print(lib.news.NEWS, r('SELECT count(*) n FROM adult').n[0])"
    ask = [*host, "ask", "--rm", *inside, second["jupyter"], "python", "-c", query]
    said = wait_for(lambda: tried(other, ask), 60, "the seeded database")
    assert said.splitlines()[-1] == f"42 {32561 if (project.path / 'data/adult.data').exists() else 400}"
    start = ["--env=JUPYTER_TOKEN=t", second["jupyter"], "start-notebook.py", f"--port={lab}", "--ip=127.0.0.1"]
    other(*host, "lab", "--detach", *inside, *start)
    page = f"http://127.0.0.1:{lab}/api/contents/ipynb?token=t"
    assert "Initial_Database_Connection" in wait_for(lambda: fetched(page), 60, "JupyterLab")
    for name in (*first.values(), *second.values()):
        command("docker", "image", "rm", name)


def tried(other, words):
    try:
        return other(*words)
    except AssertionError:
        return None


def fetched(address):
    try:
        return urllib.request.urlopen(address, timeout=5).read().decode()
    except OSError:
        return None

"""Fixtures: rendered projects, generated ones, and a Docker engine with every image the template names."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import copier
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# The folders beside this repository that a checkout may have: real data, an engine to start.
SHARED = ROOT.parent / "shared"

# These run inside a generated project: see test_inside.py.
collect_ignore = ["inside"]

PARTS = ("copier.yml", "template", "hooks")

# The same examples at every run, so that a red run is about what changed; the drills look further, each time elsewhere.
settings.register_profile("same", derandomize=True)
if "DSPROJ_DRILL" not in os.environ:
    settings.load_profile("same")


def pytest_collection_modifyitems(items):
    if "DSPROJ_DRILL" in os.environ:
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: nox -s drill"))
        if item.get_closest_marker("local_shows_it") and item.get_closest_marker("engine"):
            item.add_marker(pytest.mark.skip(reason="here on the local stack; on Docker: nox -s drill"))


# Compose projects carry it: two checkouts of this repository, and two workers of pytest, leave each other's stacks alone.
CHECKOUT = hashlib.sha256(str(ROOT).encode()).hexdigest()[:4]
PREFIX = f"dsproj-test-{CHECKOUT}-{os.environ.get('PYTEST_XDIST_WORKER', 'gw')}"


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """The template as it is in the working tree, without git: Copier then takes no clone, and renders four times faster."""
    folder = tmp_path_factory.mktemp("template")
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", ".*_cache")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=ignore)
        else:
            shutil.copy(source, folder)
    return folder


@pytest.fixture(scope="session")
def renders(template, tmp_path_factory):
    """renders(name, answers) -> a folder of that name to copy from; the same answers are rendered once."""
    kept = {}

    def rendered(name, answers):
        key = repr((name, sorted(answers.items())))
        if key not in kept:
            target = tmp_path_factory.mktemp("renders") / name
            copier.run_copy(
                str(template), target, data=answers, defaults=True, unsafe=True, quiet=True, skip_tasks=True
            )
            kept[key] = target
        return kept[key]

    return rendered


@pytest.fixture
def render(renders, tmp_path):
    """render(**answers) -> the project folder, rendered and nothing else: no step of hooks/ has run."""

    def rendered(name="rendered", **answers):
        return shutil.copytree(renders(name, answers), tmp_path / name, symlinks=True, dirs_exist_ok=True)

    return rendered


def command(*arguments, cwd=None, **options):
    """Run a command; its exit code, and what it printed on both channels."""
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 900} | options
    done = subprocess.run([str(argument) for argument in arguments], cwd=cwd, **options)
    done.printed = (done.stdout or "") + (done.stderr or "")
    return done


def checked(*arguments, cwd=None, **options):
    """The same, for a command that has to succeed; returns what it printed on standard output."""
    done = command(*arguments, cwd=cwd, **options)
    assert done.returncode == 0, f"{arguments} exited with {done.returncode}:\n{done.printed}"
    return done.stdout


def generate(source, target, *options, cwd=None, env=None, **answers):
    """`copier copy`, as a person runs it, in a process of its own; the finished process with `printed`."""
    data = [part for name, value in answers.items() for part in ("--data", f"{name}={value}")]
    return command(
        sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "--quiet", *options, *data, source, target,
        cwd=cwd, env=os.environ | (env or {}),
    )  # fmt: skip


@pytest.fixture(scope="session")
def adult():
    """A source of the Adult data: the real file where it is at hand, else None (the synthetic sample is used then)."""
    path = SHARED / "data" / "adult.data"
    return path if path.exists() else None


def free_port(start=20000):
    """A port that is free now; each checkout, and each worker of pytest, looks from a place of its own."""
    start += int(hashlib.sha256(PREFIX.encode()).hexdigest(), 16) % 90 * 10
    for port in range(start, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


@pytest.fixture(scope="session")
def engine():
    """A Docker engine, and stand-ins for upstream images that no registry can be asked for here."""
    required = os.environ.get("DSPROJ_ENGINE") == "required"
    give_up = pytest.fail if required else pytest.skip
    if not shutil.which("docker") or command("docker", "info").returncode:
        give_up("no Docker engine answers")
    if command("docker", "compose", "version").returncode:
        give_up("Docker Compose v2 is missing")
    reachable = "quay.io/jupyter/scipy-notebook:2026-07-28"
    if (
        command("docker", "image", "inspect", reachable).returncode
        and command("docker", "pull", reachable).returncode == 0
    ):
        return True
    built = command(ROOT / "tests" / "images" / "build", timeout=1500)
    if built.returncode:
        give_up(f"the stand-in images could not be built:\n{built.printed[-3000:]}")
    return True


def remove_stack(slug):
    """Take away every container, volume, network and image of a Compose project that a test made."""
    label = f"label=com.docker.compose.project={slug}"
    for kind, remove in (
        (["ps", "-aq"], ["rm", "-f", "-v"]),
        (["volume", "ls", "-q"], ["volume", "rm", "-f"]),
        (["network", "ls", "-q"], ["network", "rm"]),
    ):
        found = checked("docker", *kind, "--filter", label).split()
        if found:
            checked("docker", *remove, *found)
    command("docker", "volume", "rm", "-f", f"{slug}_owner")
    command("docker", "image", "rm", "-f", f"{slug}-jupyter", f"{slug}-postgres")


def wait_for(condition, seconds=60, what="it"):
    """Poll until condition() is true; an assertion error with what it was about otherwise."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.3)
    raise AssertionError(f"{what} did not happen within {seconds} s")


@pytest.fixture(scope="session")
def database(engine, template, tmp_path_factory):
    """PostgreSQL as the template builds it, with no data set: a `database.Server`, one for all tests of a worker."""
    from database import Server

    folder = tmp_path_factory.mktemp("database")
    project = folder / "project"
    copier.run_copy(
        str(template), project, data={"dataset": "none"}, defaults=True, unsafe=True, quiet=True, skip_tasks=True
    )
    server = Server(f"{PREFIX}-database", project)
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def made(request, tmp_path):
    """made(kind, name=…, **answers) -> a generated project; its stack is removed at the end."""
    from stacks import DockerStack

    stacks = []

    def generated(kind=DockerStack, name="project", **answers):
        if kind is DockerStack:
            request.getfixturevalue("engine")
        stacks.append(kind(tmp_path / name, f"{PREFIX}-{name}"))
        stacks[-1].remove()
        return stacks[-1].generate(**answers)

    yield generated
    for each in stacks:
        each.remove()

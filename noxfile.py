"""`nox` runs the tests; `nox -s lint|tests|stack|drill|bench|docs|pictures` one session. Arguments after `--` go to pytest."""

import shutil
import tempfile
from pathlib import Path

import nox

HERE = Path(__file__).parent

nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

# Two files at a time: a stack spends much of its time waiting. A module's tests share a stack, so they stay together.
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile")

GROUPS = nox.project.load_toml("pyproject.toml")


def install(session, group):
    session.install(*nox.project.dependency_groups(GROUPS, group))


@nox.session
def lint(session):
    """ruff over this repository's Python, shellcheck and yamllint over the rest, mypy over what a project gets.

    The rendered files are linted by tests.
    """
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("shellcheck", "--shell=bash", ".ci/run", "tests/images/build")
    install(session, "types")
    with tempfile.TemporaryDirectory() as folder:
        answers = [
            "--data",
            "mongo=true",
            "--data",
            "cluster=true",
            "--skip-tasks",
            "--trust",
            "--defaults",
            "--quiet",
            "--vcs-ref",
            "HEAD",
        ]
        session.run("python", "-m", "copier", "copy", *answers, ".", f"{folder}/project")
        with session.chdir(f"{folder}/project"):
            environment = {"MYPYPATH": f"{folder}/project:{folder}/project/.dsproj"}
            checked = ["--package", "dsproj", "--package", "lib"]
            session.run("mypy", "--config-file", str(HERE / "pyproject.toml"), *checked, env=environment)
    session.run(
        "yamllint", "--strict", "-d", "{extends: relaxed, rules: {line-length: {max: 900}}}", "copier.yml", ".github"
    )


@nox.session
def tests(session):
    """Everything. Tests that need a Docker engine are skipped where none answers (DSPROJ_ENGINE=required: they fail)."""
    install(session, "test")
    session.run("pytest", *SIDE_BY_SIDE, *session.posargs)


@nox.session
def stack(session):
    """Only what starts servers: on the Docker engine and as local processes."""
    install(session, "test")
    session.run(
        "pytest",
        "tests/test_stack.py",
        "tests/test_engine.py",
        "tests/test_local_stack.py",
        "tests/test_moving.py",
        "tests/test_upgrade_postgres.py",
        "tests/test_browser.py",
        "tests/images",
        *session.posargs,
    )


@nox.session
def drill(session):
    """Kill, interrupt and edit at random, as often as trust in it takes: about three hours, and one of siege."""
    install(session, "test")
    for name, times in [
        ("test_seed.py", "20"),
        ("test_drill.py", "5"),
        ("test_update_property.py", "200"),
        ("test_database_values.py", "20"),
        ("test_stack.py", "1"),
        ("test_inside.py", "1"),
        ("test_formats.py", "1"),
        ("test_again.py", "1"),
        ("test_browser.py", "1"),
        ("test_update.py", "1"),
        ("test_ci.py", "1"),
        ("test_first_layout.py", "1"),
        ("test_odd_places.py", "1"),
        ("test_registry.py", "1"),
        ("test_cluster.py", "1"),
        ("test_dask.py", "1"),
        ("test_remote.py", "1"),
        ("test_elsewhere.py", "1"),
        ("images", "1"),
        ("test_siege.py", "30"),
    ]:
        environment = {"DSPROJ_DRILL": times, "DSPROJ_CORPUS": "all"}
        session.run("pytest", f"tests/{name}", *session.posargs, env=environment)


@nox.session
def bench(session):
    """The figures of docs/figures.md, by the commands that stand there: a quarter of an hour, best with nothing else running."""
    install(session, "test")
    docker = shutil.which("docker") is not None
    both = ["--engine", "local", *(["--engine", "docker"] if docker else [])]
    sizes = ["--rows", "32561", "--rows", "3200000", "--runs", "3"]
    session.run("python", "benchmarks/time_to_ready.py", *both, "--runs", "1")
    if docker:
        session.run("python", "benchmarks/seed.py")
        session.run("python", "benchmarks/jobs.py", "--engine", "docker", *sizes)
    session.run("python", "benchmarks/jobs.py", *sizes)
    session.run("python", "benchmarks/frames.py", "--runs", "7")
    session.run("python", "benchmarks/cache.py", "--runs", "9")
    session.run("python", "benchmarks/documents.py", "--runs", "5")
    if docker:
        session.run("python", "benchmarks/larger_than_memory.py")
    session.run("python", "benchmarks/kernel_start.py", "--runs", "15")


@nox.session
def docs(session):
    """The documentation site in build/docs/site: built strictly, each link followed. Its commands are run by the tests."""
    install(session, "docs")
    session.run("python", "docs/build.py")


@nox.session
def pictures(session):
    """docs/pictures: a recording of the first command, and what the browser tests see on their way through the local stack."""
    install(session, "test")
    folder = HERE / "docs" / "pictures"
    folder.mkdir(exist_ok=True)
    session.run("python", "docs/record.py")
    session.run(
        "pytest",
        "tests/test_browser.py",
        "-k",
        "local",
        *session.posargs,
        env={"DSPROJ_PICTURES": str(folder), "DSPROJ_DRILL": "1"},
    )

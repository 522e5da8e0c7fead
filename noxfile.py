"""`nox` runs the tests; `nox -s lint|tests|stack|bench|docs` one session. Arguments after `--` go to pytest."""

import nox

nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

GROUPS = nox.project.load_toml("pyproject.toml")


def install(session, group):
    session.install(*nox.project.dependency_groups(GROUPS, group))


@nox.session
def lint(session):
    """ruff over this repository's Python, shellcheck and yamllint over the rest; the rendered files are linted by tests."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("shellcheck", "--shell=bash", ".ci/run", "tests/images/build")
    session.run(
        "yamllint", "--strict", "-d", "{extends: relaxed, rules: {line-length: {max: 900}}}", "copier.yml", ".github"
    )


@nox.session
def tests(session):
    """Everything. Tests that need a Docker engine are skipped where none answers (DSPROJ_ENGINE=required: they fail)."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def stack(session):
    """Only what starts servers: on the Docker engine and as local processes."""
    install(session, "test")
    session.run(
        "pytest",
        "tests/test_stack.py",
        "tests/test_engine.py",
        "tests/test_local_stack.py",
        "tests/images",
        *session.posargs,
    )


@nox.session
def bench(session):
    """The figures that the README claims."""
    install(session, "test")
    session.run("python", "benchmarks/time_to_ready.py", *session.posargs)
    session.run("python", "benchmarks/seed.py")


@nox.session
def docs(session):
    """Does every link of the README inside this repository lead somewhere?"""
    install(session, "test")
    session.run("pytest", "tests/test_readme.py", *session.posargs)

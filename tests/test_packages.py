"""The lock of a project without a stack: what it is made from, and what is said where it cannot be made. Real uv, real index.

`make add` on a running stack is in test_stack.py; that the template's own lock fits is in test_render.py.
"""

import os
import sys

import pytest
from conftest import command

FILES = ("docker/jupyter/requirements.txt", "local/requirements.txt")
LOCKS = ("docker/jupyter/requirements.lock", "local/requirements.lock")


def contents(project):
    return {name: (project / name).read_text() for name in (*FILES, *LOCKS)}


def lock(project, *words, **variables):
    return command(sys.executable, ".dsproj", "lock", *words, cwd=project, env=os.environ | variables)


@pytest.mark.index
def test_the_lock_is_renewed_and_keeps_what_the_requirements_allow(render):
    project = render()
    before = contents(project)
    done = lock(project)
    assert done.returncode == 0 and "no package is another" in done.stdout, done.printed
    requirements = project / FILES[0]
    requirements.write_text(before[FILES[0]].replace("six==1.17.0 ", "six==1.16.0 ") + "toolz>=1\n")
    done = lock(project)
    assert "six 1.17.0 -> 1.16.0" in done.stdout and "toolz 1" in done.stdout and "make up" in done.stdout, done.printed
    others = [line for line in before[LOCKS[1]].splitlines() if "==" in line]
    assert others == [line for line in contents(project)[LOCKS[1]].splitlines() if "==" in line]
    assert not list(project.rglob("*.part"))


@pytest.mark.index
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no-such-package-of-dsproj", "There is no package no-such-package-of-dsproj in the package index. Nothing"),
        ("toolz==99.9", "There is no toolz==99.9 in the package index. Nothing"),
        ("numpy==1.24.0", "The packages do not fit together. Nothing was changed.\n  Because "),
    ],
)
def test_what_cannot_be_had_is_said_in_a_line_and_changes_nothing(render, line, said):
    project = render()
    with (project / FILES[0]).open("a") as file:
        file.write(f"{line}\n")
    before = contents(project)
    done = lock(project)
    assert done.returncode and said in done.stderr and "Traceback" not in done.printed, done.printed
    assert len(done.stderr.splitlines()) <= 2 and contents(project) == before


def test_no_index_no_lock(render, tmp_path):
    project = render()
    before = contents(project)
    nowhere = {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_HTTP_RETRIES": "0",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }
    nowhere |= {"PIP_CONFIG_FILE": os.devnull, "UV_FIND_LINKS": "", "UV_INDEX": "", "PIP_FIND_LINKS": ""}
    done = lock(project, **nowhere)
    assert done.returncode and "The package index cannot be reached" in done.stderr, done.printed
    assert "Traceback" not in done.printed and contents(project) == before


def test_the_image_is_not_built_from_a_lock_that_is_older_than_the_requirements(render):
    """What the build runs, for who types `docker compose build` and not `make up`."""
    project = render()
    with (project / FILES[0]).open("a") as file:
        file.write("toolz==1.0.0\n")
    environment = os.environ | {"PYTHONPATH": str(project / ".dsproj")}
    done = command(sys.executable, "-m", "dsproj.kernel.locked", cwd=project, env=environment)
    assert done.returncode and done.stderr.strip() == (
        "requirements.txt asks for toolz==1.0.0, and requirements.lock does not have it: make lock"
    )


def test_publishing_without_docker_says_what_it_takes(render):
    done = command(
        sys.executable, ".dsproj", "publish", "TO=ghcr.io/ada", cwd=render(), env=os.environ | {"PATH": "/nowhere"}
    )
    assert (
        done.returncode
        and "Docker is not installed here\nTo finish: install Docker, then: make publish\n" in done.stderr
    )
    assert "ENGINE=local" not in done.stderr, "there are no images of the local stack"

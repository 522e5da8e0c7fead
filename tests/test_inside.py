"""The thorough tests of what `lib/` imports from the machine room, run inside a project, where its servers are."""

import shutil

import pytest
from conftest import ROOT
from stacks import BOTH, stack_of


@pytest.fixture(scope="module", params=BOTH)
def project(request, tmp_path_factory):
    with stack_of(request, request.param, tmp_path_factory.mktemp("inside") / "project", "inside") as made:
        made.generate(mongo=True)
        shutil.copytree(ROOT / "tests" / "inside", made.path / "inside", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "tests" / "inside" / "probes.py", made.path / "lib")
        yield made


@pytest.mark.parametrize("name", ["postgres", "jobs", "cache", "memory", "mongo"])
def test_inside_a_project(project, name):
    printed = project.run("python", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", f"inside/test_{name}.py")
    assert "passed" in printed and "skipped" not in printed, printed

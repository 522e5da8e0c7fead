"""The thorough tests of what `lib/` imports from the machine room, run inside a project, where its servers are."""

import shutil
import time

import pytest
from conftest import ROOT, checked
from stacks import BOTH, stack_of


@pytest.fixture(scope="module", params=BOTH)
def project(request, tmp_path_factory):
    with stack_of(request, request.param, tmp_path_factory.mktemp("inside") / "project", "inside") as made:
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


@pytest.mark.parametrize(
    "name", ["postgres", "jobs", "cache", "memory", "mongo", "cell_to_lib", "sql_magic", "literature"]
)
def test_inside_a_project(project, name):
    printed = project.run("python", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", f"inside/test_{name}.py")
    assert "passed" in printed and "skipped" not in printed, printed

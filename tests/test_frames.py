"""No frame loses anything: every type through PostgreSQL and back, any frame through the cache. And the benchmarks work."""

import shutil
import sys

import pytest
from conftest import PREFIX, ROOT, checked
from stacks import LocalStack


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = LocalStack(tmp_path_factory.mktemp("frames") / "project", f"{PREFIX}-frames")
    try:
        assert "is running" in made.generate().printed, made.printed
        yield made
    finally:
        made.remove()


def test_every_type_makes_the_round_trip(project, tmp_path):
    python = project.path / ".local" / "venv" / "bin" / "python"
    checked("uv", "pip", "install", "--quiet", "--python", python, "--target", tmp_path / "more", "hypothesis")
    script = shutil.copy(ROOT / "tests" / "frames_round_trip.py", tmp_path)
    path = f"PYTHONPATH={project.path}:{project.path / '.dsproj'}:{tmp_path / 'more'}"
    assert "kept" in project.run("env", path, "python", script, "60")


@pytest.mark.parametrize(
    ("name", "printed"), [("jobs", "one UPDATE of all rows"), ("frames", "read_frame"), ("kernel_start", "bare")]
)
def test_benchmarks_work(project, name, printed):
    script = ROOT / "benchmarks" / f"{name}.py"
    assert printed in checked(sys.executable, script, "--small", "--project", project.path)

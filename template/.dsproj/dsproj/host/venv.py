""".local/venv: made from local/requirements.lock, and brought up to date when that changes."""

# With uv where it can be had, since it takes seconds where pip takes a minute.

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsproj import locks
from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.host import packages, uv
from dsproj.host.places import PYTHON, STAMP, STATE, VENV, again
from dsproj.host.variables import inherited
from dsproj.report import Report, Stopwatch
from dsproj.settings import PROJECT

OLDEST = (3, 11)
LOCK = PROJECT / locks.LOCKS[1]
NEEDED_BYTES = 1_500_000_000


def base_python() -> str:
    """The path of a Python that the venv can be made with: this one, or a newer one of the machine; Problem without."""
    if sys.version_info >= OLDEST:
        return sys.executable
    candidates = (shutil.which(f"python3.{minor}") for minor in range(14, OLDEST[1] - 1, -1))
    if found := next(filter(None, candidates), None):
        return found
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    what = f"Python {version} is too old for the local stack; it needs 3.11 or newer"
    raise Problem(what, "make up PYTHON3=/path/to/python3.11")


def wanted() -> str:
    """What the stamp says when the venv is as the lock has it."""
    return hashlib.sha256(b"\0".join((PROJECT / name).read_bytes() for name in locks.LOCKS)).hexdigest()


def is_ready() -> bool:
    """Made to the end, from this very lock, by a Python that is still there?"""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        made = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    # uv's scripts find the Python beside them; those of pip name the folder, so a moved project needs new ones.
    in_place = stamp["folder"] == str(VENV) or "relocatable = true" in made
    return stamp["requirements"] == wanted() and in_place and PYTHON.exists()


def run(command: list[str], variables: Mapping[str, str], report: Report) -> None:
    """Run an installer, each line of it passed on; where it fails, a Problem with the last ones."""
    last: deque[str] = deque(maxlen=8)
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, env=variables, cwd=PROJECT, text=True, errors="replace", **streams) as process:
        for line in process.stdout or ():
            if line := line.strip():
                last.append(line)
                report.doing(line)
    if process.returncode:
        what = f"{Path(command[0]).name} could not install local/requirements.lock:"
        raise Problem(what, again(), list(last))


def build_with_uv(program: str, variables: Mapping[str, str], report: Report) -> None:
    variables = uv.settings(variables)
    if not PYTHON.exists():
        shutil.rmtree(VENV, ignore_errors=True)
        options = ["--quiet", "--no-project", "--relocatable", "--python", base_python()]
        run([program, "venv", *options, str(VENV)], variables, report)
    run(
        [program, "pip", "install", "--no-deps", "--python", str(PYTHON), "--requirement", str(LOCK)], variables, report
    )


def build_with_pip(variables: Mapping[str, str], report: Report) -> None:
    variables = {**variables, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        run([base_python(), "-m", "venv", str(VENV)], variables, report)
        run([str(PYTHON), "-m", "pip", "install", "--no-deps", "--requirement", str(LOCK)], variables, report)
    except Problem as problem:
        hint = "Python's venv and pip are needed, for example: apt-get install python3-venv (or install uv)"
        raise Problem(problem.what, f"{hint}; then: {again()}", problem.log) from None


def ensure(report: Report) -> None:
    """Make the venv, or bring it up to date, and the lock before it; said where that takes time."""
    packages.ensure(report)
    if is_ready():
        return
    if shutil.disk_usage(STATE).free < NEEDED_BYTES:
        what = f"The disk is nearly full: the environment needs {NEEDED_BYTES / 1e9:.1f} GB in {STATE}"
        raise Problem(what, f"make room, then: {again()}")
    watch = Stopwatch()
    STAMP.unlink(missing_ok=True)
    variables = inherited()
    program = uv.find(variables)
    installer = "uv" if program else "pip"
    report.done("environment", f"installing the packages with {installer}; it takes a while the first time")
    if program:
        build_with_uv(program, variables, report)
    else:
        build_with_pip(variables, report)
    # Written last: an installation that was interrupted is taken up again.
    replace_text(STAMP, json.dumps({"requirements": wanted(), "folder": str(VENV)}))
    report.done("environment", "ready", watch.seconds)

""".local/venv: made from local/requirements.txt, and brought up to date when that changes."""

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

from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.host.places import PYTHON, STAMP, STATE, TOOLS, VENV, again
from dsproj.host.variables import inherited
from dsproj.report import Report, Stopwatch
from dsproj.settings import PROJECT

OLDEST = (3, 11)
REQUIREMENTS = (PROJECT / "local" / "requirements.txt", PROJECT / "docker" / "jupyter" / "requirements.txt")
UV_NAMES = {"UV_DEFAULT_INDEX": "index-url", "UV_INDEX": "extra-index-url"}
UV_NAMES |= {"UV_FIND_LINKS": "find-links", "SSL_CERT_FILE": "cert"}
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
    """What the stamp says when the venv is as the requirement files ask."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in REQUIREMENTS)).hexdigest()


def is_ready() -> bool:
    """Made to the end, from these very requirements, by a Python that is still there?"""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        made = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    # uv's scripts find the Python beside them; those of pip name the folder, so a moved project needs new ones.
    in_place = stamp["folder"] == str(VENV) or "relocatable = true" in made
    return stamp["requirements"] == wanted() and in_place and PYTHON.exists()


def pip_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, and the user's pip configuration (index, certificates) in uv's names where uv is given none."""
    command = [base_python(), "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, env=variables)
    pairs = (line.partition("=") for line in listed.stdout.splitlines())
    found = {name.rpartition(".")[2]: value.strip("'\"").replace("\\n", " ") for name, _, value in pairs}
    settings = {uv: " ".join(found[pip].split()) for uv, pip in UV_NAMES.items() if pip in found}
    # pip takes the best version of all indexes.
    return {"UV_INDEX_STRATEGY": "unsafe-best-match", **settings, **variables}


def find_uv(variables: Mapping[str, str]) -> str | None:
    """The path of uv: the machine's, or one of our own in .local/tools; None where it cannot be had."""
    own = TOOLS / "bin" / "uv"
    if found := shutil.which("uv"):
        return found
    if not own.exists():
        pip = [base_python(), "-m", "pip", "install", "--quiet", "--target", str(TOOLS), "uv"]
        subprocess.run(pip, capture_output=True, env={**variables, "PIP_USER": "0"})
    return str(own) if own.exists() else None


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
        what = f"{Path(command[0]).name} could not install local/requirements.txt:"
        raise Problem(what, again(), list(last))


def build_with_uv(uv: str, variables: Mapping[str, str], report: Report) -> None:
    variables = {"UV_SYSTEM_CERTS": "1", **pip_settings(variables)}
    if not PYTHON.exists():
        shutil.rmtree(VENV, ignore_errors=True)
        options = ["--quiet", "--no-project", "--relocatable", "--python", base_python()]
        run([uv, "venv", *options, str(VENV)], variables, report)
    run([uv, "pip", "install", "--python", str(PYTHON), "--requirement", str(REQUIREMENTS[0])], variables, report)


def build_with_pip(variables: Mapping[str, str], report: Report) -> None:
    variables = {**variables, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        run([base_python(), "-m", "venv", str(VENV)], variables, report)
        run([str(PYTHON), "-m", "pip", "install", "--requirement", str(REQUIREMENTS[0])], variables, report)
    except Problem as problem:
        hint = "Python's venv and pip are needed, for example: apt-get install python3-venv (or install uv)"
        raise Problem(problem.what, f"{hint}; then: {again()}", problem.log) from None


def ensure(report: Report) -> None:
    """Make the venv, or bring it up to date; said where that takes time."""
    if is_ready():
        return
    if shutil.disk_usage(STATE).free < NEEDED_BYTES:
        what = f"The disk is nearly full: the environment needs {NEEDED_BYTES / 1e9:.1f} GB in {STATE}"
        raise Problem(what, f"make room, then: {again()}")
    watch = Stopwatch()
    STAMP.unlink(missing_ok=True)
    variables = inherited()
    uv = find_uv(variables)
    installer = "uv" if uv else "pip"
    report.done("environment", f"installing local/requirements.txt with {installer}; it takes a while the first time")
    if uv:
        build_with_uv(uv, variables, report)
    else:
        build_with_pip(variables, report)
    # Written last: an installation that was interrupted is taken up again.
    replace_text(STAMP, json.dumps({"requirements": wanted(), "folder": str(VENV)}))
    report.done("environment", "ready", watch.seconds)

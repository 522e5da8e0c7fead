"""The Python environment in .local/venv: made from local/requirements.txt, and brought up to date when that changes.

With uv where it can be had, since it takes seconds where pip takes a minute. Standard library only.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from env import PROJECT
from paths import PYTHON, STATE, TOOLS, VENV
from settings import inherited

REQUIREMENTS = (PROJECT / "local" / "requirements.txt", PROJECT / "docker" / "jupyter" / "requirements.txt")
STAMP = STATE / "installed"
UV_NAMES = {
    "UV_DEFAULT_INDEX": "index-url",
    "UV_INDEX": "extra-index-url",
    "UV_FIND_LINKS": "find-links",
    "SSL_CERT_FILE": "cert",
}
NEEDED_BYTES = 1_500_000_000


class InstallError(Exception):
    """The environment could not be made; the message says why and what to do."""


def wanted():
    """What the stamp says when the environment is as the requirement files ask."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in REQUIREMENTS)).hexdigest()


def is_ready():
    """Made to the end, from these very requirements, by a Python that is still there?"""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return stamp["requirements"] == wanted() and (stamp["folder"] == str(VENV) or is_relocatable()) and PYTHON.exists()


def is_relocatable():
    """uv's scripts find the Python beside them; those of pip name the folder, so a moved project needs new ones."""
    try:
        return "relocatable = true" in (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return False


def pip_settings(environment):
    """The environment, and the user's pip configuration (index, certificates) in uv's names where uv is given none."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, env=environment)
    pairs = (line.partition("=") for line in listed.stdout.splitlines())
    found = {name.rpartition(".")[2]: value.strip("'\"").replace("\\n", " ") for name, _, value in pairs}
    settings = {uv: " ".join(found[pip].split()) for uv, pip in UV_NAMES.items() if pip in found}
    # pip takes the best version of all indexes.
    return {"UV_INDEX_STRATEGY": "unsafe-best-match", **settings, **environment}


def find_uv(environment):
    """The path of uv: the machine's, or one of our own in .local/tools; None where it cannot be had."""
    own = TOOLS / "bin" / "uv"
    if found := shutil.which("uv"):
        return found
    if not own.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(TOOLS), "uv"]
        subprocess.run(pip, capture_output=True, env={**environment, "PIP_USER": "0"})
    return str(own) if own.exists() else None


def run(command, environment):
    """Run an installer; where nobody watches a terminal, it is silent unless it fails."""
    streams = {} if sys.stderr.isatty() else {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, env=environment, cwd=PROJECT, text=True, **streams)
    if done.returncode:
        lines = (done.stdout or "").strip().splitlines()[-8:]
        reason = "\n".join(f"  {line}" for line in lines) or "  (see above)"
        raise InstallError(f"{Path(command[0]).name} could not install local/requirements.txt:\n{reason}")


def build_with_uv(uv, environment):
    environment = {"UV_SYSTEM_CERTS": "1", **pip_settings(environment)}
    if not PYTHON.exists():
        shutil.rmtree(VENV, ignore_errors=True)
        options = ["--quiet", "--no-project", "--relocatable", "--python", sys.executable]
        run([uv, "venv", *options, str(VENV)], environment)
    run([uv, "pip", "install", "--python", str(PYTHON), "--requirement", str(REQUIREMENTS[0])], environment)


def build_with_pip(environment):
    environment = {**environment, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    shutil.rmtree(VENV, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(VENV)], environment)
    run([str(PYTHON), "-m", "pip", "install", "--requirement", str(REQUIREMENTS[0])], environment)


def ensure(say):
    """Make the environment, or bring it up to date; `say(text)` is told when that takes time."""
    if is_ready():
        return
    if shutil.disk_usage(STATE).free < NEEDED_BYTES:
        raise InstallError(f"The disk is nearly full: the environment needs {NEEDED_BYTES / 1e9:.1f} GB in {STATE}.")
    STAMP.unlink(missing_ok=True)
    environment = inherited()
    uv = find_uv(environment)
    say(f"installing local/requirements.txt with {'uv' if uv else 'pip'}; it takes a while the first time")
    if uv:
        build_with_uv(uv, environment)
    else:
        try:
            build_with_pip(environment)
        except InstallError as error:
            hint = "Python's venv and pip are needed, for example: apt-get install python3-venv (or install uv)"
            raise InstallError(f"{error}\n{hint}") from None
    # Written last: an installation that was interrupted is taken up again.
    stamp = {"requirements": wanted(), "folder": str(VENV)}
    STAMP.write_text(json.dumps(stamp), encoding="utf-8")

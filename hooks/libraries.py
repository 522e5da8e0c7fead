"""See that GitPython, rich and, for a file of the user's own, DuckDB can be imported here.

Copier's environment does not bring them.
"""

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Import name -> what is installed.
NEEDED = {"git": "GitPython==3.2.1", "rich": "rich==15.0.0"}
TRIED = "DSPROJ_LIBRARIES_TRIED"


def needed():
    """NEEDED, and what finding the types of a CSV file needs, in the version that the project will have."""
    answers, requirements = Path(".copier-answers.yml"), Path("docker/jupyter/requirements.txt")
    if not (answers.exists() and re.search(r"^dataset: csv$", answers.read_text(encoding="utf-8"), re.M)):
        return NEEDED
    modules = ["duckdb"] if sys.version_info >= (3, 14) else ["duckdb", "backports.zstd"]
    pinned = re.findall(r"^([\w.]+)==([\w.]+)", requirements.read_text(encoding="utf-8"), re.M)
    return NEEDED | {module: f"{module}=={version}" for module, version in pinned if module in modules}


def missing():
    """The requirements that cannot be imported here."""
    return [package for module, package in needed().items() if not is_here(module)]


def is_here(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False


def provide():
    """Make the libraries importable: from here, from uv, or by pip from a cache folder.

    With uv this process is replaced by one that has them, and does not return. Where nothing helps (no package index in
    reach) the steps run all the same, and each says what it lacks.
    """
    if not missing():
        return
    with waiting(f"getting {', '.join(package.partition('=')[0] for package in missing())} for this step"):
        command = get()
    if command:
        sys.exit(subprocess.run([*command, *sys.orig_argv[1:]], env=os.environ | {TRIED: "uv"}).returncode)


def get():
    """Fetch them: the command of uv that has them, or None, and they can be imported here if they were to be had."""
    if os.environ.get(TRIED) is None and (uv := shutil.which("uv")):
        extra = [option for package in needed().values() for option in ("--with", package)]
        command = [uv, "run", "--quiet", "--no-project", "--no-config", "--python", sys.executable, *extra, "python"]
        # Probed first, so that a failure of uv is told from a failure of the steps.
        if subprocess.run([*command, "-c", ""], capture_output=True).returncode == 0:
            return command
    return install_with_pip()


@contextlib.contextmanager
def waiting(text):
    """While the block runs, show `text`: in place on a terminal, else as a line. There is no rich yet."""
    is_terminal = sys.stdout.isatty()
    print(f"  … {text}", end="" if is_terminal else "\n", flush=True)
    yield
    if is_terminal:
        print("\r\x1b[K", end="", flush=True)


def cache_folder():
    """Where pip installs for this Python and these versions; made on the way."""
    name = hashlib.sha256(repr((sys.version_info[:2], needed())).encode()).hexdigest()[:12]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for base in (Path(home), Path(tempfile.gettempdir()) / f"dsproj-{os.getuid() if hasattr(os, 'getuid') else ''}"):
        try:
            (base / "dsproj").mkdir(mode=0o700, parents=True, exist_ok=True)
            return base / "dsproj" / name
        except OSError:
            continue
    return None


def install_with_pip():
    folder = cache_folder()
    if folder is None:
        return
    if not folder.exists():
        partial = Path(tempfile.mkdtemp(dir=folder.parent))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(partial), *needed().values()]
        done = subprocess.run(command, capture_output=True).returncode == 0
        try:
            if done:
                partial.rename(folder)
        except OSError:
            pass  # another run was first
        shutil.rmtree(partial, ignore_errors=True)
    if folder.exists():
        sys.path.append(str(folder))
        importlib.invalidate_caches()

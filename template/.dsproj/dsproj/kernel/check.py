"""`make check`: ruff over the code, a look for keys in every file that git has or would take, and for packages beside the lock.

What is found as a key goes by its form (AWS, GitHub, Slack, a private key, …) and by names such as `password = "…"`, of which
detect-secrets knows some dozens. What looks random and no more is left out: checksums do, and ids of cells.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

from dsproj import locks
from dsproj.kernel import locked
from dsproj.settings import PROJECT

LARGEST = 2 << 20  # bytes; what is larger is data
CURE = """A key belongs in config/jupyter.env, which git ignores: os.environ["NAME"] in the code.
One that was committed is known to others: have it replaced by whoever gave it. If it is no key: add "# pragma: allowlist secret" to its line"""


def keys(names: list[str]) -> list[str]:
    """ "file:line: what it looks like", of files of the project."""
    kinds = get_mapping_from_secret_type_to_class().values()
    plugins = [{"name": kind.__name__} for kind in kinds if "Entropy" not in kind.__name__]
    with transient_settings({"plugins_used": plugins}):
        found = [each for name in names for each in scan_file(name)]
    return sorted({f"{each.filename}:{each.line_number}: {each.type}" for each in found})


def of_git() -> list[str] | None:
    """The files that git has, or would take; None where there is no git."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(words, capture_output=True, check=True).stdout.decode("utf-8", "surrogateescape")
    except (OSError, subprocess.CalledProcessError):
        return None
    names = (name for name in listed.split("\0") if name and not name.startswith(".dsproj/"))
    return [name for name in names if Path(name).is_file() and Path(name).stat().st_size <= LARGEST]


def beside_the_lock() -> str:
    """A line on what `%pip install` has brought and no other copy of the project will have; "" where there is nothing."""
    found = [f"{name}=={version}" for name, version in locked.strangers().items()]
    if not found:
        return ""
    return f'Installed here, and not in the lock: {", ".join(found)}. To keep: make add PKG="{" ".join(found)}"'


def missing_in_debian() -> str:
    """A line on what docker/jupyter/apt.txt names and this machine lacks; "" where nothing does, or where nothing says so."""
    asked = locks.asked(locks.read(PROJECT / "docker" / "jupyter" / "apt.txt"))
    if not asked or not shutil.which("dpkg-query"):
        return ""
    words = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *asked]
    there = subprocess.run(words, capture_output=True, text=True).stdout.splitlines()
    missing = [name for name in asked if f"{name} installed" not in there]
    if not missing:
        return ""
    return f"docker/jupyter/apt.txt names what is missing here: {' '.join(missing)}. With Docker: make up; else: apt install"


def main() -> int:
    for line in filter(None, (beside_the_lock(), missing_in_debian())):
        print(line)
    failed = subprocess.run([sys.executable, "-m", "ruff", "check"], cwd=PROJECT).returncode
    names = of_git()
    if names is None:
        print("There is no git here, so nothing was looked through for keys.")
    elif found := keys(names):
        print("\n".join([*found, CURE]))
        return 1
    return failed


if __name__ == "__main__":
    sys.exit(main())

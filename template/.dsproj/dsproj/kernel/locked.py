"""`python -m dsproj.kernel.locked`: install what docker/jupyter/requirements.lock says into the Python that runs this.

The image's build does so, and `make add` in the container that runs. What the image brought along stays as it is, unless
requirements.txt names it, or what is added cannot do with its version.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement

from dsproj import locks
from dsproj.locks import Locked

PROJECT = Path(__file__).resolve().parents[3]
# What the image had before anything was added, {name: version}; written by the image's build.
OF_IMAGE = Path(sys.prefix) / "share" / "dsproj" / "of-image.json"
TOOLS = ("pip", "setuptools", "wheel", "uv")
ROUNDS = 4  # of installing what the packages of the image turn out to be too old for


def installed() -> dict[str, str]:
    """{name: version} of every package that can be imported here."""
    found = importlib.metadata.distributions()
    return {locks.normal(each.name): each.version for each in found if each.name}


def of_image() -> dict[str, str]:
    """What the image brought along; {} where this is none, or one from before there was a lock."""
    return json.loads(OF_IMAGE.read_text(encoding="utf-8")) if OF_IMAGE.exists() else {}


def holding(path: str) -> dict[str, Locked]:
    """The entries of a lock, by name, that hold for this Python and machine."""
    found = locks.entries(locks.read(PROJECT / path))
    return {each.name: each for each in found if not each.marker or Marker(each.marker).evaluate()}


def unmet(names: list[str]) -> Iterator[str]:
    """What packages that are installed need, and is missing here or in a version that does not suit them."""
    there = installed()
    for name in names:
        for line in (importlib.metadata.requires(name) or ()) if name in there else ():
            needed = Requirement(line)
            if needed.marker and not needed.marker.evaluate({"extra": ""}):
                continue
            other = locks.normal(needed.name)
            if other not in there or not needed.specifier.contains(there[other], prereleases=True):
                yield other


def pip_install(wanted: list[Locked]) -> None:
    """Install entries, and nothing that they do not name. Those without a checksum, such as links to git, go apart."""
    for group in (
        [each for each in wanted if "--hash" in each.text],
        [each for each in wanted if "--hash" not in each.text],
    ):
        if group:
            with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
                print(*(each.text for each in group), sep="\n", file=file, flush=True)
                options = ["--no-deps", "--disable-pip-version-check", "--root-user-action=ignore"]
                command = [sys.executable, "-m", "pip", "install", *options, "--requirement", file.name]
                if subprocess.run(command, cwd=PROJECT).returncode:
                    sys.exit("pip could not install what docker/jupyter/requirements.lock says")


def require_lock(lock: dict[str, Locked]) -> list[str]:
    """The names that requirements.txt asks for. Ends here where the lock is older than it."""
    names = []
    for line in locks.asked(locks.read(PROJECT / locks.REQUIREMENTS[0])):
        requirement, _, marker = line.partition(";")
        name, version = locks.name_of(requirement), requirement.partition("==")[2].strip()
        if not name or (marker and not Marker(marker.strip()).evaluate()):
            continue
        if name not in lock or (version and "*" not in version and lock[name].version != version):
            sys.exit(
                f"requirements.txt asks for {requirement.strip()}, and requirements.lock does not have it: make lock"
            )
        names.append(name)
    return names


def main() -> None:
    """Bring this Python to what the lock says."""
    lock = holding(locks.LOCKS[0])
    direct, there = require_lock(lock), installed()
    if not OF_IMAGE.exists() and not (PROJECT / "Makefile").exists():  # the build, which has three files of the project
        OF_IMAGE.parent.mkdir(parents=True, exist_ok=True)
        OF_IMAGE.write_text(json.dumps(there), encoding="utf-8")
    own = of_image()
    wanted = [
        each
        for name, each in lock.items()
        if (there.get(name) != each.version or not each.version) and (name in direct or name not in own)
    ]
    for _ in range(ROUNDS):
        pip_install(wanted)
        if not (wanted := [lock[name] for name in dict.fromkeys(unmet(list(lock))) if name in lock]):
            return


def strangers() -> dict[str, str]:
    """{name: version} of what is installed here, and stands neither in the lock nor in the image: `%pip install` does that."""
    known = {name: {each.version} for path in locks.LOCKS for name, each in holding(path).items()}
    own = of_image()
    return {
        name: version
        for name, version in sorted(installed().items())
        if name not in TOOLS and version != own.get(name) and not known.get(name, set()) & {version, ""}
    }


if __name__ == "__main__":
    main()

"""What the docker program can be asked, of this project: is it usable, and what does it hold?"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from typing import Any

from dsproj.errors import Problem
from dsproj.settings import PROJECT, Settings, change, slug

OLDEST_COMPOSE = (2, 24)
INSTEAD = "or without Docker: ENGINE=local in .env, then: make up"


def is_inside() -> bool:
    """Is this a container of the stack?"""
    in_container = os.environ.get("JUPYTER_CONFIG_PATH") == "/home/jovyan/.dsproj/jupyter"
    return in_container and not shutil.which("docker")


def trouble(then: str = f"make up; {INSTEAD}") -> Problem | None:
    """Why no Docker engine with Compose can be used here; None where one can. `then`: what to type once it is mended."""
    start = f"start Docker, then: {then}"
    if is_inside():
        here = "This terminal is inside a container, from which Docker cannot be asked"
        return Problem(here, "the same command in a terminal of the machine itself, in the project's folder")
    if not shutil.which("docker"):
        return Problem("Docker is not installed here", f"install Docker, then: {then}")
    try:
        asked, compose = run("version", timeout=20), run("compose", "version", "--short", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return Problem("The Docker engine does not answer", start)
    if "permission denied" in asked.stderr.lower():
        cure = f"sudo usermod -aG docker $USER, log in again, then: {then}"
        return Problem("This user may not use the Docker engine", cure)
    if asked.returncode:
        return Problem("No Docker engine answers", start)
    found = re.match(r"v?(\d+)\.(\d+)", compose.stdout.strip())
    if compose.returncode or not found:
        return Problem("Docker Compose v2 is missing", f"install the docker-compose-plugin, then: {then}")
    if tuple(map(int, found.groups())) < OLDEST_COMPOSE:
        what = f"Docker Compose is {found[0]}, {'.'.join(map(str, OLDEST_COMPOSE))} or newer is needed"
        return Problem(what, f"upgrade it, then: {then}")
    return None


def is_rootless() -> bool:
    """Does the engine run as this user, so that root in a container is this user outside?"""
    if not shutil.which("docker"):
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return "rootless" in run("info", "--format", "{{.SecurityOptions}}", timeout=20).stdout
    return False


def run(
    *words: str, timeout: float | None = None, given: str = "", variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A docker command to its end, silent. given: its standard input; variables: what its environment has besides."""
    how: dict[str, Any] = {"cwd": PROJECT, "capture_output": True, "text": True, "timeout": timeout}
    return subprocess.run(["docker", *words], input=given, env={**os.environ, **(variables or {})}, **how)


def must(*words: str, what: str, cure: str, **how: Any) -> str:
    """What such a command prints; a Problem, `what` with its last lines, where it fails."""
    done = run(*words, **how)
    if done.returncode:
        raise Problem(what, cure, done.stderr.strip().splitlines()[-8:])
    return done.stdout.strip()


def told(*words: str) -> str:
    """What such a command prints; "" where it fails."""
    done = run(*words)
    return "" if done.returncode else done.stdout.strip()


def environment(service: str) -> dict[str, str]:
    """The variables that docker-compose.yml gives a service, passwords among them."""
    read = must("compose", "config", "--format", "json", what="docker-compose.yml cannot be read", cure="")
    found = json.loads(read)["services"][service].get("environment") or {}
    return {name: value.replace("$$", "$") for name, value in found.items() if value is not None}


def compose_file(part: str, wanted: bool) -> None:
    """Have COMPOSE_FILE in .env name one more file for Compose, or not."""
    own = "docker-compose.override.yml"
    first = ["docker-compose.yml", *([own] if (PROJECT / own).exists() else [])]
    known = Settings().get("COMPOSE_FILE", "").split(":")
    if (part in known) != wanted:
        files = [*([name for name in known if name and name != part] or first), *[part] * wanted]
        change({"COMPOSE_FILE": None if files == first else ":".join(files)})


def digest(image: str) -> tuple[str, str]:
    """(the digest that a registry has for image:tag, of all platforms; "" for none, and why)."""
    try:
        done = run("buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", image, timeout=60)
        return str(json.loads(done.stdout)["digest"]), ""
    except subprocess.TimeoutExpired:
        return "", "no answer within 60 s"
    except (ValueError, KeyError):
        return "", done.stderr.strip().rpartition(": ")[2][-120:] or "no digest in its answer"


def _is_project_elsewhere(folder: str) -> bool:
    """Is a project in this folder, and is it not this one, moved? One that may not be looked at counts."""
    try:
        return not os.path.samefile(os.path.join(folder, "docker-compose.yml"), PROJECT / "docker-compose.yml")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def containers() -> list[dict[str, Any]]:
    """What the engine says of each container of the project, as `docker inspect` prints it."""
    filters = ["--filter", f"label=com.docker.compose.project={slug()}"]
    filters += ["--filter", "label=com.docker.compose.oneoff=False"]
    ids = told("ps", "--all", "--quiet", *filters).split()
    return json.loads(run("inspect", *ids).stdout or "[]") if ids else []


def remove_forgotten(services: Collection[str], gone: Collection[str]) -> None:
    """Remove services of the user's own that are no longer listed, after a change of branch, say; and those that are elsewhere."""
    for container in containers():
        labels = container["Config"]["Labels"]
        name = labels["com.docker.compose.service"]
        if name in gone or ("dsproj.function" in labels and name not in services):
            run("stop", container["Id"])
            run("rm", "--force", container["Id"])


# What a container's control group, of version 2 or 1, knows of its memory: a name and a number a line.
COUNTERS = """cd /sys/fs/cgroup; [ -e memory.stat ] || cd memory
for name in memory.current memory.usage_in_bytes memory.peak memory.max_usage_in_bytes; do
[ ! -e $name ] || echo $name $(cat $name); done; cat memory.stat"""


def memory(container: str) -> tuple[int, int | None]:
    """(bytes that a container uses, the most that it has had)."""
    lines = run("exec", container, "sh", "-c", COUNTERS).stdout.splitlines()
    known = {name: int(number) for name, number in map(str.split, lines)}
    used, peak = (
        next((known[name] for name in names if name in known), None)
        for names in (("memory.current", "memory.usage_in_bytes"), ("memory.peak", "memory.max_usage_in_bytes"))
    )
    # As `docker stats`: without the files that were read and are not in use.
    return (used or 0) - known.get("total_inactive_file", known.get("inactive_file", 0)), peak


def held(kind: str) -> list[str]:
    """The names of the project's volumes (kind "volume") or networks."""
    label = f"label=com.docker.compose.project={slug()}"
    return sorted(told(kind, "ls", "--format", "{{.Name}}", "--filter", label).split())


def guests(network: str) -> list[str]:
    """The containers that are in a network."""
    return told("network", "inspect", "--format", "{{range .Containers}}{{.Name}} {{end}}", network).split()


# --- whose are the volumes?


def owner_note() -> str:
    """An empty volume whose label is the folder that the other volumes belong to: a volume's own cannot be changed."""
    return f"{slug()}_owner"


def owner() -> str:
    """The folder of the project whose data the volumes hold, "" where nothing says it."""
    return told("volume", "inspect", "--format", '{{index .Labels "folder"}}', owner_note())


def holds_data() -> bool:
    """Are there volumes with data of the project in this folder, which may have been moved?"""
    if not shutil.which("docker"):
        return False
    return bool(folder := owner()) and not _is_project_elsewhere(folder)


def claim() -> None:
    """Note that the volumes are this folder's. Of two at once the first makes the note, and refuse_other_owner is for both."""
    if owner() != str(PROJECT):
        refuse_other_owner()
        run("volume", "rm", owner_note())
        run("volume", "create", "--label", f"folder={PROJECT}", owner_note())
        refuse_other_owner()


def refuse_other_owner() -> None:
    """Problem where containers or volumes of this name are those of a project in another folder, which is still there."""
    labels = [container["Config"]["Labels"] for container in containers()]
    for folder in {*(found.get("com.docker.compose.project.working_dir", "") for found in labels), owner()}:
        if folder and _is_project_elsewhere(folder):
            rename = "another name in the first lines of docker-compose.yml (name:, image:), then: make up"
            raise Problem(f'The project in {folder} has the name "{slug()}", its servers and its data', rename)

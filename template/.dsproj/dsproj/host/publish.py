"""`make publish`: the images of a commit, with its code and data in them, in a registry of images.

They are <namespace>/<slug>-jupyter:<commit> and <namespace>/<slug>-postgres:<commit>. The project's files are the last layer, so
that an edit of lib/ or of a notebook sends a few megabytes. Passwords and what git does not have are not among them.
"""

from __future__ import annotations

import json
import re
import tarfile
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dsproj import elsewhere
from dsproj.errors import Problem
from dsproj.host import docker_program as program
from dsproj.host import update
from dsproj.host.docker import Docker
from dsproj.report import Report, Stopwatch
from dsproj.settings import PROJECT, answer, slug

NAMESPACE = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
OWNER = ("1000", "100")  # of the files and processes in it: jovyan, as upstream has it
# What a service needs of its environment in docker-compose.yml, where no secret is among it.
VARIABLES = {
    "jupyter": "PROJECT_ROOT PYTHONPATH PYTHONSTARTUP JUPYTER_CONFIG_PATH PGHOST PGPORT PGUSER PGDATABASE".split(),
    "postgres": "PGUSER PGDATABASE POSTGRES_INITDB_ARGS".split(),
}
COPIES = {
    "jupyter": [f"COPY --chown={':'.join(OWNER)} project /home/jovyan"],
    "postgres": [f"COPY project/{name} /project/{name}" for name in ("data", "docker/postgres")],
}
# Does it have what it takes to run? Asked before it is sent.
PROOFS = {
    "jupyter": ["python", "-c", "import lib.postgres, lib.jobs, dsproj.kernel.worker, jupyterlab"],
    "postgres": ["python3", "-c", "import psycopg2, dsproj.database.seed"],
}


def publish(
    engine: Docker,
    report: Report,
    to: str,
    kinds: Collection[str] = tuple(PROOFS),
    then: str = "make publish",
    where: str = "TO=ghcr.io/<your name>",
) -> dict[str, str]:
    """Build, try and push the images of these kinds, and return their names; then: the command to type once more.

    `to` is a namespace, "" for that of the answers.
    """
    namespace = (to or answer("image_namespace")).strip("/ ")
    if not re.fullmatch(NAMESPACE, namespace):
        what = f"{namespace}: no place in a registry" if namespace else "Which registry are the images for?"
        raise Problem(what, f"{then} {where}")
    update.require_commit()
    if changes := update.git("status", "--porcelain", "--", ".").splitlines():
        listed = f"{changes[0][3:]}{f' and {len(changes) - 1} more' if changes[1:] else ''}"
        raise Problem(
            f"An image is of a commit, and this is not committed: {listed}",
            f"git add -A && git commit, then: {then}",
        )
    commit = update.git("rev-parse", "HEAD").strip()
    watch = Stopwatch()
    bases = {kind: f"{slug()}-{kind}:of-{commit[:12]}" for kind in kinds}
    names = {kind: f"{namespace}/{slug()}-{kind}:{commit[:12]}" for kind in kinds}
    try:
        build_bases(engine, report, bases)
        with tempfile.TemporaryDirectory() as folder:
            take_out(Path(folder) / "project")
            for kind, name in names.items():
                report.doing(f"building {name}")
                build(kind, bases[kind], name, Path(folder), labels(commit, kind))
                prove(kind, name)
                report.done(kind, f"{name} is built, and has what it needs", watch.seconds)
    finally:
        program.run("image", "rm", *bases.values())
    for kind, name in names.items():
        report.doing(f"pushing {name}")
        push(name, then)
        digest, _ = program.digest(name)
        report.done(kind, f"pushed: {name}{f'@{digest}' if digest else ''}", watch.seconds)
    return names


def build_bases(engine: Docker, report: Report, bases: dict[str, str]) -> None:
    """Build the project's images as Compose does, by other names, for no user of this machine."""
    args = dict(zip(("PROJECT_UID", "PROJECT_GID"), OWNER))
    services = {f"this_{kind}": {"image": name, "build": {"args": {}}} for kind, name in bases.items()}
    services["this_jupyter"]["build"] = {"args": args}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "names.json").write_text(json.dumps({"services": services}), encoding="utf-8")
        files = ["--file", "docker-compose.yml", "--file", f"{folder}/names.json", "--project-directory", str(PROJECT)]
        engine.compose(
            *files, "--progress=plain", "build", *services, report=report, failed="an image could not be built"
        )


def take_out(folder: Path) -> None:
    """The files of the commit, and no others."""
    archive = folder.with_suffix(".tar")
    update.git("archive", "--format=tar", f"--output={archive}", "HEAD")
    how: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}  # which old Pythons do not know
    with tarfile.open(archive) as tar:
        tar.extractall(folder, **how)
    archive.unlink()


def build(kind: str, base: str, name: str, folder: Path, found: dict[str, str]) -> None:
    environment = program.environment(f"this_{kind}")
    lines = [f"FROM {base}", *COPIES[kind]]
    # Who has the image has nothing to do with a PostgreSQL elsewhere, whose address and user these would be.
    kept = [each for each in VARIABLES[kind] if not (each.startswith("PG") and elsewhere.names(environment))]
    lines += [f"ENV {each}={json.dumps(environment[each])}" for each in kept if environment.get(each)]
    (folder / "Dockerfile").write_text("\n".join([*lines, ""]), encoding="utf-8")
    # What Compose has noted would make its container one of this project's.
    found = {**found, **dict.fromkeys(("com.docker.compose.project", "com.docker.compose.service"), "")}
    options = [word for label, text in found.items() for word in ("--label", f"{label}={text}")]
    words = ["--quiet", *options, "--tag", name, str(folder)]
    program.must("build", *words, what=f"{name} could not be built", cure="make publish")


def labels(commit: str, kind: str) -> dict[str, str]:
    """Where an image is from, by the names that the Open Container Initiative has for it."""
    remote = update.run("git", "remote", "get-url", "origin").stdout.strip()
    found = {
        "title": f"{slug()}-{kind}",
        "description": answer("description"),
        "authors": " ".join(filter(None, [answer("author_name"), answer("author_email")])),
        "revision": commit,
        "created": update.git("show", "--no-patch", "--format=%cI", "HEAD").strip(),
        "source": re.sub(r"//[^/@]*@", "//", remote),  # without who may read it
    }
    return {f"org.opencontainers.image.{name}": text for name, text in found.items() if text}


def prove(kind: str, name: str) -> None:
    words = ["--entrypoint", PROOFS[kind][0], name, *PROOFS[kind][1:]]
    program.must("run", "--rm", "--network=none", *words, what=f"{name} does not start", cure="make publish")


def push(name: str, then: str) -> None:
    done = program.run("push", "--quiet", name)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        registry = name.partition("/")[0]
        raise Problem(f"{name} was not taken: {said[0]}", f"docker login {registry}, then: {then}")

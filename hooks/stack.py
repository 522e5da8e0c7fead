"""Step: the servers come up, healthy, with the data loaded."""

import os
import subprocess
import sys

from hooks import console, engine
from hooks.outcome import Outcome

ROWS = "SELECT table_name, row_count, synthetic FROM dsproj_seed ORDER BY table_name"


def start(project, fresh):
    """Start what ENGINE in .env names; `fresh`: .env was made just now, so that no volume knows its passwords."""
    if project.answers["stack"] == "none":
        return Outcome("not started, as you chose; to start it: make up")
    if project.environment["ENGINE"] == "local":
        return start_local(project)
    return start_docker(project, fresh)


def start_local(project):
    """The same servers without Docker, by the project's own local/stack.py, which shows its progress itself."""
    done = subprocess.run([sys.executable, "local/stack.py", "up"], cwd=project.path)
    if done.returncode:
        return Outcome("not healthy", "see the lines above", "make up")
    rows = subprocess.run(
        [sys.executable, "local/stack.py", "run", "psql", "--no-psqlrc", "-At", "-c", ROWS],
        cwd=project.path, capture_output=True, text=True,
    )  # fmt: skip
    return Outcome("local processes, all healthy", facts={"rows": parse(rows.stdout)})


def start_docker(project, fresh):
    client, problem = engine.find()
    if problem:
        return Outcome("not started", *problem)
    if foreign := engine.foreign(client, project, fresh):
        return Outcome("not started", *foreign)
    compose = engine.Compose(client, project)
    try:
        with console.working("docker compose build") as show:
            compose.build(show)
        with console.working("starting PostgreSQL") as show:
            compose.up("this_postgres", show=show)
            show("loading the data")
            load(project)
            show("starting the other services")
            compose.up(show=show)
            compose.wait(show)
    except engine.ComposeError as error:
        return Outcome("not healthy", error.why, "make up", log=error.log)
    seeded = project.answers["dataset"] != "none"
    rows = compose.run("exec", "-T", "this_postgres", "psql", "-At", "-c", ROWS) if seeded else ""
    names = ", ".join(name.removeprefix("this_") for name in compose.health())
    return Outcome(f"{names}: healthy", facts={"rows": parse(rows)})


def load(project):
    """Load the data, as `make up` does: what it needs and is not there yet is made first."""
    command = [sys.executable, "docker/postgres/dataset.py", "up"]
    environment = os.environ | {"ENGINE": "docker"}
    done = subprocess.run(command, cwd=project.path, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-engine.TAIL :]
        raise engine.ComposeError("the data could not be loaded", lines)


def parse(output):
    """psql's unaligned rows as (table, number of rows, synthetic?)."""
    fields = (line.split("|") for line in output.splitlines() if line.count("|") == 2)
    return [(table, int(count), synthetic == "t") for table, count, synthetic in fields]

"""Step: for a file of the user's own, initdb.sql with its columns and types."""

import os
import subprocess
import sys

from hooks import libraries
from hooks.outcome import Outcome

SCRIPT, SQL = "docker/postgres/infer_schema.py", "docker/postgres/initdb.sql"


def infer(project):
    """Run the project's own infer_schema.py; None where the data set has its schema in the template.

    The report that it prints goes to the screen in the outcome's log.
    """
    if project.answers["dataset"] != "csv":
        return None
    chosen = project.module("docker/postgres/fetch_data.py").settings()
    file = f"data/{chosen['SEED_FILE']}"
    if not (project.path / file).exists():
        return Outcome("not written", "the data file is missing", "make dataset SOURCE=<path or link>")
    if not project.module("docker/postgres/dataset.py").has_statements(project.path / SQL):
        command = [sys.executable, SCRIPT, "--file", file, "--table", chosen["SEED_TABLE"], "--sql", SQL]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(libraries.extra)}
        done = subprocess.run(command, cwd=project.path, env=environment, capture_output=True, text=True)
        if done.returncode:
            why = (done.stderr.strip() or "it ended without a word").splitlines()[-1]
            return Outcome("not written", why, f"make dataset SOURCE=<path or link>, or write {SQL}, then: make up")
        return Outcome(f"{SQL}: read it, and mend what it got wrong", log=done.stdout.strip().splitlines())
    return Outcome(f"{SQL} is written already")

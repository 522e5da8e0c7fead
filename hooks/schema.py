"""Step: for a CSV file of the user's own, initdb.sql with its columns and types."""

import subprocess
import sys

from hooks.outcome import Outcome


def infer(project):
    """Run the project's own infer_schema.py; None where the data set has its schema in the template."""
    if project.answers["dataset"] != "csv":
        return None
    script = "docker/postgres/infer_schema.py"
    done = subprocess.run([sys.executable, script], cwd=project.path, capture_output=True, text=True)
    if done.returncode:
        return Outcome("not written", done.stderr.strip(), f"python3 {script} && make seed")
    return Outcome(done.stdout.strip())

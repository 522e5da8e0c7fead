"""The two ways the servers run, by the few words that dataset.py needs of them."""

import json
import os
import shutil
import subprocess
import sys
import time

PATIENCE = 60  # seconds until the health check has seen that all is loaded


class StackError(Exception):
    """A server or program did not do as it should; the message says what to do, or "" where it has been said."""


class Docker:
    """Docker Compose in the project's folder."""

    def __init__(self, project):
        self.project = project

    def compose(self, *words, capture=False):
        """Run a Compose command; the finished process."""
        streams = {"stdout": subprocess.PIPE} if capture else {}
        command = ["docker", "compose", *words]
        return subprocess.run(command, cwd=self.project, stdin=subprocess.DEVNULL, text=True, **streams)

    def state(self):
        """(state, health) of the database's container."""
        listed = self.compose("ps", "--all", "--format", "json", "this_postgres", capture=True).stdout.splitlines()
        found = json.loads(listed[0]) if listed else {}
        return found.get("State", "absent"), found.get("Health", "")

    def database(self):
        if self.compose("--progress=quiet", "up", "--detach", "--build", "this_postgres").returncode:
            raise StackError("The database could not be started; see above. Once mended: make up")

    rebuild = database

    def seed(self, *words, capture=False):
        done = self.compose("exec", "-T", "this_postgres", "/seed/seed.sh", *words, capture=capture)
        if done.returncode == 1 and self.state()[0] == "running":
            raise StackError("")  # it has said why
        if done.returncode:
            self.compose("logs", "--no-log-prefix", "--tail=8", "this_postgres")
            raise StackError("The database server ended or does not start; above is the end of its log. Again: make up")
        return done.stdout

    def infer(self, words):
        # In an image that is as requirements.txt says, with the project mounted, as the project's owner.
        options = ["run", "--rm", "--no-deps", "-T", "--build", "--env", "JUPYTER_DOCKER_STACKS_QUIET=1"]
        command = ["python", "docker/postgres/infer_schema.py", *words]
        if self.compose("--progress=quiet", *options, "this_jupyter", *command).returncode:
            raise StackError("")

    def wait_until_healthy(self):
        """The check runs every few seconds, and `up --wait` gives up at once on what was unhealthy a moment ago."""
        deadline = time.monotonic() + PATIENCE
        while self.state()[1] != "healthy" and time.monotonic() < deadline:
            time.sleep(0.3)


class Local:
    """The local stack's processes."""

    def __init__(self, project):
        self.project = project

    def stack(self, *words, capture=False):
        streams = {"stdout": subprocess.PIPE} if capture else {}
        command = [sys.executable, "local/stack.py", *words]
        return subprocess.run(command, cwd=self.project, stdin=subprocess.DEVNULL, text=True, **streams)

    def database(self):
        if self.stack("up", "this_postgres").returncode:
            raise StackError("")

    def rebuild(self):
        """The SQL file is read from the project's folder: nothing to do."""

    def seed(self, *words, capture=False):
        done = self.stack("seed", *words, capture=capture)
        if done.returncode:
            raise StackError("")
        return done.stdout

    def infer(self, words):
        command = ["python", "docker/postgres/infer_schema.py", *words]
        if self.stack("run", *command).returncode:
            raise StackError("")

    def wait_until_healthy(self):
        """`local/stack.py up` asks for itself."""


def chosen(project):
    """The stack that ENGINE names, in the environment or in .env."""
    engine = os.environ.get("ENGINE")
    if not engine:
        lines = (project / ".env").read_text(encoding="utf-8").splitlines() if (project / ".env").exists() else []
        engine = "local" if "ENGINE=local" in lines else "docker"
    if engine != "local" and not shutil.which("docker"):
        raise StackError("Docker is not installed here; without it: ENGINE=local in .env, then make up")
    return Local(project) if engine == "local" else Docker(project)

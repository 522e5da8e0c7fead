"""The Docker engine and Compose: find them, build, start, watch health, and fetch the log of what fails."""

import collections
import json
import os
import re
import shutil
import subprocess
import time

PATIENCE = 300  # seconds for all services to become healthy
TAIL = 12  # lines of a log that are shown
INSTEAD = "or without Docker: make up ENGINE=local"


def find():
    """(client, None), or (None, (why, how)) where no engine with Compose can be used."""
    if not shutil.which("docker"):
        return None, ("Docker is not installed", f"install Docker, then: make up; {INSTEAD}")
    try:
        import docker
    except ImportError:
        return None, ("the Docker SDK for Python could not be fetched", "make up")
    try:
        client = docker.DockerClient(base_url=host()) if host() else docker.from_env()
        client.ping()
    except Exception as error:  # the SDK raises requests', urllib3's and its own errors here
        if "permission denied" in str(error).lower():
            return None, (
                "this user may not use the Docker engine",
                f"sudo usermod -aG docker $USER, log in again, then: make up; {INSTEAD}",
            )
        return None, ("no Docker engine answers", f"start Docker, then: make up; {INSTEAD}")
    version = subprocess.run(["docker", "compose", "version", "--short"], capture_output=True, text=True)
    found = re.match(r"v?(\d+)\.(\d+)", version.stdout.strip())
    if version.returncode or not found:
        return None, ("Docker Compose v2 is missing", f"install the docker-compose-plugin, then: make up; {INSTEAD}")
    if tuple(map(int, found.groups())) < (2, 24):
        return None, (f"Docker Compose is {found[0]}, 2.24 or newer is needed", f"upgrade it, then: make up; {INSTEAD}")
    return client, None


def host():
    """The address that the docker command uses; the SDK itself knows nothing of contexts (Docker Desktop, Colima)."""
    if os.environ.get("DOCKER_HOST"):
        return None  # docker.from_env() reads it, with its TLS settings
    shown = subprocess.run(["docker", "context", "inspect"], capture_output=True, text=True)
    try:
        return json.loads(shown.stdout)[0]["Endpoints"]["docker"]["Host"]
    except (ValueError, LookupError):
        return None


def foreign(client, project, fresh):
    """(why, how) where containers or volumes of another project bear this one's name; else None."""
    slug = project.answers["project_slug"]
    mine = {"label": f"com.docker.compose.project={slug}"}
    rename = "another name in the first lines of docker-compose.yml (name:, image:), then: make up"
    for container in client.containers.list(all=True, filters=mine):
        folder = container.labels.get("com.docker.compose.project.working_dir")
        if folder and os.path.realpath(folder) != str(project.path):
            return (f'a project in {folder} has the name "{slug}" already', rename)
    volumes = [volume.name for volume in client.volumes.list(filters=mine)]
    if fresh and volumes:
        return (
            f'volumes of an earlier project "{slug}" exist, with other passwords: {", ".join(sorted(volumes))}',
            f"to delete them and their data: docker compose down --volumes && make up; to keep them: {rename}",
        )
    return None


class ComposeError(Exception):
    """A Compose command failed or a service is not healthy; `why` in a line, `log` the last lines that show it."""

    def __init__(self, why, log=()):
        super().__init__(why)
        self.why, self.log = why, list(log)


class Compose:
    """Docker Compose in the project's folder; containers are looked at through the SDK."""

    def __init__(self, client, project):
        self.client, self.path = client, project.path
        self.filters = {"label": f"com.docker.compose.project={project.answers['project_slug']}"}

    def stream(self, *arguments, show=None):
        """Run `docker compose …`, hand each line it prints to `show`, return (exit code, last lines)."""
        last = collections.deque(maxlen=TAIL)
        process = subprocess.Popen(
            ["docker", "compose", *arguments],
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        with process:
            for line in process.stdout:
                if line := line.rstrip():
                    last.append(line)
                    if show:
                        show(line)
        return process.returncode, list(last)

    def run(self, *arguments):
        """Run a Compose command to its end and return what it printed; ComposeError with its last lines."""
        done = subprocess.run(
            ["docker", "compose", *arguments], cwd=self.path, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            lines = (done.stdout + done.stderr).strip().splitlines()[-TAIL:]
            raise ComposeError(f"docker compose {arguments[0]} {arguments[-1]} failed", lines)
        return done.stdout

    def build(self, show):
        code, last = self.stream("--progress=plain", "build", show=lambda line: show(f"building: {line}"))
        if code:
            raise ComposeError("an image could not be built", last)

    def up(self, *services, show):
        """Start services and those they depend on; Compose itself waits for the dependencies."""
        code, last = self.stream("--progress=plain", "up", "--detach", *services, show=lambda line: show(line.strip()))
        if code:
            self.complain()
            raise ComposeError(last[-1].strip() if last else "docker compose up failed", last)

    def containers(self):
        """The project's containers by service name."""
        found = self.client.containers.list(all=True, filters=self.filters)
        return dict(sorted((c.labels["com.docker.compose.service"], c) for c in found))

    def health(self):
        """The state of each service: healthy, starting, unhealthy, exited, …"""
        states = {}
        for name, container in self.containers().items():
            state = container.attrs["State"] if "Status" in container.attrs.get("State", {}) else {}
            states[name] = state.get("Health", {}).get("Status") or container.status
        return states

    def complain(self):
        """Raise ComposeError with the log of the first service that has failed, if one has."""
        containers = self.containers()
        for name, state in self.health().items():
            if state in ("unhealthy", "exited", "dead", "restarting"):
                log = containers[name].logs(tail=TAIL).decode("utf-8", "replace").splitlines()
                raise ComposeError(f"{name} is {state}; its log: make logs S={name}", log)

    def wait(self, show):
        """Wait until every service is healthy."""
        deadline = time.monotonic() + PATIENCE
        while set((states := self.health()).values()) != {"healthy"}:
            show("  ".join(f"{name.removeprefix('this_')} {state}" for name, state in states.items()))
            self.complain()
            if time.monotonic() > deadline:
                late = next(name for name, state in states.items() if state != "healthy")
                log = self.containers()[late].logs(tail=TAIL).decode("utf-8", "replace").splitlines()
                raise ComposeError(f"{late} was not healthy after {PATIENCE} s; its log: make logs S={late}", log)
            time.sleep(0.5)

"""A generated project and its running stack, by the same few words for Docker and for the local stack."""

import contextlib
import json
import sys
from pathlib import Path

import pytest
from conftest import PREFIX, ROOT, checked, command, free_port, generate, remove_stack

IDENTITY = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
IDENTITY |= {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org"}

SERVICES = {"this_jupyter", "this_monitor", "this_postgres", "this_redis", "this_worker"}

ODD_CSV = 'Id;Crop Name;When;Yield\n1;"Wheat; winter";2026-01-31;3.5\n2;"Rye ""old""";;4\n3;;2026-03-01;\n'

# A notebook is run, and saved with its output through JupyterLab's own interface, as the page does it.
RUN_AND_SAVE = """
import json, sys, urllib.request, nbformat
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
port, token, *paths = sys.argv[1:]
for path in paths:
    notebook = nbformat.read(path, as_version=4)
    kernel = notebook.metadata.kernelspec.name
    if kernel not in KernelSpecManager().find_kernel_specs():  # R, where the machine has none
        print("skipped, since there is no kernel", kernel, path)
        continue
    NotebookClient(notebook, timeout=300, kernel_name=kernel, resources={"metadata": {"path": "ipynb"}}).execute()
    body = json.dumps({"type": "notebook", "format": "json", "content": notebook}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/contents/{path}", body, method="PUT")
    request.add_header("Authorization", "token " + token)
    urllib.request.urlopen(request).read()
    assert any(cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells)
"""


@contextlib.contextmanager
def stack_of(request, kind, folder, name):
    """A stack of one kind for a test module, not generated yet; it is removed at the end."""
    if issubclass(kind, DockerStack):
        request.getfixturevalue("engine")
    made = kind(folder, f"{PREFIX}-{name}-{kind.kind}")
    made.remove()
    try:
        yield made
    finally:
        made.remove()


class Stack:
    """What both have in common. path: the project; printed: what its generation printed."""

    kind = ""

    def __init__(self, path, slug):
        self.path, self.slug, self.printed = path, slug, ""

    def generate(self, source=ROOT, **answers):
        answers = {"project_slug": self.slug, "stack": self.kind} | answers
        answers.setdefault("jupyter_port", free_port(20000))
        answers.setdefault("monitor_port", free_port(21000))
        done = generate(source, self.path, env=IDENTITY, **answers)
        assert done.returncode == 0, done.printed
        self.printed = done.printed
        return self

    @property
    def env(self):
        lines = (self.path / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @property
    def secrets(self):
        return [value for name, value in self.env.items() if name.endswith(("PASSWORD", "TOKEN"))]

    def make(self, *arguments):
        return checked("make", *arguments, cwd=self.path)

    def refused(self, *arguments):
        """The same, where it has to fail, and not with a traceback; what it printed."""
        done = command("make", *arguments, cwd=self.path)
        assert done.returncode and "Traceback" not in done.printed, done.printed
        return done.printed

    def git(self, *arguments):
        return checked("git", *arguments, cwd=self.path)

    def python(self, code, *arguments):
        return self.run("python", "-c", code, *arguments)

    def try_python(self, code, *arguments):
        """The same, where it may fail: the finished process."""
        return command(*self.run_command, "python", "-c", code, *arguments, cwd=self.path)

    def run(self, *arguments):
        return checked(*self.run_command, *arguments, cwd=self.path)

    def notebooks(self, times=1, first=None):
        """Run all notebooks, or the first so many, in the order in which the journal tells its story; how many."""
        names = sorted(f"ipynb/{path.name}" for path in (self.path / "ipynb").glob("*.ipynb"))[:first]
        for _ in range(times):
            self.python(RUN_AND_SAVE, self.inner_port, self.env["JUPYTER_TOKEN"], *names)
        return len(names)


class DockerStack(Stack):
    kind = "docker"
    inner_port = 8888
    run_command = ("docker", "compose", "exec", "-T", "this_jupyter")

    def compose(self, *arguments):
        return checked("docker", "compose", *arguments, cwd=self.path)

    def sql(self, query):
        return self.compose("exec", "-T", "this_postgres", "psql", "-At", "-c", query).strip()

    def states(self):
        listed = self.compose("ps", "--all", "--format", "json").splitlines()
        return {entry["Service"]: entry["Health"] for entry in map(json.loads, listed)}

    def workers(self):
        return len(self.compose("ps", "--quiet", "this_worker").split())

    def process_ids(self):
        return sorted(self.compose("ps", "--quiet").split())

    def host_process_id(self, service):
        """The id, on this host, of a service's first process, in a list; [] where its container does not run."""
        container = self.compose("ps", "--quiet", service).split()[:1]
        found = checked("docker", "inspect", "-f", "{{.State.Pid}}", *container).split() if container else []
        return [int(pid) for pid in found if pid != "0"]

    def worker_family(self):
        """The ids, on this host, of the worker and of its children: the scheduler, and the job that it does."""
        container = self.compose("ps", "--quiet", "this_worker").split()
        listed = checked("docker", "top", *container[:1], "-eo", "pid,ppid,args").splitlines()[1:]
        rows = [line.split(maxsplit=2) for line in listed]
        worker = next(pid for pid, _, words in rows if "python" in words.split()[0] and "dsproj.kernel.worker" in words)
        return [int(worker), *(int(pid) for pid, parent, _ in rows if parent == worker)]

    def log(self, service):
        return self.compose("logs", service)

    def worker_start(self):
        """Changes when the worker is restarted."""
        return checked(
            "docker", "inspect", "-f", "{{.State.StartedAt}}", *self.compose("ps", "-q", "this_worker").split()
        )

    def restart_worker(self):
        self.compose("restart", "this_worker")

    def remove(self):
        remove_stack(self.slug)


class LocalStack(Stack):
    kind = "local"
    run_command = (sys.executable, "local/stack.py", "exec")

    @property
    def inner_port(self):
        return self.env["JUPYTER_PORT"]

    def stack(self, *arguments):
        return checked(sys.executable, "local/stack.py", *arguments, cwd=self.path)

    def sql(self, query):
        return self.stack("exec", "psql", "-XAt", "-c", query).strip()

    def rows(self):
        # A note on what stands in for MongoDB may follow the table.
        listed = [line.split() for line in self.stack("ps").splitlines() if line[:1].islower()]
        listed = [fields for fields in listed if len(fields) >= 2 and fields[-1].isalpha()]
        return {fields[0]: fields for fields in listed}

    def states(self):
        running = {name: fields[-1] for name, fields in self.rows().items()}
        return {name: state for name, state in running.items() if state != "stopped"}

    def workers(self):
        return len([name for name in self.states() if name.startswith("this_worker")])

    def process_ids(self):
        return sorted(fields[1] for fields in self.rows().values())

    def host_process_id(self, service):
        """The id of a service's process, in a list; [] where it does not run."""
        fields = self.rows().get(service, [])
        return [int(fields[1])] if len(fields) > 1 and fields[1].isdecimal() else []

    def worker_family(self):
        """The ids of the worker and of its children: the scheduler, and the job that it does."""
        pid = self.rows()["this_worker"][1]
        return [int(pid), *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def log(self, service):
        return (self.path / f".local/logs/{service}.log").read_text()

    def worker_start(self):
        return self.rows()["this_worker"][1]

    def restart_worker(self):
        self.make("scale", "N=0")
        self.make("scale", "N=1")

    def remove(self):
        if (self.path / ".local").exists():
            command(sys.executable, "local/stack.py", "down", cwd=self.path)


BOTH = [pytest.param(DockerStack, marks=pytest.mark.engine, id="docker"), pytest.param(LocalStack, id="local")]

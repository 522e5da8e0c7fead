"""Run a command inside the stack, alike with Docker Compose and with the local stack; and ask a person before data goes."""

import os
import shutil
import subprocess
import sys

from env import PROJECT, read


class InsideError(Exception):
    """A command in the stack failed, or may not be run; the message says why and what to do."""


class Stack:
    """The stack that `engine` ("docker", "local", or None for what .env says) stands for."""

    def __init__(self, engine=None):
        self.engine = engine or read(PROJECT / ".env").get("ENGINE", "docker")
        if not self.is_local and not shutil.which("docker"):
            raise InsideError("Docker is not installed here; without it: ENGINE=local in .env, then make up")

    @property
    def is_local(self):
        return self.engine == "local"

    @property
    def name(self):
        """The project's short name, from docker-compose.yml."""
        with open(PROJECT / "docker-compose.yml", encoding="utf-8") as file:
            found = next((line for line in file if line.startswith("name:")), "name: project")
        return found.partition(":")[2].strip().strip("'\"")

    def command(self, service, *words, environment=None):
        """The command line that runs `words` where `service` runs."""
        pairs = [f"{name}={value}" for name, value in (environment or {}).items()]
        if self.is_local:
            return [sys.executable, "local/stack.py", "run", *(["env", *pairs] if pairs else []), *words]
        options = [word for pair in pairs for word in ("--env", pair)]
        return ["docker", "compose", "exec", "-T", *options, service, *words]

    def run(self, service, *words, stdin=None, stdout=None, environment=None):
        """Run to the end; what it printed, or InsideError with the last line of its complaint.

        `stdin` and `stdout` may be open files; a text for `stdin` is passed too.
        """
        options = {"input": stdin.encode()} if isinstance(stdin, str) else {"stdin": stdin or subprocess.DEVNULL}
        options |= {"stdout": stdout or subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": PROJECT}
        done = subprocess.run(self.command(service, *words, environment=environment), **options)
        said = done.stderr.decode(errors="replace").strip()
        if done.returncode:
            if "is not running" in said or "There is no" in said or "not installed yet" in said:
                raise InsideError(f"{service} does not run; start the stack: make up")
            raise InsideError("\n".join(said.splitlines()[-4:]) or f"{words[0]} ended with {done.returncode}")
        self.said = said
        return (done.stdout or b"").decode(errors="replace")

    def sql(self, query, database="postgres"):
        """The rows of a query, each a list of texts. The query goes in over standard input."""
        words = ["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]
        return [line.split("\t") for line in self.run("this_postgres", *words, stdin=query).splitlines() if line]

    @property
    def has_mongo(self):
        return "MONGO_PASSWORD" in read(PROJECT / ".env.example")


# psql runs what the query returns: one count for each table.
COUNTS = r"""
SELECT format('SELECT %L, %L, count(*) FROM %I.%I', table_schema, table_name, table_schema, table_name)
FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY table_schema, table_name
\gexec
"""


def databases(stack):
    """The names of the server's databases that hold a user's data."""
    return [name for (name,) in stack.sql("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")]


def row_counts(stack):
    """{"database: schema.table": number of rows}, counted."""
    counts = {}
    for database in databases(stack):
        for schema, table, count in stack.sql(COUNTS, database):
            counts[f"{database}: {schema}.{table}"] = int(count)
    return counts


def confirm(what, name, force):
    """InsideError unless FORCE=1 was given, or a person at a terminal types the project's name."""
    if force:
        return
    print(what, flush=True)
    if not sys.stdin.isatty():
        raise InsideError("Nothing was done. To do it without being asked: add FORCE=1")
    try:
        answer = input(f"Type the project's name to go on ({name}): ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
    if answer.strip() != name:
        raise InsideError("Nothing was done.")


def private_folder(path):
    """Make a folder that only its owner may read."""
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def open_private(path, mode="wb"):
    """A new file that only its owner may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), mode)

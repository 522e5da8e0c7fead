"""A PostgreSQL server in a container, and files loaded into it the way a seed loads them."""

import subprocess
import sys
import time

import psycopg2
from conftest import ROOT, checked, command

sys.path.insert(0, str(ROOT / "template" / ".dsproj"))

from dsproj.kernel.schema import reading, sqltext  # noqa: E402

ENV = "SEED_TABLE={table}\nSEED_FILE={file}\nSEED_SAMPLE=\nSEED_SHA256=\nSEED_SOURCES=\n"


class Inferred:
    """What is found in a file, with what is decided about it; raises a Problem."""

    def __init__(self, path, **options):
        self.reading = reading.read(path, **options)

    def __getattr__(self, name):
        return getattr(self.reading, name)

    def sql(self, table):
        return sqltext.sql(self.reading, table)

    def report(self):
        return sqltext.account(self.reading)


class Server:
    """name: of image and container; project: a rendered one, whose data/ and docker/postgres/ the server sees."""

    def __init__(self, name, project):
        self.name, self.project, self.shell = name, project, None
        self.data, self.scripts = project / "data", project / "docker" / "postgres"

    def start(self):
        self.remove()
        for folder in (self.data, self.scripts, self.scripts / "datasets"):
            folder.chmod(0o755)
        dockerfile = self.scripts / "Dockerfile"
        checked("docker", "build", "--quiet", "--tag", self.name, "--file", dockerfile, self.project)
        checked(
            "docker", "run", "--detach", "--name", self.name, "--env", "POSTGRES_HOST_AUTH_METHOD=trust",
            "--env", "PGUSER=postgres", "--volume", f"{self.data}:/project/data:ro",
            "--volume", f"{self.scripts}:/project/docker/postgres:ro", "--publish", "127.0.0.1::5432", self.name,
        )  # fmt: skip
        address = checked("docker", "port", self.name, "5432/tcp").split()[0]
        host, _, port = address.rpartition(":")
        self.address = (host, port)
        for _ in range(120):
            try:
                self.connection = psycopg2.connect(host=host, port=port, user="postgres", dbname="postgres")
                break
            except psycopg2.OperationalError:
                time.sleep(0.5)
        self.connection.autocommit = True
        self.shell = subprocess.Popen(
            ["docker", "exec", "--interactive", "--workdir", "/project/docker/postgres", self.name, "bash"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def remove(self):
        if self.shell:
            self.shell.stdin.close()
            self.shell.wait()
        command("docker", "rm", "--force", "--volumes", self.name)
        command("docker", "image", "rm", "--force", self.name)

    def infer(self, path, **options):
        """What is found in a file; raises a Problem."""
        return Inferred(path, **options)

    def load(self, path, table, sql, mode="force"):
        """Load a file by an SQL text, as `make seed` does: (exit code, what was printed)."""
        env = self.scripts / "datasets" / f"{table}.env"
        made = [self.data / path.name, env, env.with_suffix(".sql")]
        made[0].write_bytes(path.read_bytes())
        env.write_text(ENV.format(table=table, file=path.name))
        made[2].write_text(sql, encoding="utf-8")
        try:
            return self.seed(mode, table)
        finally:
            for each in made:
                each.unlink()

    def seed(self, *words):
        return self.run(" ".join(["python3 -m dsproj.database.seed", *words]))

    def run(self, line):
        """A line for the shell in the container: (exit code, what it printed). One shell for all: entering takes time."""
        self.shell.stdin.write(f"{{ {line}; }} </dev/null 2>&1; code=$?; echo; echo ended $code\n")
        self.shell.stdin.flush()
        printed = []
        for answer in self.shell.stdout:
            if answer.startswith("ended "):
                return int(answer.split()[1]), "".join(printed).strip()
            printed.append(answer)
        raise AssertionError("the shell in the container ended")

    def query(self, query):
        """Rows, as tuples; [] where the query has none."""
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []

    def rows(self, table):
        """All rows in the file's order, without _id."""
        return [row[1:] for row in self.query(f'SELECT * FROM "{table}" ORDER BY _id')]

    def seeded(self, path, table="t", **options):
        """Infer and load: (what was found, the rows)."""
        found = self.infer(path, **options)
        code, printed = self.load(path, table, found.sql(table))
        assert code == 0, f"{path.name}: {printed}\n{found.sql(table)}"
        return found, self.rows(table)

"""A PostgreSQL server in a container, and files loaded into it the way a seed loads them."""

import importlib
import shlex
import shutil
import subprocess
import sys
import time

import psycopg2
from conftest import checked, command


class Server:
    """name: of image and container; project: a rendered one; folder: files that the server sees as /files."""

    def __init__(self, name, project, folder):
        self.name, self.project, self.folder, self.shell = name, project, folder, None
        self.scripts = project / "docker" / "postgres"
        sys.path.insert(0, str(self.scripts))
        self.infer_schema = importlib.import_module("infer_schema")

    def start(self):
        self.remove()
        self.folder.mkdir()
        checked("docker", "build", "--quiet", "--tag", self.name, self.scripts)
        checked(
            "docker", "run", "--detach", "--name", self.name, "--env", "POSTGRES_HOST_AUTH_METHOD=trust",
            "--env", "PGUSER=postgres", "--volume", f"{self.folder}:/files:ro", "--publish", "127.0.0.1::5432", self.name,
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
            ["docker", "exec", "--interactive", "--workdir", "/seed", self.name, "bash"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def remove(self):
        if self.shell:
            self.shell.stdin.close()
            self.shell.wait()
        command("docker", "rm", "--force", "--volumes", self.name)
        command("docker", "image", "rm", "--force", self.name)
        if str(self.scripts) in sys.path:
            sys.path.remove(str(self.scripts))

    def infer(self, path, **options):
        """What infer_schema.py finds in a file; raises data_files.DataError."""
        return self.infer_schema.Reading(path, **options)

    def load(self, path, table, sql):
        """Run a data set's SQL as seed.sh does, in one transaction: (exit code, what was printed)."""
        shutil.copy(path, self.folder / path.name)
        (self.folder / f"{table}.sql").write_text(sql, encoding="utf-8")
        psql = [
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--single-transaction",
            f"--file=/files/{table}.sql",
        ]
        try:
            return self.run(f"DATA_FILE={shlex.quote(f'/files/{path.name}')} {shlex.join(psql)}")
        finally:
            (self.folder / path.name).unlink()
            (self.folder / f"{table}.sql").unlink()

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
        """Rows, as tuples."""
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def rows(self, table):
        """All rows in the file's order, without _id."""
        return [row[1:] for row in self.query(f'SELECT * FROM "{table}" ORDER BY _id')]

    def seeded(self, path, table="t", **options):
        """Infer and load: (what was found, the rows)."""
        found = self.infer(path, **options)
        self.query(f'DROP TABLE IF EXISTS "{table}"; SELECT 1')
        code, printed = self.load(path, table, found.sql(table))
        assert code == 0, f"{path.name}: {printed}\n{found.sql(table)}"
        return found, self.rows(table)

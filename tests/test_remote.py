"""`make remote` and `make remote-down`: to another machine by a real sshd and back, cut off on the way, with nothing lost or doubled."""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import PREFIX, ROOT, checked, command, wait_for
from engines import machines
from other_machine import OtherMachine, missing
from stacks import IDENTITY, DockerStack, LocalStack

DRILL = "DSPROJ_DRILL" in os.environ
pytestmark = pytest.mark.skipif(bool(missing()), reason=f"no sshd here: apt-get install {missing()}")

NOTE = '''"""A job that leaves a row each time it runs."""
from lib.postgres import connect_to_postgres


def note(number):
    con, cur = connect_to_postgres()
    cur.execute("INSERT INTO ran VALUES (%s)", (number,))
    con.commit()
    return number * 2
'''
FILL = """
from lib.cache import put
from lib.jobs import enqueue_each
from lib.note import note
import numpy
put("array", numpy.arange(1000.0))
enqueue_each(note, range(10))
"""
TABLES = """
CREATE TABLE ran (n int); CREATE TABLE mine AS SELECT n AS id, md5(n::text) FROM generate_series(1, 2000) n
"""
LOOK = """
import json
from lib.cache import connect_to_redis, get
from lib.jobs import queue
print(json.dumps([float(get("array").sum()), len(queue()), connect_to_redis().dbsize() > 0]))
"""
ROWS = "SELECT (SELECT count(*) FROM adult), (SELECT string_agg(n::text, ',' ORDER BY n) FROM ran), (SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM mine t)"


SQL = """
import sys
from lib.postgres import connect_to_postgres
con, cur = connect_to_postgres()
cur.execute(sys.argv[1])
print("\\n".join("|".join("" if each is None else str(each) for each in row) for row in cur.fetchall()) if cur.description else "")
con.commit()
"""


class Moving:
    """A project that can go to another machine: with the ssh of OtherMachine in its PATH."""

    other = None

    @property
    def slug_of_files(self):
        return re.search(r"^name: (\S+)", (self.path / "docker-compose.yml").read_text(), re.M)[1]

    @property
    def surroundings(self):
        return os.environ | IDENTITY | {"PATH": f"{self.other.folder}:{os.environ['PATH']}"}

    def try_make(self, *arguments):
        done = command("make", *arguments, cwd=self.path, env=self.surroundings)
        print(f"$ make {' '.join(arguments)}\n{done.printed}")  # seen where a test fails
        return done

    def make(self, *arguments):
        done = self.try_make(*arguments)
        assert done.returncode == 0, done.printed
        return done.printed

    def refused(self, *arguments):
        done = self.try_make(*arguments)
        assert done.returncode and "Traceback" not in done.printed, done.printed
        return done.printed

    def is_running(self):
        return (self.path / ".local/run/supervisord.pid").exists()

    @property
    def note(self):
        return json.loads((self.path / ".local/remote.json").read_text())

    def interrupted(self, target, ahead, how=signal.SIGINT, after=0.0):
        """The command, with Ctrl-C some seconds after the command for the other machine that comes as number `ahead`."""
        before = len(self.other.commands)
        words = {"cwd": self.path, "env": self.surroundings, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(["make", target], text=True, start_new_session=True, **words) as process:
            while process.poll() is None and len(self.other.commands) < before + ahead:
                time.sleep(0.02)
            time.sleep(after)
            if process.poll() is None:
                os.killpg(process.pid, how)
            printed = process.communicate()[0]
        print(f"$ make {target}, interrupted\n{printed}")
        assert "Traceback" not in printed, printed
        return process.returncode


class Here(Moving, LocalStack):
    pass


class DockerHere(Moving, DockerStack):
    def is_running(self):
        return bool(self.compose("ps", "--quiet"))


class There(Here):
    """The project on the other machine, whatever runs it there: commands go there by ssh."""

    def run(self, *arguments):
        words = " ".join("'" + str(word).replace("'", "'\\''") + "'" for word in arguments)
        done = self.other.run(f"python3 .dsproj exec {words}", cwd=self.path)
        assert done.returncode == 0, done.printed
        return done.stdout

    def sql(self, query):
        return self.python(SQL, query).strip()

    def git(self, *arguments):
        return checked("git", *arguments, cwd=self.path, env=os.environ | IDENTITY)


def seen(project):
    return project.sql(ROWS), json.loads(project.python(LOOK))


@contextlib.contextmanager
def two_machines(base, kind=Here, there=There, **other):
    """A project with something in each store, and a machine that it can go to; nothing is left of either."""
    here = kind(base / "here, größer", f"{PREFIX}-remote")
    here.other = OtherMachine(base / "other", **other)
    try:
        here.remove()
        here.generate(dataset_source=ROOT / "hooks/samples/adult.data")
        assert "is running" in here.printed, here.printed
        away = there(here.other.home / "pro ject", here.slug)
        away.other = here.other
        (here.path / "lib/note.py").write_text(NOTE)
        here.git("add", "lib/note.py")
        (here.path / "config/jupyter.env").write_text("MY_KEY=very-secret\n")
        (here.path / "data/größe 1.csv").write_text("a\n1\n")
        here.make("scale", "N=0")
        here.sql(TABLES)
        here.python(FILL)
        yield here, away
    finally:
        if (here.path / ".local/remote.json").exists() and (socket := here.note.get("socket")):
            command(here.other.folder / "ssh", "-S", socket, "-O", "exit", "large")
            shutil.rmtree(os.path.dirname(socket), ignore_errors=True)
        here.other.remove()
        here.remove()


def test_what_is_missing_there_is_named(render, tmp_path, monkeypatch):
    here = Here(render(), "x")
    here.git("init", "-q")
    machine = here.other = OtherMachine(tmp_path / "machine", has="sh env", python=False)
    sockets = Path(tempfile.mkdtemp(prefix="s"))  # as short as a socket's path has to be
    monkeypatch.setenv("TMPDIR", str(sockets))
    try:
        assert "nothing to bring back" in here.make("remote-down")
        assert not (here.path / ".env").exists(), "what never was away is not started either"
        assert "HOST=user@machine" in here.refused("remote")
        assert "write it as user@machine" in here.refused("remote", "HOST=-oProxyCommand=false")
        (here.path / ".env").write_text("COMPOSE_FILE=docker-compose.yml:docker/cluster/hub.yml\n")
        assert "To finish: make cluster-down" in here.refused("remote", "HOST=large")
        (here.path / ".env").unlink()
        assert "no python3 on large" in here.refused("remote", "HOST=large")
        (machine.programs / "python3").symlink_to(sys.executable)
        assert "no git on large" in here.refused("remote", "HOST=large")
        (machine.programs / "git").symlink_to(shutil.which("git"))
        (machine.home / here.slug_of_files).mkdir()
        (machine.home / here.slug_of_files / "thesis.txt").write_text("mine")
        said = here.refused("remote", "HOST=large")
        assert "no copy of this project" in said and "DIR=" in said
        (machine.folder / "known_hosts").write_text("")
        command(machine.folder / "ssh", "-S", here.note["socket"], "-O", "exit", "large")
        said = here.refused("remote", "HOST=large")
        assert "Host key verification failed" in said and "accept it" in said
        assert "ssh does not reach nowhere.invalid" in here.refused("remote", "HOST=nowhere.invalid")
        assert not list(sockets.iterdir())
        here.refused("remote-down", "ENGINE=none")  # so that nothing starts here
        assert here.note["phase"] == "back" and "nothing to bring back" in here.refused("remote-down", "ENGINE=none")
        assert [path.name for path in machine.home.rglob("*") if path.is_file()] == ["thesis.txt"]
    finally:
        machine.remove()
        shutil.rmtree(sockets)


@pytest.fixture
def pair(tmp_path_factory):
    with two_machines(tmp_path_factory.mktemp("r")) as both:
        yield both


def test_there_and_back_with_the_line_cut_on_the_way(pair):
    here, there = pair
    before, files = seen(here), here.git("status", "--porcelain")
    # The connection breaks while files come; the next time Ctrl-C, when the stores are to be restored there.
    here.other.cut(3)
    assert "large" in here.refused("remote", "HOST=large", "DIR=~/pro ject")
    assert seen(here) == before and "JupyterLab" in here.make("url")
    assert here.interrupted("remote", 9)
    said = here.make("remote")

    assert seen(there) == before and there.git("status", "--porcelain") == files
    assert not here.is_running() and stat.S_IMODE((there.path / ".env").stat().st_mode) == 0o600
    assert (there.path / "config/jupyter.env").read_text() == "MY_KEY=very-secret\n"
    link = re.search(r"http://127\.0\.0\.1:\d+/lab\S+", said)[0]
    assert b"jupyter" in urllib.request.urlopen(link, timeout=30).read().lower()
    assert link in here.make("url")
    for target in ("up", "ps", "seed"):
        said = here.refused(target)
        assert "large" in said and "make remote-down" in said
    # The tunnel is gone, and the other machine was restarted: the same command.
    here.other.stop()
    here.other.start()
    assert "make remote" in here.refused("url")
    here.make("remote")
    assert link in here.make("url")
    for secret in (*here.secrets, "very-secret"):
        assert (
            secret not in "\n".join(here.other.commands) and secret not in (here.other.folder / "sshd.log").read_text()
        )

    # A day's work there; somebody here has edited two files meanwhile.
    assert here.other.run("python3 .dsproj scale N=1", cwd=there.path).returncode == 0
    wait_for(lambda: there.sql("SELECT count(*) FROM ran") == "10", 60, "the jobs")
    there.sql("INSERT INTO mine SELECT n, 'there' FROM generate_series(3000, 3010) n; DROP TABLE adult")
    there.sql("CREATE TABLE adult AS SELECT 1 AS one")
    (there.path / "lib/cache.py").unlink()
    (there.path / "lib/there.py").write_text("THERE = 1\n")
    (there.path / "README.md").write_text("there\n")
    there.git("checkout", "-q", "-b", "larger")
    there.git("add", "-A")
    there.git("commit", "-qm", "Work there")
    there.run("rm", "data/größe 1.csv")
    (here.path / "README.md").write_text("here\n")
    (here.path / "only here.txt").write_text("mine\n")
    rows, commit = there.sql(ROWS), there.git("rev-parse", "HEAD")

    here.other.cut(3)
    here.refused("remote-down")
    assert "remote-down" in here.refused("up")
    said = here.make("remote-down")
    assert "README.md was changed there and here" in said and "rm -rf" in said
    assert here.sql(ROWS) == rows and set(here.states().values()) == {"healthy"}
    assert rows.split("|")[1] == ",".join(map(str, range(10)))
    assert here.git("rev-parse", "HEAD") == commit and here.git("branch", "--show-current").strip() == "larger"
    assert (here.path / "README.md").read_text() == "here\n" and (here.path / "only here.txt").exists()
    assert [path.read_text() for path in here.path.glob("README.from-*.md")] == ["there\n"]
    assert not (here.path / "lib/cache.py").exists() and (here.path / "lib/there.py").exists()
    assert not (here.path / "data/größe 1.csv").exists()
    assert here.git("fsck", "--no-progress") == "" and here.note["phase"] == "back"
    assert "went back" in here.other.run("python3 .dsproj up", cwd=there.path).printed
    assert not there.is_running()


drill = pytest.mark.skipif(not DRILL, reason="another round trip: nox -s drill")


@drill
def test_cut_off_at_each_step_in_each_way(pair):
    here, there = pair
    before = seen(here)
    ways = itertools.cycle(["line", signal.SIGINT, signal.SIGKILL])

    def cut(target, number, after):
        way = next(ways)
        print(f"--- {target}, command {number}, {after} s, {way}")
        if way == "line":
            here.other.cut(number, after)
            here.try_make(target)
            (here.other.folder / "cut").unlink(missing_ok=True)
        else:
            here.interrupted(target, number, way, after)
        return here.note["phase"]

    (here.path / ".local/remote.json").write_text(
        json.dumps({"id": "x", "host": "large", "folder": "~/pro ject", "phase": "back"})
    )
    for number, after in [*((number, 0.05) for number in range(1, 9)), (5, 3), (9, 0.05), (9, 1), (10, 0.05)]:
        if cut("remote", number, after) == "going" and number % 4 == 0:
            here.make("up")
            assert seen(here) == before
    here.make("remote")
    assert seen(there) == before and not here.is_running()
    there.sql("INSERT INTO ran VALUES (77)")
    there.git("commit", "-qm", "The job")
    rows, commit = seen(there), there.git("rev-parse", "HEAD")
    for number, after in [*((number, 0.05) for number in range(1, 6)), (2, 3), (5, 2)]:
        if cut("remote-down", number, after) == "returning" and number == 3:
            here.make("remote")
            assert seen(there) == rows
        if here.note["phase"] == "back":
            here.make("remote")
            assert seen(there) == rows
    here.try_make("remote-down")
    here.make("up")
    assert seen(here) == rows and here.git("rev-parse", "HEAD") == commit and here.git("fsck", "--no-progress") == ""


@drill
def test_edits_and_commits_on_both_sides_and_a_second_trip(pair):
    here, there = pair
    here.make("remote", "HOST=large", "DIR=~/pro ject")
    for side, name in ((here, "here"), (there, "there")):
        (side.path / f"lib/{name}.py").write_text("")
        (side.path / "README.md").write_text(f"{name}\n")
        side.git("add", "-A")
        checked("git", "commit", "-qm", name, cwd=side.path, env=os.environ | IDENTITY)
    said = here.make("remote-down")
    join = re.search(r"to join them: (.*)", said)[1]
    assert (here.path / "README.md").read_text() == "here\n"
    assert (here.path / "README.from-large.md").read_text() == "there\n"
    command("sh", "-c", join, cwd=here.path, env=os.environ | IDENTITY)  # README.md is a conflict, as it should be
    assert {"lib/here.py", "lib/there.py"} <= set(here.git("ls-files").split())
    checked("git", "checkout", "--ours", "README.md", cwd=here.path)
    checked("git", "commit", "-qam", "Both", cwd=here.path, env=os.environ | IDENTITY)
    # The copy there was edited, though it only rests: that edit is set aside, and all is as here.
    (there.path / "lib/here.py").write_text("EDITED = 1\n")
    (there.path / "lib/note.py").write_text("EDITED = 1\n")
    here.sql("DROP TABLE mine; CREATE TABLE mine AS SELECT 1 AS id")
    before = seen(here)
    assert "lib/note.py was changed there" in here.make("remote")
    assert (there.path / "lib/note.py").read_text() == NOTE and seen(there) == before
    assert [path.read_text() for path in there.path.glob("backups/replaced-*/lib/note.py")] == ["EDITED = 1\n"]
    assert there.git("log", "-1", "--format=%s").strip() == "Both" and there.git("status", "--porcelain") == ""
    here.make("remote-down")
    assert seen(here) == before


def there_and_back(here, there):
    """A whole trip, with work there."""
    before = seen(here)
    said = here.make("remote", "HOST=large", "DIR=~/pro ject")
    assert not here.is_running() and seen(there) == before
    assert here.other.run("python3 .dsproj scale N=1", cwd=there.path).returncode == 0
    wait_for(lambda: there.sql("SELECT count(*) FROM ran") == "10", 120, "the jobs")
    link = re.search(r"http://127\.0\.0\.1:\d+/lab\S+", said)[0]
    assert b"jupyter" in urllib.request.urlopen(link, timeout=30).read().lower()
    there.sql("CREATE TABLE there AS SELECT 1 AS one")
    rows = there.sql(ROWS)
    here.make("remote-down")
    assert here.sql(ROWS) == rows and here.sql("SELECT one FROM there") == "1"
    return said


@drill
@pytest.mark.engine
def test_docker_here_and_the_local_stack_there(engine, tmp_path_factory):
    with two_machines(tmp_path_factory.mktemp("d"), DockerHere) as (here, there):
        assert "by the local stack" in there_and_back(here, there)


@drill
@pytest.mark.engine
def test_docker_on_both_sides(engine, tmp_path_factory):
    base = tmp_path_factory.mktemp("b")
    with machines(base / "engines", number=1) as (machine,):
        images = checked("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
        wanted = [
            name for name in images if name.startswith(("quay.io/jupyter/scipy", "postgres:", "redis:", "debian:"))
        ]
        load = f"docker save {' '.join(wanted)} | docker -H {machine.socket} load"
        checked("sh", "-c", load)
        other = {"docker": machine.socket, "network": (machine.name, machine.address)}
        with two_machines(base, DockerHere, **other) as (here, there):
            assert "by Docker" in there_and_back(here, there)

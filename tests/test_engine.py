"""What only a real Docker engine can show: ports and owners, other answers, other users, and bad luck."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import PREFIX, ROOT, checked, command, free_port, remove_stack, wait_for
from stacks import IDENTITY, SERVICES, DockerStack, LocalStack

from hooks import stack as stack_step
from hooks.project import Project

pytestmark = pytest.mark.engine


# --- one project, several looks ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(engine, tmp_path_factory):
    running = DockerStack(tmp_path_factory.mktemp("home") / "project", f"{PREFIX}-engine")
    running.remove()
    try:
        yield running.generate()
    finally:
        running.remove()


def test_ports_are_on_loopback_alone(project):
    for service in SERVICES:
        ids = project.compose("ps", "--quiet", service).split()
        bindings = json.loads(checked("docker", "inspect", *ids))[0]["NetworkSettings"]["Ports"]
        hosts = {binding["HostIp"] for published in bindings.values() for binding in published or []}
        assert hosts <= {"127.0.0.1"}, service


def test_processes_and_files_belong_to_the_projects_owner(project):
    owner = project.path.stat()
    for service in ("this_jupyter", "this_worker", "this_monitor"):
        assert project.compose("exec", "-T", service, "id", "-u") == f"{owner.st_uid}\n"
    for service in ("this_postgres", "this_redis"):
        # The server's first process; a check of health beside it is the image's user's, which upstream is root.
        (server,) = project.host_process_id(service)
        assert Path(f"/proc/{server}").stat().st_uid != 0
    project.python("open('/home/jovyan/data/made-inside.csv', 'w').write('1')")
    inside = project.path / "data/made-inside.csv"
    assert (inside.stat().st_uid, inside.stat().st_gid) == (owner.st_uid, owner.st_gid)


def test_a_service_that_is_well_is_asked_a_few_times_a_minute(project):
    """Each check is the start of some processes, and five services have one: an idle project cost an eighth of a core."""
    containers = project.compose("ps", "--quiet").split()

    def pauses():
        logs = [entry["State"]["Health"]["Log"][-1] for entry in json.loads(checked("docker", "inspect", *containers))]
        lasted = [
            datetime.fromisoformat(last["End"][:26]) - datetime.fromisoformat(last["Start"][:26]) for last in logs
        ]
        return all(timedelta(seconds=14) < each < timedelta(seconds=30) for each in lasted)

    wait_for(pauses, 90, "a slower pace")


def test_a_database_without_its_table_is_not_healthy(project):
    project.sql("ALTER TABLE dsproj_seed RENAME TO hidden")
    wait_for(lambda: project.states()["this_postgres"] == "unhealthy", 240, "an unhealthy state")
    project.sql("ALTER TABLE hidden RENAME TO dsproj_seed")
    wait_for(lambda: project.states()["this_postgres"] == "healthy", 30, "a healthy state")


def test_the_other_engine_is_one_word_away(project):
    """The local stack beside the running containers, with a database of its own."""
    project.sql("CREATE TABLE only_here ()")
    project.make("down")
    try:
        said = project.make("up", "ENGINE=local")
        assert "README.md?token=" in said and "docker has data of this folder, too" in said
        beside = LocalStack(project.path, project.slug)
        assert beside.states() == dict.fromkeys(SERVICES, "healthy")
        assert beside.sql("SELECT to_regclass('only_here') IS NULL, count(*) > 0 FROM adult") == "t|t"
        project.make("down", "ENGINE=local")
    finally:
        LocalStack(project.path, project.slug).remove()
    # A new .env names the engine that the project began with, where both have data.
    (project.path / ".env").unlink()
    assert "local has data of this folder, too" in project.make("up")
    assert project.sql("SELECT to_regclass('only_here')") == "only_here"


def test_data_stay_with_their_folder_where_it_is_copied_and_where_env_is_lost(project, tmp_path):
    project.sql("CREATE TABLE kept AS SELECT 42 AS answer")
    file = next(line for line in project.make("backup").splitlines() if line.startswith("backups/")).split(",")[0]
    project.sql("UPDATE kept SET answer = 43")
    copy = DockerStack(tmp_path / "copy", project.slug)
    shutil.copytree(project.path, copy.path, symlinks=True)

    def refused(target, *words):
        done = command("make", target, *words, cwd=copy.path)
        assert done.returncode and f"The project in {project.path} has the name" in done.printed, done.printed

    refused("backup")
    project.make("down")  # no container is left that tells whose the volumes are
    for words in (["up"], ["restore", f"FILE={file}", "FORCE=1"], ["destroy", "FORCE=1"], ["psql"], ["seed"]):
        refused(*words)

    # A new .env has other passwords, and a port that somebody has taken meanwhile.
    old = project.env
    (project.path / ".env").unlink()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        assert project.make("up", "ENGINE=docker")
        assert project.env["POSTGRES_PASSWORD"] != old["POSTGRES_PASSWORD"]
        assert (
            project.python("from lib.postgres import read_frame as r; print(r('TABLE kept').answer[0])").strip() == "43"
        )
        # A running service keeps its port, another's gives way.
        project.compose("stop", "this_monitor")
        other.bind(("127.0.0.1", int(project.env["MONITOR_PORT"])))
        other.listen()
        before = project.env
        said = project.make("up")
    assert f"{before['MONITOR_PORT']} is taken by another program: MONITOR_PORT=" in said
    assert {key for key, value in project.env.items() if value != before[key]} == {"MONITOR_PORT"}
    assert f"127.0.0.1:{project.env['MONITOR_PORT']}" in said and set(project.states().values()) == {"healthy"}
    # The same for a password that was edited by hand.
    path = project.path / ".env"
    path.write_text(path.read_text().replace(project.env["POSTGRES_PASSWORD"], "it's mine"))
    project.make("up")
    assert project.python("from lib.postgres import read_frame as r; print(r('TABLE kept').answer[0])").strip() == "43"
    project.sql("DROP TABLE kept")


GREEDY = """
import psycopg2
from lib.postgres import connect_to_postgres
other = psycopg2.connect("")
other.cursor().execute("CREATE TEMP TABLE mine AS SELECT 1")
con, cur = connect_to_postgres()
cur.execute("SET work_mem = '2GB'")
def said(query):
    try:
        cur.execute(query)
    except psycopg2.OperationalError as error:
        return str(error) + "".join(error.__notes__)
print(said("SELECT count(*) FROM (SELECT DISTINCT g, repeat('x', 100) FROM generate_series(1, 3000000) g) t"))
con.rollback()
other.cursor().execute("TABLE mine")  # nobody else has noticed
other.rollback()
# Hundreds of megabytes to redo: all the states of a server that comes up again last long enough to be met.
cur.execute("SELECT count(pg_logical_emit_message(true, '', repeat('x', 1000000))) FROM generate_series(1, 400)")
con.commit()
print(said("COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'"))
con, cur = connect_to_postgres()
cur.execute("SELECT count(*) > 0 FROM adult")
print("again", cur.fetchone())
"""


def test_postgres_at_its_limit_of_memory_says_so_and_lives_on(project):
    """A query that wants too much fails alone; where a process is killed all the same, the server is back at once."""
    environment = project.path / ".env"
    before = environment.read_text()
    environment.write_text(f"{before}POSTGRES_MEMORY=160m\n")
    try:
        project.make("up")
        started = project.process_ids()
        said = project.python(GREEDY)
        assert "out of memory" in said and "closed the connection unexpectedly" in said and "again [True]" in said, said
        assert said.count("POSTGRES_MEMORY in .env") == 2
        assert project.process_ids() == started and set(project.states().values()) == {"healthy"}
    finally:
        environment.write_text(before)
        project.make("up")


def test_who_goes_on_with_a_project_of_root_leaves_root_in_the_containers_too(project, ordinary_user):
    """Whose the files are works in the containers; for root that is said, with the way out, which is gone here."""
    for printed in (project.printed, project.make("ps")):
        assert "run as root in their containers" in " ".join(printed.split())
    project.python("open('/var/lib/jovyan/mine', 'w').close()")
    project.path = Path(shutil.move(project.path, Path(pwd.getpwnam(ordinary_user).pw_dir, "taken over")))
    project.make("up", "down")  # root knows that it was moved; the other may not look at where it was
    checked("chown", "-R", ordinary_user, ".", cwd=project.path)
    done = as_user(ordinary_user, "make", "up", cwd=project.path, groups=[os.stat("/var/run/docker.sock").st_gid])
    assert done.returncode == 0 and "NB_UID=4321 in .env" in done.printed, done.printed
    for service in ("this_jupyter", "this_worker", "this_monitor"):
        assert project.compose("exec", "-T", service, "id", "-u") == "4321\n"
    project.python("open('/var/lib/jovyan/mine', 'a').close(); open('ipynb/new.ipynb', 'w').close()")
    assert (project.path / "ipynb/new.ipynb").owner() == ordinary_user
    assert "run as root" not in project.make("ps") and set(project.states().values()) == {"healthy"}


# --- other people ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ordinary_user(engine):
    """The name of a user who is not root, made for these tests and taken away again."""
    if os.getuid() != 0:
        pytest.skip("only root can make users")
    name = "dsprojtest"
    command("userdel", "--remove", name)
    checked("useradd", "--create-home", "--uid", "4321", name)
    yield name
    subprocess.run(["userdel", "--remove", name], capture_output=True)


def as_user(name, *arguments, cwd, groups=()):
    """Run a command as that user, with their own home and what this machine needs to reach a package index."""
    group = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    account = pwd.getpwnam(name)
    keep = {
        k: v for k, v in os.environ.items() if k.endswith(("_CERT", "_BUNDLE", "_FILE", "_INDEX", "_URL", "_LINKS"))
    }
    env = keep | {"HOME": account.pw_dir, "USER": name, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | IDENTITY
    ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", *group]
    return command("setpriv", *ids, *arguments, cwd=cwd, env=env)


@pytest.fixture
def copier_of(ordinary_user, template):
    """copier_of(name, groups, **answers): that user generates a project in their home."""
    home = pwd.getpwnam(ordinary_user).pw_dir
    copy = shutil.copytree(template, f"{home}/template-{time.monotonic_ns()}")
    checked("chown", "-R", f"{ordinary_user}:", copy)
    python = f"{home}/venv/bin/python"
    if not os.path.exists(python):
        for interpreter in ("/usr/bin/python3", sys.executable):
            probe = as_user(ordinary_user, interpreter, "-c", "import sys; assert sys.version_info >= (3, 11)", cwd="/")
            if probe.returncode == 0:
                break
        else:
            pytest.skip("no Python 3.11 that another user may run")
        checked("uv", "venv", "--quiet", "--python", interpreter, f"{home}/venv")
        needed = ["copier==9.19.1", "GitPython==3.2.1", "rich==15.0.0"]
        checked("uv", "pip", "install", "--quiet", "--link-mode=copy", "--python", python, *needed)
        checked("chown", "-R", f"{ordinary_user}:", f"{home}/venv")

    def generate(name, groups, **answers):
        data = [part for key, value in answers.items() for part in ("--data", f"{key}={value}")]
        copier = [python, "-m", "copier", "copy", "--trust", "--defaults", "-q", *data, copy, name]
        return as_user(ordinary_user, *copier, cwd=home, groups=groups), Path(home, name)

    return generate


def test_an_ordinary_users_files_stay_theirs(ordinary_user, copier_of, monkeypatch):
    slug = f"{PREFIX}-user"
    remove_stack(slug)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")  # root looks into another user's repository
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
    answers = {"project_slug": slug, "jupyter_port": free_port(20400), "monitor_port": free_port(20500)}
    try:
        done, path = copier_of("mine", [os.stat("/var/run/docker.sock").st_gid], stack="docker", **answers)
        assert done.returncode == 0 and "is running" in done.printed, done.printed
        project = DockerStack(path, slug)
        assert project.run("id", "-u").strip() == "4321"
        project.notebooks(first=2)
        project.python("import lib.postgres; open('data/x.csv', 'w').close()")
        assert {entry.owner() for entry in path.rglob("*")} == {ordinary_user}
        assert project.git("status", "--porcelain").split() == ["??", "data/x.csv"]
    finally:
        remove_stack(slug)


def test_a_user_who_may_not_use_docker_gets_the_project_and_the_way_out(copier_of):
    done, path = copier_of("denied", [], stack="docker")
    assert done.returncode == 0, done.printed
    assert "This user may not use the Docker engine" in done.printed and "usermod -aG docker" in done.printed
    assert "does not run yet" in done.printed and "Traceback" not in done.printed
    assert (path / "docker-compose.yml").exists()


# --- bad luck ----------------------------------------------------------------------------------------------------------


def start(project):
    """The stack step alone, on a project that was generated with stack=none."""
    path = project.path / ".env"
    path.write_text(path.read_text().replace("ENGINE=local", "ENGINE=docker"))
    view = Project(project.path)
    view.answers["stack"] = "docker"
    return stack_step.start(view, view.module("host.first_env").Made(fresh=True))


def test_an_image_that_does_not_build_shows_the_log(made):
    project = made(stack="none")
    (project.path / "docker/jupyter/apt.txt").write_text("# one a line\nno-such-package-of-dsproj\n")
    outcome = start(project)
    assert outcome.why == "an image could not be built" and outcome.command == "make up"
    assert "no-such-package-of-dsproj" in "\n".join(outcome.log)


def test_a_service_that_ends_is_named_with_its_log(made):
    project = made(stack="none")
    path = project.path / "docker-compose.yml"
    before = path.read_text()
    path.write_text(before.replace("[python, -m, dsproj.kernel.monitor]", "[sh, -c, 'echo out of luck; exit 3']"))
    assert path.read_text() != before
    outcome = start(project)
    assert "this_monitor is" in outcome.why and "out of luck" in "\n".join(outcome.log)


def test_a_bad_data_file_is_named_with_its_line_and_the_next_up_heals(made):
    project = made(stack="none")
    data = next((project.path / "data").glob("*.data"))
    good = data.read_text()
    data.write_text(good.replace("\n", "\nseventy, State-gov\n", 1))
    outcome = start(project)
    assert 'line 2, column age, value "seventy"' in outcome.why, outcome
    assert project.sql("SELECT to_regclass('adult') IS NULL, (SELECT count(*) FROM dsproj_seed)") == "t|0"
    assert project.states()["this_postgres"] != "healthy"
    data.write_text(good)
    assert "rows from data/" in project.make("up")
    assert set(project.states().values()) == {"healthy"}


def test_volumes_of_an_earlier_project_are_not_taken_over(made):
    project = made(stack="none")
    volume = f"{project.slug}_postgres_data"
    checked("docker", "volume", "create", "--label", f"com.docker.compose.project={project.slug}", volume)
    outcome = start(project)
    assert f'Volumes of an earlier project "{project.slug}"' in outcome.why
    assert "make up, which goes on with their data" in outcome.command and "make destroy up" in outcome.command
    assert command("docker", "volume", "inspect", volume).returncode == 0


def test_ctrl_c_while_the_stack_comes_up_leaves_a_project_that_make_up_finishes(engine, tmp_path):
    project = DockerStack(tmp_path / "p", f"{PREFIX}-interrupt")
    project.remove()
    answers = {"project_slug": project.slug, "stack": "docker"}
    answers |= {"jupyter_port": free_port(20800), "monitor_port": free_port(20900)}
    data = [part for key, value in answers.items() for part in ("--data", f"{key}={value}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "--quiet", *data, str(ROOT), str(project.path)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=os.environ | IDENTITY,
    )  # fmt: skip
    try:
        for line in process.stdout:
            if "starting the servers" in line:
                break
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
        process.wait(timeout=60)
        assert "The project is complete on disk; to start it: make up" in rest
        assert len(project.git("log", "--oneline").splitlines()) == 1
        project.make("up")
        assert set(project.states().values()) == {"healthy"}
    finally:
        project.remove()

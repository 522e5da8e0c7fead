"""What the template relies on, proved on the engine with the images that `build` makes.

Where real images are there under these names, the same is proved of them.
"""

from __future__ import annotations

import gzip
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD = HERE / "build"
POSTGRES = "postgres:18"
REDIS = "redis:8"
MONGO = "mongo:8.0"
JUPYTER = f"quay.io/jupyter/scipy-notebook:{os.environ.get('DSPROJ_JUPYTER_TAG', '2026-07-28')}"
MINIMAL = JUPYTER.replace("scipy", "minimal")


def run(*command: str | Path, check: bool = True, **options) -> subprocess.CompletedProcess:
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, **options)
    if check and result.returncode:
        raise AssertionError(f"{command} exited {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def engine_answers() -> bool:
    return bool(shutil.which("docker")) and run("docker", "version", check=False).returncode == 0


required = os.environ.get("DSPROJ_ENGINE") == "required"
pytestmark = [
    pytest.mark.engine,
    pytest.mark.long,  # they change seldom, and what they are for is tried by every other test on Docker
    pytest.mark.skipif(not required and not engine_answers(), reason="no Docker engine answers"),
]


def until(condition: Callable[[], object], seconds: float = 30, what: str = "") -> object:
    """The first true answer of condition; an exception while waiting counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            if answer := condition():
                return answer
            last = "nothing"
        except (OSError, AssertionError) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"{what or condition} did not come within {seconds} s; last: {last}")
        time.sleep(0.1)


class Box:
    """A container of a test."""

    def __init__(self, name: str) -> None:
        self.name = name

    def inspect(self, path: str) -> str:
        return run("docker", "inspect", "--format", "{{" + path + "}}", self.name).stdout.strip()

    @property
    def ip(self) -> str:
        return self.inspect(".NetworkSettings.IPAddress") or self.inspect(
            "range .NetworkSettings.Networks}}{{.IPAddress}}{{end"
        )

    @property
    def logs(self) -> str:
        result = run("docker", "logs", self.name)
        return result.stdout + result.stderr

    def exec(self, *command: str, check: bool = True, options: tuple[str, ...] = (), stdin: str = ""):
        return run("docker", "exec", "-i", *options, self.name, *command, check=check, input=stdin)

    def exit_code(self) -> int:
        return int(run("docker", "wait", self.name).stdout)

    def stop(self) -> None:
        run("docker", "stop", "--time", "20", self.name)

    def restart_after(self, signal: str) -> None:
        run("docker", "kill", "--signal", signal, self.name)
        run("docker", "wait", self.name)
        run("docker", "start", self.name)

    def talk(self, port: int, message: bytes) -> bytes:
        with socket.create_connection((self.ip, port), timeout=2) as connection:
            connection.sendall(message)
            return connection.recv(4096)


Start = Callable[..., Box]


@pytest.fixture
def made() -> Iterator[dict[str, list[str]]]:
    """What a test makes goes with it: first the containers, with their anonymous volumes, then the volumes."""
    made: dict[str, list[str]] = {"containers": [], "volumes": []}
    yield made
    for name in made["containers"]:
        run("docker", "rm", "-f", "-v", name, check=False)
    for name in made["volumes"]:
        run("docker", "volume", "rm", "-f", name)


@pytest.fixture
def start(made: dict[str, list[str]]) -> Start:
    """Start containers."""

    def start(image: str, *command: str, options: tuple[str, ...] = ()) -> Box:
        box = Box(f"dsproj-image-test-{secrets.token_hex(4)}")
        made["containers"].append(box.name)
        run("docker", "run", "-d", "--pull=never", "--name", box.name, *options, image, *command)
        return box

    return start


@pytest.fixture
def volume(made: dict[str, list[str]]) -> str:
    name = f"dsproj-image-test-{secrets.token_hex(4)}"
    made["volumes"].append(name)
    run("docker", "volume", "create", name)
    return name


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    run(BUILD, "postgres", "redis", "mongo", "scipy", "minimal")


# --- build ---


def test_build_returns_at_once_and_knows_its_images() -> None:
    started = time.monotonic()
    run(BUILD, POSTGRES, REDIS, MONGO, "scipy", "minimal-notebook")
    assert time.monotonic() - started < 1
    failed = run(BUILD, "mysql:8", check=False)
    assert failed.returncode == 1
    assert "no recipe for mysql:8" in failed.stderr


def test_build_leaves_a_real_image_alone() -> None:
    tag = f"redis:test-{secrets.token_hex(4)}"
    run("docker", "tag", "debian:bookworm-slim", tag)
    try:
        before = run("docker", "image", "inspect", "--format", "{{.Id}}", tag).stdout
        run(BUILD, "--force", tag)
        assert run("docker", "image", "inspect", "--format", "{{.Id}}", tag).stdout == before
        assert run(BUILD, "--list", tag).stdout.split() == ["real", tag]
    finally:
        run("docker", "rmi", tag)


def test_build_says_what_is_missing(tmp_path: Path) -> None:
    """An engine without any image, and no program that makes the base."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$1" != image ]\n')
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "DSPROJ_BASE_IMAGE_SCRIPT": "/nowhere"}
    failed = run(BUILD, "redis", check=False, env=environment)
    assert failed.returncode == 1
    assert "debian:bookworm-slim is missing" in failed.stderr
    assert "/nowhere" in failed.stderr


# --- postgres ---

PASSWORD = ("-e", "POSTGRES_PASSWORD=se'c ret")


def scripts(folder: Path, **files: str | bytes) -> tuple[str, ...]:
    """Init scripts by name (__ stands for the dot), for the options of docker run."""
    folder.chmod(0o755)
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o755 if text[:2] in ("#!", b"#!") else 0o644)
    return ("-v", f"{folder}:/docker-entrypoint-initdb.d:ro")


def sql(box: Box, query: str, *options: str, password: str | None = "se'c ret", check: bool = True):
    """Over TCP on the container's own address, where the password counts."""
    environment = ("-e", f"PGPASSWORD={password}") if password is not None else ()
    command = ("psql", "-h", box.ip, "-U", "postgres", "-w", "-At", "-c", query, *options)
    return box.exec(*command, options=environment, check=check)


def ready(box: Box) -> bool:
    return box.exec("pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres", check=False).returncode == 0


def test_postgres_initializes_once(start: Start, tmp_path: Path) -> None:
    box = start(
        POSTGRES,
        options=PASSWORD
        + scripts(
            tmp_path,
            a__sql="CREATE TABLE steps (name text);",
            b__sh="#!/bin/bash\nPGUSER=postgres psql -c \"INSERT INTO steps VALUES ('executed')\"\n",
            c__sh="docker_process_sql <<<\"INSERT INTO steps VALUES ('sourced')\"\n",
            d__sql__gz=gzip.compress(b"INSERT INTO steps VALUES ('gz');"),
            e__txt="not a script",
        ),
    )
    until(lambda: ready(box))
    assert sql(box, "SELECT string_agg(name, ' ') FROM steps").stdout == "executed sourced gz\n"
    assert "ignoring /docker-entrypoint-initdb.d/e.txt" in box.logs
    assert "PostgreSQL init process complete" in box.logs
    box.stop()
    run("docker", "start", box.name)
    until(lambda: ready(box))
    assert sql(box, "SELECT count(*) FROM steps").stdout == "3\n"
    assert "Skipping initialization" in box.logs
    assert box.logs.count("PostgreSQL init process complete") == 1


def test_postgres_is_like_upstream(start: Start) -> None:
    box = start(POSTGRES, options=(*PASSWORD, "-e", "POSTGRES_USER=postgres", "-e", "POSTGRES_DB=other"))
    until(lambda: ready(box))
    assert sql(box, "SHOW data_directory", "-d", "other").stdout == "/var/lib/postgresql/18/docker\n"
    assert sql(box, "SHOW server_version").stdout.startswith("18.")
    assert sql(box, "SELECT current_setting('listen_addresses'), datcollate FROM pg_database LIMIT 1").stdout == (
        "*|en_US.utf8\n"
    )
    assert box.exec("id", "-u", "postgres").stdout == "999\n"
    assert box.exec("sh", "-c", "command -v python3", check=False).returncode != 0
    assert "perl" in box.exec("sh", "-c", "command -v perl").stdout
    assert sql(box, "CREATE EXTENSION hstore; SELECT 'a=>1'::hstore -> 'a'").stdout.endswith("1\n")
    assert box.exec("psql", "-U", "postgres", "-Atc", "SELECT 1").stdout == "1\n"  # the socket trusts
    assert box.exec("psql", "-h", "/var/run/postgresql", "-U", "postgres", "-Atc", "SELECT 1").stdout == "1\n"
    started = time.monotonic()
    box.stop()
    assert time.monotonic() - started < 8
    assert box.exit_code() == 0


def test_postgres_demands_the_password(start: Start, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("from-file\n")
    box = start(POSTGRES, options=("-e", "POSTGRES_PASSWORD_FILE=/run/secrets/p", "-v", f"{secret}:/run/secrets/p:ro"))
    until(lambda: ready(box))
    assert sql(box, "SELECT 1", password="from-file").stdout == "1\n"
    assert "no password supplied" in sql(box, "SELECT 1", password=None, check=False).stderr
    assert "password authentication failed" in sql(box, "SELECT 1", password="x", check=False).stderr
    assert box.exec("tail", "-1", "/var/lib/postgresql/18/docker/pg_hba.conf").stdout == (
        "host all all all scram-sha-256\n"
    )


def test_postgres_refuses_to_start_without_a_password(start: Start) -> None:
    box = start(POSTGRES)
    assert box.exit_code() == 1
    assert "superuser password is not specified" in box.logs
    trusting = start(POSTGRES, options=("-e", "POSTGRES_HOST_AUTH_METHOD=trust"))
    until(lambda: ready(trusting))
    assert sql(trusting, "SELECT 1", password=None).stdout == "1\n"


@pytest.mark.parametrize(
    "script", [{"a__sql": "SELECT nonsense;"}, {"a__sh": "#!/bin/sh\nexit 3\n"}, {"a__sh": "exit 3\n"}]
)
def test_postgres_init_trap(start: Start, tmp_path: Path, script: dict[str, str]) -> None:
    """A script that fails stops the container; the next start serves what is there."""
    box = start(POSTGRES, options=PASSWORD + scripts(tmp_path, **script, z__sql="CREATE TABLE late (x int);"))
    assert box.exit_code() == 3
    assert "init process complete" not in box.logs
    run("docker", "start", box.name)
    until(lambda: ready(box))
    assert "Skipping initialization" in box.logs
    assert "does not exist" in sql(box, "TABLE late", check=False).stderr


def test_postgres_sourced_exit_0_ends_the_entry_point(start: Start, tmp_path: Path) -> None:
    box = start(POSTGRES, options=PASSWORD + scripts(tmp_path, a__sh="exit 0\n"))
    assert box.exit_code() == 0
    assert "init process complete" not in box.logs


def test_postgres_is_ready_over_tcp_only_after_init(start: Start, tmp_path: Path) -> None:
    box = start(POSTGRES, options=PASSWORD + scripts(tmp_path, a__sql="SELECT pg_sleep(3);"))
    until(lambda: box.exec("pg_isready", "-q", check=False).returncode == 0)
    assert not ready(box)
    with pytest.raises(ConnectionRefusedError):
        box.talk(5432, b"")
    until(lambda: ready(box))
    assert "init process complete" in box.logs


def test_postgres_refuses_the_old_mount(start: Start, volume: str) -> None:
    box = start(POSTGRES, options=(*PASSWORD, "-v", f"{volume}:/var/lib/postgresql/data"))
    assert box.exit_code() == 1
    assert "/var/lib/postgresql/data (unused mount/volume)" in box.logs


def test_postgres_keeps_a_volume_and_other_arguments(start: Start, volume: str) -> None:
    options = (*PASSWORD, "-v", f"{volume}:/var/lib/postgresql")
    first = start(POSTGRES, "-c", "work_mem=7MB", options=options)
    until(lambda: ready(first))
    assert sql(first, "SHOW work_mem").stdout == "7MB\n"
    sql(first, "CREATE TABLE kept AS SELECT 42 AS x")
    first.stop()
    second = start(POSTGRES, options=options)
    until(lambda: ready(second))
    assert sql(second, "TABLE kept").stdout == "42\n"


def test_postgres_runs_as_a_nameless_user(start: Start) -> None:
    """There pg_isready and psql need -U: they cannot look their own user up."""
    box = start(POSTGRES, options=(*PASSWORD, "--user", "1234:1234"))
    until(lambda: ready(box))
    assert sql(box, "SELECT 1").stdout == "1\n"
    assert box.exec("id", "-u").stdout == "1234\n"


# --- redis ---


def test_redis_password_and_aof_survive_a_kill(start: Start, volume: str) -> None:
    box = start(
        REDIS,
        *("--requirepass", "secret", "--appendonly", "yes", "--appendfsync", "always"),
        options=("-v", f"{volume}:/data"),
    )

    def cli(*arguments: str) -> str:
        return box.exec("redis-cli", *arguments, options=("-e", "REDISCLI_AUTH=secret")).stdout.strip()

    until(lambda: cli("ping") == "PONG")
    assert "NOAUTH" in box.exec("redis-cli", "ping").stdout
    assert b"NOAUTH" in box.talk(6379, b"PING\r\n")
    assert cli("set", "key", "value") == "OK"
    box.restart_after("KILL")
    until(lambda: cli("ping") == "PONG")
    assert cli("get", "key") == "value"
    assert box.exec("stat", "-c", "%U %a", "/data/appendonlydir").stdout == "redis 700\n"
    assert box.exec("awk", "/^Uid/ {print $2}", "/proc/1/status").stdout == "999\n"
    box.stop()
    assert box.exit_code() == 0


def test_redis_takes_a_configuration_file(start: Start, tmp_path: Path) -> None:
    """Also one that only its owner may read: the entry point gives it to redis."""
    config = tmp_path / "redis.conf"
    config.write_text("requirepass from-file\nmaxmemory 10mb\n")
    config.chmod(0o600)
    box = start(REDIS, "/usr/local/etc/redis/redis.conf", options=("-v", f"{tmp_path}:/usr/local/etc/redis"))
    until(lambda: b"NOAUTH" in box.talk(6379, b"PING\r\n"))
    assert box.exec("redis-cli", "-a", "from-file", "config", "get", "maxmemory").stdout.split()[-1] == "10485760"


def test_redis_without_password_answers_other_hosts(start: Start) -> None:
    box = start(REDIS)
    until(lambda: box.talk(6379, b"PING\r\n") == b"+PONG\r\n")
    assert start(REDIS, "sh", "-c", "id -u > /dev/null; exit 7").exit_code() == 7


# --- jupyter ---


def get(box: Box, path: str, token: str = "") -> tuple[int, str]:
    request = urllib.request.Request(f"http://{box.ip}:8888{path}")
    if token:
        request.add_header("Authorization", f"token {token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def answers(box: Box) -> None:
    """A server with the token, and without it only the version."""
    until(lambda: get(box, "/api")[0] == 200, 60)
    assert "version" in json.loads(get(box, "/api", "token")[1])
    assert get(box, "/api/status")[0] == 403
    assert get(box, "/api/status", "wrong")[0] == 403
    assert get(box, "/api/status", "token")[0] == 200
    assert get(box, "/lab", "token")[0] == 200


TOKEN = ("-e", "JUPYTER_TOKEN=token")


def test_jupyter_by_default(start: Start) -> None:
    box = start(JUPYTER, options=TOKEN)
    answers(box)
    until(lambda: box.inspect(".State.Health.Status") == "healthy")
    assert box.exec("id").stdout == "uid=1000(jovyan) gid=100(users) groups=100(users)\n"
    assert box.exec("sh", "-c", "pwd; echo $HOME $CONDA_DIR; command -v python").stdout.split() == [
        *("/home/jovyan", "/home/jovyan", "/opt/conda", "/opt/conda/bin/python")
    ]
    assert box.exec("cat", "/proc/1/cmdline").stdout.split("\0")[:5] == [
        "tini",
        "-g",
        "--",
        "start.sh",
        "start-notebook.py",
    ]
    box.exec(
        "python", "-c", "import pandas, matplotlib, sklearn, scipy, seaborn, sqlalchemy, ipywidgets, ipympl, openpyxl"
    )
    for absent in ("psycopg2", "redis", "rq"):
        assert box.exec("python", "-c", f"import {absent}", check=False).returncode == 1
    box.stop()


def test_jupyter_minimal_has_no_pandas(start: Start) -> None:
    box = start(MINIMAL, "sleep", "60")
    for absent in ("pandas", "matplotlib", "numpy", "sqlalchemy"):
        assert box.exec("python", "-c", f"import {absent}", check=False).returncode == 1
    box.exec("jupyter", "lab", "--version")


def test_jupyter_as_another_user(start: Start, tmp_path: Path) -> None:
    box = start(JUPYTER, options=(*TOKEN, "--user", "1234:1234", "--group-add", "users"))
    answers(box)
    until(lambda: box.inspect(".State.Health.Status") == "healthy")
    assert "no entry in /etc/passwd" in box.logs
    box.exec("touch", "/home/jovyan/mine")
    box.exec("sh", "-c", "touch $(python -c 'import requests; print(requests.__path__[0])')/mine")
    outsider = start(JUPYTER, "true", options=("--user", "1234:1234"))
    assert outsider.exit_code() == 0
    assert "--group-add" in outsider.logs
    named = start(JUPYTER, "id", "-un", options=("--user", "1234:0"))
    assert named.exit_code() == 0
    assert named.logs.startswith("jovyan\n")


def test_jupyter_as_root_remaps(start: Start, tmp_path: Path) -> None:
    """The user gets the host's ids, so that files on a mount belong to the host's user."""
    os.chown(tmp_path, 1555, 1556) if os.getuid() == 0 else pytest.skip("needs root to make the mount")
    tmp_path.chmod(0o755)
    box = start(
        JUPYTER,
        *("start-notebook.py", "--ServerApp.base_url=/"),
        options=(
            *(*TOKEN, "--user", "root", "-e", "NB_UID=1555", "-e", "NB_GID=1556", "-e", "CHOWN_HOME=yes"),
            *("-v", f"{tmp_path}:/home/jovyan/project", "-w", "/home/jovyan/project", "-e", "PGHOST=kept"),
        ),
    )
    answers(box)
    until(lambda: box.inspect(".State.Health.Status") == "healthy")
    assert box.exec("id", "jovyan").stdout == "uid=1555(jovyan) gid=1556(jovyan) groups=1556(jovyan),100(users)\n"
    worker = start(
        JUPYTER,
        *(
            "python",
            "-c",
            "import os; open('/home/jovyan/project/made', 'w'); print(os.environ['PGHOST'], os.environ['HOME'])",
        ),
        options=(
            *("--user", "root", "-e", "NB_UID=1555", "-e", "NB_GID=1556", "-e", "PGHOST=kept"),
            *("-v", f"{tmp_path}:/home/jovyan/project"),
        ),
    )
    assert worker.exit_code() == 0, worker.logs
    assert "kept /home/jovyan" in worker.logs
    made = (tmp_path / "made").stat()
    assert (made.st_uid, made.st_gid) == (1555, 1556)
    box.stop()


def test_jupyter_hooks_and_other_name(start: Start, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "10.sh").write_text("export HOOKED=yes\n")
    (tmp_path / "20.sh").write_text("false\n")
    box = start(
        JUPYTER,
        *("sh", "-c", "echo $HOOKED-$(id -un)-$HOME-$PWD-${GONE:-gone}"),
        options=(
            *("--user", "root", "-e", "NB_USER=ada", "-e", "CHOWN_HOME=yes"),
            *("-e", "GONE=here", "-e", "JUPYTER_ENV_VARS_TO_UNSET=GONE"),
            *("-v", f"{tmp_path}:/usr/local/bin/before-notebook.d"),
        ),
    )
    assert box.exit_code() == 0, box.logs
    assert "yes-ada-/home/ada-/home/ada-gone" in box.logs
    assert "20.sh failed" in box.logs or "20.sh has failed" in box.logs


# --- mongo ---

ROOT = ("-e", "MONGO_INITDB_ROOT_USERNAME=root", "-e", "MONGO_INITDB_ROOT_PASSWORD=se'c ret")
LOGIN = ("-u", "root", "-p", "se'c ret", "--authenticationDatabase", "admin")


def mongosh(box: Box, code: str, *options: str, stdin: str = ""):
    arguments = ("--eval", code) if code else ()
    return box.exec("mongosh", "--quiet", *options, *arguments, check=False, stdin=stdin)


def python(box: Box, code: str) -> str:
    """pymongo with the root user, in the stand-in's own environment."""
    login = "import pymongo; c = pymongo.MongoClient('127.0.0.1', username='root', password=\"se'c ret\")\n"
    return box.exec("/opt/mongo/bin/python", "-c", login + code).stdout.strip()


def serves(box: Box) -> bool:
    return mongosh(box, "db.adminCommand('ping').ok", *LOGIN, "--host", box.ip).stdout == "1\n"


def is_stand_in() -> bool:
    return run(BUILD, "--list", MONGO).stdout.startswith("stand-in")


def test_mongo_demands_the_password_and_keeps_data(start: Start, volume: str) -> None:
    box = start(MONGO, options=(*ROOT, "-v", f"{volume}:/data/db"))
    until(lambda: serves(box))
    assert mongosh(box, "db.adminCommand({ping: 1})", *LOGIN).stdout == "{ ok: 1 }\n"
    assert mongosh(box, "db.runCommand({listDatabases: 1}).ok").returncode == 1
    wrong = mongosh(box, "db.adminCommand('ping').ok", "-u", "root", "-p", "x", "--authenticationDatabase", "admin")
    assert wrong.returncode == 1
    assert "uthentication failed" in wrong.stderr + wrong.stdout
    if is_stand_in():
        python(box, "c.shop.things.insert_many([{'_id': i} for i in range(10)])")
        time.sleep(1)  # as with mongod, the last 100 ms or so before a kill can be lost
        box.restart_after("KILL")
        until(lambda: serves(box))
        assert python(box, "print(c.shop.things.count_documents({}))") == "10"
        assert box.logs.count("MongoDB init process complete") == 1
    assert box.exec("awk", "/^Uid/ {print $2}", "/proc/1/status").stdout == "999\n"
    box.stop()
    assert box.exit_code() == 0


def test_mongosh_for_health_checks(start: Start) -> None:
    box = start(MONGO)
    until(lambda: mongosh(box, "db.runCommand({ping:1})", "--host", box.ip).stdout == "{ ok: 1 }\n")
    assert mongosh(box, 'db.runCommand("ping").ok', "mongodb://localhost:27017/test").stdout == "1\n"
    assert mongosh(box, "", "localhost:27017/test", stdin='db.runCommand("ping").ok\n').stdout.strip().endswith("1")
    assert mongosh(box, "quit(db.runCommand({ ping: 1 }).ok ? 0 : 2)").returncode == 0
    assert mongosh(box, "db.adminCommand('ping').ok", "--port", "9").returncode == 1
    assert mongosh(box, "this is not JavaScript").returncode == 1


def test_mongo_wants_both_user_and_password(start: Start) -> None:
    box = start(MONGO, options=ROOT[:2])
    assert box.exit_code() == 1
    assert "MONGO_INITDB_ROOT_PASSWORD" in box.logs

"""Stores that live elsewhere: real servers with TLS, an ordinary role that owns its database, on both engines."""

import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import psycopg2
import pytest
from conftest import PREFIX, checked, command, free_port
from stacks import BOTH, LocalStack
from test_remote import two_machines

PROGRAMS = (sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [""])[-1]  # a PostgreSQL that was built with TLS
PASSWORD, QUOTED = "p@ss/w$rd", "p%40ss%2Fw$rd"
EVERYBODY = "hostssl all all 0.0.0.0/0 scram-sha-256\nlocal all all trust\n"

WORK = """
from lib.jobs import enqueue_each, wait
from lib.cache import connect_to_redis, get, put
from lib.twice import twice
from lib.postgres import connect_to_postgres
import numpy
con, cur = connect_to_postgres()
cur.execute("SELECT current_user, ssl, (SELECT count(*) FROM adult) FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
user, by_tls, rows = cur.fetchone()
put("array", numpy.arange(300_000.0))
assert get("array").sum() == numpy.arange(300_000.0).sum()
assert wait(enqueue_each(twice, [1, 2, 3])) == [2, 4, 6]
print(user, by_tls, rows, connect_to_redis().connection_pool.connection_kwargs["db"])
"""

# Of the same kind as tests/images/mongo, and with TLS.
MONGO = """
from pymongo import MongoClient
from secantus.server import SecantusDBServer
server = SecantusDBServer(host="127.0.0.1", port=0, storage_path="/data/db")
server.start()
MongoClient(server.uri, directConnection=True).admin.command("createUser", "ada", pwd="word", roles=["root"])
server.stop()
server = SecantusDBServer(host="0.0.0.0", port=27017, storage_path="/data/db", require_auth=True,
                          tls_cert_file="/c.pem", tls_key_file="/k.pem")
server.start()
server.wait()
"""


class Certificates:
    """Of an authority that nobody knows, for a server of these names, in a folder."""

    def __init__(self, folder, names):
        self.ca, self.key, self.certificate = (folder / name for name in ("ca.pem", "server.key", "server.pem"))
        folder.chmod(0o755)
        new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
        root = ["-x509", "-days", "2", "-subj", "/CN=a test's", "-addext", "basicConstraints=critical,CA:TRUE"]
        checked(*new, *root, "-keyout", folder / "ca.key", "-out", self.ca)
        checked(*new, "-subj", "/CN=server", "-keyout", self.key, "-out", folder / "request")
        (folder / "names").write_text("subjectAltName=" + ",".join(names))
        signs = ["-CA", self.ca, "-CAkey", folder / "ca.key", "-CAcreateserial", "-extfile", folder / "names"]
        checked("openssl", "x509", "-req", "-in", folder / "request", *signs, "-days", "2", "-out", self.certificate)
        self.key.chmod(0o644)


class Servers:
    """PostgreSQL, and with Docker Redis, each by TLS alone. host: the address at which containers reach them, too."""

    def __init__(self, folder, host):
        self.folder, self.host = folder, host
        self.certificates = Certificates(folder, ["DNS:localhost", f"IP:{host}"])
        self.port, self.redis_port, self.process = free_port(23000), free_port(24000), None
        self.redis, self.mongo, self.mongo_port = (
            f"{PREFIX}-elsewhere-redis",
            f"{PREFIX}-elsewhere-mongo",
            free_port(25000),
        )
        self.postgres_url = (
            f"postgresql://ada:{QUOTED}@{host}:{self.port}/lab?sslmode=verify-full&sslrootcert=config/ca.pem"
        )
        self.redis_url = f"rediss://:word@{host}:{self.redis_port}/3?ssl_ca_certs=config/ca.pem"

    def as_user(self, *words):
        """Root gives it up: PostgreSQL refuses root."""
        return [*(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []), *words]

    def start_postgres(self):
        data = self.folder / "data"
        data.mkdir()
        if os.geteuid() == 0:
            os.chown(data, 65534, 65534)
        how = {"cwd": data, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
        checked(
            *self.as_user(f"{PROGRAMS}/initdb", "-D", data, "-U", "admin", "-E", "UTF8", "--locale=C", "-A", "trust"),
            **how,
        )
        (data / "pg_hba.conf").write_text(EVERYBODY)
        key = data / "server.key"
        key.write_bytes(self.certificates.key.read_bytes())
        os.chown(key, data.stat().st_uid, data.stat().st_gid)
        key.chmod(0o600)
        options = {
            "listen_addresses": f"127.0.0.1,{self.host}",
            "unix_socket_directories": "/tmp",
            "ssl": "on",
            "fsync": "off",
        }
        options |= {"ssl_cert_file": self.certificates.certificate, "ssl_key_file": key, "port": self.port}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                list(map(str, self.as_user(f"{PROGRAMS}/postgres", "-D", data, *words))), stderr=log, **how
            )
        for _ in range(100):
            with contextlib.suppress(psycopg2.OperationalError):
                self.query(f"CREATE ROLE ada LOGIN PASSWORD '{PASSWORD}'", database="postgres", user="admin")
                return self.new_database()
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def new_database(self):
        for statement in ("DROP DATABASE IF EXISTS lab WITH (FORCE)", "CREATE DATABASE lab OWNER ada"):
            self.query(statement, database="postgres", user="admin")

    def start_redis(self):
        files = [f"{self.certificates.certificate}:/c.pem:ro", f"{self.certificates.key}:/k.pem:ro"]
        mounts = [word for file in files for word in ("--volume", file)]
        ports = [word for host in {"127.0.0.1", self.host} for word in ("-p", f"{host}:{self.redis_port}:6380")]
        tls = "--port 0 --tls-port 6380 --tls-cert-file /c.pem --tls-key-file /k.pem --tls-auth-clients no --requirepass word"
        command("docker", "rm", "--force", "--volumes", self.redis)
        checked("docker", "run", "-d", "--name", self.redis, *mounts, *ports, "redis:8", "redis-server", *tls.split())

    def start_mongo(self):
        """The stand-in for MongoDB, which knows TLS; the user's password is `word`."""
        files = [f"{self.certificates.certificate}:/c.pem:ro", f"{self.certificates.key}:/k.pem:ro"]
        mounts = [word for file in files for word in ("--volume", file)]
        words = ["--name", self.mongo, *mounts, "-p", f"{self.host}:{self.mongo_port}:27017", "--entrypoint"]
        command("docker", "rm", "--force", "--volumes", self.mongo)
        checked("docker", "run", "-d", *words, "/opt/mongo/bin/python", "mongo:8.0", "-c", MONGO)

    def query(self, query, database="lab", user="ada"):
        """By the socket, as someone at the server; the rows."""
        with contextlib.closing(
            psycopg2.connect(host="/tmp", port=self.port, user=user, dbname=database)
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)


@pytest.fixture(scope="module")
def servers():
    """PostgreSQL runs; start_redis() is for who needs Docker anyway."""
    if not PROGRAMS:
        pytest.skip("no PostgreSQL in /usr/lib/postgresql, which is built with TLS")
    with tempfile.TemporaryDirectory(prefix="dsproj-elsewhere-") as folder:  # pytest's own folders are for root alone
        made = Servers(Path(folder), bridge())
        try:
            made.start_postgres()
            yield made
        finally:
            made.stop()
            if shutil.which("docker"):
                command("docker", "rm", "--force", "--volumes", made.redis, made.mongo)


def bridge():
    """The address of this machine at which containers reach it; without Docker its own."""
    shown = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
    listed = command("docker", "network", "inspect", "bridge", "-f", shown) if shutil.which("docker") else None
    found = listed.stdout.split() if listed and listed.returncode == 0 else []
    return next((each for each in found if "." in each), "127.0.0.1")


def point(project, *lines):
    """Have .env name stores elsewhere, and none but these."""
    env = project.path / ".env"
    kept = [line for line in env.read_text().splitlines() if "_URL=" not in line]
    env.write_text("\n".join([*kept, *lines]) + "\n")


def test_a_store_elsewhere_on_the_local_stack(servers, tmp_path):
    """The short one, with each push: the data set goes there, psql and a backup come from there, and it outlives the stack."""
    project = LocalStack(tmp_path / "my project", f"{PREFIX}-elsewhere")
    servers.new_database()
    try:
        project.generate(stack="none")
        (project.path / "config/ca.pem").write_bytes(servers.certificates.ca.read_bytes())
        point(project, "ENGINE=local", f"POSTGRES_URL='{servers.postgres_url.replace(QUOTED, 'wrong')}'")
        said = project.refused("up")
        assert f"PostgreSQL at {servers.host}:{servers.port}, database lab: FATAL:  password authentication" in said
        assert "mend POSTGRES_URL in .env; then: make up" in said and "wrong" not in said
        assert not (project.path / ".local/run/supervisord.pid").exists()
        point(project, "ENGINE=local", f"POSTGRES_URL='{servers.postgres_url}'")
        printed = project.make("up")
        assert (
            f"elsewhere: PostgreSQL at {servers.host}:{servers.port}, database lab (TLS, sslmode=verify-full)"
            in printed
        )
        assert printed.index("elsewhere: PostgreSQL") < printed.index("rows from data/adult") < printed.index("healthy")
        assert not project.host_process_id("this_postgres") and not (project.path / ".local/postgres").exists()
        (rows,) = servers.query("SELECT count(*) FROM adult")[0]
        assert project.make("psql", "Q=SELECT count(*), current_user FROM adult").split()[4:7] == [
            str(rows),
            "|",
            "ada",
        ]
        assert "elsewhere: healthy" in project.make("ps")
        project.make("backup")
        servers.query("DELETE FROM adult WHERE _id > 10")
        backup = next((project.path / "backups").glob("*.tar"))
        assert "database lab" in project.refused("restore", f"FILE={backup}")
        project.make("restore", f"FILE={backup}", "FORCE=1")
        assert servers.query("SELECT count(*) FROM adult") == [(rows,)]
        assert "who runs that server upgrades it" in project.refused("upgrade-postgres", "TO=99")
        assert "is elsewhere, and stays as it is" in project.make("destroy", "FORCE=1")
        assert servers.query("SELECT count(*) FROM adult") == [(rows,)]
    finally:
        project.remove()


@pytest.mark.skipif(not shutil.which("docker"), reason="there is no docker program")
def test_what_compose_is_told(render):
    """No service for a store elsewhere, its address for all that use it, on a cluster's hub too; and back to what was."""
    path = render(cluster=True)
    checked(sys.executable, ".dsproj", "help", cwd=path)
    (path / "config/ca.pem").write_text("a certificate")
    service = {"extends": {"file": "docker-compose.yml", "service": "this_worker"}}
    service["command"] = ["python", "-m", "dsproj.kernel.service", "run", "lib.feed.run", "feed"]
    (path / "config/services.json").write_text(json.dumps({"services": {"feed": service}}))
    words = "POSTGRES_PASSWORD REDIS_PASSWORD MONITOR_PASSWORD JUPYTER_TOKEN".split()
    before = "".join(f"{name}=x\n" for name in words) + "NB_UID=1\nNB_GID=1\nJUPYTER_PORT=8888\nMONITOR_PORT=5000\n"
    hub = "COMPOSE_FILE=docker-compose.yml:docker/cluster/hub.yml\n"
    tell = "from dsproj.host.stores_elsewhere import tell_compose as t; from dsproj.settings import Settings; t(Settings())"
    how = {"cwd": path, "env": os.environ | {"PYTHONPATH": ".dsproj"}}
    for start in (before, before + hub):
        url = f"postgresql://ada:{QUOTED}@db.example.org/lab?sslmode=verify-full&sslrootcert=config/ca.pem"
        (path / ".env").write_text(f"{start}POSTGRES_URL='{url}'\nREDIS_URL='rediss://:a$b@[::1]:6/3'\n")
        assert "host.docker.internal" in command(sys.executable, "-c", tell, **how).printed
        (path / ".env").write_text((path / ".env").read_text().replace("[::1]:6", "redis.example.org"))
        checked(sys.executable, "-c", tell, **how)
        services = json.loads(checked("docker", "compose", "config", "--format", "json", cwd=path))["services"]
        assert services.keys() & {"this_postgres", "this_redis"} == set() and services.keys() >= {"feed", "this_dask"}
        for name in ("this_jupyter", "this_worker", "this_monitor", "this_dask", "feed"):
            found = services[name]["environment"]
            assert (found["PGHOST"], found["PGPORT"], found["PGPASSWORD"]) == (
                "db.example.org",
                "5432",
                PASSWORD.replace("$", "$$"),
            )
            assert (
                found["PGSSLROOTCERT"] == "/home/jovyan/config/ca.pem"
                and found["REDIS_URL"] == "rediss://:a$$b@redis.example.org:6379/3"
            )
        assert services["this_monitor"]["environment"]["RQ_DASHBOARD_REDIS_URL"] == found["REDIS_URL"]
        assert (path / ".local/stores.yml").stat().st_mode & 0o777 == 0o600
        (path / ".env").write_text(
            "\n".join(each for each in (path / ".env").read_text().splitlines() if "_URL=" not in each) + "\n"
        )
        checked(sys.executable, "-c", tell, **how)
        assert (path / ".env").read_text() == start and not (path / ".local/stores.yml").exists()


@pytest.mark.long
@pytest.mark.parametrize("kind", BOTH)
def test_both_stores_elsewhere_there_and_back(servers, kind, tmp_path, engine):
    """From a stack with its own stores to others, with a backup, and back again: each has what it had."""
    servers.new_database()
    servers.start_redis()
    project = kind(tmp_path / "project", f"{PREFIX}-both-{kind.kind}")
    project.remove()
    try:
        project.generate()
        lib = project.path / "lib"
        (lib / "twice.py").write_text("def twice(n):\n    return 2 * n\n")
        (lib / "feed.py").write_text("import time\n\n\ndef run():\n    while True:\n        time.sleep(1)\n")
        project.python("from lib.cache import put; put('mine', 1)")
        project.sql("CREATE TABLE mine AS SELECT 1 AS n")
        project.make("backup")
        (backup,) = (project.path / "backups").glob("*.tar")
        (project.path / "config/ca.pem").write_bytes(servers.certificates.ca.read_bytes())
        point(project, f"POSTGRES_URL='{servers.postgres_url}'", f"REDIS_URL={servers.redis_url}")
        project.make("up")
        rows = servers.query("SELECT count(*) FROM adult")[0][0]
        assert not project.host_process_id("this_postgres") and not project.host_process_id("this_redis")
        assert project.python(WORK).split() == ["ada", "True", str(rows), "3"]
        assert project.make("ps").count("elsewhere: healthy") == 2
        assert project.notebooks(first=8) == 8
        project.make("service", "NAME=feed", "FUNCTION=lib.feed.run")
        project.make("service", "DROP=feed")
        project.make("seed", "TABLE=adult", "FORCE=1")
        printed = project.make("restore", f"FILE={backup}", "FORCE=1")
        assert "Redis at" in printed and "left out" in printed and servers.query("SELECT n FROM mine") == [(1,)]
        if kind.kind == "docker":
            project.compose("up", "--detach")
            secrets = [PASSWORD, QUOTED]
            held = [path for path in (project.path / ".local").rglob("*") if path.is_file()]
            holding = [path for path in held if any(word in path.read_text() for word in secrets)]
            assert all(path.stat().st_mode & 0o077 == 0 for path in holding) and "_URL" not in project.git("status")
        assert servers.query("SELECT count(*) > 0 FROM dsproj_models") == [(True,)]
        point(project)
        project.make("up")
        assert (
            project.sql("SELECT n FROM mine") == "1"
            and project.python("from lib.cache import get; print(get('mine'))") == "1\n"
        )
        assert project.sql("SELECT to_regclass('dsproj_models') IS NULL") == "t"
        point(project, f"POSTGRES_URL='{servers.postgres_url}'", f"REDIS_URL={servers.redis_url}")
        project.make("up")
        assert project.make("destroy", "FORCE=1").count("stays as it is") == 2
        assert servers.query("SELECT count(*) FROM adult") == [(rows,)]
        if kind.kind == "docker":
            assert not checked("docker", "volume", "ls", "-q", "-f", f"label=com.docker.compose.project={project.slug}")
    finally:
        project.remove()


@pytest.mark.long
def test_what_is_wrong_is_said_at_once(servers, tmp_path, engine):
    """A line or two that name the server, within seconds, before anything is changed; and no password in them."""
    servers.new_database()
    servers.start_redis()
    project = LocalStack(tmp_path / "project", f"{PREFIX}-wrong")
    try:
        project.generate(stack="none")
        (project.path / "config/ca.pem").write_bytes(servers.certificates.ca.read_bytes())
        good, redis, host = servers.postgres_url, servers.redis_url, servers.host
        point(project, "ENGINE=local", f"POSTGRES_URL='{good}'")
        project.make("up")
        for line, said in {
            f"POSTGRES_URL='{good.replace('/lab', '/none')}'": 'database "none" does not exist',
            f"POSTGRES_URL='{good.partition('&')[0]}&sslrootcert=system'": "certificate verify failed",
            f"POSTGRES_URL='{good.replace(str(servers.port), '9')}'": "is it up, and may this machine reach it?",
            f"POSTGRES_URL='{good.replace(host, 'db.invalid')}'": "could not translate host name",
            f"POSTGRES_URL='{good.replace('verify-full', 'disable')}'": "no encryption",
            f"POSTGRES_URL={QUOTED}": "POSTGRES_URL is no address such as",
            f"POSTGRES_URL='{good.replace('/lab', '')}'": "names no user or no database",
            f"POSTGRES_URL='{good.replace('ca.pem', 'other.pem')}'": "names config/other.pem, which is no file",
            f"POSTGRES_URL='{good}&colour=red'": "has colour; known are",
            f"REDIS_URL={redis.replace('word', 'other')}": "invalid username-password pair",
            f"REDIS_URL={redis.partition('?')[0]}": "by ssl_ca_certs=config/ca.pem",
            f"REDIS_URL={redis.replace('rediss', 'redis')}": "with ssl_… it begins with rediss:",
            f"REDIS_URL={redis.replace('rediss', 'redis').partition('?')[0]}": "does not answer",
            f"REDIS_URL={redis}&colour=red": "colour",
            f"REDIS_URL={redis.replace('/3', '/mine')}": "the number of a database",
        }.items():
            point(project, "ENGINE=local", line)
            begun = time.monotonic()
            printed = project.refused("up")
            assert said in printed and len(printed.splitlines()) <= 3, (line, printed)
            assert time.monotonic() - begun < 20 and PASSWORD not in printed and QUOTED not in printed
        for name, url in {"POSTGRES": good, "REDIS": redis}.items():
            point(project, "ENGINE=docker", f"{name}_URL='{url.replace(host, 'localhost')}'")
            assert "host.docker.internal" in project.refused("up")
        point(project, "ENGINE=local", f"POSTGRES_URL='{good.replace(QUOTED, 'x')}'")
        for words in (["seed"], ["backup"], ["dataset", "DROP=adult", "FORCE=1"]):
            assert "password authentication failed" in project.refused(*words)
        assert servers.query("SELECT count(*) > 0 FROM adult") == [(True,)]
    finally:
        project.remove()


@pytest.mark.long
@pytest.mark.parametrize("kind", BOTH)
def test_documents_elsewhere(servers, kind, tmp_path, engine):
    """In the database that the URL names, by TLS; a backup leaves them out, and the store here keeps its own."""
    servers.start_mongo()
    project = kind(tmp_path / "project", f"{PREFIX}-documents-{kind.kind}")
    project.remove()
    look = "from lib.mongo import collection as c; print(c('field_notes').database.name, c('field_notes').count_documents({}))"
    where = f"{servers.host}:{servers.mongo_port}"
    url = f"mongodb://ada:word@{where}/lab?authSource=admin&tls=true&tlsCAFile=config/ca.pem&directConnection=true"
    try:
        project.generate(mongo="true", dataset="none")
        here = project.python(look).split()
        (project.path / "config/ca.pem").write_bytes(servers.certificates.ca.read_bytes())
        for broken, said in {
            url.replace("word", "other"): "uthentication failed",
            url.replace("&tlsCAFile=config/ca.pem", ""): "by tlsCAFile=config/ca.pem after the ?",
            url.replace(str(servers.mongo_port), "9"): "is it up, and may this machine reach it?",
        }.items():
            point(project, f"MONGO_URL='{broken}'")
            printed = project.refused("up")
            assert said in printed and f"MongoDB at {servers.host}" in printed and "mend MONGO_URL" in printed
        point(project, f"MONGO_URL='{url}'")
        assert f"elsewhere: MongoDB at {where}, database lab (TLS)" in project.make("up")
        assert not project.host_process_id("this_mongo")
        assert project.python(look).split() == ["lab", here[1]]
        assert "elsewhere: healthy" in project.make("ps")
        (project.path / "more.json").write_text('[{"a": 1}, {"a": 2}]')
        printed = command("make", "dataset", "SOURCE=more.json", "TO=mongo", cwd=project.path).printed
        assert f"elsewhere      MongoDB at {where}, database lab (TLS)" in printed
        assert project.python("from lib.mongo import collection as c; print(c('more').count_documents({}))") == "2\n"
        assert f"MongoDB at {where}, database lab is elsewhere, and left out" in project.make("backup")
        point(project)
        project.make("up")
        assert project.python(look).split() == here
    finally:
        project.remove()


@pytest.mark.long
def test_a_store_elsewhere_stays_when_the_project_goes(servers, tmp_path_factory, engine):
    """To a larger machine and back: neither saved nor restored there, and nothing of it is dropped; the other stores move."""
    servers.new_database()
    with two_machines(tmp_path_factory.mktemp("r")) as (here, there):
        if here.other.space:  # a way from there to the server
            (line,) = [each for each in checked("ip", "addr", "show", here.other.link).splitlines() if "inet " in each]
            gateway = line.split()[1].partition("/")[0]
            checked("ip", "-n", here.other.space, "route", "add", servers.host, "via", gateway)
        (here.path / "config/ca.pem").write_bytes(servers.certificates.ca.read_bytes())
        point(here, f"POSTGRES_URL='{servers.postgres_url}'")
        here.make("up")
        here.python("from lib.cache import put; put('mine', 1)")
        rows = servers.query("SELECT count(*) FROM adult")
        assert "is elsewhere, and left out" in here.make("remote", "HOST=large", "DIR=~/pro ject")
        assert there.sql("SELECT current_database()") == "lab"
        assert there.python("from lib.cache import get; print(get('mine'))") == "1\n"
        servers.query("SET ROLE ada; CREATE TABLE made_there AS SELECT 7 AS n; DELETE FROM adult WHERE _id = 1")
        here.make("remote-down")
        assert servers.query("SELECT n FROM made_there") == [(7,)]
        assert servers.query("SELECT count(*) + 1 FROM adult") == rows
        assert here.python("from lib.cache import get; print(get('mine'))") == "1\n"
        for path in (here.path / "backups").glob("*.tar"):
            with tarfile.open(path) as archive:
                assert not any(name.startswith("postgres") for name in archive.getnames())

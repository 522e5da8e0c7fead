"""Does a service do its work? Each check asks it a real question and returns None or what is wrong."""

import base64
import socket
import subprocess
import urllib.error
import urllib.request
from datetime import UTC, datetime

from env import PROJECT
from paths import PYTHON
from settings import store_environment

SEED = PROJECT / "docker" / "postgres" / "seed.sh"
MONGO_PING = """
import os, pymongo
pymongo.MongoClient(os.environ["MONGO_URL"], serverSelectionTimeoutMS=3000).admin.command("ping")
"""
WORKER_TTL = 60  # a worker's heartbeat is due before this many seconds are over


class Redis:
    """As much of Redis' protocol as a health check needs: with redis.Redis(…) as ask: ask("PING")."""

    def __init__(self, port, password, timeout=2):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout)
        self.replies = self.connection.makefile("rb")
        self("AUTH", password)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.replies.close()
        self.connection.close()

    def __call__(self, *words):
        encoded = [word.encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)]
        self.connection.sendall(b"".join(parts))
        return self.reply()

    def reply(self):
        line = self.replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection was closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ConnectionError(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else self.replies.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest.decode()


def this_redis(settings, process):
    try:
        with Redis(settings.port("REDIS_PORT"), settings["REDIS_PASSWORD"]) as ask:
            return None if ask("PING") == "PONG" else "does not answer PING"
    except OSError as error:
        return f"does not answer: {error}"


def postgres_answers(settings):
    """None, or what is wrong with the server, whatever its tables hold."""
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--command=SELECT 1"]
    done = run(command, settings)
    return None if done.returncode == 0 else lines(done.stderr)[0]


def this_postgres(settings, process):
    done = run(["bash", str(SEED), "check"], settings)
    return None if done.returncode == 0 else lines(done.stderr)[-1]


def this_worker(settings, process):
    """Registered in Redis, and its last heartbeat is young."""
    try:
        with Redis(settings.port("REDIS_PORT"), settings["REDIS_PASSWORD"]) as ask:
            for key in ask("SMEMBERS", "rq:workers"):
                pid, beat = ask("HMGET", key, "pid", "last_heartbeat")
                if process and pid == str(process["pid"]):
                    age = datetime.now(UTC) - datetime.fromisoformat(beat)
                    silent = age.total_seconds() > WORKER_TTL + 15
                    return f"silent for {age.total_seconds():.0f} s" if silent else None
    except (OSError, ValueError, TypeError) as error:
        return f"cannot ask Redis: {error}"
    return "not registered yet"


def this_monitor(settings, process):
    """The list of queues comes from Redis, so this fails too when the dashboard has lost its Redis."""
    login = base64.b64encode(f"dsproj:{settings['MONITOR_PASSWORD']}".encode()).decode()
    address = f"http://127.0.0.1:{settings.port('MONITOR_PORT')}/0/data/queues.json"
    return fetch(address, {"Authorization": f"Basic {login}"})


def this_jupyter(settings, process):
    address = f"http://127.0.0.1:{settings.port('JUPYTER_PORT')}/api/status"
    return fetch(address, {"Authorization": f"token {settings['JUPYTER_TOKEN']}"})


def this_mongo(settings, process):
    """A ping with the password, by pymongo in a process of its own: this module has the standard library alone."""
    done = run([str(PYTHON), "-c", MONGO_PING], settings)
    return None if done.returncode == 0 else f"does not answer: {lines(done.stderr)[-1][:100]}"


SERVICES = (this_postgres, this_redis, this_mongo, this_worker, this_monitor, this_jupyter)
CHECKS = {service.__name__: service for service in SERVICES}


def check(name, settings, process):
    """None for a healthy service, else what is wrong. `process` is what supervisord knows of it, or None."""
    if process is None:
        return "stopped"
    if process["statename"] in ("FATAL", "BACKOFF", "EXITED"):
        return "ends at once; see its log"
    service = "this_worker" if name.startswith("this_worker") else name
    return CHECKS[service](settings, process)


def run(command, settings):
    environment = store_environment(settings) | {"PGCONNECT_TIMEOUT": "3", "DATA_DIR": str(PROJECT / "data")}
    options = {"cwd": PROJECT, "env": environment, "stdin": subprocess.DEVNULL}
    return subprocess.run(command, capture_output=True, text=True, **options)


def lines(text):
    return text.strip().splitlines() or ["does not answer"]


def fetch(address, headers):
    """None when a page of this machine comes with status 200; never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(address, headers=headers), timeout=3) as reply:
            reply.read()
    except urllib.error.HTTPError as error:
        foreign = ": another program may have its port" if error.code in (401, 403, 404) else ""
        return f"answers {error.code}{foreign}"
    except OSError as error:
        return f"does not answer: {getattr(error, 'reason', error)}"
    return None

"""Does a service do its work? Each check asks it a real question, and returns None or what is wrong in a few words."""

# One place for both engines: the local stack calls the functions, Compose's health checks the command
#
#     python3 -m dsproj.kernel.health jupyter | worker | monitor | service NAME
#
# which exits with 0, or with 1 and the reason. It runs several times a minute in each container: what a check does not need is
# not imported.

import base64
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

OVERDUE = 75  # seconds; a worker's heartbeat is due every 15 s
STEADY = 2  # seconds after which a function that is a service counts as one that runs
STARTING = "starting"


def postgres(dsn: str = "", timeout: int = 3) -> str | None:
    """Does the server answer, whatever its tables hold? `dsn` as libpq takes it, "" is what PGHOST … say."""
    import psycopg2

    from dsproj.elsewhere import libpq_reason

    try:
        with closing(psycopg2.connect(dsn, connect_timeout=timeout)) as connection:
            connection.cursor().execute("SELECT 1")
    except psycopg2.Error as error:
        return libpq_reason(str(error))
    return None


def redis(url: str, timeout: float = 2) -> str | None:
    """Does the server answer PING, with this password?"""
    import redis as library

    try:
        with library.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout) as client:
            return None if client.ping() else "does not answer PING"
    except (library.RedisError, OSError) as error:
        return f"does not answer: {error}"


def mongo(url: str, timeout: float = 3) -> str | None:
    """Does the server answer a ping, with this password? Without one it would also while it is being set up."""
    import pymongo

    try:
        with pymongo.MongoClient(url, serverSelectionTimeoutMS=int(timeout * 1000)) as client:
            client.admin.command("ping")
    except pymongo.errors.PyMongoError as error:
        return f"does not answer: {str(error).partition(', Timeout:')[0][:100]}"
    return None


def worker(redis_url: str, *, hostname: str | None = None, pid: int | str | None = None) -> str | None:
    """Is the worker of this host (a container has one) or of this process id registered, and its heartbeat young?"""
    import redis as library

    field, wanted = ("hostname", hostname) if pid is None else ("pid", pid)
    ages = []
    try:
        options: dict[str, Any] = {"socket_timeout": 4, "socket_connect_timeout": 4, "decode_responses": True}
        with library.Redis.from_url(redis_url, **options) as client:
            for key in client.smembers("rq:workers"):
                found, beat = client.hmget(key, field, "last_heartbeat")
                if found == str(wanted) and beat:
                    ages.append((datetime.now(UTC) - datetime.fromisoformat(beat)).total_seconds())
    except (library.RedisError, OSError, ValueError, TypeError) as error:
        return f"cannot ask Redis: {error}"
    if not ages:
        return "not registered in Redis"
    return f"silent for {min(ages):.0f} s" if min(ages) > OVERDUE else None


def monitor(address: str, password: str) -> str | None:
    """The list of queues comes from Redis, so this fails too when the dashboard has lost its Redis."""
    login = base64.b64encode(f"dsproj:{password}".encode()).decode()
    return _page(f"{address}/0/data/queues.json", f"Basic {login}")


def jupyter(address: str, token: str) -> str | None:
    """Does it answer those who have the token?"""
    return _page(f"{address}/api/status", f"token {token}")


def noted(name: str, folder: str = "") -> Path:
    """Where a service of the user's own notes how it is; the local stack names the folder, a container has its own."""
    return Path(folder or os.environ.get("DSPROJ_SERVICES", "/tmp")) / f"{name}.json"


def service(name: str, folder: str = "") -> str | None:
    """Does the function run that is this service, see service.py?"""
    try:
        state = json.loads(noted(name, folder).read_text(encoding="utf-8"))
    except OSError:
        return STARTING
    if state["ended"]:
        return f"ended {state['ended']}"
    return None if time.time() - state["since"] > STEADY else STARTING


def beat(name: str, folder: str = "") -> str | None:
    """Has a process of Dask noted within 30 s that it works? Its port is not asked: TLS would log each try."""
    try:
        age = time.time() - noted(name, folder).stat().st_mtime
    except OSError:
        return STARTING
    return f"silent for {age:.0f} s" if age > 30 else None


def _page(address: str, authorization: str) -> str | None:
    """None when a page of this machine comes with status 200; never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(address, headers={"Authorization": authorization})
    try:
        with opener.open(request, timeout=3) as reply:
            reply.read()
    except urllib.error.HTTPError as error:
        foreign = ": another program may have its port" if error.code in (401, 403, 404) else ""
        return f"answers {error.code}{foreign}"
    except OSError as error:
        return f"does not answer: {getattr(error, 'reason', error)}"
    return None


def container(name: str, *of: str) -> str | None:
    """The check of a container, as docker-compose.yml sets it up."""
    if name == "jupyter":
        return jupyter("http://127.0.0.1:8888", os.environ["JUPYTER_TOKEN"])
    if name == "monitor":
        return monitor("http://127.0.0.1:9181", os.environ["RQ_DASHBOARD_PASSWORD"])
    if name in ("this_scheduler", "this_dask"):
        return beat(name)
    if name == "service":
        return service(*of)
    return worker(os.environ["REDIS_URL"], hostname=socket.gethostname())


if __name__ == "__main__" and (wrong := container(*sys.argv[1:])):
    sys.exit(f"unhealthy: {wrong}")

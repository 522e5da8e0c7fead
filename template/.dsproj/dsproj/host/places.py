"""Where the local stack keeps things, in .local/, and what its processes are called."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Collection

from dsproj.errors import Problem
from dsproj.files import private_folder
from dsproj.host import services as own
from dsproj.host.engine import OF_DASK, SERVICES, memory_variable, present
from dsproj.settings import PROJECT, Settings, start_command

STATE = PROJECT / ".local"
VENV = STATE / "venv"
PYTHON = VENV / "bin" / "python"
STAMP = STATE / "installed"  # what VENV was made from
TOOLS = STATE / "tools"  # uv, where the machine has none
RUN = STATE / "run"  # control socket, pid files, server configuration
LOGS = STATE / "logs"
POSTGRES, REDIS, MONGO, JUPYTER = (STATE / name for name in ("postgres", "redis", "mongo", "jupyter"))

MARKER = "DSPROJ_STACK"  # the variable that every process of the stack carries; its value is marker()
PORTS = {
    "this_postgres": "PGPORT",
    "this_redis": "REDIS_PORT",
    "this_mongo": "MONGO_PORT",
    "this_monitor": "MONITOR_PORT",
    "this_jupyter": "JUPYTER_PORT",
    "this_scheduler": "SCHEDULER_PORT",
}
# How much memory a service may have where .env does not say it; docker-compose.yml has the same.
MEMORY = {"this_jupyter": "4g", "this_redis": "1g", "this_monitor": "512m", "this_scheduler": "1g", "this_dask": "1g"}


def memory(settings: Settings, service: str) -> int:
    """How many bytes a service, on the local stack each process of it, may have."""
    return settings.memory(memory_variable(service), MEMORY.get(service, "2g"))


def data_limit(settings: Settings, service: str) -> tuple[int, int]:
    """RLIMIT_DATA for each process of a service: (its limit, what the system lets it raise that to)."""
    import resource  # which Windows has not

    wanted, (_, most) = memory(settings, service), resource.getrlimit(resource.RLIMIT_DATA)
    return (wanted if most == resource.RLIM_INFINITY else min(wanted, most)), most


def check_folder() -> None:
    """Problem where the project's path cannot stand in PATH, nor in a mount of Compose."""
    if found := next((folder for folder in (PROJECT, *PROJECT.parents) if ":" in folder.name), None):
        new = found.with_name(found.name.replace(":", "-"))
        words = [shlex.quote(str(path)) for path in (found, new, new / PROJECT.relative_to(found))]
        raise Problem(f"a ':' in a folder's name: {PROJECT}", "mv {} {} && cd {} && make up".format(*words))


def again() -> str:
    """The command that starts the local stack: with ENGINE only where .env names another engine."""
    return start_command("local")


def marker() -> str:
    """What tells this stack's processes from those of a copy of the project: the identity of the folder itself."""
    # Unlike its path, it stays the same when the project is moved or renamed while servers run.
    found = STATE.stat()
    return f"{found.st_dev}:{found.st_ino}"


def make_folders() -> None:
    """Make what is missing, readable for the owner alone. PermissionError where the folder is someone else's."""
    for folder in (STATE, RUN, LOGS, REDIS, JUPYTER):
        if private_folder(folder).stat().st_mode & 0o066:  # to pass is harmless, and drop_root.py may need it
            folder.chmod(0o700)


def process_names(settings: Settings, service: str = "") -> list[str]:
    """The processes of a service, of all for "": as many workers as .env says. Problem for a service that is none."""
    services = present(settings) + list(own.known())
    workers = [f"this_worker_{number}" for number in range(1, settings.workers + 1)]
    if service in workers:
        return [service]
    if service and service not in services:
        raise Problem(f"There is no service {service}; there are: {' '.join(services)}")
    wanted = [service] if service else services
    return [name for each in wanted for name in (workers if each == "this_worker" else [each])]


def listed(settings: Settings, running: Collection[str] = ()) -> list[str]:
    """What a list of states has: the processes of .env, what runs beyond that, this_worker where there is none."""
    names = {*process_names(settings), *running}
    if not any(name.startswith("this_worker") for name in names):
        names.add("this_worker")
    order = {name: number for number, name in enumerate(SERVICES + OF_DASK)}
    return sorted(names, key=lambda name: (order.get(service_of(name), len(order)), len(name), name))


def service_of(process: str) -> str:
    """The service that a process belongs to: this_worker for this_worker_1."""
    return re.sub(r"^(this_worker)_\d+$", r"\1", process)


def ports(settings: Settings) -> dict[str, int]:
    """The port of each variable that the project uses. Problem where .env gives no port, or one port twice."""
    mine = [name for service, name in PORTS.items() if service in present(settings)]
    found = {name: settings.port(name) for name in mine}
    for twin, name in itertools.combinations(mine, 2):
        if found[name] == found[twin]:
            raise Problem(f".env: {name} and {twin} are both {found[name]}; give one of them another port", again())
    return found

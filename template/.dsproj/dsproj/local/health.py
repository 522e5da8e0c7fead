"""Does a process of the stack do its work? dsproj.kernel.health decides, here it is told where each server is."""

from typing import Any

from dsproj.database import health as data
from dsproj.host.places import RUN, service_of
from dsproj.kernel import health
from dsproj.settings import Settings, addresses

Process = dict[str, Any]  # what supervisord says of one
STEADY = 30  # seconds


def is_alive(process: Process | None) -> bool:
    return process is not None and process["statename"] in ("STARTING", "RUNNING")


def is_steady(process: Process | None) -> bool:
    """Has it run for so long that it must have its port? A server that finds that taken ends at once, and is tried again."""
    return process is not None and process["statename"] == "RUNNING" and process["now"] - process["start"] > STEADY


def wrong(name: str, settings: Settings, process: Process | None, empty: bool = False) -> str | None:
    """What is wrong with a process, "stopped" where it does not run, or None. The PG* variables are this stack's.

    this_postgres needs every data set loaded, as its container does; with `empty`, an answer of it will do.
    """
    if process is None:
        return "stopped"
    if process["statename"] in ("FATAL", "BACKOFF", "EXITED"):
        return "ends at once; see its log"
    server, here = addresses(settings), "http://127.0.0.1"
    match service_of(name):
        case "this_postgres":
            return health.postgres() if empty else data.wrong() or None
        case "this_redis":
            return health.redis(server["REDIS_URL"])
        case "this_mongo":
            return health.mongo(server["MONGO_URL"])
        case "this_worker":
            return health.worker(server["REDIS_URL"], pid=process["pid"])
        case "this_monitor":
            return health.monitor(f"{here}:{settings.port('MONITOR_PORT')}", settings["MONITOR_PASSWORD"])
        case "this_jupyter":
            return health.jupyter(f"{here}:{settings.port('JUPYTER_PORT')}", settings["JUPYTER_TOKEN"])
        case "this_scheduler" | "this_dask" as dask:
            return health.beat(dask, str(RUN))
        case own:
            return health.service(own, str(RUN))

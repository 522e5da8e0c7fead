"""What the host does about stores elsewhere (elsewhere.py): says which they are, asks how they are, and tells Compose."""

from __future__ import annotations

import json
from typing import Any

from dsproj import elsewhere
from dsproj.files import private_folder, replace_text
from dsproj.host import docker_program
from dsproj.host import services as own
from dsproj.host.engine import OF_DASK, Engine, told
from dsproj.report import Report
from dsproj.settings import PROJECT, Settings

MODULE = "dsproj.kernel.servers"
OVERRIDE = ".local/stores.yml"  # after docker-compose.yml, where there is a store elsewhere; it holds passwords
USERS = ("this_jupyter", "this_worker", "this_monitor", *OF_DASK)
HOME, IN_POSTGRES = "/home/jovyan", "/project"  # where the project is in a container


def lines(settings: Settings) -> list[str]:
    """A line for each store elsewhere: whom a command speaks to."""
    return [f"{'elsewhere':<14} {store} ({store.encryption})" for store in elsewhere.stores(settings).values()]


def ask(engine: Engine, report: Report) -> dict[str, str]:
    """{service: what is wrong with it, "" for nothing}, as seen from where kernels run, also where nothing runs yet."""
    return told(engine.once("python3", "-m", MODULE), engine.variables("this_jupyter"), report)


def refuse_unreachable(engine: Engine, report: Report) -> None:
    """Problem where one does not take us; before anything is changed."""
    if found := engine.elsewhere:
        report.doing("asking " + ", ".join(map(str, found.values())))
        for service, reason in ask(engine, report).items():
            if reason:
                raise elsewhere.refusal(service, str(found[service]), reason)
            report.done(service, f"elsewhere: {found[service]} ({found[service].encryption})")


def states(engine: Engine) -> list[str]:
    """A line for each, with its state, which is known where JupyterLab runs."""
    found, health = engine.elsewhere, dict[str, str]()
    if found and any(state.service == "this_jupyter" and state.running for state in engine.states()):
        health = engine.call("this_jupyter", MODULE)
    said = {service: f"unreachable: {health[service]}" if health[service] else "healthy" for service in health}
    return [f"{service:<16}elsewhere: {said.get(service, '')}  {store}" for service, store in found.items()]


def tell_compose(settings: Settings) -> None:
    """Have Compose, also when a person types it, give what runs here the addresses, and leave out the services."""
    elsewhere.check(settings, PROJECT)
    found = elsewhere.stores(settings)
    if found:
        private_folder(PROJECT / ".local")
        text = json.dumps(_override(settings, found), indent=1).replace("$", "$$")
        replace_text(PROJECT / OVERRIDE, text + "\n", mode=0o600)
    docker_program.compose_file(OVERRIDE, bool(found))
    if not found:
        (PROJECT / OVERRIDE).unlink(missing_ok=True)


def _override(settings: Settings, found: dict[str, elsewhere.Store]) -> dict[str, Any]:
    """JSON, which is YAML, too."""
    variables = elsewhere.variables(settings, HOME)
    host = ["host.docker.internal:host-gateway"]
    late = {service: {"condition": "service_healthy", "required": False} for service in found}
    monitor = {"RQ_DASHBOARD_REDIS_URL": variables["REDIS_URL"]} if "this_redis" in found else {}
    services: dict[str, Any] = {service: {"profiles": ["here"]} for service in found}
    if store := found.get("this_postgres"):
        # Its programs, such as psql and the seed, run in a container of their own, for as long as each takes.
        files = [store.options[name] for name in elsewhere.FILES if name in store.options]
        mounts = [f"./{file}:{IN_POSTGRES}/{file}:ro" for file in files if file != "system"]
        client = {"environment": elsewhere.variables(settings, IN_POSTGRES), "volumes": mounts, "extra_hosts": host}
        services["this_postgres"].update(client)
    for name in [*(name for name in USERS if name not in OF_DASK or settings.cluster), *own.known()]:
        more = monitor if name == "this_monitor" else {}
        services[name] = {"environment": {**variables, **more}, "depends_on": late, "extra_hosts": host}
    return {"services": services}

"""Where the servers are: what the environment says; in an editor or a script outside the stack, the project's .env."""

import os
import re

from dsproj import elsewhere
from dsproj.errors import Problem
from dsproj.settings import PROJECT, Settings, addresses

LOGS = "`make logs` shows what ails it"


class Unavailable(Problem, ConnectionError):
    """No usable server where one should be; the message says what to do."""


def postgres() -> dict[str, str]:
    """How psycopg2.connect is called: {} where PGHOST is set, which libpq reads itself. Unavailable where nothing is."""
    if os.environ.get("PGHOST"):
        return {}
    found = _of_env_file("PGHOST")
    database = os.environ.get("PGDATABASE") or found["PGDATABASE"]  # of the others none counts without a PGHOST
    known = elsewhere.OF_SERVER | elsewhere.OF_QUERY
    return {name: found[variable] for name, variable in known.items() if variable in found} | {"dbname": database}


def url(name: str) -> str:
    """REDIS_URL or MONGO_URL, its password included. Raises Unavailable where nothing says it."""
    if said := os.environ.get(name):
        return said
    try:
        return _of_env_file(name)[name]
    except KeyError:
        raise Unavailable(f"{name} is not set, and this project has no such server", "make up") from None


def without_password(url: str) -> str:
    """The host and port in an address, for messages."""
    return re.split("[/?]", url.partition("://")[2].rpartition("@")[2])[0]


def gone(service: str, what: str) -> Unavailable:
    """The error where a server does not answer."""
    if service in elsewhere.names():
        cure = f"is that server up, and may this machine reach it? It is {elsewhere.VARIABLES[service]} in .env"
        return Unavailable(what, cure)
    return Unavailable(f"{what}; {LOGS}", "make up")


def refused(service: str) -> str:
    """What to do where a server does not know our password."""
    if service in elsewhere.names():
        return f"mend {elsewhere.VARIABLES[service]} in .env, then: make up, and restart the kernel"
    return "make up, which gives it the password of .env, then restart the kernel"


def _of_env_file(name: str) -> dict[str, str]:
    """The local stack's addresses; with Docker Compose there are none outside of it."""
    settings = Settings()
    if not settings:
        raise Unavailable(f"{name} is not set, and there is no {PROJECT / '.env'}", "make up")
    if settings.engine == "docker":
        if name in (found := elsewhere.variables(settings, str(PROJECT))):
            return found
        why = "Docker Compose publishes no ports of data stores, so this runs inside the stack alone"
        cure = "run it in a notebook or in JupyterLab's terminal, or: make shell"
        raise Unavailable(f"{name} is not set: {why}", f"{cure}; with ENGINE=local in .env also out here")
    return addresses(settings)

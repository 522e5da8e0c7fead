"""Stores that live elsewhere: what POSTGRES_URL, REDIS_URL and MONGO_URL of .env say is decided here and nowhere else.

A store whose URL is there has no service here. Code finds it by the same variables as a store that is here.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from dsproj.errors import Problem

if TYPE_CHECKING:
    from dsproj.settings import Settings

VARIABLES = {"this_postgres": "POSTGRES_URL", "this_redis": "REDIS_URL", "this_mongo": "MONGO_URL"}
TITLES = {"this_postgres": "PostgreSQL", "this_redis": "Redis", "this_mongo": "MongoDB"}
SCHEMES = {
    "this_postgres": {"postgresql": ":5432", "postgres": ":5432"},
    "this_redis": {"rediss": ":6379", "redis": ":6379"},
    "this_mongo": {"mongodb": ":27017", "mongodb+srv": ""},
}
URL = re.compile(r"([a-z+]+)://(?:([^/?#]*)@)?([^/?#@]+)(?:/([^?#]*))?(?:\?([^#]*))?")
# libpq's parameters, by the variables in which it reads them itself.
OF_SERVER = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
OF_QUERY = {name: f"PG{name.upper()}" for name in "sslmode sslrootcert sslcert sslkey sslcrl sslsni options".split()}
OF_QUERY |= {"application_name": "PGAPPNAME", "connect_timeout": "PGCONNECT_TIMEOUT", "gssencmode": "PGGSSENCMODE"}
OF_QUERY |= {"channel_binding": "PGCHANNELBINDING", "target_session_attrs": "PGTARGETSESSIONATTRS"}
# Which parameters of a URL name files.
FILES = "sslrootcert sslcert sslkey sslcrl ssl_ca_certs ssl_certfile ssl_keyfile tlsCAFile".split()
LOOPBACK = re.compile(r"(localhost|127\.[\d.]+|\[::1\])(:\d+)?")
SAID = "DSPROJ_ELSEWHERE"  # tells what runs here which stores are elsewhere: JSON, {service: its name for people}


@dataclasses.dataclass
class Store:
    """One of them. login: as it stands in the URL; hosts: with their ports; name: of the database."""

    service: str
    scheme: str
    login: str
    hosts: list[str]
    name: str
    options: dict[str, str]

    def __str__(self) -> str:
        """For people, so without the password."""
        database = f", database {self.name}" if self.name else ""
        return f"{TITLES[self.service]} at {','.join(self.hosts)}{database}"

    @property
    def encryption(self) -> str:
        """How the connection to it is kept from others, in a few words."""
        if self.service == "this_postgres":
            mode = self.options["sslmode"]
            return f"TLS, sslmode={mode}" if mode in ("require", "verify-ca", "verify-full") else "not encrypted"
        asked = self.options.get("tls", self.options.get("ssl", f"{self.scheme == 'mongodb+srv'}")).lower() == "true"
        return "TLS" if asked or self.scheme == "rediss" else "not encrypted"

    def variables(self, root: str) -> dict[str, str]:
        """The standard names, for code for which the project is in `root`."""
        options = {name: os.path.join(root, value) if name in FILES else value for name, value in self.options.items()}
        options |= {name: value for name, value in self.options.items() if value == "system"}  # no file: the system's
        if self.service == "this_postgres":
            user, _, password = map(unquote, self.login.partition(":"))
            hosts, ports = zip(*(each.rsplit(":", 1) for each in self.hosts))
            server = (",".join(hosts).replace("[", "").replace("]", ""), ",".join(ports), user, password, self.name)
            return {**dict(zip(OF_SERVER.values(), server)), **{OF_QUERY[name]: options[name] for name in options}}
        query = "&".join(f"{name}={quote(value, '/:,+')}" for name, value in options.items())
        login = f"{self.login}@" if self.login else ""
        url = f"{self.scheme}://{login}{','.join(self.hosts)}/{self.name}{'?' if query else ''}{query}"
        return {VARIABLES[self.service]: url}


def stores(settings: Settings) -> dict[str, Store]:
    """{service: what .env says of it}. Problem, which holds no password, where that is no URL of such a server."""
    known = {service: settings.get(name, "").strip() for service, name in VARIABLES.items()}
    if not known["this_mongo"] or not settings.mongo:
        del known["this_mongo"]
    return {service: _parsed(service, url) for service, url in known.items() if url}


def _parsed(service: str, url: str) -> Store:
    found, ports, variable = URL.fullmatch(url), SCHEMES[service], VARIABLES[service]
    if not found or found[1] not in ports:
        how = "what is special in a password is written as %XX"
        raise _wrong(variable, f"is no address such as {'|'.join(ports)}://user:password@host:port/database ({how})")
    scheme, login, named, name, query = found.groups(default="")
    hosts = [each if re.search(r":\d+$", each) else f"{each}{ports[scheme]}" for each in named.split(",")]
    store = Store(service, scheme, login, hosts, name, dict(re.findall("([^=&]+)=([^&]*)", query)))
    store.options = {name: unquote(value) for name, value in store.options.items()}
    if service == "this_postgres":
        _complete(store)
    if service == "this_redis":
        if not (store.name or "0").isdecimal():
            raise _wrong(variable, "ends in the number of a database, such as /3")
        if store.scheme == "redis" and any(name.startswith("ssl_") for name in store.options):
            raise _wrong(variable, "is not encrypted: with ssl_… it begins with rediss:")
    return store


def _complete(store: Store) -> None:
    """What libpq reads from variables is not quoted, and has to be there."""
    store.name = unquote(store.name)
    store.options.setdefault("sslmode", "require")  # who wants no encryption says so
    if not (store.login.split(":")[0] and store.name):
        raise _wrong("POSTGRES_URL", "names no user or no database: postgresql://user:password@host:port/database")
    if unknown := store.options.keys() - OF_QUERY.keys():
        raise _wrong("POSTGRES_URL", f"has {', '.join(sorted(unknown))}; known are {', '.join(OF_QUERY)}")


def _wrong(variable: str, what: str) -> Problem:
    return Problem(f".env: {variable} {what}", "make up, once it is mended")


def check(settings: Settings, project: Path) -> None:
    """Problem where a URL cannot work for what runs here: a file that is not there, or a host that a container has not."""
    for service, store in stores(settings).items():
        files, variable = [value for name, value in store.options.items() if name in FILES], VARIABLES[service]
        for file in filter(lambda file: file != "system", files):
            if not (project / file).is_file():
                raise _wrong(variable, f"names {file}, which is no file in the project's folder")
            if settings.engine == "docker" and (file.startswith("/") or ".." in file):
                raise _wrong(
                    variable, f"names {file}: a container sees what is in the project alone; copy it to config/"
                )
        here = next((each for each in store.hosts if LOOPBACK.fullmatch(each)), "")
        if settings.engine == "docker" and here:
            what = f"names {here}, which in a container is the container itself. This machine is host.docker.internal"
            raise _wrong(variable, f"{what} there: a tunnel has to listen at docker0's address (ssh -L 172.17.0.1:…)")


def variables(settings: Settings, root: str) -> dict[str, str]:
    """The standard names of all stores that are elsewhere; {} where there is none."""
    found = stores(settings)
    named = {SAID: json.dumps({service: str(store) for service, store in found.items()})} if found else {}
    return {name: value for store in found.values() for name, value in store.variables(root).items()} | named


# --- asked by programs of the stack


def names(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """{service: its name for people} of the stores that are elsewhere."""
    return dict(json.loads(environment.get(SAID) or "{}"))


def refusal(service: str, name: str, reason: str) -> Problem:
    """What to say of a store elsewhere that does not take us; its name for people, the reason in a few words."""
    cure = f"mend {VARIABLES[service]} in .env"
    if "certificate" in reason:
        option = {"this_postgres": "sslrootcert", "this_redis": "ssl_ca_certs"}.get(service, "tlsCAFile")
        cure += f": who issued the server's, as a file, by {option}=config/ca.pem after the ?"
    elif re.search("(?i)refused|timeout|timed out|translate host|resol|reach|servers found", reason):
        cure = f"is it up, and may this machine reach it? Else {cure}"
    return Problem(f"{name}: {reason.rstrip('. ')}. Nothing was changed.", f"{cure}; then: make up")


def libpq_reason(said: str) -> str:
    """The line that tells in what libpq says, which has one for each address that it tried, and hints."""
    lines = said.strip().splitlines() or ["does not answer"]
    return next((line for line in reversed(lines) if "failed: " in line), lines[-1]).rpartition(" failed: ")[2]

"""What .env says: read here and nowhere else, by the rules that Docker Compose has for it.

PROJECT is the project's folder. In the image of this_postgres the same folders stand below /project.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dsproj import elsewhere
from dsproj.errors import Problem
from dsproj.files import replace_text

ROOM = Path(__file__).resolve().parent.parent
PROJECT = ROOM.parent
ANSWERS = PROJECT / ".copier-answers.yml"
MOST_WORKERS = 32  # as many as local/supervisord.conf knows

_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*[=:][ \t]*")
_VARIABLE = re.compile(r"\\\$|\$\{(\w+)(?:(:?[-+?])([^}]*))?\}|\$(\w+)|\$\$")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def parse(text: str, outer: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of an env file's text. `outer` are those that `${NAME}` may stand for, such as os.environ.

    As Compose: 'single quotes' are taken as they are, "double quotes" know \\n and variables, a bare value ends at " #" or
    the line's end and loses blanks around it.
    """
    known: dict[str, str] = {}
    rest = text.replace("\r\n", "\n").lstrip("\ufeff")
    while rest:
        line, _, after = rest.partition("\n")
        found = _NAME.match(line)
        if line.lstrip().startswith("#") or not found:
            rest = after
            continue
        name, rest = found[1], rest[found.end() :]
        scope = {**known, **(outer or {})}
        if rest[:1] == "'" and (end := rest.find("'", 1)) > 0:
            value, rest = rest[1:end], rest[end + 1 :].partition("\n")[2]
        elif rest[:1] == '"' and (quoted := re.match(r'"((?:[^"\\]|\\.)*)"', rest, re.S)):
            value = re.sub(r'\\([nrt"\\])', lambda match: _ESCAPES[match[1]], _filled(quoted[1], scope))
            rest = rest[quoted.end() :].partition("\n")[2]
        else:
            bare, _, rest = rest.partition("\n")
            value = _filled(re.split(r"(?:^|[ \t])#", bare, maxsplit=1)[0].strip(), scope)
        known[name] = value
    return known


def _filled(text: str, scope: Mapping[str, str]) -> str:
    """The text with `$NAME`, `${NAME}` and `${NAME:-default}` filled in."""

    def fill(match: re.Match[str]) -> str:
        if match[0] in ("$$", "\\$"):
            return "$"
        value, sign, word = scope.get(match[1] or match[4]), match[2] or "", match[3] or ""
        there = value is not None and (value != "" or not sign.startswith(":"))
        if sign.endswith("+"):
            return word if there else ""
        return value if there and value is not None else word if sign.endswith("-") else ""

    return _VARIABLE.sub(fill, text)


def read(path: Path) -> dict[str, str]:
    """The variables of an env file; {} where there is none."""
    try:
        return parse(path.read_text(encoding="utf-8"), os.environ)
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise Problem(
            f"{path} may be read by uid {path.stat().st_uid} alone, and this is uid {os.getuid()}", "work as that user"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path} cannot be read: {error}") from None


def change(new: Mapping[str, object], path: Path | None = None) -> None:
    """Give variables of .env other values, all or none; None takes one away. Every other line stays as it is."""
    path = path or PROJECT / ".env"
    text = path.read_text(encoding="utf-8")
    for name, value in new.items():
        if value is None:
            text = re.sub(rf"(?m)^[ \t]*(?:export[ \t]+)?{name}[ \t]*=.*\n?", "", text)
            continue
        line = f"{name}={value}"
        text, found = re.subn(rf"(?m)^[ \t]*(?:export[ \t]+)?{name}[ \t]*=.*$", lambda _, line=line: line, text)  # type: ignore[misc]
        if not found:
            text = f"{text.rstrip()}\n{line}\n"
    replace_text(path, text, mode=0o600)


def asked_engine() -> str:
    """The engine that the calling shell names for once, "" for none."""
    return os.environ.get("ENGINE", "").strip()


def start_command(engine: str) -> str:
    """What to type to start the stack of an engine: ENGINE stands there only where .env does not say it."""
    stands = read(PROJECT / ".env").get("ENGINE", "docker").strip() == engine
    return "make up" if stands else f"make up ENGINE={engine}"


class Settings(dict[str, str]):
    """.env as a dict; what has to be a number or a word is checked when it is asked for."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        super().__init__(read(PROJECT / ".env") if values is None else values)

    def __missing__(self, name: str) -> str:
        raise Problem(f"{name} is not in .env", "make up")

    @property
    def engine(self) -> str:
        """What runs the servers, "docker" or "local": ENGINE of the calling shell, else of .env."""
        name = asked_engine() or self.get("ENGINE", "").strip() or "docker"
        if name not in ("docker", "local"):
            raise Problem(f"ENGINE={name}: there are docker and local", "ENGINE=local in .env, then: make up")
        return name

    @property
    def is_for_once(self) -> bool:
        """Does the calling shell name another engine than .env does?"""
        return self.engine != self.get("ENGINE", "docker")

    def port(self, name: str) -> int:
        text = self.get(name, "")
        if not text.isdecimal() or not 1024 <= int(text) <= 65535:
            raise Problem(f".env: {name}={text} is not a port; write a number from 1024 to 65535", "make up")
        return int(text)

    def memory(self, name: str, default: str) -> int:
        """Bytes, of what Docker takes for a memory limit: 512m, 1.5g, 2GiB."""
        text = self.get(name, "") or default
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
        if not found:
            raise Problem(f".env: {name}={text} is not an amount of memory; write it as 512m or 2g", "make up")
        return int(float(found[1]) * 1024 ** " kmgt".index(found[2] or " "))

    @property
    def workers(self) -> int:
        text = self.get("WORKERS", "1")
        if not text.isdecimal() or int(text) > MOST_WORKERS:
            raise Problem(
                f".env: WORKERS={text} is not a number of workers; write one from 0 to {MOST_WORKERS}", "make up"
            )
        return int(text)

    def check_secrets(self) -> None:
        """Problem where a password was edited to one that cannot work: an empty one, or what no link may hold."""
        for name in ("POSTGRES_PASSWORD", "MONITOR_PASSWORD", "JUPYTER_TOKEN", "REDIS_PASSWORD", "MONGO_PASSWORD"):
            value = self.get(name, "none")
            odd = name in ("REDIS_PASSWORD", "MONGO_PASSWORD") and re.search(r"[^A-Za-z0-9._~-]", value)
            if odd or not value:
                what = "stands in a link: letters, digits and - . _ ~ alone" if odd else "is empty"
                raise Problem(f".env: {name} {what}; write another, or delete its line to have one made", "make up")

    @property
    def mongo(self) -> bool:
        """Has the project a MongoDB? What the template asks .env for tells."""
        return "MONGO_PASSWORD" in read(PROJECT / ".env.example")

    @property
    def cluster(self) -> bool:
        """Has the project Dask? The same."""
        return "SCHEDULER_PORT" in read(PROJECT / ".env.example")


def slug() -> str:
    """The project's short name, by which Compose knows it: the first line of docker-compose.yml."""
    text = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
    found = re.search(r"^name:[ \t]*(.+?)[ \t]*$", text, re.M)
    return found[1].strip("'\"") if found else PROJECT.name.lower()


def answer(name: str) -> str:
    """A plain answer of .copier-answers.yml, "" where there is none."""
    found = re.search(rf"^{name}: (.*)$", ANSWERS.read_text(encoding="utf-8"), re.M) if ANSWERS.exists() else None
    return found.group(1).strip().strip("'\"") if found else ""


def addresses(settings: Settings) -> dict[str, str]:
    """Where the local stack's servers are, in the standard names; with Docker, docker-compose.yml says it. And those elsewhere."""
    found = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(settings.port("PGPORT")),
        "PGUSER": "postgres",
        "PGPASSWORD": settings["POSTGRES_PASSWORD"],
        "PGDATABASE": "postgres",
        "REDIS_URL": f"redis://:{settings['REDIS_PASSWORD']}@127.0.0.1:{settings.port('REDIS_PORT')}/0",
    }
    if settings.mongo:
        login = f"root:{settings['MONGO_PASSWORD']}@127.0.0.1:{settings.port('MONGO_PORT')}"
        found["MONGO_URL"] = f"mongodb://{login}/?authSource=admin"
    if settings.cluster:
        found["DASK_SCHEDULER_ADDRESS"] = f"tls://127.0.0.1:{settings.port('SCHEDULER_PORT')}"
    return found | elsewhere.variables(settings, str(PROJECT))

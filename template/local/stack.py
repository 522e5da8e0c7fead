"""The stack without Docker: PostgreSQL, Redis, worker, dashboard and JupyterLab as processes of your own.

    python3 local/stack.py up [service] | down | ps | logs [service] | url | seed [mode [table]] | run COMMAND
    python3 local/stack.py scale --workers=N

`make … ENGINE=local` calls this. Needs Python 3.11 or newer, nothing else: the first `up` brings the rest to .local/.
This file is plain enough for older Pythons, so that they can say what is wrong; the commands are in commands.py.
"""

import os
import shutil
import sys

OLDEST = (3, 11)


def newer_python():
    """The path of a Python that will do, where this one is too old; None if there is none."""
    candidates = (shutil.which(f"python3.{minor}") for minor in range(14, OLDEST[1] - 1, -1))
    return next((path for path in candidates if path), None)


def main():
    if os.name == "nt":
        sys.exit("The local stack needs Linux or macOS. On Windows: Docker Desktop and make up ENGINE=docker, or WSL.")
    if sys.version_info < OLDEST:
        python = newer_python()
        if python:
            os.execv(python, [python] + sys.argv)
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        sys.exit(
            f"Python {version} is too old for the local stack; with a newer one: make up PYTHON3=/path/to/python3.11"
        )
    import commands

    commands.main()


if __name__ == "__main__":
    main()

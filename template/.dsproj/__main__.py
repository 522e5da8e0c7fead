"""python3 .dsproj <command> [NAME=value ...]: what the Makefile calls. `python3 .dsproj help` lists the commands.

Plain enough for old Pythons, so that they can say what is wrong.
"""

import os
import shutil
import sys

OLDEST = (3, 9)


def main():  # type: () -> None
    if sys.version_info < OLDEST:
        candidates = [shutil.which("python3.%d" % minor) for minor in range(14, OLDEST[1] - 1, -1)]  # noqa: UP031
        for python in filter(None, candidates):
            os.execv(python, [python] + sys.argv)
        sys.exit(
            "This Python is too old; with 3.9 or newer: make %s PYTHON3=/path/to/python3" % " ".join(sys.argv[1:2])
        )
    from dsproj.host import cli

    cli.main(sys.argv[1:])


if __name__ == "__main__":
    main()

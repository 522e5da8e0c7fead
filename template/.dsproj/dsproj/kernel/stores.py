"""Redis and MongoDB as files, and back: run inside the stack, where redis and pymongo are, through engine.call."""

#     python3 -m dsproj.kernel.stores dump|restore|count redis|mongo      the file is standard output or input
#
# Both files are of this project's own making, since no server's format is read by all of them (Redis 8 and Valkey 9 refuse
# each other's DUMP, and mongodump exists with MongoDB alone): JSON lines, with bytes in base64 and documents in BSON. A
# restore that fails changes nothing; one that does not replaces all keys of Redis, and the collections that were saved.
# The result is {"keys": number} or {"documents": number}.

import os
import sys
from importlib import import_module

from dsproj.errors import Problem
from dsproj.report import LINES, Report, serve


def main(report: Report, action: str, store: str) -> dict[str, int] | None:
    module = import_module(f"dsproj.kernel.stores_{store}")  # each with its driver
    try:
        if action == "count":
            return module.count()
        if action == "restore":
            return module.restore(sys.stdin.buffer)
        counted = module.dump(sys.stdout.buffer)
        sys.stdout.flush()
    except Problem:
        raise
    except Exception as error:  # the drivers' own errors, and whatever a server has to say
        raise Problem(f"{store}: {type(error).__name__}: {error}") from error
    return counted if os.environ.get(LINES) else None  # by hand, standard output is the file


if __name__ == "__main__":
    serve(main)

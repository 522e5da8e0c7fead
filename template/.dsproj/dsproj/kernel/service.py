"""A function of lib/ as a service: it is called, and where it ends, called again, with lib/ as it is then."""

# python3 -m dsproj.kernel.service run FUNCTION NAME     the service itself
#                                  check FUNCTION        may it become one?
#                                  wait NAME             return when it has run for a while
#
# A process that is killed is started again by the engine. A function that raises or returns is not left to that: after a
# pause, from 1 s to 60 s, the process becomes a fresh one of itself. So both engines do the same, nobody gives up, and a
# server that is away is asked ever less often.

import asyncio
import importlib
import inspect
import json
import os
import re
import signal
import sys
import time
from typing import Any

from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.kernel import allowed, family, health, stories
from dsproj.report import Report, serve

MODULE = "dsproj.kernel.service"
LONGEST = 60  # seconds of a pause; a function that ran for longer begins with the shortest again
PATIENCE = 60  # seconds for the stores to answer, and Python to start


class Service:
    """One function, called in this process. What becomes of it is noted for the health check."""

    def __init__(self, function: str, name: str) -> None:
        self.function, self.name, self.is_stopping = function, name, False
        self.pause = int(os.environ.get("DSPROJ_PAUSE", "1"))

    def run(self) -> None:
        """Call the function; where it ends, begin anew after the pause. Never returns."""
        signal.signal(signal.SIGTERM, self.stop)
        family.adopt()
        self.note()
        start = time.monotonic()
        reason = self.call()
        seconds = time.monotonic() - start
        family.end(kept=set())
        self.note(ended=f"after {seconds:.1f} s: {reason}")
        pause = 1 if seconds > LONGEST else self.pause
        print(f"{self.function} ended after {seconds:.1f} s: {reason}; again in {pause} s", file=sys.stderr, flush=True)
        time.sleep(pause)
        words = [sys.executable, "-m", MODULE, "run", self.function, self.name]
        os.execve(words[0], words, {**os.environ, "DSPROJ_PAUSE": str(min(2 * pause, LONGEST))})

    def call(self) -> str:
        """Call it to its end; how that came, in one line."""
        try:
            result = allowed.resolve(self.function)()
            if inspect.iscoroutine(result):
                asyncio.run(result)
            return "it returned, where a service goes on until it is stopped"
        except BaseException as error:  # sys.exit() of the user's too
            if self.is_stopping:
                raise
            story = stories.of_error(error)
            print(story, file=sys.stderr, flush=True)
            return stories.in_short(story).replace("\n", ": ")

    def stop(self, *_: Any) -> None:
        """End as Python does, so that `with` and `finally` of the function have their say."""
        self.is_stopping = True
        sys.exit()

    def note(self, ended: str = "") -> None:
        replace_text(health.noted(self.name), json.dumps({"since": time.time(), "ended": ended}), mode=0o600)


def check(report: Report, function: str) -> None:
    """Problem where a name is not that of a function of lib/ that can be called without arguments."""
    if not re.fullmatch(r"lib(\.[^\W\d]\w*){2,}", function):
        raise Problem(f"FUNCTION={function}: a function of lib/ is meant", "FUNCTION=lib.collect.run")
    module, _, name = function.rpartition(".")
    place = f"{module.replace('.', '/')}.py"
    try:
        names = vars(importlib.import_module(module))
        found = allowed.resolve(function) if name in names else None
    except Exception as error:  # whatever an import may raise
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise Problem(f"{function}: there is no {place}") from None
        raise Problem(f"{function}: {stories.in_short(stories.of_error(error))}", f"mend {place}") from None
    if not inspect.isfunction(found):
        own = [key for key, each in names.items() if inspect.isfunction(each) and each.__module__ == module]
        raise Problem(f"{place} has no function {name}; it has: {', '.join(own) or 'none'}")
    given = inspect.signature(found).parameters.values()
    if missing := [each.name for each in given if each.default is each.empty and each.kind not in (2, 4)]:
        what = f"{function} needs arguments ({', '.join(missing)}), and a service is called with none"
        raise Problem(what, f"give them defaults in {place}, or write a function there that calls it with them")


def wait(report: Report, name: str) -> None:
    """Return when the service has run for a while; Problem where its function has ended."""
    for _ in range(PATIENCE * 10):
        wrong = health.service(name)
        if wrong is None:
            return
        if wrong != health.STARTING:
            what = f"{name} does not run. Its function {wrong}"
            log = f"Its log: make logs S={name}. It is called again, ever more slowly, with lib/ as it is then."
            raise Problem(f"{what}\n{log}", f"mend lib/, then: make service NAME={name}")
        report.doing(f"waiting for {name}")
        time.sleep(0.1)
    raise Problem(f"{name} has not begun within {PATIENCE} s", f"make logs S={name}")


def main(report: Report, command: str, *words: str) -> None:
    {"check": check, "wait": wait}[command](report, *words)


if __name__ == "__main__" and sys.argv[1] == "run":
    Service(*sys.argv[2:4]).run()

if __name__ == "__main__":
    serve(main)

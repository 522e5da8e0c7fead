"""How a step that takes time speaks: to a screen, or as data to the process that started it."""
# A module that another process calls (see host/engine.py) ends with `serve(function)`. Called with DSPROJ_LINES=1, it
# writes JSON lines to standard error, so that standard output stays free for data; called by a person, it prints.

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from dsproj.errors import Problem

LINES = "DSPROJ_LINES"
KEPT = 12  # last lines of what a program says beside, shown where it fails


class Report:
    """Says nothing. `doing` is what happens now and may be overwritten; `done` is a line that stays."""

    def doing(self, text: str) -> None:
        """What happens at this moment."""

    def done(self, what: str, text: str, seconds: float | None = None) -> None:
        """What is over: a name such as this_redis, what became of it, and how long it took."""


class Screen(Report):
    """Prints; what passes is shown in place, on a terminal alone."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty() and sys.stdout.isatty()
        self.shown = False

    def doing(self, text: str) -> None:
        if self.terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)
            self.shown = True

    def clear(self) -> None:
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self.shown = False

    def done(self, what: str, text: str, seconds: float | None = None) -> None:
        self.clear()
        print(f"{what:<14} {text}" + ("" if seconds is None else f"  ({seconds:.1f} s)"), flush=True)


class Lines(Report):
    """JSON lines on standard error, which `relay` reads."""

    def write(self, kind: str, content: Any) -> None:
        print(json.dumps({kind: content}), file=sys.stderr, flush=True)

    def doing(self, text: str) -> None:
        self.write("doing", text)

    def done(self, what: str, text: str, seconds: float | None = None) -> None:
        self.write("done", [what, text, seconds])


def serve(function: Callable[..., Any]) -> NoReturn:
    """Run function(report, *words of the command line), and exit: 0, or 1 with the Problem said."""
    report = Lines() if os.environ.get(LINES) else Screen()
    try:
        result = function(report, *sys.argv[1:])
    except Problem as problem:
        if isinstance(report, Lines):
            report.write("problem", [problem.what, problem.cure, problem.log])
            sys.exit(1)
        sys.exit(str(problem) or 1)
    except KeyboardInterrupt:
        sys.exit(130)
    if isinstance(report, Lines):
        report.write("result", result)
    elif result is not None:
        print(result if isinstance(result, str) else json.dumps(result, indent=1))
    sys.exit()


def relay(lines: Iterable[str], report: Report) -> tuple[Any, Problem | None, list[str]]:
    """Pass on what another process says in JSON lines: (its result, its Problem, last lines of anything else)."""
    ends: dict[str, Any] = {}
    others: deque[str] = deque(maxlen=KEPT)
    for line in lines:
        try:
            ((kind, content),) = json.loads(line).items()
        except (ValueError, AttributeError):
            others.extend(filter(None, [line.rstrip()]))
            continue
        if kind == "doing":
            report.doing(content)
        elif kind == "done":
            report.done(*content)
        else:
            ends[kind] = content
    problem = Problem(*ends["problem"]) if "problem" in ends else None
    return ends.get("result"), problem, list(others)


class Stopwatch:
    """Seconds since it was made: `Stopwatch().seconds`."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

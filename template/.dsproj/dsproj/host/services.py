"""Long-running functions of lib/, each a service of its own beside the project's: make service."""

# config/services.json is the one list of them, and in git. It is a part of docker-compose.yml (`include`), so Compose has
# them by itself; the local stack reads their names and functions in it. JSON, since the bare Python here knows no YAML.

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.report import Report, Stopwatch
from dsproj.settings import PROJECT

if TYPE_CHECKING:
    from dsproj.host.engine import Engine

FILE = PROJECT / "config" / "services.json"
MODULE = "dsproj.kernel.service"
PACED = "/home/jovyan/.dsproj/dsproj/database/health.sh"
NAME = r"(?!this_|guard$|supervisord$)[a-z][a-z0-9_-]{0,39}"
ADD = "make service NAME=collector FUNCTION=lib.collect.run"
PATIENCE = 60  # seconds until a health check has seen what is so
NEEDED = ("this_postgres", "this_redis", "this_jupyter")


def definition(name: str, function: str) -> dict[str, Any]:
    """What Compose has to know: the worker's image, variables, limits and stores, another command."""
    check = ["CMD", "sh", PACED, "python", "-m", "dsproj.kernel.health", "service", name]
    return {
        "extends": {"file": "docker-compose.yml", "service": "this_worker"},
        "command": ["python", "-m", MODULE, "run", function, name],
        "healthcheck": {"test": check, "interval": "5s", "start_period": "20s"},
        "labels": {"dsproj.function": function},
        "scale": 1,
    }


def make() -> None:
    """Make an empty list where there is none: Compose ends without the file."""
    if not FILE.exists():
        _write({"services": {}})


def _write(content: dict[str, Any]) -> None:
    FILE.parent.mkdir(exist_ok=True)
    text = json.dumps(content, indent=2, ensure_ascii=False)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)  # a list on one line
    replace_text(FILE, text + "\n")


def _read() -> dict[str, Any]:
    """The file, with all that a person may have written into it."""
    if not FILE.exists():
        return {"services": {}}
    try:
        content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
        content["services"].items()
        return content
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"config/services.json is no list of services: {error!r}"
        raise Problem(what, "mend it, or: git checkout config/services.json") from None


def known() -> dict[str, str]:
    """{name: function of lib/}. A service that a person has added with a command of its own is Compose's alone."""
    entries = {name: entry for name, entry in _read()["services"].items() if isinstance(entry, dict)}
    commands = {name: list(entry.get("command") or ()) for name, entry in entries.items()}
    return {name: words[4] for name, words in commands.items() if words[1:4] == ["-m", MODULE, "run"]}


def service(engine: Engine, report: Report, name: str, function: str, drop: str) -> None:
    """Add, restart or withdraw a service; without a name, list those there are."""
    if drop:
        return withdraw(engine, report, name or drop)
    if not name and not function:
        for each, runs in known().items():
            report.done(each, runs)
        if not known():
            print(f"There is no service of your own yet. To add one: {ADD}")
        return
    refuse(engine, name, function)
    function = function or known()[name]
    engine.need(*NEEDED)
    engine.call("this_jupyter", MODULE, "check", function)
    content = _read()
    if name not in known():
        content["services"][name] = definition(name, function)
        _write(content)
        engine.check()  # Compose is told which stores the new one finds elsewhere
    engine.renew(name, report)
    if problem := wait(engine, report, name):
        raise problem
    report.done(name, f"runs {function}; its log: make logs S={name}")


def refuse(engine: Engine, name: str, function: str) -> None:
    """Problem for a name that is none, is taken, or is new and without a function."""
    if not re.fullmatch(NAME, name):
        what = f"NAME={name} is no name for a service: lower-case letters, digits, - and _, a letter first, no this_ before"
        raise Problem(what, ADD)
    if function and known().get(name, function) != function:
        raise Problem(f"{name} runs {known()[name]} already", f"another NAME; or make service DROP={name} first")
    if name not in known():
        if not function:
            cure = ADD.replace("collector", name)
            raise Problem(f"There is no service {name}; to add it, which function of lib/?", cure)
        if name in _read()["services"] or name in engine.others():
            raise Problem(f"There is a service {name} already, in a file of Compose's", "another NAME")


def withdraw(engine: Engine, report: Report, name: str) -> None:
    """Stop a service, and forget it. What it wrote stays."""
    if name not in known():
        raise Problem(f"There is no service {name}; there are: {', '.join(known()) or 'none'}")
    engine.withdraw(name)
    content = _read()
    del content["services"][name]
    _write(content)
    engine.check()
    report.done(name, "stopped and withdrawn; what it wrote stays")


def wait(engine: Engine, report: Report, *names: str) -> Problem | None:
    """Wait until these services, or all, have run for a while; what is wrong with the first that does not."""
    names, problem, watch = names or tuple(known()), None, Stopwatch()
    for name in names:
        try:
            engine.call(name, MODULE, "wait", name, report=report)
            report.done(name, "healthy", watch.seconds)
        except Problem as found:
            problem = problem or found
    while names and not problem and watch.seconds < PATIENCE:
        states = [state for state in engine.states() if state.service in names]
        if all(state.health == "healthy" for state in states):
            break
        report.doing("waiting for " + ", ".join(state.service for state in states if state.health != "healthy"))
        time.sleep(0.3)
    return problem

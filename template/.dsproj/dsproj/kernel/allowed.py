"""What a job may call: functions of the project's lib/, of the modules that the user lists, and the room's own."""

# Whoever reaches Redis can write any name into a job. So a name from there is looked up by `resolve` alone, which imports
# nothing from elsewhere, and returns nothing that is only imported in lib/: lib.ages.os.system is the system's.

import importlib
import os
from collections.abc import Callable
from typing import Any

import psycopg2
from rq.exceptions import DeserializationError
from rq.timeouts import JobTimeoutException
from rq.utils import import_attribute

# Errors of the job's own code, unlike those of a server that is away: another try would only repeat them.
IN_VALUES = (ArithmeticError, AssertionError, RecursionError, TypeError, ValueError, psycopg2.DataError)
IN_NAMES = (AttributeError, ImportError, LookupError, NameError, SyntaxError, psycopg2.ProgrammingError)
MISTAKES = (*IN_VALUES, *IN_NAMES, DeserializationError, JobTimeoutException)

# These call what their arguments name, and look that up by `resolve` in turn.
EACH = "dsproj.kernel.each.work"
NOTEBOOK = "dsproj.kernel.run_queued.work"  # runs a notebook of the project
OF_ROOM = {EACH, NOTEBOOK}


def resolve(name: str) -> Callable[..., Any]:
    """The function of a dotted name. TypeError where a job may not call it, ImportError where its module fails."""
    module = name.rpartition(".")[0]
    if name in OF_ROOM:
        return import_attribute(name)
    _need(name, module)
    try:
        found = import_attribute(name)
    except ValueError:  # RQ's general message; the reason is better
        importlib.import_module(module)
        raise
    _need(name, getattr(found, "__module__", None))
    return found


def check(function: Callable[..., Any] | str) -> None:
    """Raise TypeError for what a worker would refuse, while the mistake is still in front of you."""
    module: str | None
    if isinstance(function, str):
        name, module = function, function.rpartition(".")[0]
    else:
        module = getattr(function, "__module__", None)
        name = f"{module}.{getattr(function, '__qualname__', function)}"
    if module == "__main__":
        name = name.partition(".")[2]
        raise TypeError(f"{name} lives in this notebook, where no worker can import it: move it to a file in lib/")
    if name not in OF_ROOM:
        _need(name, module)


def _need(name: str, module: str | None) -> None:
    listed = os.environ.get("JOB_MODULES", "").replace(",", " ").split()
    if not any(f"{module}.".startswith(f"{root}.") for root in ["lib", *listed]):
        cure = f"move it to a file in lib/, or name {module or 'its module'} in JOB_MODULES (config/jupyter.env), then: make up"
        raise TypeError(f"{name} is not defined in lib/, and a job calls nothing from elsewhere: {cure}")

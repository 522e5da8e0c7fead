"""The steps in their order; each is timed, shown, and kept from failing the project."""

import os
import signal
import sys
import time

from hooks import console, dataset, environment, repository, schema, stack, summary
from hooks.outcome import Outcome
from hooks.project import Project


def main(arguments):
    signal.signal(signal.SIGINT, interrupted)
    project = Project(os.getcwd(), *arguments)
    results = {}

    def step(name, function, *more):
        started = time.monotonic()
        try:
            outcome = function(project, *more)
        except Exception as error:
            outcome = Outcome("not done", f"{type(error).__name__}: {error}", "make up")
        if outcome:
            results[name] = outcome, time.monotonic() - started
            summary.line(name, *results[name])
        return outcome

    console.say()
    made = step("Environment", environment.make)
    step("Network", reach)
    step("Data", dataset.bring)
    step("Schema", schema.infer)
    step("Git", repository.commit)
    step("Stack", stack.start, made.facts.get("made") if made else None)
    try:
        summary.show(project, results)
    except Exception as error:
        console.say(f"The summary failed ({type(error).__name__}: {error}); the links: make url", style="yellow")


def reach(project):
    """Have the steps go through a proxy, and trust a company's certificates, as every command of the project does."""
    project.module("host.network").apply()


def interrupted(*_):
    """Ctrl-C: Copier is told too and ends at once, so the word to the user comes first and nothing is undone."""
    console.say("\nInterrupted. The project is complete on disk; to start it: make up", style="yellow")
    sys.stdout.flush()
    os._exit(0)

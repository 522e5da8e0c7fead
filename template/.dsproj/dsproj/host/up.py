"""Bring the project up: the one way, for `make up`, for generation and for `python3 local/stack.py up`."""

from __future__ import annotations

from dsproj.errors import Problem
from dsproj.host import datasets, documents, first_env, network, services, stores_elsewhere
from dsproj.host.engine import Engine, chosen
from dsproj.host.places import check_folder
from dsproj.report import Report

WITHOUT = "All else runs. To do without a data set that does not load: make dataset DROP=<its name>"


def up(report: Report, made: first_env.Made | None = None) -> tuple[Engine, Problem | None]:
    """Start everything, load what is not loaded, and return when all of it is healthy; (the engine, what is not loaded,
    or which service of the user's own does not run).

    `made` says what was done about .env, where that has happened already. The seed goes before the other services: it says
    what is wrong with a data file, where they would only wait for a healthy database. They start all the same.
    """
    check_folder()
    now = made or first_env.make()
    for note in now.notes if made is None else ():
        report.done("settings", note)
    network.check()
    engine = chosen()
    engine.settings.check_secrets()
    engine.check(fresh=bool(made and made.fresh))
    other = "local" if engine.name == "docker" else "docker"
    if (now.has_chosen_engine or not first_env.holds(engine.name)) and first_env.holds(other):
        there = f"{other} has data of this folder, too, and they stay there; to go on with those"
        report.done("data", f"ENGINE={engine.name}: {there}: ENGINE={other} in .env, then: make up")
    stores_elsewhere.refuse_unreachable(engine, report)
    engine.start("this_postgres", report=report)
    failed = []
    try:
        datasets.up(engine, report)
    except Problem as problem:
        failed.append(problem)
    others = (
        dict.fromkeys(state.service for state in engine.states() if state.service != "this_postgres") if failed else ()
    )
    engine.start(*others, report=report)
    try:
        documents.up(engine, report)
    except Problem as problem:
        failed.append(problem)
    if not failed:
        return engine, services.wait(engine, report)
    what = "\n".join(map(str, failed[:-1])) + "\n" * (len(failed) > 1) + failed[-1].what
    return engine, Problem(f"{what}\n{WITHOUT}", failed[-1].cure, failed[-1].log)

"""Step: for a file of the user's own, initdb.sql with its columns and types."""

from hooks.outcome import Outcome

SHOWN = 20  # lines of what was found, so that the summary below stays in sight


def infer(project):
    """Have the project find the types, with the DuckDB that this Python has; None where the template has the schema.

    The account of what was found goes to the screen in the outcome's log.
    """
    if project.answers["dataset"] != "csv":
        return None
    sets, schema = project.module("sets"), project.module("kernel.schema")
    chosen = sets.data_sets()[0]
    if not chosen.path.exists():
        return Outcome("not written", "the data file is missing", "make dataset SOURCE=<path or link>")
    place = sets.shown(chosen.sql)
    if chosen.is_written:
        return Outcome(f"{place} is written already")
    try:
        if project.module("database.data_files").kind_of(chosen.path) != "CSV":
            return Outcome(f"{place} is written when the servers start, which can read this file; commit it then")
        account = schema.infer(chosen.path, chosen.table, chosen.sql)
    except project.module("errors").Problem as problem:
        return Outcome(
            "not written", problem.what, f"make dataset SOURCE=<path or link>, or write {place}, then: make up"
        )
    lines = account.splitlines()[:-1]
    more = [f"… and {len(lines) - SHOWN} more: see there"] if len(lines) > SHOWN else []
    return Outcome(f"{place}: read it, and mend what it got wrong", log=lines[:SHOWN] + more)

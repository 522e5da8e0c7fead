"""Remove the stack with its data: containers and volumes, or the data folders in .local/. What is in git stays."""

from __future__ import annotations

from dsproj.host.confirm import confirm
from dsproj.host.engine import Engine
from dsproj.report import Report
from dsproj.settings import slug


def destroy(engine: Engine, report: Report, force: bool, built: bool) -> None:
    """Take the servers away with all that they hold, with `built` also what was built for them; a person is asked first,
    unless `force`."""
    kept = [] if built else engine.built()
    for store in engine.elsewhere.values():
        print(f"{store} is elsewhere, and stays as it is.")
    lost = engine.holds() + (engine.built() if built else [])
    if not lost:
        print("There is nothing to remove.")
        return
    what = ["This removes, with everything that PostgreSQL, Redis and the other stores hold:"]
    what += [f"  {line}" for line in lost]
    what += ["Files of the project stay: notebooks, lib/, data/, backups/, .env. To keep the stores' data: make backup"]
    confirm("\n".join(what), slug(), force)
    engine.destroy(report, built)
    if kept:
        print(f"What was built stays, for the next start: {', '.join(kept)}. To remove it too: make destroy IMAGES=1")
    print("Removed. To start afresh, with the data set loaded anew: make up")

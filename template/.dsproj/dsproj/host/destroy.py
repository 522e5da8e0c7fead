"""Remove the stack with its data: containers and volumes, or the data folders in .local/. What is in git stays."""

from __future__ import annotations

from dsproj.host.confirm import confirm
from dsproj.host.engine import Engine
from dsproj.report import Report
from dsproj.settings import slug


def destroy(engine: Engine, report: Report, force: bool) -> None:
    """Take the servers away with all that they hold; a person is asked first, unless `force`."""
    lost = engine.holds()
    if not lost:
        print("There is nothing to remove.")
        return
    what = ["This removes, with everything that PostgreSQL, Redis and the other stores hold:"]
    what += [f"  {line}" for line in lost]
    what += ["Files of the project stay: notebooks, lib/, data/, backups/, .env. To keep the stores' data: make backup"]
    confirm("\n".join(what), slug(), force)
    engine.destroy(report)
    print("Removed. To start afresh, with the data set loaded anew: make up")

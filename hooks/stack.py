"""Step: the servers come up, healthy, with the data loaded."""

from hooks import console
from hooks.outcome import Outcome


def start(project, made):
    """Bring up what ENGINE in .env names, as `make up` does; `made` says what was done about .env."""
    Problem = project.module("errors").Problem
    try:
        project.module("host.places").check_folder()
        if project.answers["stack"] == "none":
            return Outcome("not started, as you chose; to start it: make up")
        with console.working("starting the servers") as show:
            engine, problem = project.module("host.up").up(reporter(project, show), made)
        names = dict.fromkeys(state.service.removeprefix("this_") for state in engine.states() if state.running)
        rows = project.module("host.loading").ledger(engine)
        documents = [] if problem else project.module("host.documents").ledger(engine)
    except Problem as problem:
        return Outcome("not running", problem.what, problem.cure or "make up", log=problem.log)
    if problem:
        running = f"{', '.join(names)}: running, but not all data is loaded"
        return Outcome(
            running, problem.what, problem.cure, log=problem.log, facts={"rows": rows, "documents": documents}
        )
    return Outcome(f"{', '.join(names)}: healthy", facts={"rows": rows, "documents": documents})


def reporter(project, show):
    """A Report that shows on one line what happens, and what is done; that is summed up later."""

    class Passing(project.module("report").Report):
        def doing(self, text):
            show(text, False)

        def done(self, what, text, seconds=None):
            show(f"{what} {text}", True)

    return Passing()

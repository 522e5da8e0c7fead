"""Step: .env, with this machine's passwords, ports and ids."""

from hooks.outcome import Outcome


def make(project):
    """Make .env by the project's own local/env.py, which `make up` uses too on a clone."""
    fresh = not (project.path / ".env").exists()
    wanted = project.answers["stack"]
    notes = project.module("local/env.py").make(engine=wanted if wanted in ("docker", "local") else None)
    text = "passwords, token and ports are in .env" if fresh else ".env is kept as it was"
    return Outcome("; ".join([text, *notes]), facts={"fresh": fresh})

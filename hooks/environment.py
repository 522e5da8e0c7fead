"""Step: .env, with this machine's passwords, ports and ids."""

from hooks.outcome import Outcome


def make(project):
    """Make .env as `make up` does on a clone."""
    wanted = project.answers["stack"]
    made = project.module("host.first_env").make(wanted if wanted in ("docker", "local") else "")
    text = "passwords, token and ports are in .env" if made.fresh else ".env is kept as it was"
    return Outcome("\n".join([text, *made.notes]), facts={"made": made})

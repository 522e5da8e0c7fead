"""The job dashboard: rq-dashboard for jobs that are JSON, for this machine's browsers alone. Options are rq-dashboard's."""

import os
from typing import Any

from rq import Worker
from rq_dashboard import cli, web

from dsproj.kernel.serializer import Serializer

# Another name under which a browser may ask, behind a proxy say: MONITOR_HOSTS=jobs.example.org in config/jupyter.env.
HOSTS = {"127.0.0.1", "localhost", "[::1]", *os.environ.get("MONITOR_HOSTS", "").replace(",", " ").split()}


class JsonWorker(Worker):
    """rq-dashboard 0.9.0 asks for the workers without saying how their jobs are written, and so fails while one works."""

    @classmethod
    def all(cls, *words: Any, serializer: Any = None, **options: Any) -> list[Worker]:
        return Worker.all(*words, serializer=serializer or Serializer, **options)


def current_job(job: Any, plain: Any = web.serialize_current_job) -> Any:
    """What the Workers page says of a job: its description, as all other pages do, which for a share of items is no call."""
    found = plain(job)
    return found | {"call_string": found["description"]} if job else found


def refuse_other_hosts() -> tuple[str, int] | None:
    """A page elsewhere whose host name leads to this machine would reach the dashboard through the user's own browser."""
    name = web.request.host
    if (name if name.endswith("]") else name.rpartition(":")[0] or name) in HOSTS:
        return None
    return (
        f"The job dashboard does not answer as {name!r}: use 127.0.0.1, or name it in MONITOR_HOSTS (config/jupyter.env).\n",
        403,
    )


if __name__ == "__main__":
    web.Worker = JsonWorker
    web.serialize_current_job = current_job
    cli.JSONSerializer = Serializer  # which --json takes
    web.blueprint.before_app_request(refuse_other_hosts)
    cli.main()

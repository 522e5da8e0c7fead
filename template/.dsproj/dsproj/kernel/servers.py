"""How are the stores that are elsewhere? {service: what is wrong with it, "" for nothing}: for host/stores_elsewhere.py."""

import os
from collections.abc import Callable
from contextlib import closing

from dsproj import elsewhere
from dsproj.kernel import health
from dsproj.report import Report, serve

OLDEST = 140000  # of PostgreSQL, as libpq counts: 14.0
PATIENCE = 8  # seconds


def postgres() -> str | None:
    """Does it take us, and is it one that all of this works with?"""
    import psycopg2

    if wrong := health.postgres(timeout=PATIENCE):
        return wrong
    with closing(psycopg2.connect("", connect_timeout=PATIENCE)) as connection:
        version = connection.info.server_version
    return f"is PostgreSQL {version // 10000}; needed is {OLDEST // 10000} or newer" if version < OLDEST else None


CHECKS: dict[str, Callable[[], str | None]] = {
    "this_postgres": postgres,
    "this_redis": lambda: health.redis(os.environ["REDIS_URL"], timeout=PATIENCE),
    "this_mongo": lambda: health.mongo(os.environ["MONGO_URL"], timeout=PATIENCE),
}


def wrong(service: str) -> str:
    try:
        return CHECKS[service]() or ""
    except (TypeError, ValueError) as error:  # the drivers' words for a parameter that they do not know
        return str(error)


def main(report: Report) -> dict[str, str]:
    return {service: wrong(service) for service in elsewhere.names()}


if __name__ == "__main__":
    serve(main)

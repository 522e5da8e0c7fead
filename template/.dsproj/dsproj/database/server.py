"""A connection to the server that the PG* variables name; in its container, to the one there."""

import os
import socket
import time

import psycopg2
from psycopg2.extensions import connection as Connection

from dsproj import elsewhere
from dsproj.errors import Problem
from dsproj.report import Report

SERVICE = "this_postgres"
LONGEST_WAIT = 3600  # seconds: a server that was killed may have to read much of its log again
TIMEOUT = 3  # seconds for a server that answers


def connect() -> Connection:
    """A connection in whose errors people read English, whatever the server's language. Raises psycopg2.Error."""
    timeout = os.environ.get("PGCONNECT_TIMEOUT", "10")
    options = os.environ.get("PGOPTIONS", "") + " -c client_min_messages=warning"
    if not is_elsewhere():
        options += " -c lc_messages=C"  # a superuser's to set
    return psycopg2.connect(connect_timeout=timeout, client_encoding="UTF8", options=options)


def is_elsewhere() -> bool:
    return SERVICE in elsewhere.names()


def listens() -> bool:
    """Does it listen on TCP? While the volume is being initialised, a temporary server listens on the socket alone."""
    host = os.environ.get("PGHOST") or "127.0.0.1"
    try:
        socket.create_connection((host, int(os.environ.get("PGPORT") or 5432)), TIMEOUT).close()
    except OSError:
        return False
    return True


def wait(report: Report) -> None:
    """Return as soon as the server takes connections; one elsewhere does, or does not."""
    if is_elsewhere():
        try:
            return connect().close()
        except psycopg2.Error as error:
            raise elsewhere.refusal(SERVICE, elsewhere.names()[SERVICE], elsewhere.libpq_reason(str(error))) from None
    deadline = time.monotonic() + LONGEST_WAIT
    while True:
        why = "nothing listens"
        if listens():
            try:
                return connect().close()
            except psycopg2.Error as error:
                why = str(error).strip().split("\n")[0]
        if time.monotonic() > deadline:
            raise Problem(f"the server did not answer within an hour ({why})", "make logs S=this_postgres")
        report.doing(f"waiting for the database: {why}")
        time.sleep(0.5)

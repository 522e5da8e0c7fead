"""Is every data set loaded? The health check of this_postgres: exit code 0, or 1 and the reason."""

import sys
from contextlib import closing

import psycopg2

from dsproj.database import ledger, server
from dsproj.database.data_files import has_readers
from dsproj.errors import Problem
from dsproj.sets import data_sets


def wrong() -> str:
    """What keeps the database from being healthy, in one line; "" where nothing does."""
    if not server.listens():
        return "the server does not answer yet"
    try:
        with closing(server.connect()) as connection, connection.cursor() as cursor:
            loaded = ledger.entries(cursor)
        # What is read where kernels run is loaded from there, and they wait for this server to be healthy.
        here = [each for each in data_sets() if has_readers() or not each.needs_readers]
        missing = [each.table for each in here if each.table not in loaded]
    except psycopg2.Error as error:
        return f"the server does not answer: {str(error).strip()}".split("\n")[0]
    except Problem as problem:
        return str(problem).replace("\n", "; ")
    table = "".join(missing[:1])
    return f"table {table} is not loaded; try: make seed TABLE={table}, or make dataset DROP={table}" if table else ""


if __name__ == "__main__":
    sys.exit(wrong() or 0)

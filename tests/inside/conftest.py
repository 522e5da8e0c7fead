"""Tests of what the kernels' part of the machine room does, run inside a project; see ../test_inside.py.

They use the project's own servers, in tables and keys of their own that they remove again.
"""

from uuid import uuid4

import pytest


@pytest.fixture
def table():
    """A table of five labelled rows with a gap in its keys, whatever the project's data set is."""
    from lib.postgres import connect_to_postgres

    name = f"test_{uuid4().hex[:12]}"
    con, cur = connect_to_postgres()
    cur.execute(f"CREATE TABLE {name} (_id integer PRIMARY KEY, label text, target smallint)")
    cur.execute(f"INSERT INTO {name} VALUES (1, 'no'), (2, 'yes'), (3, 'no'), (10, NULL), (11, 'yes')")
    con.commit()
    yield name
    con, cur = connect_to_postgres()
    cur.execute(f"DROP TABLE IF EXISTS {name}")
    con.commit()


@pytest.fixture
def name():
    """Of a saved model or a stored array; what is kept under it is removed at the end."""
    from dsproj.kernel.connection import exists, transaction

    made = f"test_{uuid4().hex[:12]}"
    yield made
    with transaction() as cur:
        for table in ("dsproj_models", "dsproj_arrays"):
            if exists(cur, table):
                cur.execute(f"DELETE FROM {table} WHERE name = %s", [made])


@pytest.fixture
def shell():
    """An IPython shell that has started as a kernel does."""
    from dsproj.settings import ROOM
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.reset()
    shell.safe_execfile(str(ROOM / "jupyter" / "startup.py"), shell.user_ns)
    yield shell
    InteractiveShell.clear_instance()

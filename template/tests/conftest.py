"""The tests run against the project's own servers, in tables and keys of their own that they remove again."""

import os
import sys
from pathlib import Path
from uuid import uuid4

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that `import lib` works however pytest is started


def pytest_collection_modifyitems(items):
    if not os.environ.get("PGHOST"):
        for item in items:
            item.add_marker(pytest.mark.skip(reason="PGHOST is not set: `make test` runs the tests inside the stack"))


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

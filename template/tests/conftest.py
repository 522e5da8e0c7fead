"""`make test` runs these against the project's own servers, in tables and keys of their own that they remove again."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from lib.postgres import Unavailable, connect_to_postgres, transaction


@pytest.fixture(scope="session", autouse=True)
def servers() -> None:
    try:
        connect_to_postgres()
    except Unavailable as error:
        if os.environ.get("PGHOST"):
            raise
        pytest.skip(str(error))  # outside the stack


@pytest.fixture
def name() -> str:
    return f"test_{uuid4().hex[:12]}"


@pytest.fixture
def table(name: str) -> Iterator[str]:
    """A table of four labelled rows with a gap in its keys, whatever the project's data set is."""
    with transaction() as cur:
        cur.execute(f"CREATE TABLE {name} (_id integer PRIMARY KEY, label text, target smallint)")
        cur.execute(f"INSERT INTO {name} VALUES (1, 'no'), (2, 'yes'), (10, NULL), (11, 'no')")
    yield name
    with transaction() as cur:
        cur.execute(f"DROP TABLE {name}")

"""The table dsproj_seed: what is loaded, from which file, as what. A table and its line here come and go together."""

from typing import Any, NamedTuple

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from dsproj.database.data_files import has_readers
from dsproj.sets import DataSet

TABLE = """
CREATE TABLE IF NOT EXISTS dsproj_seed (
    table_name text PRIMARY KEY,
    file_name  text NOT NULL,
    sha256     text NOT NULL,       -- of the file
    row_count  bigint NOT NULL,
    synthetic  boolean NOT NULL,    -- true: the made-up sample, because the real file could not be fetched
    seeded_at  timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE dsproj_seed
    ADD COLUMN IF NOT EXISTS sql_sha256 text,   -- of the SQL file
    ADD COLUMN IF NOT EXISTS file_state text,   -- the file's size and time of change
    ADD COLUMN IF NOT EXISTS seconds numeric,   -- that loading took
    ADD COLUMN IF NOT EXISTS appended jsonb NOT NULL DEFAULT '[]';  -- further files whose rows were added, in their order
"""

# A restore puts the ledger of the backup in the place of this one. What it says of tables that the backup does not have, and
# that stay, is kept meanwhile, and put back by whatever loads or looks next, should the restore be killed.
KEEP = "CREATE TABLE dsproj_seed_kept AS TABLE dsproj_seed"
PUT_BACK = """
DO $$ BEGIN
    IF to_regclass('dsproj_seed_kept') IS NOT NULL THEN
        INSERT INTO dsproj_seed SELECT * FROM dsproj_seed_kept WHERE to_regclass(quote_ident(table_name)) IS NOT NULL
        ON CONFLICT DO NOTHING;
        DROP TABLE dsproj_seed_kept;
    END IF;
END $$;
"""


OF_PART = ("file_name", "sha256", "row_count", "sql_sha256", "file_state")


class Entry(NamedTuple):
    """One table's line. row_count: rows; sql_sha256 and file_state are None for a line of an early version.

    appended: for each further file, {"file_name", "sha256", "row_count", "sql_sha256", "file_state"}; its rows count above, too.
    """

    table_name: str
    file_name: str
    sha256: str
    row_count: int
    synthetic: bool
    sql_sha256: str | None
    file_state: str | None
    appended: list[dict[str, Any]]

    def part(self, file: str) -> "Entry | None":
        """The line for a further file, None where its rows are not in the table."""
        found = next((each for each in self.appended if each["file_name"] == file), None)
        return Entry(self.table_name, synthetic=False, appended=[], **found) if found else None

    @property
    def names(self) -> list[str]:
        """Of its files in data/."""
        return [self.file_name, *(each["file_name"] for each in self.appended)]

    @property
    def files(self) -> str:
        """Its files, for people."""
        more = len(self.appended)
        return f"data/{self.file_name}" + f" and {more} more file{'s' * (more > 1)}" * bool(more)

    @property
    def loaded_already(self) -> str:
        return f"{self.table_name} is loaded already: {self.row_count} rows from {self.files}"

    @property
    def as_part(self) -> dict[str, Any]:
        """This line as one of `appended`."""
        return {name: value for name, value in self._asdict().items() if name in OF_PART}


# One seed at a time, until the transaction ends.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('dsproj_seed'));"
COLUMNS = ", ".join(Entry._fields)


def prepare(connection: Connection) -> None:
    """Have the table, in a transaction of its own: whoever asks it does not wait until a data set is loaded."""
    with connection, connection.cursor() as cursor:
        cursor.execute(LOCK + TABLE + PUT_BACK)


def keep(connection: Connection) -> None:
    """Before a restore; `prepare` is for after it."""
    prepare(connection)
    with connection, connection.cursor() as cursor:
        cursor.execute(KEEP)


def entries(cursor: Cursor) -> dict[str, Entry]:
    """{table: its line}; {} where nothing has ever been loaded (the transaction has then failed)."""
    try:
        cursor.execute(f"SELECT {COLUMNS} FROM dsproj_seed ORDER BY table_name")
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn):
        return {}
    return {row[0]: Entry(*row) for row in cursor.fetchall()}


def add(cursor: Cursor, new: Entry, seconds: float) -> None:
    query = f"INSERT INTO dsproj_seed ({COLUMNS}, seconds) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
    values = new._asdict() | {"appended": Json(new.appended)}
    cursor.execute(query, (*values.values(), round(seconds, 3)))


def append(cursor: Cursor, new: Entry) -> None:
    """The rows of a further file are in the table."""
    query = "UPDATE dsproj_seed SET row_count = row_count + %s, appended = appended || %s WHERE table_name = %s"
    cursor.execute(query, (new.row_count, Json([new.as_part]), new.table_name))


def note(cursor: Cursor, new: Entry) -> None:
    """The file has another time of change, and holds what it held."""
    cursor.execute(
        "UPDATE dsproj_seed SET file_state = %(file_state)s, sql_sha256 = %(sql_sha256)s WHERE "
        "table_name = %(table_name)s AND (file_state, sql_sha256) IS DISTINCT FROM (%(file_state)s, %(sql_sha256)s)",
        new._asdict(),
    )


def is_left(chosen: DataSet, known: Entry | None, anew: bool) -> bool:
    """Is something of a data set to be loaded, all of it (anew) or a part, that only can be read where kernels run?"""
    if has_readers() or not chosen.needs_readers:
        return False
    return anew or not known or not all(known.part(part.file) for part in chosen.parts)

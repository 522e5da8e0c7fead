"""The table dsproj_seed: what is loaded, from which file, as what. A table and its line here come and go together."""

from typing import NamedTuple

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

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
    ADD COLUMN IF NOT EXISTS seconds numeric;   -- that loading took
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


class Entry(NamedTuple):
    """One table's line. row_count: rows; sql_sha256 and file_state are None for a line of an early version."""

    table_name: str
    file_name: str
    sha256: str
    row_count: int
    synthetic: bool
    sql_sha256: str | None
    file_state: str | None


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
    query = f"INSERT INTO dsproj_seed ({COLUMNS}, seconds) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    cursor.execute(query, (*new, round(seconds, 3)))


def note(cursor: Cursor, new: Entry) -> None:
    """The file has another time of change, and holds what it held."""
    cursor.execute(
        "UPDATE dsproj_seed SET file_state = %(file_state)s, sql_sha256 = %(sql_sha256)s WHERE "
        "table_name = %(table_name)s AND (file_state, sql_sha256) IS DISTINCT FROM (%(file_state)s, %(sql_sha256)s)",
        new._asdict(),
    )

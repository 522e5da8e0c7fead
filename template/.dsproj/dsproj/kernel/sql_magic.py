"""The cell magic `%%sql [NAME]`: SQL on the project's connection, its result shown as a DataFrame and kept under NAME."""

import re
from typing import Any

import pandas as pd
import psycopg2
from IPython.core.error import UsageError

from dsproj.kernel import frames_read
from dsproj.kernel.connection import Cursor, transaction
from dsproj.kernel.where import Unavailable


def run(shell: Any, name: str, cell: str) -> pd.DataFrame | None:
    """Run the cell's SQL. `%(x)s` is the notebook's variable x, quoted; a `%` elsewhere, and braces, are plain text.

    A query leaves a transaction that is open as it is. Anything else is committed, all of the cell or nothing of it.
    UsageError, one line, for whatever is wrong.
    """
    if (name := name.strip()) and not name.isidentifier():
        raise UsageError(f"%%sql {name}: no name for the result; write one, as in: %%sql people")
    query = cell
    try:
        with transaction(reading=True) as cur:
            query = re.sub(r"%\((\w+)\)s", lambda found: _quoted(cur, shell.user_ns, found[1]), cell)
            frame = frames_read.read(cur, query) if _is_query(cur, query) else None
        if frame is None:
            with transaction() as cur:
                frame = _execute(cur, query)
    except (Unavailable, ValueError, psycopg2.Error) as error:
        said = _in_short(error, query) if isinstance(error, psycopg2.Error) else f"%%sql: {error}"
        raise UsageError("\n".join([said, *getattr(error, "__notes__", [])])) from None
    if name and frame is not None:
        shell.push({name: frame})
    return frame


def _quoted(cur: Cursor, variables: dict[str, Any], name: str) -> str:
    if name not in variables:
        raise UsageError(f"%%sql: the notebook has no variable {name}, which %({name})s stands for")
    return cur.mogrify("%s", [variables[name]]).decode()


def _is_query(cur: Cursor, text: str) -> bool:
    """Is it one query, as read_frame takes it? The server knows, and fetches nothing for the answer."""
    cur.execute("SAVEPOINT sql_magic")
    try:
        cur.execute(f"SELECT * FROM (\n{text.strip().rstrip(';')}\n) AS q LIMIT 0")
    except psycopg2.Error:  # said again, with the right position, by the text itself
        cur.execute("ROLLBACK TO SAVEPOINT sql_magic")
        return False
    return True


def _execute(cur: Cursor, text: str) -> pd.DataFrame | None:
    """Statements, of which the last one speaks: its rows, or how many it was about."""
    cur.execute(text)
    if cur.description:
        return pd.DataFrame(map(list, cur.fetchall()), columns=[column.name for column in cur.description])
    what = re.sub(r"[ \d]+$", "", cur.statusmessage or "")
    print(what if cur.rowcount < 0 else f"{what}: {cur.rowcount:,} row{'s' * (cur.rowcount != 1)}")
    return None


def _in_short(error: psycopg2.Error, query: str) -> str:
    """The server's words with the line of the cell, whose first is that of %%sql."""
    said, hint, at = error.diag.message_primary or str(error).strip(), error.diag.message_hint, ""
    if place := int(error.diag.statement_position or 0):
        before, after = query[: place - 1], query[place - 1 :].partition("\n")[0]
        at = f", line {before.count(chr(10)) + 2} of the cell, at {after[:40]!r}"
    return f"%%sql{at}: {said}" + (f" ({hint})" if hint else "")

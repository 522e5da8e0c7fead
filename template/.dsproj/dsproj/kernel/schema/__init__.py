"""From a data file to the SQL of its table: reading, then sqltext, with an account of it for people."""

# The whole file is read, every value of it; DuckDB does the counting. The result is a start, to be read and edited.

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.kernel.schema import changes, column_types, of_tables, sqltext
from dsproj.names import is_table_name
from dsproj.sets import has_statements


def infer(
    path: Path,
    table: str,
    sql_path: Path,
    force: bool = False,
    head: Path | None = None,
    was: Path | None = None,
    **options: Any,
) -> str:
    """Write the SQL that makes and fills `table` from a data file; the account of what was found, as lines for people.

    force: replace an SQL file that is written already. head: the SQL file that makes the table, to whose rows those of this
    file are added; was: the data file of that. options: those of of_tables.read. Raises a Problem of one line, and then
    nothing was written.
    """
    if not is_table_name(table):
        raise Problem(f"{table!r} is no name for a table: lower-case letters, digits and _, at most 63, no digit first")
    if has_statements(sql_path) and not force:
        raise Problem(f"{sql_path} is written already: --force replaces it")
    with in_one_line(path):
        made = head.read_text(encoding="utf-8") if head else ""
        options["days"] = sqltext.days_of(made)
        found = of_tables.read(path, **options)
        if head:
            text = sqltext.rows_sql(found, table, changes.names_in_table(found, made, was, **options), made)
        else:
            text = sqltext.sql(found, table)
        sql_path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(sql_path, text)
    return f"{sqltext.account(found)}\n{sql_path} is written: read it and mend what it got wrong"


def compare(path: Path, was: Path | None, **options: Any) -> dict[str, Any]:
    """What is new in a data file beside the one before (changes.changes)."""
    with in_one_line(path):
        return changes.changes(of_tables.read(path, **options), was, **options)


@contextlib.contextmanager
def in_one_line(path: Path) -> Iterator[None]:
    """Whatever reading a file runs into becomes a Problem of one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise Problem(f"{error.filename}: there is no such file") from None
    except ImportError as error:
        raise Problem(f"{error.name} is missing: run this where docker/jupyter/requirements.txt is installed") from None
    except OSError as error:
        full = (
            f"no room in {tempfile.gettempdir()}, where its rows are written to find their types (TMPDIR names another)"
        )
        why = full if error.errno == errno.ENOSPC else error
        raise Problem(f"data/{column_types.shown(path.name, 120)}: {why}") from None
    except Problem as error:
        raise Problem(f"data/{column_types.shown(path.name, 120)}: {error.what}", error.cure) from None

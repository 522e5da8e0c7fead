"""From a data file to the SQL of its table: reading, then sqltext, with an account of it for people."""

# The whole file is read, every value of it; DuckDB does the counting. The result is a start, to be read and edited.

import errno
import tempfile
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.kernel.schema import column_types, reading, sqltext
from dsproj.names import is_table_name
from dsproj.sets import has_statements


def infer(path: Path, table: str, sql_path: Path, force: bool = False, **options: Any) -> str:
    """Write the SQL that makes and fills `table` from a data file; the account of what was found, as lines for people.

    force: replace an SQL file that is written already. options: those of reading.read. Raises a Problem of one line, and
    then nothing was written.
    """
    if not is_table_name(table):
        raise Problem(f"{table!r} is no name for a table: lower-case letters, digits and _, at most 63, no digit first")
    if has_statements(sql_path) and not force:
        raise Problem(f"{sql_path} is written already: --force replaces it")
    try:
        found = reading.read(path, **options)
        sql_path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(sql_path, sqltext.sql(found, table))
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
        raise Problem(f"data/{column_types.shown(path.name, 120)}: {error}") from None
    return f"{sqltext.account(found)}\n{sql_path} is written: read it and mend what it got wrong"

"""A further file for a table that is there: what is new in it, and under which names its columns go there."""

import re
from pathlib import Path
from typing import Any

from dsproj.database.sqlfile import steps
from dsproj.errors import Problem
from dsproj.kernel.schema import of_tables, sqltext
from dsproj.kernel.schema.reading import Reading


def changes(found: Reading, was: Path | None, **options: Any) -> dict[str, Any]:
    """{lines: what is new beside the file before, for people; same: has it the columns; keep: does the SQL file suit it?}

    was: the file before, None where it is not there any more.
    """
    rows = f"{found.rows:,} row{'s' * (found.rows != 1)}"
    if was is None:
        return {"lines": [f"{rows}, {len(found.columns)} columns"], "same": True, "keep": False}
    before = of_tables.read(was, **options)
    old, new = ({column.name: column.type for column in each.columns} for each in (before, found))
    ways = [(sqltext.copy_line(each, ""), each.datestyle) for each in (before, found)]
    keep = list(old.items()) == list(new.items()) and ways[0] == ways[1]
    lines = [f"{rows}, {before.rows:,} before", *of_columns(old, new)]
    return {"lines": lines, "same": set(old) == set(new), "keep": keep}


def of_columns(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """What is new in the columns, {name: type}; or that nothing is."""
    said = {
        "new columns": [f"{name} ({new[name]})" for name in new if name not in old],
        "columns that are gone": [name for name in old if name not in new],
        "other types": [
            f"{name} {new[name]}, was {old[name]}" for name in new if old.get(name, new[name]) != new[name]
        ],
    }
    lines = [f"{what}: {'; '.join(names)}" for what, names in said.items() if names]
    return lines or ["the same columns and types" + ("" if list(old) == list(new) else ", in another order")]


def names_in_table(found: Reading, head: str, first: Path | None, **options: Any) -> list[str]:
    """For each column of a file, its name in the table that the SQL of the text `head` makes; Problem where they do not match.

    first: the data file that the table was made from: its columns may have been renamed in the SQL file.
    """
    mine = [column.name for column in found.columns]
    theirs = columns_of(head)
    if not theirs or set(mine) == set(theirs):
        return mine
    if first and first.exists():
        before = [column.name for column in of_tables.read(first, **options).columns]
        if set(before) == set(mine) and len(before) == len(theirs):
            return [theirs[before.index(name)] for name in mine]
    missing, more = (
        ", ".join(name for name in one if name not in two) for one, two in ((theirs, mine), (mine, theirs))
    )
    said = [f"it has no column {missing}"] * bool(missing) + [f"the table has no {more}"] * bool(more)
    raise Problem(f"its columns are others than the table's: {'; '.join(said)}")


def columns_of(head: str) -> list[str]:
    """The columns that the first \\copy of an SQL file's text names, [] where it names none."""
    copied = next((step.sql for step in steps(head, "the SQL file of the table") if step.program), "")
    listed = re.match(r"COPY [^(]*\(([^)]*)\) FROM", copied)
    return [name.strip().strip('"') for name in listed[1].split(",")] if listed else []

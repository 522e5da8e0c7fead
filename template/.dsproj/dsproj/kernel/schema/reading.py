"""Read a file: how it is written, the type of each of its columns, and what that asks of the normaliser and of COPY."""

import errno
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsproj.database import normalise
from dsproj.errors import Problem
from dsproj.kernel.schema import column_types
from dsproj.kernel.schema.column_types import Column
from dsproj.kernel.schema.dialect import Dialect, find_dialect
from dsproj.kernel.schema.header import has_header, is_title
from dsproj.kernel.schema.kinds import quoted
from dsproj.names import column_names

MOST_COLUMNS = 1600  # of a PostgreSQL table
IN_MEMORY = 32 << 20  # bytes of a file whose values are kept in memory while they are examined
ROOM = 50_000_000  # bytes that a large file, unpacked, leaves free on the disk
MEMORY = "200MB"  # for DuckDB; it goes to the disk with what takes more


@dataclass
class Reading:
    """What was found in one file, and decided for all columns together."""

    path: Path
    dialect: Dialect
    header: bool
    columns: list[Column]
    rows: int = 0
    datestyle: str | None = None  # the order of day and month: "DMY", "MDY" or None
    trim: bool = False  # are blanks around values removed?


def read(path: Path, encoding: str = "", header: bool | None = None, names: list[str] | None = None) -> Reading:
    """Read all of a file. Raises a Problem.

    encoding: "": find out. header: does the first row name the columns? None: find out. names: instead of those.
    """
    dialect = find_dialect(path, encoding)
    rows = dialect.first_rows
    if header is None and is_title(rows):
        raise Problem(
            f"line {dialect.skip + 1} has a value in one column only: is it a title above the table? "
            "Remove it; if it does name the columns: make dataset SOURCE=… HEADER=yes"
        )
    header = (has_header(rows) if header is None else header) or dialect.short_header
    width = len(rows[0])
    if width > MOST_COLUMNS - 1:
        raise Problem(f"{width:,} columns: a PostgreSQL table holds {MOST_COLUMNS:,}, one of which is _id")
    if names and len(names) != width:
        raise Problem(f"{len(names)} names are given, the file has {width} columns")
    titles = [title.strip() for title in rows[0]] if header else [""] * width
    named = zip(column_names(names or titles), titles, strict=True)
    found = Reading(path, dialect, header, [Column(number, *both) for number, both in enumerate(named)])
    examine(found)
    found.datestyle = column_types.settle_days(found.columns)
    found.trim = column_types.settle_blanks(found.columns, found.rows)
    return found


def examine(found: Reading) -> None:
    """Count the rows, and find the type of every column, from what the normaliser gives to COPY."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="dsproj-") as folder:
        source = found.path
        if not found.dialect.plain:
            source = Path(folder) / "rows.csv"
            options = normalise.options([*source_options(found.dialect), str(found.path)])
            with open(source, "wb") as file:
                for block in normalise.normalised(options):
                    file.write(block)
                    if file.tell() > ROOM > shutil.disk_usage(folder).free:
                        raise OSError(errno.ENOSPC, "full")
        place = f"{folder}/values.duckdb" if source.stat().st_size > IN_MEMORY else ":memory:"
        config: dict[str, Any] = {"memory_limit": MEMORY, "temp_directory": folder, "preserve_insertion_order": "false"}
        try:
            with duckdb.connect(place, config=config) as connection:
                load(connection, source, found)
                (found.rows,) = connection.execute("SELECT count(*) FROM raw").fetchone() or (0,)
                if found.rows == 0:
                    raise Problem("the file has a header line and no rows: there is nothing to tell types from")
                column_types.examine(connection, "raw", found.columns)
        except duckdb.Error as error:
            raise Problem(mended(str(error), found)) from None


def load(connection: Any, source: Path, found: Reading) -> None:
    """Have the rows in DuckDB, as the table `raw` of texts c0, c1, …"""
    dialect = found.dialect
    columns = "{" + ", ".join(f"'c{column.number}': 'VARCHAR'" for column in found.columns) + "}"
    quote = dialect.quote or '"'
    longest = normalise.LONGEST_ROW
    connection.execute(
        f"""CREATE TABLE raw AS SELECT * FROM read_csv({quoted(str(source))}, auto_detect = false,
        header = false, skip = {int(found.header)}, delim = {quoted(dialect.printed_delimiter)}, quote = {quoted(quote)},
        escape = {quoted(dialect.escape or quote)}, columns = {columns}, nullstr = '', allow_quoted_nulls = false,
        strict_mode = true, max_line_size = {longest}, buffer_size = {2 * longest})"""
    )


def mended(message: str, found: Reading) -> str:
    """DuckDB's several lines on a bad row, in one."""
    skip = found.dialect.skip
    line = re.search(r"CSV Error on Line: (\d+)", message)
    widths = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    place = f"line {int(line[1]) + skip}" if line else "some line"
    if widths:
        what = "the header" if found.header else f"line {skip + 1}"
        more = " or more" if int(widths[2]) > int(widths[1]) else ""  # DuckDB counts no further
        return f"{place} has {widths[2]}{more} value{'s' * (widths[2] != '1')}, {what} has {widths[1]}"
    if "quote" in message:
        return f"{place}: broken quotes: a value begins with one and does not end with one"
    return f"{place}: {message.splitlines()[0]}"


def source_options(dialect: Dialect) -> list[str]:
    """Options of normalise.py that say how the file is written, where that is not as usual."""
    options = [
        ("--skip", str(dialect.skip), "0"),
        ("--encoding", dialect.encoding, "utf-8"),
        ("--delimiter", dialect.delimiter.replace("\t", "\\t"), ","),
        ("--quote", dialect.quote or '"', '"'),
        ("--escape", dialect.escape, ""),
    ]
    return [word for name, given, usual in options if given != usual for word in (name, given)]


def options(found: Reading) -> list[str]:
    """Options of normalise.py, so that the values arrive as their columns' types."""
    columns = found.columns
    chosen = source_options(found.dialect) + ["--trim"] * found.trim
    # Words that mean "no value": everywhere, or in some columns where others have them as values.
    for word in dict.fromkeys(word for column in columns for word in column.missing):
        argument = "\\" + word if word.startswith("-") else word
        if any(word in column.kept for column in columns):
            chosen += ["--null-in", numbers_of([column for column in columns if word in column.missing]), argument]
        else:
            chosen += ["--null", argument]
    # Where 1,5 is 1.5: everywhere is faster, but must not change what looks like it elsewhere.
    if with_comma := [column for column in columns if column.decimal_comma]:
        others = any(column.comma_like for column in columns if not column.decimal_comma)
        chosen += ["--decimal-comma", numbers_of(with_comma) if others else "all"]
    return chosen


def numbers_of(columns: list[Column]) -> str:
    """Columns as normalise.py wants them: 2,3, counted from 1."""
    return ",".join(str(column.number + 1) for column in columns)

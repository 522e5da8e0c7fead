"""Read a file: how it is written, the type of each of its columns, and what that asks of the normaliser and of COPY."""

import errno
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dsproj.database import normalise
from dsproj.errors import Problem
from dsproj.kernel.schema import column_types
from dsproj.kernel.schema.column_types import Column, shown
from dsproj.kernel.schema.dialect import EITHER, Dialect, find_dialect, letters_of_another
from dsproj.kernel.schema.header import has_header, has_second_line, is_fixed_width, refuse_others_above
from dsproj.kernel.schema.kinds import quoted
from dsproj.kernel.schema.places import MOST_SHOWN, Odd, name_bad_cells, rows_of_width
from dsproj.names import column_names

MOST_COLUMNS = 1600  # of a PostgreSQL table
IN_MEMORY = 32 << 20  # bytes of a file whose values are kept in memory while they are examined
ROOM = 50_000_000  # bytes that a large file, unpacked, leaves free on the disk
PAGE = 8100  # bytes of a row that a page of PostgreSQL holds
SHORT = 24  # a value takes as many bytes of its row at most: a longer text is packed or kept elsewhere
LEFT = "CASE WHEN {n} >= 32 THEN 10 WHEN {n} >= 24 THEN 18 WHEN {n} > 0 THEN {n} + 1 END"
SIZES = {"integer": 4, "bigint": 8, "double precision": 8, "date": 4, "timestamp": 8, "timestamptz": 8, "boolean": 1}
IN_PIECES = (
    "In a notebook: pandas reads the file, and write_frame takes the columns that you need of it, "
    "or a row for each value (DataFrame.melt)"
)
MEMORY = "170MB"  # for DuckDB; it goes to the disk with what takes more


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
    odd: Odd = field(default_factory=Odd)  # rows with more or fewer values than there are columns
    warnings: list[str] = field(default_factory=list)  # what a person should look at
    program: tuple[str, ...] = ("./get_data.sh",)  # what prints the rows
    kind: str = ""  # of a file that is no CSV file
    is_typed: bool = False  # has the file itself types?


def read(
    path: Path,
    encoding: str = "",
    header: bool | None = None,
    names: list[str] | None = None,
    bad: str = "",
    dialect: Dialect | None = None,
    days: str = "",
) -> Reading:
    """Read all of a file. Raises a Problem.

    encoding: "": find out. header: does the first row name the columns? None: find out. names: instead of those.
    bad: "null" takes the few cells that keep a column from its type for missing. dialect: where it is
    known how the file is written. days: "DMY" or "MDY" where the file itself does not tell.
    """
    if bad not in ("", "null"):
        raise Problem(f"BAD={bad}: there is null alone, which takes cells that keep a column from its type for missing")
    dialect = dialect or find_dialect(path, encoding)
    if header is None:
        refuse_others_above(dialect.first_rows, dialect.skip + 1)
    try:
        found = described(path, dialect, header, names)
        examine(found, bad)
    except Problem as problem:
        if "quotes" not in str(problem) or dialect.quote != '"' or dialect.escape:
            raise
        # Where quotes in quotes are written as \" far down in the file.
        found = described(path, replace(dialect, escape=EITHER, plain=False), header, names)
        try:
            examine(found, bad)
        except Problem:
            raise problem from None
    found.datestyle = column_types.settle_days(found.columns, days)
    found.trim = column_types.settle_blanks(found.columns, found.rows)
    if dialect.encoding == "cp1252" and not encoding:
        likely, words = letters_of_another(path)
        if likely:
            found.warnings.append(
                f"its letters may be {likely} ({shown(words)}): make dataset SOURCE=… ENCODING={likely}"
            )
    if twice := titles_twice([column.title for column in found.columns]):
        found.warnings.append(f"names that several columns have, numbered here: {shown(', '.join(twice), 80)}")
    found.warnings += warnings_of_rows(found.odd, len(found.columns), found.rows) + warnings_of_columns(found, bad)
    return found


def described(path: Path, dialect: Dialect, header: bool | None, names: list[str] | None) -> Reading:
    """What the first rows tell: the header, and names for the columns."""
    rows = dialect.first_rows
    fixed = header is None and is_fixed_width(rows)
    header, width = header or dialect.short_header or (header is None and not fixed and has_header(rows)), len(rows[0])
    if width > MOST_COLUMNS - 1:
        raise Problem(f"{width:,} columns: a PostgreSQL table holds {MOST_COLUMNS:,}, one of which is _id. {IN_PIECES}")
    if names and len(names) != width:
        raise Problem(f"{len(names)} names are given, the file has {width} columns")
    titles = [title.strip() for title in rows[0]] if header else [""] * width
    named = zip(column_names(names or titles), titles, strict=True)
    found = Reading(path, dialect, header, [Column(number, *both) for number, both in enumerate(named)])
    if fixed:
        length = len(rows[0][0])
        found.warnings.append(
            f"every line has {length} characters and no delimiter: one column, which substr() takes apart"
        )
    return found


def examine(found: Reading, bad: str) -> None:
    """Count the rows, and find the type of every column, from what the normaliser gives to COPY."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="dsproj-") as folder:
        place = f"{folder}/values.duckdb" if found.path.stat().st_size > IN_MEMORY else ":memory:"
        config: dict[str, Any] = {"memory_limit": MEMORY, "temp_directory": folder, "preserve_insertion_order": "false"}
        try:
            with duckdb.connect(place, config=config) as connection:
                try:
                    delimiters, source = rows_as_copied(found, folder)
                    load(connection, source, found)
                    even = delimiters == delimiters_expected(connection, found)
                except duckdb.Error as error:
                    if "CSV Error" not in str(error):
                        raise
                    even = False
                if not even:
                    look_at_odd_rows(connection, found, folder)
                (found.rows,) = connection.execute("SELECT count(*) FROM raw").fetchone() or (0,)
                if found.rows == 0 and len(found.columns) == 1:
                    raise Problem("one line and no delimiter: is this a table?")
                column_types.examine(connection, "raw", found.columns, bad)
                if not found.odd.wrong.count:
                    check_row_size(connection, found.columns)
        except duckdb.Error as error:
            raise Problem(mended(str(error), found)) from None
    name_bad_cells([*options_of_rows(found), str(found.path)], found.dialect, found.header, found.columns)
    if found.odd.wrong.count:
        what = "the header" if found.header else f"line {found.dialect.skip + 1}"
        cells = [f"column {column.name}: {column.bad_note}" for column in found.columns if column.few]
        raise Problem("\n".join([f"{found.odd.wrong}, {what} has {len(found.columns)}", *cells]))


def rows_as_copied(found: Reading, folder: str) -> tuple[int, Path]:
    """(number of delimiters between values, file of the rows as COPY gets them): the file itself where it is plain."""
    chosen = normalise.options([*source_options(found.dialect), str(found.path)])
    if found.dialect.plain:
        with open(found.path, "rb") as file:
            return sum(
                block.count(chosen.delimiter) for block in iter(lambda: file.read(normalise.BLOCK), b"")
            ), found.path
    normaliser = normalise.Normaliser(chosen)
    source = Path(folder) / "rows.csv"
    write(source, normalise.normalised(chosen, normaliser))
    return normaliser.seen, source


def delimiters_expected(connection: Any, found: Reading) -> int:
    """As many as there are where each row has a value for each column. (DuckDB lets one pass at the end of a row.)"""
    (rows,) = connection.execute("SELECT count(*) FROM raw").fetchone()
    between = len(found.columns) - 1
    return (rows + found.header) * between - found.dialect.short_header


def write(path: Path, blocks: Iterable[bytes]) -> None:
    """Raises OSError before the disk is full."""
    with open(path, "wb") as file:
        for block in blocks:
            file.write(block)
            if file.tell() > ROOM > shutil.disk_usage(path.parent).free:
                raise OSError(errno.ENOSPC, "full")


def look_at_odd_rows(connection: Any, found: Reading, folder: str) -> None:
    """Have those rows in `raw` that have a value for each column, or can be given one; note which are others."""
    odd = found.odd
    odd.width = len(found.columns)
    source = Path(folder) / "mended.csv"
    write(source, rows_of_width([*options_of_rows(found), str(found.path)], odd, found.header))
    connection.execute("DROP TABLE IF EXISTS raw")
    load(connection, source, found, "ignore_errors = true" if odd.wrong.count else "")
    (rows,) = connection.execute("SELECT count(*) FROM raw").fetchone()
    if odd.filled.count > 0.9 * rows:  # then the first row is the odd one
        odd.wrong.count += odd.filled.count
        odd.wrong.first = sorted(odd.wrong.first + odd.filled.first)[:MOST_SHOWN]
    if not odd.filled.count + odd.cut.count + odd.wrong.count:
        odd.width = 0


def load(connection: Any, source: Path, found: Reading, more: str = "") -> None:
    """Have the rows in DuckDB, as the table `raw` of texts c0, c1, …"""
    dialect = found.dialect
    columns = "{" + ", ".join(f"'c{column.number}': 'VARCHAR'" for column in found.columns) + "}"
    quote = dialect.quote or '"'
    escape = quote if dialect.escape in ("", EITHER) else dialect.escape
    longest = normalise.LONGEST_ROW
    connection.execute(
        f"""CREATE TABLE raw AS SELECT * FROM read_csv({quoted(str(source))}, auto_detect = false,
        header = false, skip = {int(found.header)}, delim = {quoted(dialect.printed_delimiter)}, quote = {quoted(quote)},
        escape = {quoted(escape)}, columns = {columns}, nullstr = '', allow_quoted_nulls = false,
        strict_mode = true, max_line_size = {longest}, buffer_size = {2 * longest}{", " * bool(more)}{more})"""
    )


def mended(message: str, found: Reading) -> str:
    """DuckDB's several lines on a bad row, in one."""
    line = re.search(r"CSV Error on Line: (\d+)", message)
    place = f"line {int(line[1]) + found.dialect.skip}" if line else "some line"
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


def options_of_rows(found: Reading) -> list[str]:
    """The same, and how many values a row has, where not all have as many."""
    return source_options(found.dialect) + (["--width", str(found.odd.width)] if found.odd.width else [])


def options(found: Reading) -> list[str]:
    """Options of normalise.py, so that the values arrive as their columns' types."""
    columns = found.columns
    chosen = options_of_rows(found) + ["--trim"] * found.trim
    # Words that mean "no value": everywhere, or in some columns where others have them as values.
    for word in dict.fromkeys(word for column in columns for word in column.missing):
        argument = "\\" + word if word.startswith("-") else word
        if any(word in column.kept for column in columns):
            chosen += ["--null-in", numbers_of([column for column in columns if word in column.missing]), argument]
        else:
            chosen += ["--null", argument]
    return chosen + options_of_cells(found) + options_of_numbers(columns)


def options_of_cells(found: Reading) -> list[str]:
    """Cells that mean "no value" in one column: bad ones, and blanks in quotes where they are no text."""
    chosen = []
    for column in found.columns:
        cells = column.blanks if column.type != "text" and found.dialect.quote else []
        if column.nulled:
            cells = [*cells, *column.bad, *(value.strip(" \t") for value in column.bad)]
        for value in dict.fromkeys(cells):
            chosen += ["--null-in", numbers_of([column]), "\\" + value if value.startswith("-") else value]
    return chosen


def options_of_numbers(columns: list[Column]) -> list[str]:
    """Where 1,5 is 1.5, and where 1,234 is 1234: everywhere is faster, but must not change what looks like it elsewhere."""
    chosen = []
    for option, written, like in (
        ("--decimal-comma", "decimal_comma", "comma_like"),
        ("--thousands", "thousands", "grouped_like"),
    ):
        if with_comma := [column for column in columns if getattr(column, written)]:
            others = any(getattr(column, like) for column in columns if column not in with_comma)
            chosen += [option, numbers_of(with_comma) if others else "all"]
    return chosen


def check_row_size(connection: Any, columns: list[Column]) -> None:
    """Raise a Problem where a row cannot fit in a page of PostgreSQL."""
    if len(columns) * SHORT <= PAGE:
        return
    size = sum(SIZES.get(column.type, 2) for column in columns if column.type != "text" and not column.nulls)
    texts = [column for column in columns if column.type == "text" and not column.missing]
    cases = ", ".join(LEFT.format(n=f"strlen(trim(c{column.number}, E' \\t'))") for column in texts)
    (widest,) = connection.execute(f"SELECT max(list_sum([{cases}]::BIGINT[])) FROM raw").fetchone()
    if (size := size + int(widest or 0)) > PAGE:
        in_bytes = f"a row of {size:,} bytes does not fit in PostgreSQL's 8 kB"
        raise Problem(f"{len(columns):,} columns: {in_bytes}. {IN_PIECES}")


def numbers_of(columns: list[Column]) -> str:
    """Columns as normalise.py wants them: 2,3, counted from 1."""
    return ",".join(str(column.number + 1) for column in columns)


def warnings_of_rows(odd: Odd, width: int, rows: int) -> list[str]:
    """What a person should know of the rows, as sentences."""
    said = {
        f"empty values beyond column {width} are left out: {odd.cut}": odd.cut.count,
        f"rows with fewer values than columns end with NULL: {odd.filled}, not {width}": odd.filled.count,
        "there is a header line and no row: an empty table, all its columns text": not rows,
    }
    return [sentence for sentence, holds in said.items() if holds]


def titles_twice(titles: list[str]) -> list[str]:
    return [title for title, number in Counter(titles).items() if title and number > 1]


def warnings_of_columns(found: Reading, bad: str) -> list[str]:
    """What a person should look at in the header and in the columns, as sentences."""
    said = []
    columns = [column for column in found.columns if column.few and not column.nulled]
    if found.header and has_second_line(found.dialect.first_rows):
        line = found.dialect.skip + 2
        said.append(
            f"line {line} looks like a second line of the header (units, or names below those of groups): "
            "it is a row of the table, and columns are text for it; take that line out of the file"
        )
        columns = [column for column in columns if f"(line {line})" not in column.bad_note]
    for column in columns:
        cells, them = ("that cell", "it") if column.bad_rows == 1 else ("those cells", "them")
        choice = f", or take {them} for missing: make dataset SOURCE=… BAD=null" if not bad else ""
        said.append(f"column {column.name} is text, since {column.bad_note}; mend {cells}{choice}")
    return said

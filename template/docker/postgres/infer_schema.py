"""Write the SQL that makes and fills a table for a CSV file, and say what was found in the file.

    python3 docker/postgres/infer_schema.py                      # the first data set, as dataset.env names it
    python3 docker/postgres/infer_schema.py --file data/crops.csv --table crops --sql docker/postgres/datasets/crops.sql

The whole file is read, every value of it; DuckDB does the counting. The result is a start, to be read and edited.
Exit code 1, with one line on standard error, says what is wrong with the file; then nothing was written.
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

import column_types
import csv_dialect
import normalise
from column_names import RESERVED, column_names
from column_types import Column, quoted, shown
from data_files import DataError
from fetch_data import HERE, settings

MOST_COLUMNS = 1600  # of a PostgreSQL table
IN_MEMORY = 32 << 20  # bytes of a file whose values are kept in memory while they are examined
MEMORY = "200MB"  # for DuckDB; it goes to the disk with what takes more


def shell(word):
    """A word of the command on the \\copy line, which psql reads in single quotes and the shell then splits."""
    if re.fullmatch(r"[A-Za-z0-9_.,=-]+", word):
        return word
    return '"' + re.sub(r'([\\"$`])', r"\\\1", word).replace("'", "''").replace("\t", "\\t") + '"'


def literal(text):
    """An SQL literal, with an escape for characters that cannot be seen."""
    if text.isprintable():
        return quoted(text)
    return "E'" + "".join(f"\\x{ord(character):02x}" if character < " " else character for character in text) + "'"


def identifier(name):
    return f'"{name}"' if name in RESERVED else name


class Reading:
    """One file: how it is written, and its columns with their types."""

    def __init__(self, path, encoding=None, header=None, names=None):
        """header: True, False or None (find out); names: for the columns, instead of those in the file."""
        self.path = path
        self.dialect = csv_dialect.find_dialect(path, encoding)
        rows = self.dialect.first_rows
        if header is None and csv_dialect.is_title(rows):
            raise DataError(
                f"line {self.dialect.skip + 1} has a value in one column only: is it a title above the table? "
                "Remove it; if it does name the columns: make dataset SOURCE=… HEADER=yes"
            )
        self.header = csv_dialect.has_header(rows) if header is None else header
        self.header = self.header or self.dialect.short_header
        width = len(rows[0])
        if width > MOST_COLUMNS - 1:
            raise DataError(f"{width:,} columns: a PostgreSQL table holds {MOST_COLUMNS:,}, one of which is _id")
        if names and len(names) != width:
            raise DataError(f"{len(names)} names are given, the file has {width} columns")
        titles = rows[0] if self.header else [""] * width
        self.columns = [
            Column(number, name, title.strip())
            for number, (name, title) in enumerate(zip(column_names(names or titles), titles, strict=True))
        ]
        self.rows = self.examine()
        if self.rows == 0:
            raise DataError("the file has a header line and no rows: there is nothing to tell types from")
        self.datestyle = column_types.settle_days(self.columns)
        self.plan()

    # --- reading ---

    def source_options(self):
        """Options of normalise.py that say how the file is written."""
        dialect, words = self.dialect, []
        if dialect.skip:
            words += ["--skip", str(dialect.skip)]
        if dialect.encoding != "utf-8":
            words += ["--encoding", dialect.encoding]
        if dialect.delimiter != ",":
            words += ["--delimiter", dialect.delimiter.replace("\t", "\\t")]
        if dialect.quote == "'":
            words += ["--quote", "'"]
        if dialect.escape:
            words += ["--escape", dialect.escape]
        return words

    def examine(self):
        """Count the rows, and find the type of every column, from what the normaliser gives to COPY."""
        import duckdb

        with tempfile.TemporaryDirectory(prefix="dsproj-") as folder:
            source = self.path
            if not self.dialect.plain:
                source = Path(folder) / "rows.csv"
                with open(source, "wb") as file:
                    file.writelines(normalise.normalised(normalise.options([*self.source_options(), str(self.path)])))
            large = source.stat().st_size > IN_MEMORY
            place = f"{folder}/values.duckdb" if large else ":memory:"
            config = {"memory_limit": MEMORY, "temp_directory": folder, "preserve_insertion_order": "false"}
            connection = duckdb.connect(place, config=config)
            try:
                self.load(connection, source)
                (rows,) = connection.execute("SELECT count(*) FROM raw").fetchone()
                if rows:
                    column_types.examine(connection, "raw", self.columns)
            except duckdb.Error as error:
                raise DataError(self.mended(str(error))) from None
            finally:
                connection.close()
        return rows

    def load(self, connection, source):
        columns = "{" + ", ".join(f"'c{column.number}': 'VARCHAR'" for column in self.columns) + "}"
        quote = self.dialect.quote or '"'
        connection.execute(
            f"""CREATE TABLE raw AS SELECT * FROM read_csv({quoted(str(source))}, auto_detect = false,
            header = false, skip = {int(self.header)}, delim = {quoted(self.dialect.printed_delimiter)}, quote = {quoted(quote)},
            escape = {quoted(self.dialect.escape or quote)}, columns = {columns}, nullstr = '',
            allow_quoted_nulls = false, strict_mode = true, max_line_size = {normalise.LONGEST_ROW}, buffer_size = {2 * normalise.LONGEST_ROW})"""
        )

    def mended(self, message):
        """DuckDB's several lines on a bad row, in one."""
        line = re.search(r"CSV Error on Line: (\d+)", message)
        widths = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
        place = f"line {int(line[1]) + self.dialect.skip}" if line else "some line"
        if widths:
            what = "the header" if self.header else f"line {self.dialect.skip + 1}"
            more = " or more" if int(widths[2]) > int(widths[1]) else ""  # DuckDB counts no further
            return f"{place} has {widths[2]}{more} value{'s' * (widths[2] != '1')}, {what} has {widths[1]}"
        if "quote" in message:
            return f"{place}: broken quotes: a value begins with one and does not end with one"
        return f"{place}: {message.splitlines()[0]}"

    # --- what COPY and the normaliser have to be told ---

    def plan(self):
        columns, self.options = self.columns, self.source_options()
        texts = [column for column in columns if column.type == "text"]
        behind = [column for column in columns[1:] if column.empty < self.rows]
        padded = bool(behind) and all(column.padded for column in behind)
        self.trim = padded or any(column.needs_trim for column in columns)
        if self.trim:
            self.options.append("--trim")
            for column in texts:
                column.notes = [note for note in column.notes if note != "blanks around values are kept"]
                column.empty, column.blank = column.empty + column.blank, 0
        words = {word: None for column in columns for word in column.missing}
        for word in words:
            argument = "\\" + word if word.startswith("-") else word
            if any(word in column.kept for column in columns):
                numbers = ",".join(str(column.number + 1) for column in columns if word in column.missing)
                self.options += ["--null-in", numbers, argument]
            else:
                self.options += ["--null", argument]
        with_comma = [column for column in columns if column.decimal_comma]
        if with_comma:
            others = any(column.comma_like for column in columns if not column.decimal_comma)
            numbers = ",".join(str(column.number + 1) for column in with_comma)
            self.options += ["--decimal-comma", numbers if others else "all"]
        self.force_null = [column.name for column in columns if column.type != "text" and column.quoted_empty]

    def copy_options(self):
        dialect, options = self.dialect, ["FORMAT csv"]
        if self.header:
            options.append("HEADER")
        if dialect.printed_delimiter != ",":
            options.append(f"DELIMITER {literal(dialect.printed_delimiter)}")
        if dialect.quote == "'":
            options.append("QUOTE ''''")
        if dialect.escape:
            options.append(f"ESCAPE {quoted(dialect.escape)}")
        if self.force_null:
            options.append(f"FORCE_NULL ({', '.join(map(identifier, self.force_null))})")
        return ", ".join([*options, "FREEZE"])

    # --- results ---

    def sql(self, table):
        """The SQL: run by psql, inside the seed's transaction."""
        names = [identifier(column.name) for column in self.columns]
        width = max(map(len, ["_id", *names])) + 1
        lines = [f"{'_id':<{width}}integer GENERATED BY DEFAULT AS IDENTITY"]
        if self.rows > 2**31 - 1:
            lines = [f"{'_id':<{width}}bigint GENERATED BY DEFAULT AS IDENTITY"]
        lines += [f"{name:<{width}}{column.type}" for name, column in zip(names, self.columns, strict=True)]
        remarks = {column.name: "; ".join(column.notes) for column in self.columns}
        body = ""
        for number, line in enumerate(lines):
            remark = remarks[self.columns[number - 1].name] if number else ""
            comma = "," if number < len(lines) - 1 else ""
            body += f"    {line}{comma}" + (f"  -- {shown(remark, 150)}" if remark else "") + "\n"
        table = identifier(table)
        command = " ".join(["./get_data.sh", *map(shell, self.options)])
        comments = "".join(
            f"COMMENT ON COLUMN {table}.{identifier(column.name)} IS {quoted(column.title.replace(chr(0), ''))};\n"
            for column in self.columns
            if column.title and column.title != column.name
        )
        datestyle = f"-- How the file writes dates: day, month and year in this order.\nSET LOCAL datestyle = 'ISO, {self.datestyle}';\n\n"
        return (
            f"-- The table for data/{shown(self.path.name, 120)}, as its values suggest. Read it, and mend it: then make seed TABLE={table} FORCE=1\n"
            "-- Run in one transaction with everything else of the seed. An empty value is NULL; ./get_data.sh prints the rows.\n\n"
            + (datestyle if self.datestyle else "")
            + f"CREATE TABLE {table} (\n{body});\n\n"
            f"\\copy {table} ({', '.join(names)}) FROM PROGRAM '{command}' WITH ({self.copy_options()})\n\n"
            "-- After the rows: a key that is there before them makes loading half as slow again.\n"
            f"ALTER TABLE {table} ADD PRIMARY KEY (_id);\n" + comments
        )

    def report(self):
        """What was found and decided, as lines for people."""
        dialect = self.dialect
        names = {",": "comma", ";": "semicolon", "\t": "tab", "|": "|", " ": "blanks"}
        facts = [
            f"{self.rows:,} row" + "s" * (self.rows != 1),
            f"{len(self.columns)} column" + "s" * (len(self.columns) > 1),
        ]
        facts.append("UTF-8" if dialect.encoding == "utf-8" else f"read as {dialect.encoding}")
        facts.append(
            f"separated by {names.get(dialect.delimiter, 'nothing')}" if len(self.columns) > 1 else "no delimiter found"
        )
        facts.append(f"names in line {dialect.skip + 1}" if self.header else "no header line")
        lines = [f"data/{shown(self.path.name, 120)}: {', '.join(facts)}"]
        if dialect.skip:
            lines.append("line 1 is left out" if dialect.skip == 1 else f"lines 1 to {dialect.skip} are left out")
        if self.trim:
            lines.append("blanks around values are removed")
        if dialect.encoding == "cp1252":
            lines.append(
                "it is not UTF-8: read as Windows-1252 (Western European); if letters look wrong: ENCODING=NAME"
            )
        name_width = max(len("column"), *(len(column.name) for column in self.columns))
        nulls_width = max(len("NULLs"), *(len(f"{column.nulls:,}") for column in self.columns))
        lines.append(f"  {'column':<{name_width}}  {'type':<16}  {'NULLs':>{nulls_width}}  in the file, and why")
        for column in self.columns:
            title = f'"{shown(column.title)}"' if column.title and column.title != column.name else ""
            remark = "; ".join(filter(None, [title, *column.notes]))
            line = f"  {column.name:<{name_width}}  {column.type:<16}  {column.nulls:>{nulls_width},}  {remark}"
            lines.append(line.rstrip())
        return "\n".join(lines)


def has_statements(sql):
    """Is there more than comments? A new project's initdb.sql has none before this script has written it."""
    return any(line.strip() and not line.lstrip().startswith("--") for line in sql.splitlines())


def write(path, text):
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def arguments():
    parser = argparse.ArgumentParser(description="Write the SQL that makes and fills a table for a CSV file.")
    parser.add_argument("--file", type=Path, help="the data file; default: the one of dataset.env")
    parser.add_argument("--table", help="its table; default: the one of dataset.env")
    parser.add_argument("--sql", type=Path, help="what to write; default: docker/postgres/initdb.sql")
    parser.add_argument("--columns", type=lambda text: text.split(","), help="names for the columns: a,b,c")
    parser.add_argument("--header", choices=("yes", "no"), help="does line 1 name the columns? default: find out")
    parser.add_argument("--encoding", help="of the file, as Python names it; default: find out")
    parser.add_argument("--force", action="store_true", help="replace an SQL file that is written already")
    return parser.parse_args()


def main():
    given = arguments()
    chosen = {} if given.file and given.table and given.sql else settings()
    path = given.file or HERE.parent.parent / "data" / chosen["SEED_FILE"]
    table = given.table or chosen["SEED_TABLE"]
    target = given.sql or HERE / "initdb.sql"
    shown_target = target if given.sql else "docker/postgres/initdb.sql"
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", table):
        sys.exit(f"{table!r} is no name for a table: lower-case letters, digits and _, at most 63, no digit first")
    if target.exists() and has_statements(target.read_text(encoding="utf-8")) and not given.force:
        if given.sql:
            sys.exit(f"{shown_target} is written already: --force replaces it")
        print(f"{shown_target} is written already")
        return
    try:
        header = {None: None, "yes": True, "no": False}[given.header]
        reading = Reading(path, given.encoding, header, given.columns)
        write(target, reading.sql(table))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename}: there is no such file")
    except ImportError as error:
        sys.exit(f"{error.name} is missing: run this where docker/jupyter/requirements.txt is installed")
    except (DataError, OSError) as error:
        sys.exit(f"data/{shown(path.name, 120)}: {error}")
    except KeyboardInterrupt:  # whoever called has been interrupted too, and says so
        sys.exit(130)
    print(reading.report())
    print(f"{shown_target} is written: read it and mend what it got wrong")


if __name__ == "__main__":
    main()

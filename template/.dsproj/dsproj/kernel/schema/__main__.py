"""python3 -m dsproj.kernel.schema --file data/crops.csv --table crops --sql docker/postgres/datasets/crops.sql"""

import argparse
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.kernel.schema import compare, infer
from dsproj.report import Report, serve

NO = ("", "0", "no", "false")


def widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split(",")))
    except ValueError:
        raise Problem(f"WIDTHS={text}: numbers of characters, with commas between them, such as 5,3,8") from None


def main(report: Report, *words: str) -> str | dict[str, Any]:
    """Infer, as the command line says; the account of it, or what is new."""
    parser = argparse.ArgumentParser(description="Write the SQL that makes and fills a table for a data file.")
    add = parser.add_argument
    add("--file", type=Path, required=True, help="the data file")
    add("--table", help="its table")
    add("--sql", type=Path, help="what to write; without: say what is new beside the file before")
    add("--append", type=Path, help="the SQL file that makes the table: this file's rows are added to it")
    add("--was", type=Path, help="the data file that the table was made from")
    add("--columns", type=lambda text: text.split(","), help="names for the columns: a,b,c")
    add("--header", choices=("yes", "no"), help="does line 1 name the columns? default: find out")
    add("--encoding", default="", help="of the file, as Python names it; default: find out")
    add("--bad", default="", help="null: the few cells that keep a column from its type are missing")
    add("--part", default="", help="the sheet of a workbook, the table of a database")
    add("--widths", type=widths, default=(), help="of the columns, where nothing else parts them: 5,3,8")
    add("--filename", default="", help="1: of several files, the name of each row's is a column")
    add("--force", action="store_true", help="replace an SQL file that is written already")
    given = parser.parse_args(words)
    header = {None: None, "yes": True, "no": False}[given.header]
    options = {"encoding": given.encoding, "header": header, "names": given.columns, "bad": given.bad}
    options |= {"part": given.part, "widths": given.widths, "filename": given.filename not in NO}
    if given.sql is None:
        return compare(given.file, given.was, **options)
    return infer(given.file, given.table, given.sql, given.force, given.append, given.was, **options)


if __name__ == "__main__":
    serve(main)

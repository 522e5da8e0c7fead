"""What a server's error means for whoever loads a data set: what is wrong, where, and what to do."""

import csv
import io
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import errorcodes

from dsproj.database import normalise
from dsproj.database.sqlfile import Step
from dsproj.errors import Problem
from dsproj.sets import ANEW, PROJECT, READER, DataSet, shown

CONTEXT = re.compile(r"^COPY [^,]*, line (\d+)(?:, column ([^:]+))?(?:: (.*))?$", re.M)
LONGEST = 300  # characters of a value that are shown
TOO_BIG = "row is too big"  # a page of PostgreSQL holds a row: 8 kB, about 1,000 numbers
DROP_THEM = "keep their definitions, drop them (make psql)"
# What an error of any statement means, and what to do.
MEANINGS = {
    errorcodes.DISK_FULL: ("the database's disk is full", "make room"),
    errorcodes.LOCK_NOT_AVAILABLE: ("another session uses the table", "end it (a notebook's kernel, a psql)"),
    errorcodes.DEPENDENT_OBJECTS_STILL_EXIST: ("other objects depend on the table", DROP_THEM),
}


@dataclass(frozen=True)
class Attempt:
    """To load one data set from one file of data/, in one of seed.py's modes; or to drop it."""

    chosen: DataSet
    mode: str
    file: str = ""

    def problem(self, why: str, mend: str = "", cure: str = "", log: tuple[str, ...] = ()) -> Problem:
        """Why it failed, that all is as it was, and what to mend before the command that tries again."""
        done = {"add": "loaded, nothing of it is kept", "append": "added, nothing of it is kept"}
        done |= dict.fromkeys(("force", "replace", "drop"), "changed")
        what = f"{self.chosen.table}: {why}\nnothing was {done.get(self.mode, 'loaded')}"
        anew = {"add": ANEW, "append": f"{ANEW} TABLE={self.chosen.table} MODE=append"}
        return Problem(f"{what}; {mend}" if mend else what, cure or anew.get(self.mode, self.again), log)

    @property
    def makes_table(self) -> Path:
        """The SQL file that has the columns' types."""
        return self.chosen.appends_to or self.chosen.sql

    @property
    def again(self) -> str:
        """The command that tries again, with what is there already."""
        if self.mode == "drop":
            return f"make dataset DROP={self.chosen.table}"
        if self.mode == "replace":  # all is as it was, also in data/
            return f"make dataset SOURCE=<the file> TABLE={self.chosen.table} MODE=replace"
        return f"make seed TABLE={self.chosen.table}" + " FORCE=1" * (self.mode == "force")

    def explained(self, error: psycopg2.Error, lost: bool, step: Step | None = None) -> Problem:
        """The Problem that an error of the server is. lost: has the connection ended? step: of the SQL file."""
        code, said = error.pgcode or "", error.diag
        message = said.message_primary or str(error).strip().split("\n")[0]
        detail = tuple((said.message_detail or "").splitlines())
        if lost or code.startswith((errorcodes.CLASS_CONNECTION_EXCEPTION, "57P")):
            return self.problem("the server or the load was ended", cure="make up")
        if code in MEANINGS:
            return self.problem(*MEANINGS[code], self.again, detail)
        if step is None:
            return self.problem(message, log=detail)
        if place := CONTEXT.search(said.context or ""):
            return self.row(step, message, place)
        where = lines_of(step, 0 if step.program else int(said.statement_position or 0))
        return self.problem(f"{shown(self.chosen.sql)}, {where}: {message}", "mend that", log=detail)

    def row(self, step: Step, message: str, place: re.Match[str]) -> Problem:
        """A row of the file that COPY does not take."""
        number, column, value = int(place[1]), place[2], (place[3] or "")[:LONGEST]
        line = f"line {line_of_file(step.program, PROJECT / 'data' / self.file, number)}"
        where = f"row {number}" if READER in step.program else line
        where += f", column {column}, value {value}" if column else ""
        log = (f"the row: {value}",) if value and not column else ()
        why = f"data/{self.file}, {where}: {message.removesuffix(f': {value}') if value else message}"
        if message.startswith(TOO_BIG):
            return self.problem(why, "split its columns over several files", log=log)
        column_type = "" if self.mode in ("add", "replace") else f", or the column's type in {shown(self.makes_table)}"
        return self.problem(why, f"mend that row{column_type}", log=log)


def line_of_file(program: str, path: Path, number: int) -> int:
    """The line of the file on which a row begins that ends in this line of what COPY was given."""
    words = shlex.split(program)
    if words[:1] != ["./get_data.sh"]:
        return number
    chosen = normalise.options([*words[1:], str(path)])
    style: dict[str, Any] = {
        "delimiter": chosen.delimiter.decode().replace(" ", "\t"),
        "quotechar": chosen.quote.decode() or None,
    }
    before = 0
    try:
        for rows, line_numbers in normalise.placed(chosen, normalise.Normaliser(chosen)):
            if before + rows.count(b"\n") >= number:
                read = csv.reader(io.StringIO(rows.decode(errors="replace"), newline=""), **style)
                return next(
                    line for line, _ in zip(line_numbers(), read, strict=False) if before + read.line_num >= number
                )
            before += rows.count(b"\n")
    except (OSError, Problem, csv.Error, StopIteration):  # the file has gone, or is another one now
        pass
    return number + int(chosen.skip)


def lines_of(step: Step, position: int) -> str:
    """The line of a position in a step, counted from 1; all its lines where the server names no position (0)."""
    end = position - 1 if position else len(step.sql)
    last = step.line + step.sql.count("\n", 0, end)
    return f"line {last}" if position or last == step.line else f"lines {step.line} to {last}"

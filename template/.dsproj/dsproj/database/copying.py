"""COPY reads what a program prints: as text, or where the program offers it in PostgreSQL's binary format."""

import io
import os
import re
import subprocess
import tempfile

import psycopg2
from psycopg2.extensions import cursor as Cursor

from dsproj.database.explain import Attempt
from dsproj.database.sqlfile import Step
from dsproj.report import KEPT
from dsproj.sets import PROJECT, READER

BLOCK = 256 << 10  # bytes to COPY at a time: a quarter of the pipe, so that the program can go on printing
# A COPY whose options are those that a generated file has, and nobody's own.
AS_GENERATED = re.compile(r"COPY (.+?) \((.+)\) FROM STDIN WITH \(FORMAT csv(, FREEZE)?\)")
BINARY = b"PGCOPY\n\xff"  # how that format begins, and no text can


def copy(cursor: Cursor, step: Step, attempt: Attempt) -> list[str]:
    """Have COPY read what a program prints, all three at work at one time; the last lines that it said beside.

    Raises psycopg2.Error, or the Problem of the program: what it has printed until then is to be rolled back.
    """
    failed: psycopg2.Error | None = None
    types = types_of(cursor, step)
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(
            ["sh", "-c", step.program],
            cwd=PROJECT / "docker" / "postgres",  # where programs of the SQL files are found
            env={**os.environ, "DATA_FILE": str(PROJECT / "data" / attempt.file), "COPY_TYPES": types},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
        ) as process:
            assert isinstance(process.stdout, io.BufferedReader)
            try:
                binary = types and process.stdout.peek(1).startswith(BINARY)
                sql = "(FORMAT binary".join(step.sql.rsplit("(FORMAT csv", 1)) if binary else step.sql
                cursor.copy_expert(sql, process.stdout, BLOCK)
            except psycopg2.Error as error:
                failed = error
            # A program that has more to print ends once nobody reads that; how it ends then does not matter.
            is_read = not process.stdout.read(1)
        said.seek(0)
        words = [line for line in said.read().decode(errors="replace").split("\n") if line][-KEPT:]
    if is_read and process.returncode:
        why = " ".join(words) or f"the program that reads it ended with {process.returncode}"
        raise attempt.problem(f"data/{attempt.file}: {why}", "mend that")
    if failed:
        raise failed
    return words


def types_of(cursor: Cursor, step: Step) -> str:
    """The types (oids) of the columns that a program may print in the binary format, "" where it has to print text."""
    found = AS_GENERATED.fullmatch(step.sql)
    if not found or READER not in step.program:
        return ""
    try:
        cursor.execute("SAVEPOINT dsproj_types")
        cursor.execute(f"SELECT {found[2]} FROM {found[1]} LIMIT 0")
        types = " ".join(str(column.type_code) for column in cursor.description or ())
        cursor.execute("RELEASE dsproj_types")
    except psycopg2.Error:  # COPY says better what is wrong
        cursor.execute("ROLLBACK TO dsproj_types")
        return ""
    return types

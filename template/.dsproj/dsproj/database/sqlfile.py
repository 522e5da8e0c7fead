r"""A data set's SQL file, step by step: SQL as it is written, and psql's `\copy … FROM PROGRAM`, rows that a program prints.

Only a line that begins with a backslash is psql's; what lies between two of them goes to the server as one text.
"""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from dsproj.errors import Problem

COPY = re.compile(r"\\copy\s+(.+?)\s+from\s+(program\s+)?'((?:[^']|'')*)'\s*(.*?)\s*;?\s*", re.I)
SAYS_NOTHING = re.compile(r"(?:\s|;|--[^\n]*|/\*.*?\*/)*", re.S)


class Step(NamedTuple):
    """SQL that begins in this line of the file. One with a program copies what that prints."""

    line: int
    sql: str
    program: str = ""


def steps(text: str, name: str) -> Iterator[Step]:
    """The steps of an SQL file's text; `name` is the file's. Problem for a command of psql other than \\copy."""
    line = 1
    for part in re.split(r"^(\\.*)", text, flags=re.M):
        if part.startswith("\\"):
            yield copied(part, line, name)
        elif not SAYS_NOTHING.fullmatch(part):
            blank = len(part) - len(part.lstrip())
            yield Step(line + part.count("\n", 0, blank), part.strip())
        line += part.count("\n")


def copied(command: str, line: int, name: str) -> Step:
    """The step of a \\copy line."""
    found = COPY.fullmatch(command)
    if not found:
        known = r"of psql's own commands a seed knows \copy … FROM PROGRAM '…' or FROM '…', in one line"
        raise Problem(f"{name}, line {line}: {command.split()[0]}: {known}")
    target, program, source, options = found.groups()
    source = source.replace("''", "'")
    return Step(line, f"COPY {target} FROM STDIN {options}", source if program else f"cat -- {shlex.quote(source)}")

"""A table that is there, and a file for it: what is new in the file, the file in place of the one before, or its rows added."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.files import sha256
from dsproj.host.adding import arrived, bring
from dsproj.host.download import forget
from dsproj.host.engine import Engine
from dsproj.host.loading import finish, inferred, ledger, loader
from dsproj.names import is_link
from dsproj.report import Report
from dsproj.sets import DataSet, shown


def again(engine: Engine, report: Report, known: DataSet, source: str, options: Sequence[str], mode: str) -> None:
    """Load the table if it is not; where the file is another than before, say what is new, or replace it by mode "replace"."""
    loaded = {entry[0] for entry in ledger(engine)}
    if known.sources == (source,) and known.table not in loaded and known.path.is_file():  # goes on
        return finish(engine, report, known, options)
    if not is_link(source) and known.path.is_file() and is_same(known, Path(source)):
        return unchanged(engine, report, known, options)
    target, partial = arrived(report, known.table, source)
    try:
        if is_same(known, partial or target):
            if partial and not known.path.exists():
                os.replace(partial, known.path)
            return unchanged(engine, report, known, options)
        new = changes(engine, report, known, partial or target, options)
        if mode == "replace":
            return replace(engine, report, known, source, (target, partial), options, new)
    finally:
        if partial:
            forget(partial)
    raise undecided(known, source, new)


def undecided(known: DataSet, source: str, new: dict[str, Any]) -> Problem:
    """What is new in the file, and the commands for what may become of it."""
    command = f"make dataset SOURCE={shlex.quote(source)}"
    into = f"{command} TABLE={known.table}"
    ways = [f"beside it, as another table: {command} TABLE={known.table[:50]}_2"]
    if new["same"]:
        ways.append(f"its rows to those that are there: {into} MODE=append")
    ways.append("in place of the other, the table loaded anew:")
    what = f"{known.table} is a data set of this project already ({shown(known.env)}), and this is another file"
    return Problem(f"{what} than data/{known.file}", f"{into} MODE=replace", [*new["lines"], *ways])


def is_same(known: DataSet, file: Path) -> bool:
    # A folder or pattern is compared once it is packed.
    return file.is_file() and sha256(file) == (sha256(known.path) if known.path.is_file() else known.checksum)


def changes(engine: Engine, report: Report, known: DataSet, file: Path, options: Sequence[str]) -> dict[str, Any]:
    """What is new in a file: {lines: for people, same: has it the columns, keep: does the SQL file suit it?}."""
    was = ["--was", shown(known.path)] if known.path.is_file() else []
    try:
        new: dict[str, Any] = inferred(engine, report, file, [*was, *options])
        return new
    except Problem as problem:  # no table
        return {"lines": problem.what.splitlines(), "same": False, "keep": False}


def replace(
    engine: Engine,
    report: Report,
    known: DataSet,
    source: str,
    at: tuple[Path, Path | None],
    options: Sequence[str],
    new: dict[str, Any],
) -> None:
    """Load the table from another file; its SQL file stays where the columns do."""
    for line in new["lines"]:
        report.done("data", f"data/{known.file}: {line}")
    with written_anew(report, known, unless=new["keep"] and not typed(options)):
        bring(engine, report, known, source, options, "replace", at)


def typed(options: Sequence[str]) -> list[str]:
    """Without the part of the file, which is no wish for other types."""
    return [word for word in options if not word.startswith("--part=")]


def unchanged(engine: Engine, report: Report, known: DataSet, options: Sequence[str]) -> None:
    """Say that the table is loaded; where options are given now, find its types again and load it again."""
    if not typed(options):
        return finish(engine, report, known, options, "replace-sample")
    with written_anew(report, known):
        finish(engine, report, known, options, "force")


@contextlib.contextmanager
def written_anew(report: Report, known: DataSet, unless: bool = False) -> Iterator[None]:
    """The SQL file is written anew in here, from the data file; as it was, perhaps edited, it is kept beside."""
    if unless:
        yield
        return
    names = (known.sql.with_name(f"{known.sql.name}.before{number or ''}") for number in range(1000))
    before = next(path for path in names if not path.exists())
    os.replace(known.sql, before)
    try:
        yield
    except BaseException:
        os.replace(before, known.sql)
        raise
    if before.read_bytes() == known.sql.read_bytes():
        before.unlink()
        return
    report.done("schema", f"{shown(known.sql)} is written anew; as it was before: {shown(before)}")


def append(engine: Engine, report: Report, known: DataSet, source: str, options: Sequence[str]) -> None:
    """Add the rows of a further file to a table; of one whose rows are there already, nothing."""
    target, partial = arrived(report, known.table, source)
    checksum = sha256(partial or target)
    holder = next((each for each in known.all if each.checksum == checksum), None)
    if holder and partial:
        forget(partial)
    loaded: list[str] = next((entry[3] for entry in loader(engine, report, "ledger") if entry[0] == known.table), [])
    if holder and holder.file in (known.file, *loaded):
        raise Problem(f"{known.table} has these rows already: data/{holder.file} is the same file, byte for byte")
    if holder:  # begun and not ended
        return finish(engine, report, holder, options, "append")
    env = known.env.with_name(f"{known.table}+{max([0, *(each.number for each in known.parts)]) + 1}.env")
    part = DataSet(env, known.table, "", "", "", (), env.with_suffix(".sql"), appends_to=known.sql)
    bring(engine, report, part, source, options, "append", (target, partial))

"""What is left to do for a data set that is declared: its file comes to data/, its SQL file is written, its rows are loaded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.files import sha256
from dsproj.host.download import Progress, fetch
from dsproj.host.engine import Engine, told
from dsproj.host.several import files_of
from dsproj.host.source import parted
from dsproj.names import file_name, is_link
from dsproj.report import Report
from dsproj.sets import DataSet, data_sets, note_checksum, shown
from dsproj.settings import PROJECT

LARGEST = 100 * 1024 * 1024  # bytes that a hosting service takes in one file


def loader(engine: Engine, report: Report, *words: str) -> Any:
    """Ask database/seed.py, where this_postgres runs; what it returns, or the Problem that it has."""
    try:
        return engine.call("this_postgres", "dsproj.database.seed", *words, report=report)
    except Problem as problem:
        raise Problem(problem.what, problem.cure or "make up", problem.log) from None


def ledger(engine: Engine) -> list[list[Any]]:
    """What is loaded: [[table, number of rows, is it the synthetic sample?], …]; this_postgres runs."""
    return [entry[:3] for entry in loader(engine, Report(), "ledger")]


def load(engine: Engine, report: Report, mode: str, *table: str) -> None:
    """Have the data sets loaded in a mode of database/seed.py: what this_postgres cannot read, from where kernels run."""
    for left in loader(engine, report, mode, *table) or ():
        command = engine.once("python3", "-m", "dsproj.database.seed", mode, left)
        try:
            told(command, engine.variables("this_jupyter"), report)
        except Problem as problem:
            raise Problem(problem.what, problem.cure or "make up", problem.log) from None


def finish(engine: Engine, report: Report, chosen: DataSet, options: Sequence[str], mode: str = "once") -> None:
    """What is left to do for a data set: all of it, or nothing."""
    prepare(engine, report, chosen, options)
    if why := keep_out_of_git(PROJECT, [chosen.file]).get(chosen.file):
        how = "a clone fetches it again" if any(map(is_link, chosen.sources)) else "a clone needs a copy of it in data/"
        report.done("data", f"data/{chosen.file} is {why}: git ignores it, {how}")
    load(engine, report, mode, chosen.table)
    anew = f"make seed TABLE={chosen.table} FORCE=1"
    report.done("schema", f"to change a name or type: {shown(chosen.sql)}, then: {anew}")


def prepare(engine: Engine, report: Report, chosen: DataSet, options: Sequence[str] = ()) -> None:
    """Have the file in data/ and the SQL file written."""
    if not chosen.file:
        raise Problem(f"{shown(chosen.env)} names no SEED_FILE", "write it there, then: make up")
    if not chosen.path.exists():
        fetch_file(report, chosen)
    write_sql(engine, report, chosen, options)


def fetch_file(report: Report, chosen: DataSet) -> None:
    """Fetch the file of one data set; with its checksum, where that is not known, in its .env file."""
    if not any(map(is_there, chosen.sources)):
        raise Problem(f"data/{chosen.file} is not here, and came from somebody's own folder", chosen.copying)
    try:
        source = fetch(chosen.sources, chosen.path, chosen.checksum, progress(report, chosen.file))
    except (Problem, OSError) as error:
        several = "\n" if "\n" in str(error) else " "
        raise Problem(
            f"data/{chosen.file} could not be fetched:{several}{error}", f"with the file at hand, {chosen.copying}"
        ) from None
    if not chosen.checksum:
        note_checksum(chosen.env, sha256(chosen.path))
    report.done("data", f"data/{chosen.file}: fetched from {source}")


def is_there(source: str) -> bool:
    """Is it a link, or a path or pattern of files that are here?"""
    return is_link(source) or Path(parted(source)[0]).expanduser().exists() or bool(files_of(source))


def write_sql(engine: Engine, report: Report, chosen: DataSet, options: Sequence[str]) -> None:
    """Have the SQL file written from the data file, unless it is; the account of it is said."""
    if chosen.is_written:
        return
    to = []
    if chosen.appends_to:
        first = next(each for each in data_sets() if each.table == chosen.table)
        to = ["--append", shown(chosen.appends_to), "--was", shown(first.path)]
    part = chosen.part or (parted(chosen.sources[0])[1] if chosen.sources else "")
    if part and file_name(part, chosen.table) != chosen.file:  # of an archive, it is the file itself
        to.append(f"--part={part}")
    words = ["--table", chosen.table, "--sql", shown(chosen.sql), *to, *options]
    report.done("schema", str(inferred(engine, report, chosen.path, words)))
    if engine.settings.mongo and " jsonb" in chosen.sql.read_text(encoding="utf-8"):
        report.done("schema", "what is nested is jsonb in it; as documents of MongoDB: the same with TO=mongo")


def inferred(engine: Engine, report: Report, file: Path, words: Sequence[str]) -> Any:
    """What dsproj.kernel.schema says of a file of the project, asked where kernels run."""
    report.doing(f"reading {shown(file)} …")
    command = engine.once("python3", "-m", "dsproj.kernel.schema", "--file", shown(file), *words)
    return told(command, engine.variables("this_jupyter"), report)


def progress(report: Report, name: str) -> Progress:
    """Says how far a file has come, several times a second."""
    last = 0.0

    def say(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.1 or done == total:
            last = time.monotonic()
            report.doing(f"data/{name}: {done / 1e6:,.1f} MB" + (f" {done / total:4.0%}" if total else ""))

    return say


def keep_out_of_git(project: Path, names: Sequence[str]) -> dict[str, str]:
    """Have git ignore data files that no hosting service takes, and those of `names` that not everybody may read.

    {name: why} of those that it has not ignored before.
    """
    ignore = project / ".gitignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    left_out = {}
    for file in sorted((project / "data").iterdir()):
        if not file.is_file() or file.suffix == ".part" or f"/data/{file.name}" in lines:
            continue
        if file.stat().st_size > LARGEST:
            left_out[file.name] = "over 100 MB, more than a hosting service takes"
        elif file.name in names and not file.stat().st_mode & 0o004:
            left_out[file.name] = "private, not everybody here may read it"
    if left_out:
        with ignore.open("a", encoding="utf-8", newline="\n") as written:
            written.writelines(f"\n# {why[0].upper()}{why[1:]}\n/data/{name}\n" for name, why in left_out.items())
    return left_out

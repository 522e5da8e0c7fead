"""A further data set: its file comes to data/, it is declared, its types are found, its rows are loaded; or nothing is."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from dsproj.errors import Problem
from dsproj.files import replace_text, sha256
from dsproj.host.download import forget, obtain
from dsproj.host.engine import Engine
from dsproj.host.loading import finish, progress
from dsproj.host.several import files_of
from dsproj.names import file_name, has_key, is_link
from dsproj.report import Report
from dsproj.sets import ANEW, DataSet, read
from dsproj.settings import PROJECT

# How the formats that are stored as they come begin, by four bytes at most, and the end of the name by which they are known.
FORMATS = {b"\x1f\x8b": ".gz", b"PK\x03\x04": ".zip", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst", b"\xfd7zX": ".xz"}

# Those of files without any ending.
OTHERS = {b"PAR1": ".parquet", b"ARRO": ".arrow", b"SQLi": ".sqlite"}


def bring(
    engine: Engine,
    report: Report,
    begun: DataSet,
    source: str,
    options: Sequence[str],
    mode: str = "add",
    at: tuple[Path, Path | None] | None = None,
) -> None:
    """Have the file in data/, the .env and the SQL file written, the rows loaded; a refusal leaves nothing behind.

    begun: a new data set, or what an earlier try has left, whose file may be replaced; mode: of database/seed.py;
    at: what `arrived` said, where the file is here already.
    """
    target, partial = vacant(begun, mode, *(at or arrived(report, begun.table, source)))
    checksum = sha256(partial or target)
    anew = ANEW + f" TABLE={begun.table} MODE={mode}" * (mode != "add")

    def goes_on(problem: Problem) -> bool:  # of a full disk, say; else it is no table, or none that the server takes
        return mode != "replace" and begun.is_written and not problem.cure.startswith(ANEW)

    with placed(target, partial, source, mode, (begun.env, begun.sql), anew, goes_on):
        declare(begun, source, target, checksum)
        move(partial, target)
        finish(engine, report, read(begun.env), options, mode)


@contextlib.contextmanager
def placed(
    target: Path,
    partial: Path | None,
    source: str,
    mode: str,
    written: Iterable[Path],
    anew: str,
    goes_on: Callable[[Problem], bool] = lambda problem: False,
) -> Iterator[None]:
    """In here a data set is declared, its ".part" file takes its place in data/, and is loaded; a refusal leaves nothing behind.

    By mode "replace" the place is free then. written: the files that declare it; anew: the cure of a refusal that has none;
    goes_on: the refusals after which all stays as it is.
    """
    before = texts((*written, PROJECT / ".gitignore"))
    aside = aside_of(target)
    old = aside if mode == "replace" and partial and target.exists() else None
    move(target, old)
    try:
        yield
    except Problem as problem:
        if not (stays := goes_on(problem)):
            put_back(before)
            move(target, partial)  # what was downloaded stays as the part that another try takes up
            move(old, target)
            problem.cure = problem.cure or anew
        if partial and (stays or not is_link(source)):
            forget(partial)
        raise
    for path in filter(None, (partial, aside if mode == "replace" else None)):  # also of a try that was killed
        forget(path)


def aside_of(target: Path) -> Path:
    """Where a file waits while another takes its place."""
    return target.with_name(f"{target.name}.before.part")


def move(here: Path | None, there: Path | None) -> None:
    """Rename a file, where both are paths."""
    if here and there:
        os.replace(here, there)


def texts(paths: Iterable[Path]) -> dict[Path, str | None]:
    """What is in files, None for one that is not there."""
    return {path: path.read_text(encoding="utf-8") if path.exists() else None for path in paths}


def put_back(before: dict[Path, str | None]) -> None:
    """Undo what was written since `texts`."""
    for path, text in before.items():
        if text is None:
            path.unlink(missing_ok=True)
        else:
            replace_text(path, text)


def arrived(report: Report, table: str, source: str, to: str = "") -> tuple[Path, Path | None]:
    """(where the file belongs, the ".part" file that it is still, None where it is in data/ as it was given).

    to: "mongo" where the command that is typed again needs it.
    """
    folder = PROJECT / "data"
    several = bool(files_of(source))
    if not is_link(source) and not several and Path(source).resolve().parent == folder.resolve():
        return folder / Path(source).name, None
    target = folder / (f"{table}.zip" if several else file_name(source, table))
    try:
        _, partial = obtain([source], target, "", progress(report, target.name))
    except Problem as problem:
        again = f"make dataset SOURCE={shlex.quote(source)}" + f" TO={to}" * bool(to)
        again += ", or of the file where it is now" * is_link(source)
        raise Problem(f"data/{target.name} is not fetched:\n{problem.what}", again) from None
    return with_true_ending(target, partial), partial


def vacant(begun: DataSet, mode: str, target: Path, partial: Path | None) -> tuple[Path, Path | None]:
    """The same as `arrived` said; where another file than that of the data set `begun` has the name, a free one.

    Problem where the data set is new, since that file may be the one that is meant.
    """
    if not partial or not target.exists() or target == begun.path:
        return target, partial
    if mode in ("append", "replace"):
        return free_name(target), partial
    same = sha256(target) == sha256(partial)
    forget(partial)
    if not same:
        what = f"data/{target.name} is there already and is another file; move it away, or to load that one"
        raise Problem(what, f"make dataset SOURCE=data/{target.name}")
    return target, None


def free_name(target: Path) -> Path:
    """The path, or with a number in its name where that is taken: crops-2.csv.gz."""
    stem, dot, ending = target.name.partition(".")
    name, number = target, 2
    while name.exists():
        name, number = target.with_name(f"{stem}-{number}{dot}{ending}"), number + 1
    return name


def with_true_ending(path: Path, content: Path) -> Path:
    """The path, its name with the ending that the file at the path `content` should have and has not."""
    with open(content, "rb") as file:
        start = file.read(4)
    ending = next((ending for magic, ending in FORMATS.items() if start.startswith(magic)), None)
    if ending is None:
        return path if path.suffix else path.with_name(path.name + OTHERS.get(start, ".csv"))
    known = (*FORMATS.values(), ".xlsx", ".xlsm", ".xlsb", ".ods") if ending == ".zip" else (ending,)
    return path if path.name.lower().endswith(known) else path.with_name(path.name + ending)


def declare(begun: DataSet, source: str, target: Path, checksum: str) -> None:
    """Write the .env file of a data set whose file is, or will be, at the path `target`."""
    folder = begun.env.parent
    sql = os.path.relpath(begun.sql, folder)
    lines = f"SEED_SQL={sql}\n" if begun.is_first else ""
    said = f"{sql} says what the table looks like"
    if begun.appends_to:
        lines = f"SEED_APPENDS_TO={os.path.relpath(begun.appends_to, folder)}\n"
        said = f"the rows are added to those that {os.path.relpath(begun.appends_to, folder)} loads, by {sql}"
    sources = shlex.join([source] if is_link(source) and not has_key(source) else [])
    text = f"""\
# Added with `make dataset`; {said}.
SEED_TABLE={begun.table}
SEED_FILE={shlex.quote(target.name)}
SEED_SAMPLE=
SEED_SHA256={checksum}
{lines}# Links that the file comes from, tried in turn; "#name" picks a member of a zip archive, a sheet or a table. A path is not kept: git has this file.
SEED_SOURCES={shlex.quote(sources)}
"""
    begun.env.parent.mkdir(exist_ok=True)
    replace_text(begun.env, text)

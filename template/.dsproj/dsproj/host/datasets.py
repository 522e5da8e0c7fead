"""The project's data sets: add one, fetch what is missing, load what is not loaded."""
# A file comes to data/, its .env file to docker/postgres/datasets/, beside it the SQL file; then the rows are loaded.
# Each step leaves what the next run of the same command goes on from.

from __future__ import annotations

import os
import re
import shlex
import time
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from functools import partial as later
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.files import replace_text, sha256
from dsproj.host.download import Progress, fetch, forget, obtain
from dsproj.host.engine import Engine, told
from dsproj.names import file_name, is_link, is_table_name, table_name
from dsproj.report import Report
from dsproj.sets import ANEW, DataSet, data_sets, note_checksum, read, shown
from dsproj.settings import PROJECT

LARGEST = 100 * 1024 * 1024  # bytes that a hosting service takes in one file
# How the formats that are stored as they come begin, and the end of the name by which they are known.
FORMATS = {b"\x1f\x8b": ".gz", b"PK\x03\x04": ".zip", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst", b"\xfd7zX": ".xz"}


def up(engine: Engine, report: Report) -> None:
    """Load what is not loaded, and fetch only what that needs; this_postgres runs."""
    missing = loader(engine, report, "missing")
    each_of(later(prepare, engine, report, each) for each in data_sets() if each.table in missing)
    loader(engine, report, "once")


def seed(engine: Engine, report: Report, table: str = "", force: bool = False) -> None:
    """Load the data sets, or one of them, each once; `force` drops its table and loads it again."""
    engine.start("this_postgres", report=report)
    loader(engine, report, "force" if force else "once", *filter(None, [table]))


def dataset(engine: Engine, report: Report, source: str = "", table: str = "", **options: str) -> None:
    """Add a data set from a path or link, or without one: fetch every file that is missing and load what is not loaded.

    All as it was typed; options: header ("yes" or "no"), columns (names, with commas between them), encoding.
    """
    if source.strip():
        words = [f"--{name}={value.strip()}" for name, value in options.items() if value.strip()]
        add(engine, report, source.strip(), table.strip(), words)
        return
    declared = data_sets()
    if not declared:
        raise Problem("There is no data set yet; to add one", "make dataset SOURCE=<path or link>")
    engine.start("this_postgres", report=report)
    steps = [later(prepare, engine, report, each) for each in declared]
    each_of([*steps, later(loader, engine, report, "replace-sample")])


def each_of(steps: Iterable[Callable[[], Any]]) -> None:
    """Take every step, also after one that fails; then the Problem of what failed."""
    problems = []
    for step in steps:
        try:
            step()
        except Problem as problem:
            problems.append(problem)
    if problems:
        raise problems[0] if len(problems) == 1 else Problem("\n".join(map(str, problems)))


def ledger(engine: Engine) -> list[list[Any]]:
    """What is loaded: [[table, number of rows, is it the synthetic sample?], …]; this_postgres runs."""
    return list(loader(engine, Report(), "ledger"))


# --- what is left to do for one that is declared


def loader(engine: Engine, report: Report, *words: str) -> Any:
    """Ask database/seed.py, where this_postgres runs; what it returns, or the Problem that it has."""
    try:
        return engine.call("this_postgres", "dsproj.database.seed", *words, report=report)
    except Problem as problem:
        raise Problem(problem.what, problem.cure or "make up", problem.log) from None


def finish(engine: Engine, report: Report, chosen: DataSet, options: Sequence[str], mode: str = "once") -> None:
    """What is left to do for a data set: all of it, or nothing."""
    prepare(engine, report, chosen, options)
    if why := keep_out_of_git(PROJECT, [chosen.file]).get(chosen.file):
        how = "a clone fetches it again" if any(map(is_link, chosen.sources)) else "a clone needs a copy of it in data/"
        report.done("data", f"data/{chosen.file} is {why}: git ignores it, {how}")
    loader(engine, report, mode, chosen.table)
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
    here = f"copy it to data/{chosen.file}, then: make dataset"
    if chosen.sources and not any(is_link(each) or Path(each).expanduser().exists() for each in chosen.sources):
        raise Problem(f"data/{chosen.file} is not here; it came from {chosen.sources[0]}, which is not there", here)
    try:
        source = fetch(chosen.sources, chosen.path, chosen.checksum, progress(report, chosen.file))
    except (Problem, OSError) as error:
        raise Problem(f"data/{chosen.file} could not be fetched:\n{error}", f"with the file at hand, {here}") from None
    if not chosen.checksum:
        note_checksum(chosen.env, sha256(chosen.path))
    report.done("data", f"data/{chosen.file}: fetched from {source}")


def write_sql(engine: Engine, report: Report, chosen: DataSet, options: Sequence[str]) -> None:
    """Have the SQL file written from the data file, unless it is, where kernels run; the account of it is said."""
    if chosen.is_written:
        return
    words = ["--file", shown(chosen.path), "--table", chosen.table, "--sql", shown(chosen.sql), *options]
    report.doing(f"reading data/{chosen.file} …")
    command = engine.once("python3", "-m", "dsproj.kernel.schema", *words)
    report.done("schema", str(told(command, engine.variables("this_jupyter"), report)))


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


# --- a further one


def add(engine: Engine, report: Report, source: str, table: str, options: Sequence[str]) -> None:
    """Fetch, declare, infer, load: a further data set from a path or link."""
    source = checked_source(source)
    wanted = table or table_name(source)
    if not is_table_name(wanted):
        rule = 'a table name is 1 to 63 lower-case letters, digits and "_", and starts with a letter'
        raise Problem(f"TABLE={wanted}: {rule}")
    declared = data_sets()
    chosen, has_file = chosen_for(source, wanted, declared, any_table=not table)
    engine.start("this_postgres", report=report)
    if chosen not in declared:
        loader(engine, report, "vacant", wanted)
    if has_file:
        finish(engine, report, read(chosen.env), options)
    else:
        bring(engine, report, chosen, source, options)


def chosen_for(source: str, wanted: str, declared: Sequence[DataSet], any_table: bool) -> tuple[DataSet, bool]:
    """(the data set that a source is for, a new one if need be; is its file here); Problem where the table is taken."""
    known = next((each for each in declared if each.table == wanted), None)
    if known and is_made_from(known, source):
        check_unchanged(known, source)
        return known, True
    # Begun and not ended: also the project's own data set, whose file could not be had or not be read.
    own = [each for each in declared if any_table and each.is_first]
    begun = next((each for each in (*own, known) if each and not each.is_written), None)
    if begun:
        return begun, is_link(source) and begun.sources == (source,) and begun.path.is_file()
    if known:
        what = f"{wanted} is a data set of this project already ({shown(known.env)}); another name"
        raise Problem(what, f"make dataset SOURCE=… TABLE={wanted[:50]}_2")
    env = PROJECT / "docker" / "postgres" / "datasets" / f"{wanted}.env"
    return DataSet(env, wanted, "", "", "", (), env.with_suffix(".sql")), False


def is_made_from(known: DataSet, source: str) -> bool:
    return known.is_written and (known.sources == (source,) or known.path == Path(source))


def check_unchanged(known: DataSet, source: str) -> None:
    """Problem where the file at a path is another one than that in data/, which was made from it."""
    if is_link(source) or not known.path.is_file() or known.path.samefile(source):
        return
    if sha256(Path(source)) != sha256(known.path):
        raise Problem(
            f"{source} has changed since it became data/{known.file}, and table {known.table} is made from that. "
            f"To load it beside the other: make dataset SOURCE=… TABLE={known.table[:50]}_2; instead of it",
            f"cp {shlex.quote(source)} data/{shlex.quote(known.file)} && make seed TABLE={known.table} FORCE=1",
        )


def checked_source(source: str) -> str:
    """A link as it is, a path made absolute; Problem where it cannot be either."""
    if re.search(r"[\x00-\x1f\x7f]", source):
        raise Problem("SOURCE: a path or link has no line breaks or control characters")
    if is_link(source):
        try:
            parts = urllib.parse.urlsplit(source)
            host, _ = parts.hostname, parts.port  # a port that is no number is found out when it is asked for
        except ValueError as error:
            raise Problem(f"SOURCE={source}: this is no valid link ({error})") from None
        if not host:
            raise Problem(f"SOURCE={source}: this link names no host")
        return source
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source):
        raise Problem(f"SOURCE={source}: a path, or a link that starts with http:// or https://, please")
    path = Path(os.path.abspath(os.path.expanduser(source)))
    if not path.exists():
        raise Problem(f"SOURCE={source}: there is no such file")
    if not path.is_file():
        raise Problem(f"SOURCE={source}: this is no file" + ("; it is a folder" if path.is_dir() else ""))
    if not os.access(path, os.R_OK):
        raise Problem(f"SOURCE={source}: you may not read this file")
    return str(path)


def bring(engine: Engine, report: Report, begun: DataSet, source: str, options: Sequence[str]) -> None:
    """Have the file in data/, the .env and the SQL file written, the rows loaded; a refusal leaves nothing behind."""
    # `begun` is a new data set, or what an earlier try has left; the file of that may be replaced.
    target, partial = arrived(report, begun, source)
    written = (begun.env, begun.sql, PROJECT / ".gitignore")
    before = [path.read_text(encoding="utf-8") if path.exists() else None for path in written]
    declare(begun, source, target, sha256(partial or target))
    if partial:
        os.replace(partial, target)
    try:
        finish(engine, report, read(begun.env), options, "add")
    except Problem as problem:
        if begun.is_written and problem.cure != ANEW:  # a full disk, say: goes on from here
            if partial:
                forget(partial)
            raise
        # Not a table, or not one that the server takes. What was downloaded stays as the part that another try takes up.
        for path, text in zip(written, before):
            if text is None:
                path.unlink(missing_ok=True)
            else:
                replace_text(path, text)
        if partial:
            os.replace(target, partial)
            if not is_link(source):
                forget(partial)
        problem.cure = problem.cure or ANEW
        raise
    if partial:
        forget(partial)


def arrived(report: Report, begun: DataSet, source: str) -> tuple[Path, Path | None]:
    """(where the file belongs, the ".part" file that it is still, None where it is there)."""
    folder = PROJECT / "data"
    if not is_link(source) and Path(source).resolve().parent == folder.resolve():
        return folder / Path(source).name, None
    target = folder / file_name(source, begun.table)
    try:
        _, partial = obtain([source], target, "", progress(report, target.name))
    except Problem as problem:
        again = f"make dataset SOURCE={shlex.quote(source)}" + ", or of the file where it is now" * is_link(source)
        raise Problem(f"data/{target.name} is not fetched:\n{problem.what}", again) from None
    target = with_true_ending(target, partial)
    if not target.exists() or target == begun.path:
        return target, partial
    same = sha256(target) == sha256(partial)
    forget(partial)
    if not same:
        what = f"data/{target.name} is there already and is another file; move it away, or to load that one"
        raise Problem(what, f"make dataset SOURCE=data/{target.name}")
    return target, None


def with_true_ending(path: Path, content: Path) -> Path:
    """The path, its name with the ending that the file at the path `content` should have and has not."""
    with open(content, "rb") as file:
        start = file.read(4)
    ending = next((ending for magic, ending in FORMATS.items() if start.startswith(magic)), None)
    if ending is None:
        return path if path.suffix else path.with_name(path.name + ".csv")
    known = (*FORMATS.values(), ".xlsx", ".ods", ".docx", ".jar") if ending == ".zip" else (ending,)
    return path if path.name.lower().endswith(known) else path.with_name(path.name + ending)


def declare(begun: DataSet, source: str, target: Path, checksum: str) -> None:
    """Write the .env file of a data set whose file is, or will be, at the path `target`."""
    sql = os.path.relpath(begun.sql, begun.env.parent)
    sql_line = f"SEED_SQL={sql}\n" if begun.is_first else ""
    sources = shlex.join([] if target == Path(source) else [source])
    text = f"""\
# Added with `make dataset`; {sql} says what the table looks like.
SEED_TABLE={begun.table}
SEED_FILE={shlex.quote(target.name)}
SEED_SAMPLE=
SEED_SHA256={checksum}
{sql_line}# Where the file comes from, tried in turn; "#name" picks a member of a zip archive.
SEED_SOURCES={shlex.quote(sources)}
"""
    begun.env.parent.mkdir(exist_ok=True)
    replace_text(begun.env, text)

"""A further data set: its file comes to data/, it is declared, its types are found, its rows are loaded; or nothing is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from dsproj.errors import Problem
from dsproj.files import replace_text, sha256
from dsproj.host.download import forget, obtain
from dsproj.host.engine import Engine
from dsproj.host.loading import finish, loader, progress
from dsproj.host.source import checked_source
from dsproj.names import file_name, is_link, is_table_name, table_name
from dsproj.report import Report
from dsproj.sets import ANEW, DataSet, data_sets, read, shown
from dsproj.settings import PROJECT

# How the formats that are stored as they come begin, and the end of the name by which they are known.
FORMATS = {b"\x1f\x8b": ".gz", b"PK\x03\x04": ".zip", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst", b"\xfd7zXZ": ".xz"}


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
    if has_file and options and chosen.is_written:
        anew(engine, report, chosen, options)
    elif has_file:
        finish(engine, report, read(chosen.env), options)
    else:
        bring(engine, report, chosen, source, options)


def anew(engine: Engine, report: Report, chosen: DataSet, options: Sequence[str]) -> None:
    """Find the types again, by the options that are given now, and load the table again; the SQL file may have been edited."""
    names = (chosen.sql.with_name(f"{chosen.sql.name}.before{number or ''}") for number in range(1000))
    before = next(path for path in names if not path.exists())
    os.replace(chosen.sql, before)
    try:
        finish(engine, report, chosen, options, "force")
    except BaseException:
        os.replace(before, chosen.sql)
        raise
    report.done("schema", f"{shown(chosen.sql)} is written anew; as it was before: {shown(before)}")


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

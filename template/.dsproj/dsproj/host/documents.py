"""Data sets of documents: a file of JSON comes to data/, is declared in docker/mongo/datasets/, its documents go to MongoDB."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.files import replace_text, sha256
from dsproj.host.adding import arrived, aside_of, move, placed, vacant
from dsproj.host.download import forget
from dsproj.host.engine import Engine, told
from dsproj.host.loading import fetch_file, keep_out_of_git
from dsproj.host.several import files_of
from dsproj.host.source import checked_source, part_of
from dsproj.names import has_key, is_link, is_table_name, table_name
from dsproj.report import Report
from dsproj.sets import ANEW, DataSet, collections, shown
from dsproj.settings import PROJECT

FOLDER = PROJECT / "docker" / "mongo" / "datasets"
MODULE = "dsproj.kernel.documents"


def loader(engine: Engine, report: Report, *words: str) -> Any:
    """Ask kernel/documents.py: in this_jupyter, if that runs, else in a container like it; this_mongo runs."""
    if any(state.service == "this_jupyter" and state.running for state in engine.states()):
        return engine.call("this_jupyter", MODULE, *words, report=report)
    return told(engine.once("python3", "-m", MODULE, *words), engine.variables("this_jupyter"), report)


def up(engine: Engine, report: Report) -> None:
    """Load what is not loaded, and fetch only what that needs; everything runs."""
    if not engine.settings.mongo or not collections():
        return
    missing = loader(engine, report, "missing")
    for each in collections():
        if each.table in missing:
            fetch(report, each)
    loader(engine, report, "once")


def ledger(engine: Engine) -> list[list[Any]]:
    """What is loaded: [[collection, number of documents, are they synthetic?, names of files], …]; everything runs."""
    return loader(engine, Report(), "ledger") if engine.settings.mongo and collections() else []


def load(engine: Engine, report: Report, mode: str, name: str = "") -> None:
    """Load the data sets, or one of them, in a mode of kernel/documents.py, once their files are here."""
    chosen = [each for each in collections() if each.table == (name or each.table)]
    if not engine.settings.mongo or not chosen:
        return
    engine.start("this_mongo", report=report)
    for each in chosen:
        fetch(report, each)
    loader(engine, report, mode, *filter(None, [name]))


def fetch(report: Report, chosen: DataSet) -> None:
    """Have the files of a data set in data/, where it is no synthetic one."""
    for part in chosen.all:
        if part.file and not part.path.exists() and not (part.sample and (PROJECT / "data" / part.sample).exists()):
            fetch_file(report, part)


def names() -> list[str]:
    return [each.table for each in collections()]


# --- add


def dataset(
    engine: Engine, report: Report, to: str, source: str, name: str, mode: str, options: Mapping[str, str]
) -> None:
    """What datasets.dataset does, for documents."""
    if to != "mongo":
        raise Problem(f"TO={to}: mongo, for documents; a table goes to PostgreSQL without it")
    check(engine, source, mode, [name for name, value in options.items() if value.strip()])
    if source:
        return add(engine, report, source, name, mode)
    load(engine, report, "real")


def add(engine: Engine, report: Report, source: str, name: str, mode: str) -> None:
    """Fetch, look at, declare, load: documents from a path or link, all of them or none."""
    source = checked_source(source)
    wanted = name or table_name(source)
    known = known_as(wanted, source, mode)
    engine.start("this_mongo", report=report)
    if not known:
        loader(engine, report, "vacant", wanted)
    at = arrived(report, wanted, source, to="mongo")
    try:
        take(engine, report, wanted, known, source, mode, at)
    except Problem:
        if at[1] and not is_link(source):
            forget(at[1])
        raise


def known_as(name: str, source: str, mode: str) -> DataSet | None:
    """The data set of this name; Problem where it cannot be one."""
    if files_of(source):
        raise Problem(f"SOURCE={source}: documents come from one file at a time")
    if not is_table_name(name) or name.startswith("dsproj_"):
        rule = "a collection's name is here 1 to 63 lower-case letters, digits and _, a letter first"
        raise Problem(f"TABLE={name}: {rule}")
    known = next((each for each in collections() if each.table == name), None)
    if mode and not known:
        there = f"there are: {', '.join(names()) or 'none'}"
        raise Problem(
            f"MODE={mode}: {name} is no collection that a data set has made; {there}", "the same without MODE"
        )
    return known


def take(
    engine: Engine,
    report: Report,
    name: str,
    known: DataSet | None,
    source: str,
    mode: str,
    at: tuple[Path, Path | None],
) -> None:
    """What becomes of a file that has arrived (adding.arrived): it is known already, it is asked about, or it is loaded."""
    target, partial = at
    checksum = sha256(partial or target)
    holder = next((each for each in (known.all if known else ()) if each.checksum == checksum), None)
    if holder:
        return go_on(engine, report, holder, mode, partial)
    if known and not mode:
        raise undecided(engine, report, known, source, partial or target)
    bring(engine, report, name, known, source, mode, at, checksum)


def check(engine: Engine, source: str, mode: str, options: Sequence[str]) -> None:
    """Problem for what documents cannot be given."""
    if not engine.settings.mongo:
        cure = "copier update --trust --defaults -d mongo=true, then: make up"
        raise Problem("TO=mongo: this project has no MongoDB", cure)
    if options:
        raise Problem(
            f"{', '.join(name.upper() + '=' for name in options)} is for tables: documents say themselves what they hold"
        )
    if mode not in ("", "append", "replace"):
        raise Problem(f"MODE={mode}: append adds the documents of a file, replace loads the collection from it anew")
    if part := part_of(source):
        raise Problem(f"SOURCE={source}: a file of documents has no part {part}", "the same without the #")


def go_on(engine: Engine, report: Report, holder: DataSet, mode: str, partial: Path | None) -> None:
    """The file is known already: load it if it is not loaded."""
    if partial and not holder.path.exists():
        move(partial, holder.path)
    elif partial:
        forget(partial)
    loaded: list[str] = next((entry[3] for entry in loader(engine, report, "ledger") if entry[0] == holder.table), [])
    if mode == "append" and holder.file in loaded:
        raise Problem(f"{holder.table} has these documents already: data/{holder.file} is the same file, byte for byte")
    loader(engine, report, mode if mode == "replace" else "once", holder.table)
    forget(aside_of(holder.path))  # of a try that was killed


def undecided(engine: Engine, report: Report, known: DataSet, source: str, file: Path) -> Problem:
    """What is new in the file, and the commands for what may become of it."""
    command = f"make dataset SOURCE={shlex.quote(source)} TO=mongo"
    into = f"{command} TABLE={known.table}"
    lines = []
    try:
        new = loader(engine, report, "look", file.name)
        lines.append(f"in it: {new['documents']:,} documents, {len(new['fields']):,} fields")
        if known.path.is_file():
            lines += differences(loader(engine, report, "look", known.file)["fields"], new["fields"])
    except Problem as problem:
        return Problem(problem.what, problem.cure or f"{ANEW} TO=mongo TABLE={known.table}")
    lines += [
        f"beside it, as another collection: {command} TABLE={known.table[:50]}_2",
        f"its documents to those that are there: {into} MODE=append",
        "in place of the other, the collection loaded anew:",
    ]
    what = f"{known.table} is a data set of this project already ({shown(known.env)}), and this is another file"
    return Problem(f"{what} than data/{known.file or known.sample}", f"{into} MODE=replace", lines)


def differences(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Fields that come, go, or hold something else, some of each."""
    sorts = {
        "new fields": [f"{path} ({kind})" for path, kind in new.items() if path not in old],
        "fields that it lacks": [path for path in old if path not in new],
        "other types": [f"{path} ({old[path]}: {kind})" for path, kind in new.items() if old.get(path, kind) != kind],
    }
    return [f"{what}: {', '.join(some[:5])}{', …' * (len(some) > 5)}" for what, some in sorts.items() if some]


def bring(
    engine: Engine,
    report: Report,
    name: str,
    known: DataSet | None,
    source: str,
    mode: str,
    at: tuple[Path, Path | None],
    checksum: str,
) -> None:
    """Have the file in data/, the .env file written, the documents loaded; a refusal leaves nothing behind."""
    env = FOLDER / f"{name}.env"
    if known and mode == "append":
        env = FOLDER / f"{name}+{max([0, *(each.number for each in known.parts)]) + 1}.env"
    begun = known if known and mode == "replace" else DataSet(env, name, "", "", "", (), env)
    try:
        target, partial = vacant(begun, mode, *at)
    except Problem as problem:
        raise Problem(problem.what, f"{problem.cure} TO=mongo") from None
    anew = f"{ANEW} TO=mongo TABLE={name}" + f" MODE={mode}" * bool(mode)
    with placed(target, partial, source, mode, (env,), anew):
        declare(env, name, source, target, checksum, known if mode == "append" else None)
        move(partial, target)
        load_new(engine, report, name, source, mode, target)
    report.done("documents", f'in a notebook: from lib.mongo import collection; collection("{name}").find_one()')


def load_new(engine: Engine, report: Report, name: str, source: str, mode: str, target: Path) -> None:
    """Say what is in a file that is in data/ now, and load it."""
    report.doing(f"looking at data/{target.name} …")
    report.done("documents", loader(engine, report, "look", target.name)["lines"])
    if why := keep_out_of_git(PROJECT, [target.name]).get(target.name):
        how = "a clone fetches it again" if is_link(source) else "a clone needs a copy of it in data/"
        report.done("data", f"data/{target.name} is {why}: git ignores it, {how}")
    loader(engine, report, "force" if mode == "replace" else "once", name)


def declare(env: Path, name: str, source: str, target: Path, checksum: str, first: DataSet | None) -> None:
    sources = shlex.join([source] if is_link(source) and not has_key(source) else [])
    adds = f"SEED_APPENDS_TO={first.env.name}\n" if first else ""
    text = f"""\
# Added with `make dataset … TO=mongo`: the documents of the file are in the collection of this name.
SEED_COLLECTION={name}
SEED_FILE={shlex.quote(target.name)}
SEED_SAMPLE=
SEED_SHA256={checksum}
{adds}# Links that the file comes from, tried in turn. A path is not kept: git has this file.
SEED_SOURCES={shlex.quote(sources)}
"""
    env.parent.mkdir(parents=True, exist_ok=True)
    replace_text(env, text)

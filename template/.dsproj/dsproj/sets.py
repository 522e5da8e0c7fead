"""The project's data sets, as docker/postgres/datasets/*.env declares them: a file in data/, its table, its sources.

Those in docker/mongo/datasets/ are documents: `table` is their collection."""
# What makes and fills the table is the SQL file beside the .env file, or the one that SEED_SQL names: initdb.sql for
# the data set that the project began with.

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.settings import PROJECT

# What to type once a new file was refused: nothing of it is left then.
ANEW = "make dataset SOURCE=<the mended file>"

READER = "get_table.sh"  # what an SQL file calls for a data file that is no CSV file


def shown(path: Path) -> str:
    """A path of the project as people type it there."""
    return path.relative_to(PROJECT).as_posix()


@dataclass(frozen=True)
class DataSet:
    """One data set; file and sample are names in data/, "" where there is none."""

    env: Path
    table: str
    file: str
    sample: str
    checksum: str  # SHA-256 of the file, "" where it is not known yet
    sources: tuple[str, ...]  # links, tried in turn; in an older project also a path
    sql: Path
    part: str = ""  # the sheet or table of the file, where the project began with a path that named one
    appends_to: Path | None = None  # the SQL file that makes the table, where this one only adds rows to it
    parts: tuple[DataSet, ...] = ()  # what adds rows to this one's table, in their order

    @property
    def all(self) -> tuple[DataSet, ...]:
        """This one and its parts: one for each file that the table is made from."""
        return (self, *self.parts)

    @property
    def is_first(self) -> bool:
        """Is it the one that the project began with?"""
        return self.sql != self.env.with_suffix(".sql")

    @property
    def number(self) -> int:
        """Of a part, such as 2 for crops+2.env."""
        return int(self.env.stem.rpartition("+")[2])

    @property
    def path(self) -> Path:
        """Where the file is, or belongs."""
        return PROJECT / "data" / self.file

    @property
    def copying(self) -> str:
        """What brings a missing file to data/ by hand."""
        return f"copy the file to data/{self.file}, then: make dataset"

    @property
    def fetching(self) -> str:
        """What brings a missing file to data/."""
        return "make dataset" if self.sources else self.copying

    @property
    def is_written(self) -> bool:
        """Does the SQL file say anything? One with nothing but comments is a placeholder."""
        return has_statements(self.sql)

    @property
    def needs_readers(self) -> bool:
        """Is it a file that Python's standard library does not read? Then its rows are printed where kernels run."""
        return any(READER in each.sql.read_text(encoding="utf-8") for each in self.all if each.is_written)


def has_statements(path: Path) -> bool:
    """Is there an SQL file at the path, with more in it than comments?"""
    return path.exists() and bool(re.search(r"^(?!\s*--)\s*\S", path.read_text(encoding="utf-8"), re.M))


def read(env: Path) -> DataSet:
    """The data set of one .env file, which is written as a shell would take it."""
    try:
        words = shlex.split(env.read_text(encoding="utf-8"), comments=True)
        values = {name: value for name, _, value in (word.partition("=") for word in words)}
        table, file = values.get("SEED_COLLECTION") or values["SEED_TABLE"], values["SEED_FILE"]
        names = ("SAMPLE", "SHA256", "SQL", "PART", "APPENDS_TO")
        sample, checksum, sql, part, to = (values.get(f"SEED_{name}", "") for name in names)
        sources = tuple(shlex.split(values.get("SEED_SOURCES", "")))
        script = Path(os.path.normpath(env.parent / sql)) if sql else env.with_suffix(".sql")
        head = Path(os.path.normpath(env.parent / to)) if to else None
        found = DataSet(env, table, file, sample, checksum, sources, script, part, head)
        if head and found.number < 1:
            raise ValueError("a part is called <table>+<number>.env")
        return found
    except (ValueError, KeyError) as error:
        raise Problem(f"{shown(env)} is no valid file of settings: {error}", "mend it, then: make up") from None


def data_sets() -> list[DataSet]:
    """All tables that are declared, the one that the project began with first."""
    return declared(PROJECT / "docker" / "postgres" / "datasets")


def collections() -> list[DataSet]:
    """All collections of documents that are declared: the same, without SQL."""
    return declared(PROJECT / "docker" / "mongo" / "datasets")


def declared(folder: Path) -> list[DataSet]:
    """The data sets of a folder, each with those that add to it."""
    try:
        names = sorted(os.listdir(folder))
        found = [read(folder / name) for name in names if name.endswith(".env")]
    except FileNotFoundError as error:
        if Path(error.filename) != folder:
            raise
        return []
    except PermissionError as error:
        what = f"{shown(Path(error.filename))} may not be read by the server; allow it"
        raise Problem(what, f"chmod -R a+rX {shown(folder.parent)}") from None
    parts = sorted((each for each in found if each.appends_to), key=lambda each: each.number)
    heads = sorted((each for each in found if each.table and not each.appends_to), key=lambda each: not each.is_first)
    return [replace(head, parts=tuple(each for each in parts if each.table == head.table)) for head in heads]


def note_checksum(env: Path, checksum: str) -> None:
    """Write the checksum into an .env file that has none, so that a clone can check what it fetches."""
    text = env.read_text(encoding="utf-8")
    replace_text(env, text.replace("\nSEED_SHA256=\n", f"\nSEED_SHA256={checksum}\n"))

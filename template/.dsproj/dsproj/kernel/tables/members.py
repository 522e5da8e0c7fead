"""Several files in one archive: each is written down while it is read, since most readers want a file of their own."""

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dsproj.database import data_files
from dsproj.errors import Problem
from dsproj.kernel import tables
from dsproj.kernel.tables import Source

BLOCK = 1 << 20


def members(source: Source, only: int | None = None) -> Iterator[tuple[str, Source]]:
    """(name, what it is read as) of each file, in the order of names; the file is there until the next one is asked for."""
    with zipfile.ZipFile(source.path) as archive, tempfile.TemporaryDirectory(prefix="dsproj-") as folder:
        names = sorted(data_files.members(archive))
        if source.part:
            names = [tables.chosen_part(source, names, "file")]
        for name in names[:only]:
            path = Path(folder) / Path(name).name
            with at_file(name):
                try:
                    with data_files.member(archive, name) as packed, open(path, "wb") as file:
                        shutil.copyfileobj(packed, file, BLOCK)
                except data_files.BROKEN as error:
                    raise Problem(f"{data_files.DAMAGED}: {error}") from None
                kind = "fixed width" if source.widths else data_files.kind_of(path)
                if kind == "archive":
                    raise Problem("this is an archive within an archive: unpack it")
            yield name, replace(source, path=path, kind=kind, part="", filename=False)
            path.unlink()


@contextlib.contextmanager
def at_file(name: str) -> Iterator[None]:
    """Within it, a Problem is one of the file `name`."""
    try:
        yield
    except Problem as problem:
        raise Problem(f"{name}: {problem.what}", problem.cure) from None


def kind_of_files(source: Source) -> str:
    """ "text files" or "files" with types, by the first."""
    for _, first in members(source, only=1):
        return "text files" if first.kind == "CSV" or first.kind in tables.UNTYPED else "files"
    raise Problem("the archive is empty")

"""A folder, or the files that a pattern such as sales-*.csv names, as one archive: that comes to data/ like any file."""

from __future__ import annotations

import glob
import itertools
import os
import re
import zipfile
from pathlib import Path

from dsproj.errors import Problem
from dsproj.files import BLOCK
from dsproj.names import OF_SYSTEM, is_link

MOST = 10_000  # files
BEGIN_OF_TIME = (1980, 1, 1, 0, 0, 0)  # the same files make the same archive, byte for byte


def files_of(source: str) -> list[tuple[str, Path]]:
    """[(name, path), …] of a folder or a pattern, in the order of their names; [] for one file, and for a link."""
    place = os.path.expanduser(source)
    if is_link(source) or os.path.isfile(place):
        return []
    pattern = glob.escape(place) + "/**" if os.path.isdir(place) else place
    base = os.path.dirname(re.split(r"[*?[]", place)[0]) if pattern == place else place
    found = filter(os.path.isfile, glob.iglob(pattern, recursive=True))
    paths = [Path(path) for path in itertools.islice(found, MOST + 1)]
    if len(paths) > MOST:
        raise Problem(f"SOURCE={source}: more than {MOST:,} files")
    named = [(os.path.relpath(path, base or ".").replace(os.sep, "/"), path) for path in paths]
    return sorted((name, path) for name, path in named if path.name not in OF_SYSTEM)


def size_of(files: list[tuple[str, Path]]) -> int:
    return sum(path.stat().st_size for _, path in files)


def pack(files: list[tuple[str, Path]], target: Path) -> None:
    """Write the files into one archive, as they are. Raises a Problem."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files:
            try:
                with (
                    open(path, "rb") as file,
                    archive.open(zipfile.ZipInfo(name, BEGIN_OF_TIME), "w", force_zip64=True) as packed,
                ):
                    while block := file.read(BLOCK):
                        packed.write(block)
            except OSError as error:
                raise Problem(f"{path}: {error.strerror}") from None

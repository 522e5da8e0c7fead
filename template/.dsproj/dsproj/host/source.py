"""What a person gives as SOURCE: a path or link that can be one, or the Problem with it."""

from __future__ import annotations

import os
import re
import urllib.parse
from pathlib import Path

from dsproj.errors import Problem
from dsproj.host.clouds import file_link
from dsproj.host.several import files_of
from dsproj.names import is_archive, is_link


def parted(source: str) -> tuple[str, str]:
    """(the path or link itself, the part of the file that is named after a "#", "" for none)."""
    if "#" not in source or (not is_link(source) and os.path.exists(os.path.expanduser(source))):
        return source, ""
    place, _, part = source.partition("#") if is_link(source) else source.rpartition("#")
    return place, part


def part_of(source: str) -> str:
    """The sheet or table that is named; a file of an archive that a link leads to is taken out of it on the way."""
    return "" if is_archive(source) else parted(source)[1]


def checked_source(source: str) -> str:
    """A link as it is, a path made absolute, without its part; Problem where it cannot be either."""
    if re.search(r"[\x00-\x1f\x7f]", source):
        raise Problem("SOURCE: a path or link has no line breaks or control characters")
    if is_link(source := file_link(source)):
        try:
            parts = urllib.parse.urlsplit(source)
            host, _ = parts.hostname, parts.port  # a port that is no number is found out when it is asked for
        except ValueError as error:
            raise Problem(f"SOURCE={source}: this is no valid link ({error})") from None
        if not host:
            raise Problem(f"SOURCE={source}: this link names no host")
        return source
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source):
        raise Problem(
            f"SOURCE={source}: a path, or a link that starts with http:// or https:// (or s3://, gs://, hf://, kaggle://), please"
        )
    return checked_path(source)


def checked_path(source: str) -> str:
    """The absolute path of a file, a folder with files or a pattern; Problem where there is nothing to be read."""
    path = Path(os.path.abspath(os.path.expanduser(parted(source)[0])))
    several = [each for _, each in files_of(str(path))]
    if not several and not path.exists():
        raise Problem(
            f"SOURCE={source}: there is no such file" + " of this pattern" * bool(re.search(r"[*?[]", source))
        )
    if not several and not path.is_file():
        raise Problem(f"SOURCE={source}: " + ("the folder is empty" if path.is_dir() else "this is no file"))
    if closed := [each for each in several or [path] if not os.access(each, os.R_OK)]:
        raise Problem(f"SOURCE={source}: you may not read " + (str(closed[0]) if several else "this file"))
    for log in (f"{path}-wal", f"{path}.wal"):  # of SQLite and DuckDB: what is newest is not in the file yet
        if os.path.exists(log) and os.path.getsize(log):
            raise Problem(
                f"{path}: a program writes to it, and {os.path.basename(log)} holds what is newest; end it first"
            )
    return str(path)

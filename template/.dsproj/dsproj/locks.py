"""The lock: each package that the project adds, and what those need, in one version and with the checksums of its files.

It stands in two files, as the requirements do: docker/jupyter/requirements.lock is for the image and for the local stack,
local/requirements.lock takes it in and has what the local stack needs beside. Written by host/packages.py.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

LOCKS = ("docker/jupyter/requirements.lock", "local/requirements.lock")
REQUIREMENTS = ("docker/jupyter/requirements.txt", "local/requirements.txt")
STAMP = "# made from: "  # and a checksum of the requirements


@dataclasses.dataclass(frozen=True)
class Locked:
    """An entry. name: as `normal` has it; version: "" for a link; marker: where it holds, "" for everywhere; text: all of it."""

    name: str
    version: str
    marker: str
    text: str


def normal(name: str) -> str:
    """A package's name as the package index compares it: rq-dashboard for RQ_Dashboard."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    """The package that a line asks for; "" for an option, or a link without a name."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(?=\s*(?:[\[;@=<>!~(]|$))", requirement)
    return normal(found[0]) if found else ""


def entries(text: str) -> list[Locked]:
    """The packages of a lock's text, in its order; a package has several entries where its version depends on Python's."""
    found = []
    for block in re.split(r"(?m)^(?=\S)", text):
        head = block.split("\n", 1)[0].rstrip("\\ ")
        if name := name_of(head):
            requirement, _, marker = head.partition(" ; ")
            found.append(Locked(name, requirement.partition("==")[2].strip(), marker.strip(), block.rstrip()))
    return found


def asked(text: str) -> list[str]:
    """The requirements of a file's text, without comments and blank lines."""
    lines = (re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in text.splitlines())
    return [" ".join(line.split()) for line in lines if line]


def stamp(texts: list[str]) -> str:
    """What tells requirements from others: their order and comments do not count."""
    lines = "\n\n".join("\n".join(sorted(asked(text))) for text in texts)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def read(path: Path) -> str:
    """A file's text, "" where there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""

"""Files that are whole or not there, and files that only their owner may read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, Any

BLOCK = 1 << 20


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def replace_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file by a text in UTF-8, whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open_private(partial) as file:
            file.write(text.encode("utf-8"))
        partial.chmod(mode)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def create_private(path: Path, text: str) -> bool:
    """Write a new file that only its owner may read; False where it exists already. Never half a file."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open_private(partial) as file:
            file.write(text.encode("utf-8"))
        try:
            os.link(partial, path)  # unlike a rename, fails where the name is taken
        except OSError:  # taken, as the next line finds too, or a file system without hard links
            with open_private(path) as file:
                file.write(text.encode("utf-8"))
        return True
    except FileExistsError:
        return False
    finally:
        partial.unlink(missing_ok=True)


def open_private(path: Path) -> IO[Any]:
    """A new file, open for writing bytes, that only its owner may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner may read, with its parents."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path

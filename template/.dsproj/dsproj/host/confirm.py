"""Ask a person before data goes."""

from __future__ import annotations

import sys

from dsproj.errors import Problem


def confirm(what: str, name: str, force: bool) -> None:
    """Problem unless FORCE=1 was given, or a person at a terminal has read `what` and types the project's name."""
    if force:
        return
    print(what, flush=True)
    if not sys.stdin.isatty():
        raise Problem("Nothing was done. To do it without being asked: add FORCE=1")
    try:
        answer = input(f"Type the project's name to go on ({name}): ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
    if answer.strip() != name:
        raise Problem("Nothing was done.")

"""The project's packages: `make add`, `make lock`, and the lock that both engines install from. See locks.py."""

# uv resolves for every Python from 3.11 on and every system at once, so that image and local stack get the same versions.
# What is locked stays in its version for as long as the requirements allow it.

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsproj import locks
from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.host import uv
from dsproj.report import Report
from dsproj.settings import PROJECT

if TYPE_CHECKING:
    from dsproj.host.engine import Engine

OLDEST = "3.11"  # of the Pythons that the lock is for
OWN = "# Your own"  # the heading below which `make add` writes
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?((===?|~=|!=|<=?|>=?)[A-Za-z0-9.*+!_-]+,?)*")
HEAD = "# Every package in its version, with the checksums of its files. Written by `make add` and `make lock`: not to be edited.\n"
ABOVE = "-r ../docker/jupyter/requirements.lock\n"
Texts = list[str]  # of the two files of REQUIREMENTS, or of LOCKS


def texts(names: Sequence[str]) -> Texts:
    return [locks.read(PROJECT / name) for name in names]


def is_old() -> bool:
    """Is the lock not that of the requirements, or is there none?"""
    made = f"{locks.STAMP}{locks.stamp(texts(locks.REQUIREMENTS))}\n"
    first, second = texts(locks.LOCKS)
    return made not in first or not second


def ensure(report: Report) -> None:
    """Renew the lock where the requirements have changed: by a person, or an update."""
    if is_old():
        before = versions(texts(locks.LOCKS))
        write(locks.LOCKS, resolve(texts(locks.REQUIREMENTS)))
        report.done("lock", f"renewed, since the requirements have changed: {difference(before)}; commit it")


def write(names: Sequence[str], contents: Texts) -> None:
    for name, text in zip(names, contents):
        if locks.read(PROJECT / name) != text:
            replace_text(PROJECT / name, text)


def versions(contents: Texts) -> dict[str, str]:
    """{package: its version, or versions, as people read them} of a lock."""
    found: dict[str, list[str]] = {}
    for each in (each for text in contents for each in locks.entries(text)):
        found.setdefault(each.name, []).append(each.version or "by its link")
    return {name: " or ".join(listed) for name, listed in found.items()}


def difference(before: dict[str, str]) -> str:
    """What the lock has now and had not before, in one line."""
    now = versions(texts(locks.LOCKS))
    lines = [f"{name} {now[name]}" for name in now if name not in before]
    lines += [f"{name} {before[name]} -> {now[name]}" for name in now if before.get(name, now[name]) != now[name]]
    lines += [f"without {name}" for name in before if name not in now]
    more = f" and {len(lines) - 8} more" if len(lines) > 8 else ""
    return ", ".join(lines[:8]) + more if lines else "no package is another"


def resolve(requirements: Texts, upgrade: bool = False) -> Texts:
    """The lock's two texts for requirements. What is locked now stays, but for `upgrade`. Problem where they cannot be met."""
    variables = _variables()
    program = uv.find(variables)
    if not program:
        raise Problem(
            "The lock is renewed by uv, which is not here and could not be fetched", "pipx install uv, then the same"
        )
    variables = uv.settings(variables)
    known = "" if upgrade else "".join(texts(locks.LOCKS)).replace(ABOVE, "")
    with _candidates(requirements) as files, tempfile.TemporaryDirectory() as folder:
        everything = _compile(program, files, known, Path(folder), variables)
        in_image = {
            each.name for each in locks.entries(_compile(program, files[:1], everything, Path(folder), variables))
        }
    parts: tuple[Texts, Texts] = ([], [])
    for each in locks.entries(everything):
        parts[each.name not in in_image].append(f"{each.text}\n")
    stamp = f"{locks.STAMP}{locks.stamp(requirements)}\n"
    return [HEAD + stamp + "".join(parts[0]), HEAD + ABOVE + "".join(parts[1])]


def _variables() -> dict[str, str]:
    if os.name == "nt":
        return dict(os.environ)
    from dsproj.host.variables import inherited

    return inherited()


@contextlib.contextmanager
def _candidates(requirements: Texts) -> Iterator[list[str]]:
    """Files of requirements that are only tried, beside the true ones: what they name by a path is found."""
    names = [f"{name}.{os.getpid()}.part" for name in locks.REQUIREMENTS]
    try:
        for name, text in zip(names, requirements):
            # The second takes the first in; here uv is given both.
            plain = re.sub(r"(?m)^(-r|--requirement)\s+\.\./docker/jupyter/requirements\.txt\s*$", "", text)
            (PROJECT / name).write_text(plain, encoding="utf-8")
        yield names
    finally:
        for name in names:
            (PROJECT / name).unlink(missing_ok=True)


def _compile(program: str, sources: list[str], known: str, folder: Path, variables: dict[str, str]) -> str:
    """What uv makes of files of requirements: entries by name. `known` is a lock whose versions it prefers."""
    out = folder / "lock"
    out.write_text(known, encoding="utf-8")
    options = [
        "--quiet",
        "--universal",
        f"--python-version={OLDEST}",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
    ]
    command = [program, "pip", "compile", *options, "--python", sys.executable, "--output-file", str(out), *sources]
    how = {"cwd": PROJECT, "env": variables, "capture_output": True, "text": True, "errors": "replace"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, **how)  # type: ignore[call-overload]
    if done.returncode:
        raise unresolved(done.stderr)
    return out.read_text(encoding="utf-8")


def unresolved(said: str) -> Problem:
    """What a person has to know of uv's complaint, in a line."""
    text = " ".join(re.sub(r"^\s*(?:error|cause|hint): |\.\d+\.part\b", "", line).strip() for line in said.splitlines())
    if found := re.search(r"Because (\S+) was not found in the package registry", text):
        return Problem(f"There is no package {found[1]} in the package index. Nothing was changed.")
    if found := re.search(r"Because there is no version of (\S+)", text):
        return Problem(f"There is no {found[1]} in the package index. Nothing was changed.")
    if re.search(r"Failed to fetch|error sending request|Request failed", text):
        return Problem(
            "The package index cannot be reached, so the lock cannot be renewed. Nothing was changed.",
            log=[text[-200:]],
        )
    if "Because" not in text:
        return Problem("uv could not make the lock. Nothing was changed.", log=[text[:700]])
    why = text[text.find("Because") :].partition(" While the active Python")[0]
    return Problem("The packages do not fit together. Nothing was changed.", log=[why.strip()[:700]])


# --- make lock and make add


def lock(report: Report, upgrade: bool) -> None:
    """Renew the lock, with the newest versions that the requirements allow, where that is asked for."""
    before = versions(texts(locks.LOCKS))
    write(locks.LOCKS, resolve(texts(locks.REQUIREMENTS), upgrade))
    changed = difference(before)
    report.done("lock", changed if changed.startswith("no ") else f"{changed}; to install them: make up")


def add(engine: Engine, report: Report, given: str) -> None:
    """Add packages to requirements.txt and the lock, and install them. Where that fails, all is as it was."""
    words = given.split()
    if not words or not all(WORD.fullmatch(word) for word in words):
        raise Problem(f"Which package? PKG={given}: a name is meant, or a name and a version", "make add PKG=polars")
    old, locked = texts(locks.REQUIREMENTS), texts(locks.LOCKS)
    before = versions(locked)
    for word in known(old, words):
        report.done("added", f"{word} {before.get(locks.normal(word), '')}: there already")
        words.remove(word)
    if not words:
        return
    report.doing("looking for versions that fit together")
    wanted = required(old, words)
    solved = resolve(wanted)
    wanted[0] = pinned(wanted[0], words, solved)
    solved[0] = re.sub(rf"(?m)^{locks.STAMP}.*$", f"{locks.STAMP}{locks.stamp(wanted)}", solved[0])
    now = versions(solved)
    others = [name for name in before if now.get(name) != before[name]]
    try:
        write(locks.REQUIREMENTS, wanted)
        write(locks.LOCKS, solved)
        note = engine.install(report, bool(others))
    except BaseException:
        write(locks.REQUIREMENTS, old)
        write(locks.LOCKS, locked)
        raise
    names = ", ".join(f"{name} {now[name]}" for name in map(locks.name_of, words))
    report.done("added", f"{names}: in docker/jupyter/requirements.txt. The lock: {difference(before)}")
    report.done("kernels", note)
    if others:
        report.done(
            "kernels", f"which have imported {', '.join(others[:4])}: the old version, until they are restarted"
        )


def known(requirements: Texts, words: Sequence[str]) -> list[str]:
    """Those of the words that are names alone, of packages that are required already."""
    there = {locks.name_of(line) for text in requirements for line in locks.asked(text)}
    return [word for word in words if locks.normal(word) in there]


def required(old: Texts, words: Sequence[str]) -> Texts:
    """The requirements with some more, or other versions; a line of local/requirements.txt gives way to one for both."""
    first, second = old
    for word in words:
        line = re.compile(rf"(?mi)^{_pattern(word)}\s*(?:[\[=<>!~;#].*)?\n")
        second = line.sub("", second)
        if line.search(first):
            first = line.sub(f"{word}\n", first, count=1)
            continue
        if OWN not in first:
            first = f"{first.rstrip()}\n\n{OWN}\n"
        first = f"{first.rstrip()}\n{word}\n"
    return [first, second]


def pinned(text: str, words: Sequence[str], solved: Texts) -> str:
    """The requirements with the versions that were found."""
    for word in words:
        found = [each for each in locks.entries(solved[0]) if each.name == locks.name_of(word)]
        bare = re.split(r"[=<>!~]", word, maxsplit=1)[0]
        lines = [f"{bare}=={each.version}" + (f"; {each.marker}" if len(found) > 1 else "") for each in found]
        text = text.replace(f"\n{word}\n", "".join(f"\n{line}" for line in lines) + "\n")
    return text


def _pattern(word: str) -> str:
    """A regular expression for every way to write a package's name."""
    return "[-_.]+".join(map(re.escape, locks.name_of(word).split("-")))

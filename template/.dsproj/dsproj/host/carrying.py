"""A project's files, from one machine to another: what is there, what differs, and put in place so that no edit is lost."""
# All files travel but what each machine makes for itself. They come to a folder beside first, and then, whole, to their place:
# so an interruption leaves old files or new ones, and what has come need not come again.

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from dsproj.errors import Problem
from dsproj.files import BLOCK, private_folder, sha256
from dsproj.settings import PROJECT

Listing = dict[str, str]  # path: "folder" for an empty one, "-> target" of a link, "mode checksum" of a file
ARRIVING, REPLACED = PROJECT / ".local" / "arriving", PROJECT / "backups" / "replaced"
OF_MACHINE = (".local", ".env", "backups")
MADE_ANEW = tuple(
    "__pycache__ .ipynb_checkpoints .virtual_documents .venv node_modules .cache .pytest_cache .ruff_cache .mypy_cache".split()
)
GIT, OBJECTS, HOOKS = ".git/", ".git/objects/", ".git/hooks/"
OWN_GIT = (".git/config", ".git/info/")  # kept where they are, once they are there


def listing() -> Listing:
    """What is here."""
    return {path: found for path in _paths(PROJECT, "") if (found := entry(PROJECT / path))}


def _paths(folder: Path, inner: str) -> Iterator[str]:
    entries = list(os.scandir(folder))
    if not entries:
        yield inner.rstrip("/")
    for each in entries:
        path = inner + each.name
        if not path.startswith(GIT) and (each.name in MADE_ANEW or path in OF_MACHINE or path.endswith(".part")):
            continue
        if each.is_dir(follow_symlinks=False):
            yield from _paths(Path(each.path), f"{path}/")
        elif path == ".git" or path.startswith(GIT) and (path.endswith(".lock") or path.startswith(HOOKS)):
            continue  # the .git of a worktree is a link home, and hooks name programs of this machine
        elif each.is_symlink() or each.is_file():
            yield path


def entry(path: Path) -> str:
    """What a listing says of a path; "" where there is nothing."""
    try:
        if path.is_symlink():
            return f"-> {os.readlink(path)}"
        if path.is_dir():
            return "folder"
        return f"{path.stat().st_mode & 0o777:o} {sha256(path)}"
    except (FileNotFoundError, NotADirectoryError):
        return ""


def pack(paths: Iterable[str], stream: IO[bytes]) -> None:
    """Write files to a stream, as a tar archive."""
    with tarfile.open(fileobj=stream, mode="w|", bufsize=BLOCK) as archive:
        for path in paths:
            try:
                archive.add(PROJECT / path, arcname=path, recursive=False)
            except (FileNotFoundError, tarfile.TarError):  # gone, or written to: the next round has it
                continue
            except OSError as error:
                if error.errno:
                    raise
                raise Problem(f"{path} became shorter while it was copied", "the same command") from None


def _parked(path: str) -> Path:
    return ARRIVING / hashlib.sha256(os.fsencode(path)).hexdigest()


def unpack(stream: IO[bytes]) -> None:
    """Take what `pack` has written, into the folder beside."""
    private_folder(ARRIVING)
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK) as archive:
            for member in archive:
                if not (content := archive.extractfile(member)):
                    continue  # a link is made from what the listing says of it
                partial = _parked(member.name).with_suffix(".part")
                with open(partial, "wb") as file:
                    shutil.copyfileobj(content, file, BLOCK)
                os.chmod(partial, member.mode & 0o777)
                os.utime(partial, (member.mtime, member.mtime))
                partial.rename(_parked(member.name))
    except tarfile.TarError as error:
        raise Problem(f"The connection was cut off: {error}", "the same command") from None


def lacking(theirs: Listing) -> list[str]:
    """The files that have to come before `settle` can make this folder as theirs is."""
    files = {path: what for path, what in theirs.items() if what[0].isdigit()}
    return [path for path, what in files.items() if what not in (entry(PROJECT / path), entry(_parked(path)))]


def put(path: str, what: str, at: str = "") -> None:
    """Make a path be what their listing says of it, "" for nothing; `at`: under another name."""
    target = PROJECT / (at or path)
    if os.path.isabs(path) or ".." in Path(path).parts:
        raise Problem(f"{path} is no path of a project")
    if what != "folder" and target.is_dir() and not target.is_symlink():
        with contextlib.suppress(OSError):  # one that has files keeps them
            target.rmdir()
    elif not what:
        target.unlink()
    if not what:
        while (target := target.parent) != PROJECT and not any(target.iterdir()):
            target.rmdir()
        return
    if not target.parent.resolve().is_relative_to(PROJECT):
        raise Problem(f"{path} would be outside of the project, through a link")
    target.parent.mkdir(parents=True, exist_ok=True)
    if what == "folder":
        target.mkdir(exist_ok=True)
    elif what.startswith("-> "):
        if target.is_symlink():
            target.unlink()
        os.symlink(what[3:], target)
    else:
        os.replace(_parked(path), target)


def mirror(theirs: Listing, base: Listing | None) -> list[str]:
    """Make this folder as theirs is. What is no longer as in `base` was edited here: it is set aside; lines that say so."""
    mine, aside = listing(), REPLACED.with_name(f"replaced-{time.strftime('%Y%m%d-%H%M%S')}")
    said: dict[str, str] = {}
    for path in sorted(mine.keys() | theirs.keys(), key=lambda path: path in theirs):  # what goes makes room first
        is_mine, wanted = mine.get(path, ""), theirs.get(path, "")
        if is_mine == wanted:
            continue
        if base is not None and is_mine not in ("", "folder", base.get(path)) and not path.startswith(OWN_GIT):
            (kept := aside / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / path, kept, follow_symlinks=False)
            short = ".git" if path.startswith(GIT) else path
            said[short] = f"{short} was changed there since; as it was, it is in {aside.relative_to(PROJECT)} there"
        put(path, wanted)
    return list(said.values())


def merge(theirs: Listing, base: Listing, name: str, takes_git: bool) -> list[str]:
    """Take what was changed there since `base`. What was changed here, too, stays, theirs beside it; lines that say so.

    takes_git: branches and index are theirs from now on; else only git's objects come.
    """
    said = []
    for path in sorted(base.keys() | theirs.keys(), key=lambda path: path in theirs):
        mine, wanted, was = entry(PROJECT / path), theirs.get(path, ""), base.get(path, "")
        if wanted in (mine, was) or path.startswith(OWN_GIT):
            continue
        if path.startswith(GIT):
            if takes_git if not path.startswith(OBJECTS) else wanted and not mine:
                put(path, wanted)
        elif mine == was or mine == "folder":
            put(path, wanted)
        elif not wanted:
            said.append(f"{path} was deleted there and changed here: it stays")
        elif what := beside(path, wanted, name):
            said.append(f"{path} was changed there and here: yours stays, the other one is {what}")
    return said


def beside(path: str, wanted: str, name: str) -> str:
    """Put a file of theirs next to ours of that name; its path, "" where it is there already."""
    stem, suffix = os.path.splitext(path)
    for number in range(1, 1000):
        at = f"{stem}.from-{name}{f'-{number}' if number > 1 else ''}{suffix}"
        if (there := entry(PROJECT / at)) == wanted:
            return ""
        if not there:
            put(path, wanted, at)
            return at
    raise Problem(f"{path} has too many others beside it")


# --- git


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, encoding="utf-8", errors="surrogateescape")
    return done.stdout


def branches() -> dict[str, str]:
    """{name: commit} of branches, tags and stash, with HEAD's branch and a checksum of the index; {} without git."""
    if not (PROJECT / ".git").is_dir():
        return {}
    kinds = ("refs/heads", "refs/tags", "refs/stash")
    lines = _git("for-each-ref", "--format=%(refname) %(objectname)", *kinds).splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines)
    index = hashlib.sha256(os.fsencode(_git("ls-files", "--stage"))).hexdigest()
    return {**found, "HEAD": _git("rev-parse", "--symbolic-full-name", "HEAD").strip(), "index": index}


def join(theirs: dict[str, str], base: dict[str, str], name: str) -> list[str]:
    """Make branches of commits that were made there, where commits were made here as well; what to do with them."""
    mine, made = branches(), []
    for reference, commit in theirs.items():
        if reference.startswith("refs/") and commit not in (base.get(reference), *mine.values()):
            made.append(f"from-{name}/{reference.removeprefix('refs/heads/').removeprefix('refs/')}")
            _git("update-ref", f"refs/heads/{made[-1]}", commit)
    merges = " && ".join(f"git merge {branch}" for branch in made)
    return (
        [f"commits were made there and here; to join them: git add -A && git commit -m Both && {merges}"]
        if made
        else []
    )

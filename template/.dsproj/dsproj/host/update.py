"""Bring what the template has learnt since: `copier update`, with a look before it. Nothing is restarted."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dsproj.errors import Problem
from dsproj.report import Screen
from dsproj.settings import ANSWERS, PROJECT, answer

OLDEST = (9, 19)
SHORTCUTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}
Version = tuple[int, ...]


def run(*command: str, cwd: Path | str = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace")


def git(*arguments: str, cwd: Path | str = PROJECT) -> str:
    """What a git command prints; Problem with its message where it fails."""
    done = run("git", "-c", "core.quotePath=false", *arguments, cwd=cwd)
    if done.returncode:
        raise Problem(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def require_commit() -> None:
    """Problem where the project is no git repository, or has nothing in it."""
    if not shutil.which("git"):
        raise Problem("git is needed for an update, and is not installed.")
    if run("git", "rev-parse", "--verify", "--quiet", "HEAD").returncode:
        cure = 'git init && git add -A && git commit -m "Start"'
        raise Problem("An update merges with git, and nothing is committed yet", cure)


def refuse_unsaved_work(then: str) -> None:
    """Problem where there are changes that a merge would be mixed with; `then` is the command to type afterwards."""
    require_commit()
    if unmerged := git("diff", "--name-only", "--diff-filter=U").split("\n")[:-1]:
        cure = "edit them, git add, git commit"
        raise Problem(f"An earlier update's conflicts are open in: {', '.join(unmerged)}", cure)
    for path in git("diff-files", "--name-only", "-z", "--relative", "--", "*.ipynb").split("\0"):
        # Executed outside JupyterLab: same cells, another size. Adding it stages nothing but lets git see that.
        if path and (PROJECT / path).exists() and run("git", "diff", "--quiet", "--", path).returncode == 0:
            git("add", "--", path)
    if changes := git("status", "--porcelain").splitlines():
        listed = "\n".join([f"  {line}" for line in changes[:10]] + ["  …"] * (len(changes) > 10))
        raise Problem(
            f"There are changes that are not committed, and an update would be mixed with them:\n{listed}\n"
            f'Commit them: git add -A && git commit -m "Work so far", or put them aside: git stash -u. Then: {then}'
        )


def find_copier() -> list[str]:
    """The command, in words, of a Copier that is new enough; Problem where there is none."""
    own_uv = PROJECT / ".local" / "tools" / "bin" / "uv"
    oldest = ".".join(map(str, OLDEST))
    tools = (["uvx"], [str(own_uv), "tool", "run"])
    candidates = [["copier"], [sys.executable, "-m", "copier"]]
    candidates += [[*tool, "--from", f"copier>={oldest}", "copier"] for tool in tools]
    for command in [*candidates, ["pipx", "run", "--spec", f"copier>={oldest}", "copier"]]:
        if shutil.which(command[0]):
            version = re.search(r"(\d+)\.(\d+)", run(*command, "--version").stdout)
            if version and tuple(map(int, version.groups())) >= OLDEST:
                return command
    raise Problem(f"Copier {oldest} or newer is needed", "uv tool install copier, or: pipx install copier")


def number(tag: str) -> Version | None:
    """(1, 2, 3) of "v1.2.3"; None for what is no release."""
    found = re.fullmatch(r"v?(\d+(?:\.\d+)*)", tag)
    return tuple(map(int, found.group(1).split("."))) if found else None


def news() -> tuple[str, str]:
    """(newest release or "", the changelog's sections since this project's version as text)."""
    source, commit = answer("_src_path"), answer("_commit")
    if not source or not commit:
        raise Problem(".copier-answers.yml names no version of a template in git, so there is nothing to update to.")
    for short, long in SHORTCUTS.items():
        source = long + source[len(short) :] if source.startswith(short) else source
    source = source[len("git+") :] if source.startswith("git+") else source
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--bare", "--filter=blob:none"]
        git("clone", *options, source, folder, cwd=tempfile.gettempdir())
        releases = [tag for tag in git("tag", cwd=folder).split() if number(tag)]
        newest = max(releases, key=lambda tag: number(tag) or (), default="")
        shown = run("git", "show", f"{newest or 'HEAD'}:CHANGELOG.md", cwd=folder).stdout
    # "v0.1.0-12-gabc1234" is twelve commits after that release.
    return newest, sections_since(shown, number(re.sub(r"-\d+-g[0-9a-f]+$", "", commit)) or ())


def sections_since(changelog: str, version: Version) -> str:
    """The sections "## [1.2.0] - date" above this version's."""
    sections = re.split(r"^(?=## )", changelog, flags=re.M)[1:]
    headed = [(re.match(r"## \[?v?(\d+(?:\.\d+)*)", text), text) for text in sections]
    return "".join(text for head, text in headed if head and (number(head.group(1)) or ()) > version).strip()


def show_difference(command: Sequence[str]) -> None:
    """Update a clone of the project, and print how it differs."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(git("rev-parse", "--show-toplevel").strip())
        git("clone", "--quiet", str(top), folder, cwd=tempfile.gettempdir())
        place = Path(folder) / PROJECT.relative_to(top.resolve())
        done = run(*command, str(place), cwd=place)
        if done.returncode:
            raise Problem(f"copier update failed:\n{done.stderr.strip()}")
        conflicts = git("diff", "--name-only", "--diff-filter=U", cwd=place).split("\n")[:-1]
        forget_bare_version(place)
        git("add", "--all", cwd=place)
        shown = ["git", "-c", f"color.ui={'always' if sys.stdout.isatty() else 'never'}", "--no-pager"]
        print(run(*shown, "diff", "--cached", cwd=place).stdout or "There is no difference.")
    for path in conflicts:
        print(f"CONFLICT: {path} would need you to choose between your lines and the template's")
    aside = "; what is not committed was left out of this" if git("status", "--porcelain") else ""
    print(f"Nothing was changed{aside}; to do it: make update")


def forget_bare_version(place: Path) -> bool:
    """Where an update changed the template's version in the answers and no more: put that back, so that nothing is to commit."""
    changed = git("status", "--porcelain", "--", ".", cwd=place).splitlines()
    if [line[3:].rpartition("/")[2] for line in changed] != [ANSWERS.name]:
        return False
    lines = git("diff", "--unified=0", "HEAD", "--", ANSWERS.name, cwd=place).splitlines()
    if any(re.match(r"[+-](?!\+\+ |-- |_commit: )", line) for line in lines):
        return False
    git("checkout", "--quiet", "HEAD", "--", ANSWERS.name, cwd=place)
    return True


def update(report: Screen, dry_run: bool, words: Sequence[str] = ()) -> None:
    """Update the project, or with `dry_run` show what would come; `words` are further options of `copier update`."""
    if dry_run:
        require_commit()
    else:
        refuse_unsaved_work("make update")
    command = [*find_copier(), "update", "--trust", "--defaults", "--quiet", *words]
    newest, changelog = news()
    print(f"This project: {answer('_commit')}. The template's newest release: {newest or 'none yet'}.", flush=True)
    if changelog:
        print(f"\n{changelog}\n", flush=True)
    if dry_run:
        show_difference(command)
        return
    report.doing("Copier merges the template's changes with yours …")
    done = run(*command)
    # It says this of each template that has no release yet, and no person can do anything about it.
    said = [line for line in done.stderr.splitlines() if "No git tags found in template" not in line]
    if done.returncode:
        raise Problem("\n".join(said).strip() or f"copier update ended with {done.returncode}")
    report.clear()
    print("\n".join(said).strip(), flush=True)
    if forget_bare_version(PROJECT):
        print("Nothing in this project differs with it: there is nothing to commit.")

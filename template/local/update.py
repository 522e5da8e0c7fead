"""Bring what the template has learnt since: `copier update`, with a look before it.

    python3 local/update.py [--dry-run] [option of copier update …]

Says which version comes and what its changelog says, refuses where work is not committed, then runs Copier, which merges.
Nothing is restarted. Standard library only; Copier is looked for on the path, in this Python, with uv and with pipx.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from env import PROJECT

ANSWERS = PROJECT / ".copier-answers.yml"
OLDEST = (9, 19)
SHORTCUTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}


class UpdateError(Exception):
    """The update cannot be done now; the message says why and what to do."""


def run(*command, cwd=PROJECT):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace")


def git(*arguments, cwd=PROJECT):
    """What a git command prints; UpdateError with its message where it fails."""
    done = run("git", "-c", "core.quotePath=false", *arguments, cwd=cwd)
    if done.returncode:
        raise UpdateError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def refuse_unsaved_work():
    """UpdateError where the project is no git repository, or has changes that a merge would be mixed with."""
    if not shutil.which("git"):
        raise UpdateError("git is needed for an update, and is not installed.")
    if run("git", "rev-parse", "--verify", "--quiet", "HEAD").returncode:
        raise UpdateError(
            'An update merges with git, and nothing is committed yet: git init && git add -A && git commit -m "Start"'
        )
    if unmerged := git("diff", "--name-only", "--diff-filter=U").split("\n")[:-1]:
        raise UpdateError(
            f"An earlier update's conflicts are open in: {', '.join(unmerged)}. Edit, git add and commit them."
        )
    for path in git("diff-files", "--name-only", "-z", "--relative", "--", "*.ipynb").split("\0"):
        # Executed outside JupyterLab: same cells, another size. Adding it stages nothing but lets git see that.
        if path and (PROJECT / path).exists() and run("git", "diff", "--quiet", "--", path).returncode == 0:
            git("add", "--", path)
    if changes := git("status", "--porcelain").splitlines():
        listed = "\n".join([f"  {line}" for line in changes[:10]] + ["  …"] * (len(changes) > 10))
        raise UpdateError(
            f"There are changes that are not committed, and an update would be mixed with them:\n{listed}\n"
            'Commit them: git add -A && git commit -m "Work so far", or put them aside: git stash -u. Then: make update'
        )


def find_copier():
    """The command, as a list, of a Copier that is new enough; UpdateError where there is none."""
    own_uv = PROJECT / ".local" / "tools" / "bin" / "uv"
    wanted = f"copier>={'.'.join(map(str, OLDEST))}"
    candidates = [["copier"], [sys.executable, "-m", "copier"], ["uvx", "--from", wanted, "copier"]]
    candidates += [
        [str(own_uv), "tool", "run", "--from", wanted, "copier"],
        ["pipx", "run", "--spec", wanted, "copier"],
    ]
    for command in candidates:
        if shutil.which(command[0]):
            version = re.search(r"(\d+)\.(\d+)", run(*command, "--version").stdout)
            if version and tuple(map(int, version.groups())) >= OLDEST:
                return command
    raise UpdateError(
        f"Copier {'.'.join(map(str, OLDEST))} or newer is needed: uv tool install copier, or: pipx install copier"
    )


def answer(name):
    """A plain answer of .copier-answers.yml, "" where there is none."""
    found = re.search(rf"^{name}: (.*)$", ANSWERS.read_text(encoding="utf-8"), re.M) if ANSWERS.exists() else None
    return found.group(1).strip().strip("'\"") if found else ""


def number(tag):
    """(1, 2, 3) of "v1.2.3"; None for what is no release."""
    found = re.fullmatch(r"v?(\d+(?:\.\d+)*)", tag)
    return tuple(map(int, found.group(1).split("."))) if found else None


def news():
    """(newest release or "", the changelog's sections since this project's version as text)."""
    source, commit = answer("_src_path"), answer("_commit")
    if not source or not commit:
        raise UpdateError(
            ".copier-answers.yml names no version of a template in git, so there is nothing to update to."
        )
    for short, long in SHORTCUTS.items():
        source = long + source[len(short) :] if source.startswith(short) else source
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--bare", "--filter=blob:none"]
        git("clone", *options, source.removeprefix("git+"), folder, cwd=tempfile.gettempdir())
        newest = max(filter(number, git("tag", cwd=folder).split()), key=number, default="")
        shown = run("git", "show", f"{newest or 'HEAD'}:CHANGELOG.md", cwd=folder).stdout
    # "v0.1.0-12-gabc1234" is twelve commits after that release.
    return newest, sections_since(shown, number(re.sub(r"-\d+-g[0-9a-f]+$", "", commit)) or ())


def sections_since(changelog, version):
    """The sections "## [1.2.0] - date" above this version's."""
    sections = re.split(r"^(?=## )", changelog, flags=re.M)[1:]
    headed = [(re.match(r"## \[?v?(\d+(?:\.\d+)*)", text), text) for text in sections]
    return "".join(text for head, text in headed if head and number(head.group(1)) > version).strip()


def dry_run(command):
    """Update a clone of the project, and print how it differs."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(git("rev-parse", "--show-toplevel").strip())
        git("clone", "--quiet", str(top), folder, cwd=tempfile.gettempdir())
        place = Path(folder) / PROJECT.relative_to(top.resolve())
        done = run(*command, str(place), cwd=place)
        if done.returncode:
            raise UpdateError(f"copier update failed:\n{done.stderr.strip()}")
        conflicts = git("diff", "--name-only", "--diff-filter=U", cwd=place).split("\n")[:-1]
        git("add", "--all", cwd=place)
        shown = ["git", "-c", f"color.ui={'always' if sys.stdout.isatty() else 'never'}", "--no-pager"]
        print(run(*shown, "diff", "--cached", cwd=place).stdout or "There is no difference.")
    for path in conflicts:
        print(f"CONFLICT: {path} would need you to choose between your lines and the template's")
    print("Nothing was changed; to do it: make update")


def main():
    parser = argparse.ArgumentParser(description="Bring what the template has learnt since.")
    parser.add_argument("--dry-run", action="store_true", help="show the difference, change nothing")
    options, more = parser.parse_known_args()
    try:
        refuse_unsaved_work()
        command = [*find_copier(), "update", "--trust", "--defaults", *more]
        newest, changelog = news()
        print(f"This project: {answer('_commit')}. The template's newest release: {newest or 'none yet'}.", flush=True)
        if changelog:
            print(f"\n{changelog}\n", flush=True)
        if options.dry_run:
            dry_run([*command, "--quiet"])
        else:
            os.chdir(PROJECT)
            sys.exit(subprocess.run(command).returncode)
    except UpdateError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

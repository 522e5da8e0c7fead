"""What git is told of notebooks, in .git/config: a clone has none of it, so `make up` tells it."""

from __future__ import annotations

import shutil
import subprocess

from dsproj.settings import PROJECT

# Notebooks are compared and merged cell by cell; .gitattributes names the driver.
NBDIME = {
    "diff.jupyternotebook.command": "git-nbdiffdriver diff",
    "merge.jupyternotebook.driver": "git-nbmergedriver merge %O %A %B %L %P",
}


def use() -> None:
    """Have git use the notebook filter, and nbdime where it is installed, in a repository whose top is this project."""
    if not ((PROJECT / ".git").exists() and shutil.which("git")):
        return
    there = shutil.which("git-nbdiffdriver") and shutil.which("git-nbmergedriver")
    for name, value in {"include.path": "../.dsproj/gitconfig", **NBDIME}.items():
        # A driver that is named and not there would end every git diff.
        words = [name, value] if there or name not in NBDIME else ["--unset", name]
        subprocess.run(["git", "config", *words], cwd=PROJECT, capture_output=True)

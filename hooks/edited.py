"""Edits of the user's in files that the template has given up: an update would take them away with the files.

Copier removes such a file, edited or not. Which ones were edited is known by rendering the version that the project had.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

ANSWERS = ".copier-answers.yml"
# What is only the machine's would be dead code at its old place; everything else is the user's, and works on there.
MACHINES = ("docker/", "local/", ".dsproj/")
ENDING = ".before-update"


def git(*arguments: str) -> str:
    """What a git command prints; "" where it fails."""
    return output(*arguments).decode("utf-8", "replace")


def output(*arguments: str) -> bytes:
    command = ["git", "-c", "core.quotePath=false", *arguments]
    return subprocess.run(command, capture_output=True).stdout


def before(path: str) -> bytes:
    """A file of the project as it was before the update: as it is committed."""
    return output("show", f"HEAD:./{path}")


def render_old(folder: Path) -> bool:
    """Render the version that the project had of the template, with its answers; False where that cannot be done."""
    try:
        import copier
        import yaml

        answers = yaml.safe_load(before(ANSWERS))
        data = {name: value for name, value in answers.items() if not name.startswith("_")}
        options = {"defaults": True, "unsafe": True, "quiet": True, "skip_tasks": True, "overwrite": True}
        copier.run_copy(answers["_src_path"], folder, data=data, vcs_ref=answers["_commit"], **options)
    except Exception:  # a template that is not there any more, a version of it, Copier itself: whatever it is
        return False
    return True


def edited(paths: list[str], old: Path) -> list[str]:
    """Those of the paths whose file differs from the one that the template had, rendered in `old`."""
    return [
        path for path in paths if not (old / path).exists() or text(before(path)) != text((old / path).read_bytes())
    ]


def text(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")


def settle(path: str) -> str:
    """Settle a conflict in a module to which the user has only added at the end: both are kept, and a line says so.

    "" where there is more to it: which lines are right is for a person to say.
    """
    old, mine, new = (output("show", f":{stage}:./{path}") for stage in (1, 2, 3))
    if not path.endswith(".py") or not old or not new or not mine.startswith(old):
        return ""
    Path(path).write_bytes(new.rstrip(b"\n") + b"\n" + mine[len(old) :])
    git("reset", "--quiet", "--", path)  # in the index, no conflict any more
    return (
        f"MERGED: the template has written {path} anew; what you had added at its end stands there still. Does it fit?"
    )


def keep(path: str) -> str:
    """Put back the user's version of a file that has gone; a line on where it is and what to do."""
    if not path.startswith(MACHINES):
        git("restore", "--source=HEAD", "--worktree", "--", path)
        return f"KEPT: the template has no {path} any more; yours stays where it is, since you had edited it"
    kept = Path(path + ENDING)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(before(path))
    found = [str(file) for file in Path(".dsproj").rglob(Path(path).name)]
    now = f" (what it did is now in {found[0]})" if len(found) == 1 else ""
    return (
        f"KEPT: the template has no {path} any more{now}, and you had edited it: your version is {kept}; "
        "take from it what you need, then delete it"
    )

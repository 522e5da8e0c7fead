"""What an update has done to the project, in a few lines: run by Copier once, as a migration, in the project's folder.

`python hooks/after_update.py`. Copier demands a clean tree before an update, so what git calls changed now is the update's
doing. Nothing is restarted. A file of the template's that has gone, and that the user had edited, is put back or kept
beside. It never fails the update.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

# The parent, as in __main__.py: a module here can then bear any name.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hooks import first_layout, new_notebooks  # noqa: E402
from hooks.edited import edited, git, keep, render_old, settle  # noqa: E402
from hooks.project import Project  # noqa: E402

INFRASTRUCTURE = ("docker/", "local/", ".dsproj/", "docker-compose.yml", ".env.example")
PORTS = ("JUPYTER_PORT", "MONITOR_PORT")
NAMED = 4  # files of the template's, gone and not edited: more are counted


def changes() -> dict[str, str]:
    """{path from here: two letters of `git status`}"""
    prefix = git("rev-parse", "--show-prefix").strip()
    entries = git("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", ".").split("\0")
    return {entry[3:].removeprefix(prefix): entry[:2] for entry in entries if entry}


def report() -> Iterator[str]:
    """The lines for the user, what needs their hands first."""
    images = list(put_back_digests())
    changed = changes()
    if not changed:
        yield "Nothing has changed: the project is as the template would have it."
        return
    yield "The template's changes are in your working tree, not committed. To see them: git status, git diff"
    unmerged = sorted(path for path, state in changed.items() if "U" in state or state in ("AA", "DD"))
    for path in unmerged:
        yield (
            settle(path)
            or f"CONFLICT in {path}: your lines and the template's stand between <<<<<<< and >>>>>>>; "
            f"edit it, then: git add {shlex.quote(path)}"
        )
    for path in sorted(path for path in changed if path.endswith(".rej")):
        yield f"CONFLICT: {path} holds lines of yours that found no place; put them in, then delete it"
    yield from removals(sorted(path for path, state in changed.items() if "D" in state and path not in unmerged))
    project = Project(Path.cwd())
    former = yaml.safe_load(git("show", "HEAD:./.copier-answers.yml")) or {}
    yield from new_notebooks.bring(project, former)
    yield from settings(project, former)
    yield from images
    yield from infrastructure(changed)


def put_back_digests() -> Iterator[str]:
    """What before_update.py took out, where the image has the same tag as before; a line for the others."""
    try:
        images = Project(Path.cwd()).module("host.images")
    except Exception:  # a damaged room: before_update.py has taken nothing out then
        return
    for path in filter(Path.exists, map(Path, images.FILES)):
        known = {name: digest for name, digest in images.digests(git("show", f"HEAD:./{path}")).items() if digest}
        text = path.read_text(encoding="utf-8")
        if (pinned := images.pinned(text, known)) != text:
            path.write_text(pinned, encoding="utf-8")
        if known and not git("ls-files", "--unmerged", "--", str(path)):
            git("reset", "--quiet", "--", str(path))  # before_update.py has staged it
        if new := [name for name in images.digests(text) if known and name not in known]:
            yield f"{path} has another image, {', '.join(new)}, without its digest; to ask for it: make lock"


def removals(gone: list[str]) -> list[str]:
    """Keep the edits in files that the template has given up, and move what has another place now; the lines to say."""
    if not gone:
        return []
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder)
        is_known = render_old(old)
        mine = edited(gone, old) if is_known else []
        lines, done = first_layout.move(gone, mine, old)
    lines += [keep(path) for path in mine if path not in done]
    others = [path for path in gone if path not in mine and path not in done]
    if not is_known:
        lines += [
            f"REMOVED: the template has no {path} any more; to keep yours: git restore {shlex.quote(path)}"
            for path in others
        ]
    elif others:
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        lines.append(
            f"REMOVED, as the template has them no more and you had not edited them: {', '.join(others[:NAMED])}{more}"
        )
    return lines + first_layout.users_of(gone) + (first_layout.left_to_do() if first_layout.SEED in gone else [])


def settings(project: Project, former: Mapping[str, Any]) -> list[str]:
    """Answers whose effect stands in .env, which belongs to this machine and is not touched; `former`: those before the update."""
    lines, reader = [], project.module("settings")
    env, now = reader.read(Path(".env")), reader.read(Path(".env.example"))
    before = reader.parse(git("show", "HEAD:./.env.example"))
    for name in PORTS:
        if name in env and before.get(name) != now.get(name) != env[name]:
            lines.append(
                f".env keeps {name}={env[name]}; for the new one write {name}={now[name]} there, then: make up"
            )
    engine = project.answers.get("stack")
    if env and former.get("stack") != engine and engine in ("docker", "local"):
        kept = reader.Settings(env).engine
        if kept != engine:
            lines.append(
                f".env keeps ENGINE={kept}; to change over, data included: make backup && make down, "
                f"write ENGINE={engine} there, then: make up && make restore FILE=backups/…"
            )
    return lines


def infrastructure(changed: dict[str, str]) -> list[str]:
    if any(path.startswith(INFRASTRUCTURE) for path in changed):
        return ["The infrastructure has changed. Nothing was restarted; when it suits you: make up"]
    return []


def main() -> None:
    lines = [""]
    try:
        for line in report():
            lines.append(line)
    except Exception as error:  # whatever it is, the update itself has been done
        why = f"{type(error).__name__}: {error}"
        lines.append(f"What else has changed could not be told ({why}); to see it: git status, git diff")
    print("\n".join(lines), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

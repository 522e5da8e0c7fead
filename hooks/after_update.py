"""What an update has done to the project, in a few lines: run by Copier once, as a migration, in the project's folder.

`python hooks/after_update.py`. Copier demands a clean tree before an update, so what git calls changed now is the update's
doing. Nothing is restarted and nothing is undone here. Standard library only, and it never fails the update.
"""

import shlex
import subprocess
import sys

INFRASTRUCTURE = ("docker/", "local/", "docker-compose.yml", ".env.example")
PORTS = ("JUPYTER_PORT", "MONITOR_PORT")


def git(*arguments):
    """What a git command prints; "" where it fails."""
    command = ["git", "-c", "core.quotePath=false", *arguments]
    return subprocess.run(command, capture_output=True, text=True, errors="replace").stdout


def changes():
    """{path from here: two letters of `git status`}"""
    prefix = git("rev-parse", "--show-prefix").strip()
    entries = git("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", ".").split("\0")
    return {entry[3:].removeprefix(prefix): entry[:2] for entry in entries if entry}


def pairs(text, separator):
    """The lines "name<separator>value" of a text as a dict."""
    found = (line.partition(separator) for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, _, value in found}


def content(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def report():
    """The lines for the user."""
    changed = changes()
    if not changed:
        return ["Nothing has changed: the project is as the template would have it."]
    lines = ["The template's changes are in your working tree, not committed. To see them: git status, git diff"]
    unmerged = sorted(path for path, state in changed.items() if "U" in state or state in ("AA", "DD"))
    for path in unmerged:
        lines.append(
            f"CONFLICT in {path}: your lines and the template's stand between <<<<<<< and >>>>>>>; "
            f"edit it, then: git add {shlex.quote(path)}"
        )
    for path in sorted(path for path in changed if path.endswith(".rej")):
        lines.append(f"CONFLICT: {path} holds lines of yours that found no place; put them in, then delete it")
    for path in sorted(path for path, state in changed.items() if "D" in state and path not in unmerged):
        lines.append(f"REMOVED: the template has no {path} any more; to keep yours: git restore {shlex.quote(path)}")
    lines += [*settings(), *infrastructure(changed)]
    return lines


def settings():
    """Answers whose effect stands in .env, which belongs to this machine and is not touched."""
    lines, env = [], pairs(content(".env"), "=")
    before, now = pairs(git("show", "HEAD:./.env.example"), "="), pairs(content(".env.example"), "=")
    for name in PORTS:
        if name in env and before.get(name) != now.get(name) != env[name]:
            lines.append(
                f".env keeps {name}={env[name]}; for the new one write {name}={now[name]} there, then: make up"
            )
    before, now = (
        pairs(text, ": ") for text in (git("show", "HEAD:./.copier-answers.yml"), content(".copier-answers.yml"))
    )
    engine = now.get("stack")
    if before.get("stack") != engine and engine in ("docker", "local") and env.get("ENGINE", engine) != engine:
        lines.append(
            f".env keeps ENGINE={env['ENGINE']}; to change over, data included: make backup && make down, "
            f"write ENGINE={engine} there, then: make up && make restore FILE=backups/…"
        )
    return lines


def infrastructure(changed):
    if any(path.startswith(INFRASTRUCTURE) for path in changed):
        return ["The infrastructure has changed. Nothing was restarted; when it suits you: make up"]
    return []


def main():
    try:
        lines = report()
    except OSError as error:
        lines = [f"git could not be asked what has changed: {error}"]
    print("\n".join(["", *lines]), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

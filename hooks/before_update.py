"""What an update has to do before it touches the project: run by Copier once, as a migration, in the project's folder.

`python hooks/before_update.py`. In the first layout the local stack was run by files in local/ that an update to the
machine room takes away; only they know how to stop what they have started. Where that fails, the update is not begun, and
nothing has changed. Standard library only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def is_first_layout() -> bool:
    """Is the folder we are in a project from before the machine room?"""
    return Path("local/commands.py").exists() and not Path(".dsproj").exists()


def stop_local_stack() -> str:
    """Stop the first layout's local stack, if it runs: what was done, "" for nothing. Exits where it cannot be stopped."""
    if not Path(".local/run").exists() or not Path(".local/venv").exists():
        return ""
    done = subprocess.run([sys.executable, "local/stack.py", "down"], capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        sys.exit(
            f"{said}\nThe local stack has to be stopped before this update, since its own files change; nothing was "
            "changed yet.\nTo finish: make down, then the update again"
        )
    if done.stdout.strip() == "Nothing runs.":
        return ""
    return "The local stack was stopped, by its old files; its data stays. After the update: make up"


def take_out_digests() -> None:
    """Take the digests that `make lock` wrote out of the lines that the template has, too: a new tag is then no conflict.

    after_update.py puts back those of tags that stay.
    """
    if not Path(".dsproj/dsproj/host/images.py").exists():
        return
    sys.path.insert(0, ".dsproj")
    try:
        from dsproj.host import images
    except Exception:  # a damaged room, which this update may mend: a digest is then, at worst, a conflict
        return
    for path in filter(Path.exists, map(Path, images.FILES)):
        text = path.read_text(encoding="utf-8")
        if (plain := images.pinned(text, dict.fromkeys(images.digests(text), ""))) != text:
            path.write_text(plain, encoding="utf-8")
            subprocess.run(["git", "add", "--", str(path)], capture_output=True)


def main() -> None:
    take_out_digests()
    if is_first_layout() and (said := stop_local_stack()):
        print(said, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

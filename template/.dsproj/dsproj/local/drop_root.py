"""drop_root.py UID GID DATA FOLDER … -- COMMAND …: as another user, who reaches these folders and none of root's files."""

# Run by its path, with the standard library alone. The way to the folders is often closed to others (.local/ always is). So
# in a mount namespace, which this command alone sees, an empty folder covers the first closed one, and holds these.

import ctypes
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

NEW_MOUNTS, BIND, PRIVATE, NO_NEW_PRIVILEGES = 0x20000, 0x1000, 0x44000, 38  # from Linux' headers


def system(call: str, *words: object) -> None:
    """A call of libc that Python has not. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, call)(*(word.encode() if isinstance(word, str) else word for word in words)):
        raise OSError(ctypes.get_errno(), f"{call} is refused")


def closed(folder: Path) -> Path | None:
    """The first folder on the way to this one that others may not pass."""
    return next((each for each in reversed(folder.parents) if not each.stat().st_mode & 1), None)


def open_window(folders: Sequence[Path]) -> None:
    """Let others reach these folders, for this process and its children. OSError in a container without privileges."""
    system("unshare", NEW_MOUNTS)
    system("mount", "none", "/", None, PRIVATE, None)
    held = {folder: os.open(folder, os.O_PATH) for folder in folders}
    for folder, handle in held.items():
        folder.mkdir(parents=True, exist_ok=True)
        if cover := closed(folder):
            system("mount", "tmpfs", str(cover), "tmpfs", 0, "mode=755,size=1m")
            folder.mkdir(parents=True)
        system("mount", f"/proc/self/fd/{handle}", str(folder), None, BIND, None)


def main(uid: int, gid: int, folders: Sequence[Path], command: list[str]) -> None:
    for path in itertools.chain.from_iterable((each, *each.rglob("*")) for each in folders[1:]):
        mode = path.lstat().st_mode
        if (wanted := mode | (mode & 0o500) >> 6) != mode:  # installed under a strict umask
            path.chmod(wanted)
    mask = os.umask(0o022)
    try:
        open_window(folders)
    except (OSError, AttributeError):  # AttributeError: macOS
        folders[0].parent.chmod(
            0o711
        )  # .local/: to pass, not to look around; all that is private in it is closed itself
        if found := next(filter(None, map(closed, folders)), None):
            sys.exit(f"chmod o+x {found}")
    os.umask(mask)
    os.chdir("/")
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if sys.platform == "linux":
        system("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    os.execvp(command[0], command)


if __name__ == "__main__":
    end = sys.argv.index("--")
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), [Path(word) for word in sys.argv[3:end]], sys.argv[end + 1 :])
    except OSError as error:
        sys.exit(f"run it as another user ({error})")

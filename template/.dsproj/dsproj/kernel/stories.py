"""What went wrong in a job, told from the user's own line on."""

import re
import traceback
from pathlib import Path
from types import TracebackType

from dsproj.settings import PROJECT

MACHINERY = {"__main__", "dsproj", "importlib", "rq"}  # whose frames at the head of a traceback tell a user nothing
FRAME = re.compile(r'^ +File "(.+)", line (\d+)(, in \S+)?\n(?: +(?! |File ")(.+)\n)?', re.M)


def users_frames(frames: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames that led to the user's code; None where none is the user's."""
    while frames and frames.tb_frame.f_globals.get("__name__", "").split(".")[0] in MACHINERY:
        frames = frames.tb_next
    return frames


def of_error(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, users_frames(error.__traceback__)))


def in_short(story: str) -> str:
    """The last line of lib/ in a traceback, and the error: two lines, or one where lib/ has no part in it."""
    lines = []
    for file, number, function, code in FRAME.findall(story):
        path = Path(file)
        if path.is_relative_to(PROJECT / "lib"):
            lines = [f"{path.relative_to(PROJECT)}, line {number}{function}: {code}"]
    last = [line for line in story.rstrip().splitlines() if line and not line.startswith(" ")]
    return "\n".join([*lines, *last[-1:]])


def of_reload() -> str:
    """In one line, why an edited module of lib/ cannot be loaded; to be called where the error is handled."""
    place, _, error = in_short(traceback.format_exc()).rpartition("\n")
    return f"{place}: {error}. Until it is mended, what it was before goes on".removeprefix(": ")

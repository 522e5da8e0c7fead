"""The one way to say that something went wrong."""

from __future__ import annotations

from collections.abc import Sequence


class Problem(Exception):
    """What happened, and the command that finishes it: for people, so no traceback.

    what: one or two lines, "" where all has been said; cure: a command, "" where there is none;
    log: last lines of the log that shows why.
    """

    def __init__(self, what: str = "", cure: str = "", log: Sequence[str] = ()) -> None:
        super().__init__(what, cure, tuple(log))
        self.what, self.cure, self.log = what, cure, list(log)

    def __str__(self) -> str:
        cure = [f"To finish: {self.cure}"] if self.cure else []
        return "\n".join([*filter(None, [self.what]), *(f"  {line}" for line in self.log), *cure])

"""What a step has to say when it is over."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """`text` is the result in a few words. A step that fell short says why, and which command finishes it."""

    text: str
    why: str = ""
    command: str = ""
    # Last lines of the log that shows why.
    log: list[str] = field(default_factory=list)
    # For the summary, such as rows by table.
    facts: dict = field(default_factory=dict)

    @property
    def complete(self):
        return not self.why

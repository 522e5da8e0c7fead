"""How much memory does a call take? `peak(model.fit, X, y) / 2**20` megabytes, measured in a process of its own.

`limit() / 2**20` is how many there are, as `.env` or the machine has it.
"""

from dsproj.kernel.memory import limit, peak

__all__ = ["limit", "peak"]

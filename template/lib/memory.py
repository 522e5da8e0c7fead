"""How much memory does a call take? `peak(model.fit, X, y) / 2**20` megabytes, measured in a process of its own."""

from dsproj.kernel.memory import peak

__all__ = ["peak"]

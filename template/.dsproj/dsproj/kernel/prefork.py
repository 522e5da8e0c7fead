"""A process that is forked before there is work for it: it has its connections, and waits to be told what to do."""

import contextlib
import json
import os
from collections.abc import Callable
from typing import NoReturn

_writing: set[int] = set()  # ends of the pipes to the processes that wait here


def _let_go() -> None:
    """A forked child that kept such an end would keep the process at the other one waiting when we are gone."""
    for end in _writing:
        os.close(end)
    _writing.clear()


os.register_at_fork(after_in_child=_let_go)


class Prefork:
    """A forked process that calls `prepare()`, waits, and then calls `work(*words)`. It ends when this process does."""

    def __init__(self, prepare: Callable[[], None], work: Callable[..., None]) -> None:
        reading, self.pipe = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self.pipe)
            _wait(reading, prepare, work)
        os.close(reading)
        _writing.add(self.pipe)

    def tell(self, *words: str) -> bool:
        """Have it work. False where it has died meanwhile."""
        try:
            os.write(self.pipe, json.dumps(words).encode())  # so short that a pipe takes it whole
            self._close()
            return True
        except BrokenPipeError:
            self.end()
            return False

    def end(self) -> None:
        self._close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _close(self) -> None:
        _writing.discard(self.pipe)
        os.close(self.pipe)


def _wait(reading: int, prepare: Callable[[], None], work: Callable[..., None]) -> NoReturn:
    try:
        os.setpgrp()
        prepare()
        with open(reading, encoding="utf-8") as pipe:
            words = pipe.read()
        if words:  # else nobody is there any more
            work(*json.loads(words))
    finally:
        os._exit(1)

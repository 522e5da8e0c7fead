"""lib/, imported into a process as it is on the disk: what is edited is what the next job runs."""

import contextlib
import gc
import importlib.util
import logging
import sys
from pathlib import Path

from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

IMPORT_TIMEOUT = 10  # seconds; a module that takes longer is left to the jobs, which have their own time limit

log = logging.getLogger("rq.worker")


class Library:
    """All modules of a project's lib/ and what of them is in this process. root: the project's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[Path, tuple[int, int]] = {}

    def refresh(self) -> bool:
        """Import all of it anew if a file was changed, added or removed, and return whether one was.

        What fails to import is left to the jobs.
        """
        files = {}
        for path in sorted(self.root.glob("lib/**/*.py")):
            with contextlib.suppress(OSError):  # an editor is just replacing it
                files[path] = (path.stat().st_mtime_ns, path.stat().st_size)
        if files == self.files:
            return False
        if self.files:
            log.info("lib/ has changed: importing it anew")
        for path, stamp in files.items():
            # Python takes compiled code for fresh when its source has the same size and was changed in the same second.
            if path in self.files and self.files[path] != stamp:
                Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
        self.files = files
        for name in [name for name in sys.modules if name.split(".")[0] == "lib"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        for path in files:
            self.load(".".join(path.relative_to(self.root).with_suffix("").parts).removesuffix(".__init__"))
        # What is here now stays: a garbage collection in a job's process would touch, and so copy, all of it.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        return True

    def load(self, name: str) -> None:
        try:
            with UnixSignalDeathPenalty(IMPORT_TIMEOUT, JobTimeoutException):
                importlib.import_module(name)
        except BaseException as error:  # whatever a user's module may raise, sys.exit() included
            sys.modules.pop(name, None)
            log.warning("%s does not import (%s: %s)", name, type(error).__name__, error)

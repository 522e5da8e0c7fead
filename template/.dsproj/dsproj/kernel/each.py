"""A job that has its share of many items, or of many ranges: a function for one after the other, and what became of each."""

import json
from collections.abc import Mapping
from typing import Any

from rq import get_current_job
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

from dsproj.kernel import allowed, stories

Outcome = tuple[Any, str | None]  # what the function returned, or None and the traceback


def work(name: str, items: list[Any], kwargs: Mapping[str, Any], timeout: int, spread: bool = False) -> list[Outcome]:
    """Call the function of that name with each item, which may take `timeout` seconds; a failure ends no other item.

    With `spread` an item is several arguments, as a range is its first and its last.
    """
    function, job = allowed.resolve(name), get_current_job()
    done: list[Outcome] = job.meta.get("done", []) if job else []
    for item in items[len(done) :]:
        try:
            with UnixSignalDeathPenalty(timeout, JobTimeoutException):
                result = function(*(item if spread else [item]), **kwargs)
            json.dumps(result)
            done.append((result, None))
        except allowed.MISTAKES as error:
            done.append((None, stories.of_error(error)))
        except Exception as error:
            # A server that is away comes back: go on with this item at the next try.
            if job and job.retries_left:
                job.meta["done"] = done
                job.save_meta()
                raise
            done.append((None, stories.of_error(error)))
    return done

"""make run QUEUE=1: notebooks as jobs, each run by a worker, while this process tells how they end, or is gone."""

import asyncio
import os
import select
import time
from pathlib import Path
from typing import Any

from rq import Worker
from rq.job import Dependency, Job, JobStatus

from dsproj.errors import Problem
from dsproj.kernel import run, stories
from dsproj.kernel.allowed import NOTEBOOK
from dsproj.kernel.jobs import queue
from dsproj.kernel.waiting import ENDED
from dsproj.report import LINES, Report, Stopwatch
from dsproj.settings import PROJECT

TIMEOUT = 24 * 3600  # seconds that a notebook may take


def work(name: str, given: dict[str, str]) -> str:
    """Run a notebook in a worker, and keep its copy; returns its failure, "" for none."""
    ran = run.load(*run.find(name))
    if ran.notebook:
        # Values come from Redis, and are put into a cell: values they have to be.
        given = {key: value if run.is_literal(value) else repr(value) for key, value in given.items()}
        asyncio.run(run.execute(ran, given, lambda text: None))
        run.RUNS.mkdir(parents=True, exist_ok=True)
        run.keep_copy(ran, given)
    return ran.failure


def run_all(paths: list[Path], given: dict[str, str], report: Report) -> int:
    """Enqueue the notebooks, tell how each ended, and return how many failed."""
    home, width = queue(), max(len(path.stem) for path in paths)
    if (workers := Worker.count(queue=home)) < 2:
        why = f"There is {workers or 'no'} worker, and a notebook that waits for jobs needs one beside its own"
        raise Problem(why, "make scale N=2")
    names = [str(path.relative_to(PROJECT)) for path in paths]
    options: dict[str, Any] = {"job_timeout": TIMEOUT, "result_ttl": TIMEOUT}
    jobs: dict[str, Job] = {}
    for name in names:
        # One after the other, in the journal's order; so there is a worker left for what they enqueue.
        after = Dependency(list(jobs.values())[-1:], allow_failure=True) if jobs else None
        jobs[name] = home.enqueue(NOTEBOOK, name, given, description=Path(name).stem, depends_on=after, **options)
    watch, failed, called = Stopwatch(), 0, bool(os.environ.get(LINES))
    while jobs:
        report.doing(f"{len(jobs)} of {len(paths)} notebooks are in the queue")
        for name, job in list(jobs.items()):
            if job.get_status() in ENDED:
                failure = _failure(jobs.pop(name))
                failed += bool(failure)
                report.done(Path(name).stem.ljust(width), f"FAILED  {failure}" if failure else "ok", watch.seconds)
                watch = Stopwatch()
        if called and select.select([0], [], [], 0)[0]:  # whoever called is gone
            break
        time.sleep(0.2)
    return failed


def _failure(job: Job) -> str:
    if (status := job.get_status()) == JobStatus.FINISHED:
        return str(job.return_value(refresh=True))
    result = job.latest_result()
    return stories.in_short((result and result.exc_string) or f"the job was {status.value}")

"""Long work on the job queue: cut a table into ranges of its key, let the workers do them, wait with a bar.

    jobs = enqueue_ranges(encode_targets, "adult")
    wait(jobs)

A job is a function in lib/ and JSON arguments. A job can run twice (a worker dies, the job is retried): write it so that
this does no harm. Edit the function as you like: the next job runs what the file says then.
"""

from dsproj.kernel.jobs import enqueue_ranges, queue
from dsproj.kernel.waiting import JobsFailed, NoWorker, wait

__all__ = ["JobsFailed", "NoWorker", "enqueue_ranges", "queue", "wait"]

"""Long work on the job queue: cut a table into ranges of its key, let the workers do them, wait with a bar.

    jobs = enqueue_ranges(encode_targets, "adult")
    wait(jobs)

or call a function for each item of a list: `wait(enqueue_each(function, items))`. In a function or a cell that takes long,
`for item in progress(items)` shows how far it is, and `watch(key)` shows that in any other notebook.

A job is a function in lib/ and JSON arguments. A job can run twice (a worker dies, the job is retried): write it so that
this does no harm. Edit the function as you like: the next job runs what the file says then.
"""

from dsproj.kernel.jobs import enqueue_each, enqueue_ranges, queue
from dsproj.kernel.progress import progress, watch
from dsproj.kernel.waiting import JobsFailed, NoWorker, wait

__all__ = ["JobsFailed", "NoWorker", "enqueue_each", "enqueue_ranges", "progress", "queue", "wait", "watch"]

import re

import numpy as np
import pytest
from IPython.utils.capture import capture_output
from lib import probes
from lib.jobs import JobsFailed, queue, wait
from lib.memory import limit, peak
from rq import Worker
from sklearn.ensemble import HistGradientBoostingClassifier

MB = 2**20


def test_a_call_is_measured_in_bytes():
    base, much = peak(int), peak(bytearray, 200 * MB)
    assert 5 * MB < base < 1000 * MB
    assert 190 * MB < much - base < 260 * MB


def test_arguments_by_name_and_closures():
    kept = []
    assert peak(lambda size, times: kept.append(bytes(size * times)), size=MB, times=2) > 0
    assert kept == [], "it ran in another process"


def test_a_model_that_was_fitted_here_is_measured_too():
    """OpenMP's threads of the notebook are not in the process that measures, which waited for them for ever."""
    random = np.random.default_rng(1)
    X, y = random.normal(size=(20_000, 5)), random.integers(2, size=20_000)
    model = HistGradientBoostingClassifier(max_iter=5).fit(X, y)
    assert limit() > peak(model.fit, X, y) > peak(int)


def test_a_call_that_fails_says_why():
    with pytest.raises(RuntimeError, match="math domain error|nonnegative") as caught:
        peak(probes.root, -1)
    assert "probes.py" in str(caught.value).splitlines()[0]


def test_a_call_that_is_killed_is_a_memory_error():
    with pytest.raises(MemoryError, match=r"signal 9 \(Killed\); its peak was [\d,]+ MB of memory.*JUPYTER_MEMORY"):
        peak(probes.kill, 9)


def test_a_memory_error_says_the_limit(shell):
    """As a cell has it, and for a measured call; it is raised by hand, since a container would be killed first."""
    with capture_output() as said:
        assert not shell.run_cell("raise MemoryError").success
    words = r"of this service may have 4,096 MB: set JUPYTER_MEMORY in .env higher, then: make up"
    assert re.search(words, said.stdout), said.stdout
    with pytest.raises(MemoryError, match=rf"(?s)probes.py.*MemoryError.*{words}"):
        peak(probes.wants_more)


def test_a_job_that_wants_more_than_the_limit_says_so_and_the_worker_lives_on():
    """Refused on the local stack, where the limit is the process's own; killed in a container, where it is the service's."""
    workers = {worker.pid for worker in Worker.all(queue=queue())}
    job = queue().enqueue(probes.repeat, "x", 3 * 2**30)
    with pytest.raises(JobsFailed, match=r"(?s)(may have) 2,048 MB: set WORKER_MEMORY in \.env higher"):
        wait([job], timeout=60)
    job.delete()
    assert wait([queue().enqueue(probes.add, 1, 2)], timeout=60) == [3]
    assert {worker.pid for worker in Worker.all(queue=queue())} == workers


def test_a_job_that_was_killed_says_its_peak():
    if not Worker.all(queue=queue()):
        pytest.skip("no worker is running: `make up` starts one")
    job = queue().enqueue(probes.kill, 9)
    with pytest.raises(JobsFailed, match=r"terminated unexpectedly\..*WORKER_MEMORY") as caught:
        wait([job], timeout=60)
    assert re.search(r"its peak was [\d,]+ MB", str(caught.value).splitlines()[0])
    job.delete()

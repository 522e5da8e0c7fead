import re

import pytest
from lib import probes
from lib.jobs import JobsFailed, queue, wait
from lib.memory import peak
from rq import Worker

MB = 2**20


def test_a_call_is_measured_in_bytes():
    base, much = peak(int), peak(bytearray, 200 * MB)
    assert 5 * MB < base < 1000 * MB
    assert 190 * MB < much - base < 260 * MB


def test_arguments_by_name_and_closures():
    kept = []
    assert peak(lambda size, times: kept.append(bytes(size * times)), size=MB, times=2) > 0
    assert kept == [], "it ran in another process"


def test_a_call_that_fails_says_why():
    with pytest.raises(RuntimeError, match="math domain error|nonnegative") as caught:
        peak(probes.root, -1)
    assert "probes.py" in str(caught.value).splitlines()[0]


def test_a_call_that_is_killed_is_a_memory_error():
    with pytest.raises(MemoryError, match=r"signal 9; its peak was [\d,]+ MB of memory.*JUPYTER_MEMORY"):
        peak(probes.kill, 9)


def test_a_job_that_was_killed_says_its_peak():
    if not Worker.all(queue=queue()):
        pytest.skip("no worker is running: `make up` starts one")
    job = queue().enqueue(probes.kill, 9)
    with pytest.raises(JobsFailed, match=r"terminated unexpectedly\..*WORKER_MEMORY") as caught:
        wait([job], timeout=60)
    assert re.search(r"its peak was [\d,]+ MB", str(caught.value).splitlines()[0])
    job.delete()

import pytest
from rq import Worker

from lib.jobs import JobsFailed, enqueue_ranges, queue, wait
from lib.postgres import encode_targets

CODES = {"no": 0, "yes": 1}


@pytest.fixture(autouse=True)
def worker() -> None:
    if not Worker.all(queue=queue()):
        pytest.skip("no worker is running: `make up` starts one")


def test_a_whole_table_through_the_queue(table: str) -> None:
    arguments = {"table": table, "label": "label", "codes": CODES}
    assert wait(enqueue_ranges(encode_targets, table, 3, kwargs=arguments), timeout=60) == [3, 1]


def test_a_failure_comes_back_with_its_traceback(table: str) -> None:
    jobs = enqueue_ranges(encode_targets, table, kwargs={"label": "no_such_column", "codes": CODES, "table": table})
    with pytest.raises(JobsFailed, match="no_such_column"):
        wait(jobs, timeout=60)
    for job in jobs:
        job.delete()

"""Health is decided in one module for both engines; the running stacks of other tests are its good cases."""

import sys
from datetime import UTC, datetime, timedelta

import pytest
from conftest import ROOT, command
from loopback import Handler, serving

ROOM = ROOT / "template" / ".dsproj"
sys.path.insert(0, str(ROOM))

from dsproj.kernel import health  # noqa: E402

NOBODY = "127.0.0.1:1"


@pytest.fixture
def address():
    """A server that has a page for those with the right authorization, and 403 for others."""

    class Pages(Handler):
        def do_GET(self):
            known = self.headers["Authorization"] in ("token right", "Basic ZHNwcm9qOnJpZ2h0")
            self.send_response(500 if "broken" in self.headers["Authorization"] else 200 if known else 403)
            self.end_headers()

    with serving(Pages) as server:
        yield server.place


def test_pages(address, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://{NOBODY}")
    assert health.jupyter(address, "right") is None
    assert health.monitor(address, "right") is None
    assert health.jupyter(address, "wrong") == "answers 403: another program may have its port"
    assert health.jupyter(address, "broken") == "answers 500"
    assert health.jupyter(f"http://{NOBODY}", "right").startswith("does not answer")


def test_stores_that_are_not_there():
    assert health.redis(f"redis://:secret@{NOBODY}/0").startswith("does not answer")
    assert health.postgres("host=127.0.0.1 port=1") == "Connection refused"
    assert health.worker(f"redis://:secret@{NOBODY}/0", pid=1).startswith("cannot ask Redis")


class Redis:
    """Says what a worker notes of themselves."""

    def __init__(self, age):
        self.beat = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def smembers(self, key):
        return {"rq:worker:one"} if key == "rq:workers" else set()

    def hmget(self, key, field, beat):
        return [{"hostname": "here", "pid": "7"}[field], self.beat]


@pytest.mark.parametrize("place", [{"hostname": "here"}, {"pid": 7}, {"pid": "7"}])
def test_a_worker_is_known_by_its_heartbeat(monkeypatch, place):
    import redis

    for age, said in ((1, None), (74, None), (100, "silent for 100 s")):
        monkeypatch.setattr(redis.Redis, "from_url", lambda *_, age=age, **__: Redis(age))
        assert health.worker("redis://", **place) == said
    assert health.worker("redis://", hostname="elsewhere") == "not registered in Redis"


def test_the_command_of_health_checks_says_why():
    done = command(
        "env",
        f"PYTHONPATH={ROOM}",
        f"REDIS_URL=redis://{NOBODY}/0",
        sys.executable,
        "-m",
        "dsproj.kernel.health",
        "worker",
    )
    assert done.returncode == 1 and done.stderr.startswith("unhealthy: cannot ask Redis")

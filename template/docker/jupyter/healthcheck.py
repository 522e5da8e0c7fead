#!/usr/bin/env python3
"""Tell whether the service in this container does its work: exit code 0, or 1 with the reason.

healthcheck.py jupyter | worker | monitor
"""

import base64
import os
import socket
import sys
import urllib.request
from datetime import UTC, datetime, timedelta


def jupyter():
    with urllib.request.urlopen("http://127.0.0.1:8888/api", timeout=4) as reply:
        reply.read()


def monitor():
    """The list of queues comes from Redis, so this fails too when the dashboard has lost its Redis."""
    login = f"{os.environ['RQ_DASHBOARD_USERNAME']}:{os.environ['RQ_DASHBOARD_PASSWORD']}"
    request = urllib.request.Request("http://127.0.0.1:9181/0/data/queues.json")
    request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    with urllib.request.urlopen(request, timeout=4) as reply:
        reply.read()


def worker():
    """A worker notes its host and a heartbeat in Redis, at least every 15 s."""
    import redis
    from rq import Worker

    connection = redis.from_url(os.environ["REDIS_URL"], socket_timeout=4)
    mine = [w for w in Worker.all(connection=connection) if w.hostname == socket.gethostname()]
    beats = [w.last_heartbeat.replace(tzinfo=UTC) for w in mine if w.last_heartbeat]
    if not beats:
        raise RuntimeError("no worker of this container is registered in Redis")
    if max(beats) < datetime.now(UTC) - timedelta(seconds=75):
        raise RuntimeError("the worker has stopped sending heartbeats")


if __name__ == "__main__":
    try:
        {"jupyter": jupyter, "worker": worker, "monitor": monitor}[sys.argv[1]]()
    except Exception as error:
        sys.exit(f"unhealthy: {error}")

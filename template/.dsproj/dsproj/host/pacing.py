"""Open a link so that a server which sends next to nothing is given up, and nobody but the host that is asked learns who asks."""

from __future__ import annotations

import http.client
import io
import time
import urllib.request
from typing import Any

TIMEOUT = 20  # seconds without a byte
SLOWEST = 1000  # bytes a second, over as long
SLOW = "given up, since it sends less than 1 kB a second,"


def opened(asked: urllib.request.Request) -> Any:
    """The reply to a request."""
    return urllib.request.build_opener(Pacing, SameHost).open(asked, timeout=TIMEOUT)


class Paced(io.RawIOBase):
    """What a connection brings; TimeoutError where that is next to nothing: the socket's own asks for one byte in time."""

    def __init__(self, raw: Any) -> None:
        self.raw, self.count, self.since = raw, 0, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        got: int | None = self.raw.readinto(buffer)
        self.count, now = self.count + (got or 0), time.monotonic()
        self.since = self.since or now
        if now - self.since > TIMEOUT:
            if self.count < SLOWEST * (now - self.since):
                raise TimeoutError(SLOW)
            self.count, self.since = 0, now
        return got

    def close(self) -> None:
        self.raw.close()
        super().close()


class SameHost(urllib.request.HTTPRedirectHandler):
    """Follows where a reply leads; who asks is told to nobody else."""

    def redirect_request(self, req: Any, *words: Any) -> Any:
        made = super().redirect_request(req, *words)
        if made and (made.type, made.host) == (req.type, req.host):
            made.unredirected_hdrs.update(req.unredirected_hdrs)
        return made


class Pacing(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens links so that every byte of a reply, of its head too, comes through Paced."""

    def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
        def connection(*words: Any, **more: Any) -> Any:
            made = http_class(*words, **more)
            made.response_class = paced
            return made

        return super().do_open(connection, req, **options)


def paced(*words: Any, **options: Any) -> http.client.HTTPResponse:
    reply: Any = http.client.HTTPResponse(*words, **options)
    reply.fp = io.BufferedReader(Paced(reply.fp.detach()))
    return reply

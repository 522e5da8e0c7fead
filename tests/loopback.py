"""A web server on loopback, in a thread of its own, that answers as a test wants it."""

import contextlib
import http.server
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    """Prints nothing."""

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(handler, **more):
    """The server: `place` is its address, `ended` is set when it shall stop, `more` are what else the handler asks it for."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.place, server.ended = f"http://127.0.0.1:{server.server_port}", threading.Event()
    vars(server).update(more)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()

"""A public feed's stand-in: server-sent events with ids, served as a service of the project. Copied to its lib/."""

import http.server
import json
import time

PORT, TOTAL, REPEATED = 8070, 1000, 5


class Feed(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        last = int(self.headers.get("Last-Event-ID", 0))
        for number in range(max(1, last + 1 - REPEATED), TOTAL + 1):
            self.send(f"id: {number}\ndata: {json.dumps({'number': number, 'square': number**2})}\n\n")
            time.sleep(0.01)
        while True:
            self.send(": nothing new\n\n")
            time.sleep(0.5)

    def send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


def serve(host: str = "") -> None:
    """In a container, for the others; where it shares its machine's network, for this machine alone."""
    http.server.ThreadingHTTPServer((host, PORT), Feed).serve_forever()


def serve_here() -> None:
    serve("127.0.0.1")

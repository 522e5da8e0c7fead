"""Run psql, pg_dump or pg_restore on a server elsewhere: `python3 -m dsproj.database.tls psql …`, with the PG* variables.

Those that come as a Python package know no TLS. For such a program this is the other end of a socket that only this user
may open, and speaks TLS with the server for it; what else libpq does, the login among it, stays between those two.
"""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from threading import Thread

ASKED = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")  # "do you speak TLS?", which is answered with S
BOUND = b"SCRAM-SHA-256-PLUS\0"
ENCRYPTED = ("require", "verify-ca", "verify-full")


def knows_tls() -> bool:
    """Was libpq built with it? It says no before it connects."""
    asked = {**os.environ, "PGHOST": os.devnull, "PGSSLMODE": "require"}
    done = subprocess.run(["psql", "-d", "postgres"], env=asked, stdin=subprocess.DEVNULL, capture_output=True)
    return b"not compiled in" not in done.stderr


def connect() -> ssl.SSLSocket:
    """As libpq's sslmode has it: require takes any certificate, verify-ca a trusted one, verify-full the server's own."""
    mode, root = os.environ["PGSSLMODE"], os.environ.get("PGSSLROOTCERT", "system")
    context = ssl.create_default_context(cafile=None if root == "system" else root)
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_NONE if mode == "require" else ssl.CERT_REQUIRED
    if certificate := os.environ.get("PGSSLCERT"):
        context.load_cert_chain(certificate, os.environ.get("PGSSLKEY"))
    host, port = (os.environ[name].split(",")[0] for name in ("PGHOST", "PGPORT"))
    plain = socket.create_connection((host, int(port)), timeout=10)
    plain.sendall(ASKED)
    if plain.recv(1) != b"S":
        raise OSError("server does not support TLS")
    secure = context.wrap_socket(plain, server_hostname=host)
    secure.settimeout(None)
    return secure


def relay(source: socket.socket, target: socket.socket, data: bytes = b"") -> None:
    """Hand on `data`, and all that comes, until one side ends."""
    with contextlib.suppress(OSError):
        target.sendall(data)
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def join(client: socket.socket) -> None:
    """Connect the program to the server. That offers a login that is bound to TLS; the program gets the same unbound."""
    with contextlib.suppress(OSError):
        try:
            server = connect()
        except OSError as error:
            client.recv(1 << 16)
            text = f"SFATAL\0C08006\0M{os.environ['PGHOST']}: {error}\0\0".encode()  # as a server says it
            return client.sendall(b"E" + (len(text) + 4).to_bytes(4, "big") + text)
        Thread(target=relay, args=(client, server), daemon=True).start()
        first = server.recv(1 << 16)
        if first[:1] == b"R" and BOUND in first:
            body = first[5:].replace(BOUND, b"")
            first = b"R" + (len(body) + 4).to_bytes(4, "big") + body
        relay(server, client, first)


def listen(listener: socket.socket) -> None:
    while True:
        Thread(target=join, args=(listener.accept()[0],), daemon=True).start()


def main(words: list[str]) -> int:
    if os.environ.get("PGSSLMODE") not in ENCRYPTED or knows_tls():
        os.execvp(words[0], words)
    with tempfile.TemporaryDirectory(prefix="dsproj-", dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/.s.PGSQL.5432")  # a short path
        listener.listen()
        Thread(target=listen, args=(listener,), daemon=True).start()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PGSSL")}
        kept |= {"PGHOST": folder, "PGPORT": "5432", "PGSSLMODE": "disable", "PGCHANNELBINDING": "disable"}
        process = subprocess.Popen(words, env=kept)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the program's: psql ends a query
        return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""supervisord: start it, ask it, stop it. Spoken to over its socket in .local/run, with the standard library alone."""

import contextlib
import http.client
import os
import socket
import subprocess
import time
import xmlrpc.client

from env import PROJECT
from paths import PYTHON, RUN, marker
from settings import inherited, short_temporary_folder

SOCKET = "supervisor.sock"
STORES = ("this_postgres", "this_redis", "this_mongo")


class SupervisionError(Exception):
    """supervisord does not do as it should; the message says what to do."""


class SocketConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with contextlib.chdir(RUN):  # so that a long path to the project does no harm
            self.sock.connect(SOCKET)


class SocketTransport(xmlrpc.client.Transport):
    def __init__(self, timeout):
        super().__init__()
        self.timeout = timeout

    def make_connection(self, host):
        return SocketConnection("localhost", timeout=self.timeout)


def client(timeout=10):
    """supervisord's own interface, such as client().startProcess(name); every call is a request over the socket."""
    return xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=SocketTransport(timeout)).supervisor


def answers():
    """Does this project's supervisord run?"""
    try:
        return client(timeout=3).getState()["statename"] == "RUNNING"
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return False


def is_listening():
    """Is there a process at the other end of the socket, in whatever state?"""
    connection = SocketConnection("localhost", timeout=3)
    try:
        connection.connect()
        return True
    except OSError:
        return False
    finally:
        connection.close()


def processes():
    """What supervisord says of each process that is or was meant to run, by process name; {} when it does not run."""
    try:
        known = client().getAllProcessInfo()
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return {}
    return {entry["name"]: entry for entry in known if entry["start"] and entry["statename"] != "STOPPED"}


def start_supervisord():
    """Start it as a daemon and wait until it answers."""
    (RUN / SOCKET).unlink(missing_ok=True)
    with short_temporary_folder() as short:
        os.symlink(RUN, f"{short}/run")
        environment = {
            **inherited(),
            "DSPROJ_STACK": marker(),
            "DSPROJ_SERVICE": "supervisord",
            "DSPROJ_RUN": f"{short}/run",
        }
        command = [str(PYTHON), "-m", "supervisor.supervisord", "--configuration", "../../local/supervisord.conf"]
        done = subprocess.run(command, cwd=RUN, env=environment, capture_output=True, text=True, start_new_session=True)
        if done.returncode == 0:
            for _ in range(100):
                if answers():
                    return
                time.sleep(0.05)
    said = (done.stderr or done.stdout).strip().splitlines()[-3:]
    raise SupervisionError("\n".join(["supervisord does not start (.local/logs/supervisord.log):", *said]))


def full_name(name):
    """The workers are a group of processes under one name."""
    return f"this_worker:{name}" if name.startswith("this_worker") else name


def start(name):
    """Start a process unless it runs."""
    with contextlib.suppress(xmlrpc.client.Fault):  # it has been started meanwhile
        client().startProcess(full_name(name), False)


def stop(name, wait=True):
    """Stop a process as its kind likes to be stopped; with `wait`, return when it has ended."""
    with contextlib.suppress(xmlrpc.client.Fault):  # it has ended meanwhile
        client(timeout=90).stopProcess(full_name(name), wait)


def stop_leftovers(*arguments):
    """End what a killed supervisord left behind; see processes.py."""
    if PYTHON.exists():
        subprocess.run([str(PYTHON), str(PROJECT / "local" / "processes.py"), *arguments])


def stop_all(say, patience=120):
    """Stop all processes, the ones that use the stores first, then supervisord; False where it did not run.

    `say(name)` is told of each one that has ended.
    """
    if not answers():
        return False
    for stores in (False, True):
        waiting = {name for name in processes() if name.startswith(STORES) == stores}
        for name in waiting:
            stop(name, wait=False)
        deadline = time.monotonic() + patience
        while waiting:
            ended = waiting - processes().keys()
            for name in sorted(ended):
                say(name)
            waiting -= ended
            if time.monotonic() > deadline:
                raise SupervisionError(f"{', '.join(sorted(waiting))} still runs after {patience} s; again: make down")
            time.sleep(0.1)
    client().shutdown()
    while is_listening():
        time.sleep(0.05)
    (RUN / SOCKET).unlink(missing_ok=True)
    return True

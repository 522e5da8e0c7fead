"""Another machine, by the ssh program: with the user's own configuration, keys, agent and known hosts."""
# One connection serves a whole command, so that a password is asked for once; afterwards it stays, as the tunnel.

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import IO, Any

from dsproj.errors import Problem
from dsproj.report import Report, relay

Stream = Callable[[IO[bytes]], None]
# Words travel in base64: no shell there, whichever it is, has to take blanks, quotes or other letters.
RUN = "import base64,sys;exec(base64.b64decode(sys.argv[1]))"
START = """
import base64, json, os, sys
folder, *words = json.loads(base64.b64decode(sys.argv[2]))
os.chdir(os.path.expanduser(folder))
os.environ.update(DSPROJ_LINES="1", PYTHONPATH=os.path.join(os.getcwd(), ".dsproj"))
os.execv(sys.executable, [sys.executable, "-m", *words])
"""


class Machine:
    """host: as `make remote HOST=` takes it, user@name or user@name:port."""

    def __init__(self, host: str, socket: str = "") -> None:
        found = re.fullmatch(
            r"((?:[^\s@:-][^\s@:]*@)?(?:[^\s@:\[\]-][^\s@:\[\]]*|\[[0-9a-fA-F:.%]+\]))(?::(\d+))?", host
        )
        if not found:
            raise Problem(f"HOST={host}: write it as user@machine, or user@machine:port")
        self.host, self.port, self.socket = found[1].replace("[", "").replace("]", ""), found[2], socket
        self.by_hand = f"ssh {f'-p {self.port} ' if self.port else ''}{self.host}"

    def words(self, *options: str) -> list[str]:
        """The ssh program with options, on this machine's connection."""
        port = ["-p", self.port] if self.port else []
        asks = [] if sys.stdin.isatty() else ["-o", "BatchMode=yes"]  # nobody could answer
        shared = [
            "-o",
            f"ControlPath={self.socket}",
            *options,
            "-o",
            "ControlMaster=no",
        ]  # of an option the first one holds
        return ["ssh", *asks, *port, *shared, self.host]

    def connect(self) -> None:
        """Open the connection, unless it is; Problem with ssh's own words where it cannot be."""
        if not shutil.which("ssh"):
            raise Problem("The ssh program is missing here", "install OpenSSH, such as: apt-get install openssh-client")
        if self.pid():
            return
        if not self.socket or not Path(self.socket).parent.is_dir():
            self.socket = f"{tempfile.mkdtemp(prefix='dsproj-')}/s"  # short: a socket's path ends at 100 bytes
        lasting = ["ControlMaster=yes", "ControlPersist=yes", "ServerAliveInterval=15", "ServerAliveCountMax=4"]
        options = [word for each in ("ConnectTimeout=20", *lasting) for word in ("-o", each)]
        with tempfile.TemporaryFile() as said:  # not a pipe, which what stays would keep open
            command = self.words("-N", "-f", "-T", *options)
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said).returncode:
                said.seek(0)
                self.close()
                raise self.trouble(said.read().decode(errors="replace").splitlines())

    def trouble(self, said: list[str]) -> Problem:
        """Why ssh does not reach the machine; how the user finds out more."""
        what = f"ssh does not reach {self.host}: {next((line.strip() for line in reversed(said) if line.strip()), 'it was cut off')}"
        if any("Host key verification failed" in line for line in said):
            return Problem(
                what, f"{self.by_hand}, where you compare the machine's key and accept it; then the same command"
            )
        return Problem(what, f"make that {self.by_hand} works; the same command then goes on")

    def pid(self) -> int:
        """The process that holds the connection; 0 where there is none."""
        if not self.socket:
            return 0
        done = subprocess.run(self.words("-O", "check"), capture_output=True, text=True)
        found = re.search(r"pid=(\d+)", done.stderr + done.stdout)
        return int(found[1]) if found and not done.returncode else 0

    def forward(self, here: int, there: int, action: str = "forward") -> bool:
        """Bring a port of the machine's loopback to one of ours, as long as the connection lasts; action "cancel": no more."""
        pair = f"127.0.0.1:{here}:127.0.0.1:{there}"
        return not subprocess.run(self.words("-O", action, "-L", pair), capture_output=True).returncode

    def close(self) -> None:
        if self.pid():
            subprocess.run(self.words("-O", "exit"), capture_output=True)
        if self.socket:
            shutil.rmtree(Path(self.socket).parent, ignore_errors=True)

    def script(self, source: str, *words: Any, send: Stream | None) -> Any:
        """Run a Python script there, `send` writes its standard input; what it printed, as JSON."""
        stream = io.BytesIO()
        if send:
            send(stream)
        command = [*self.words(), self._line(source, words)]
        done = subprocess.run(command, capture_output=True, input=stream.getvalue())
        if done.returncode:
            raise self._failed(done.returncode, done.stderr.decode(errors="replace").splitlines())
        return json.loads(done.stdout.splitlines()[-1])  # a shell's own greeting may stand before it

    def call(self, folder: str, *words: str, report: Report, send: Stream, receive: Stream | None = None) -> Any:
        """Run a module, with words, in the project in `folder` there, as Engine.call does; `receive` reads its output."""
        command = [*self.words(), self._line(START, (folder, *words))]
        cut_off: Problem | None = None
        streams: Any = {"stdin": PIPE, "stdout": PIPE if receive else subprocess.DEVNULL, "stderr": PIPE}
        with subprocess.Popen(command, **streams) as process:
            # Why it takes no more, if so, is said below.
            with contextlib.suppress(BrokenPipeError), process.stdin or io.BytesIO() as stream:
                send(stream)
            try:
                if receive and process.stdout:
                    receive(process.stdout)
            except Problem as error:
                cut_off = error
            lines = (line.decode(errors="replace") for line in process.stderr or ())
            result, problem, others = relay(lines, report)
        if problem:
            raise Problem(f"{self.host}: {problem.what}", problem.cure and f"there: {problem.cure}", problem.log)
        if process.returncode:
            raise self._failed(process.returncode, others)
        if cut_off:
            raise cut_off
        return result

    def _line(self, source: str, words: tuple[Any, ...]) -> str:
        texts = (source, json.dumps(words))
        return " ".join(["python3", "-c", f'"{RUN}"', *(base64.b64encode(text.encode()).decode() for text in texts)])

    def _failed(self, code: int, said: list[str]) -> Problem:
        if code == 255:
            return self.trouble(said)
        if code == 127:
            return Problem(
                f"no python3 on {self.host}: {' '.join(said[-1:])}",
                "install it there, 3.11 or newer; then the same command",
            )
        return Problem(
            f"{self.host}: {''.join(said[-1:]) or f'a command ended with {code}'}", "the same command goes on"
        )

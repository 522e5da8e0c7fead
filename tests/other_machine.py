"""Another machine for a test, as far as files, ports and programs go: a real sshd, with a home of its own.

Where this may be root, it has a network of its own, too (a namespace); else it listens on a port of loopback. A script that sshd
calls for each command gives it its home and its PATH, notes the command, and cuts the connection where a test wants that.
"""

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import PREFIX, checked, command, free_port, wait_for

CONFIG = """
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/id.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
ForceCommand {folder}/session
"""
# cut: the number of the command that is cut off, and after how many seconds.
SESSION = """#!/bin/bash
exec 9>>{folder}/lock; flock 9
echo "$SSH_ORIGINAL_COMMAND" >> {folder}/commands
number=$(wc -l < {folder}/commands)
exec 9>&-
if [ -e {folder}/cut ] && read -r at after < {folder}/cut && [ "$number" = "$at" ]; then
  rm {folder}/cut
  parent=$PPID; (sleep "$after"; kill -9 $parent) </dev/null >/dev/null 2>&1 &
fi
cd {home}
exec env -i HOME={home} PATH={path} LANG=C.UTF-8 USER="$USER" {variables} /bin/sh -c "$SSH_ORIGINAL_COMMAND"
"""
# Programs of this machine that the other one has, too.
PROGRAMS = "sh bash env true cat git ls rm mv mkdir tar uname id ps setpriv unshare prlimit getconf locale"


def missing():
    """Why there can be no other machine; "" where there can."""
    wanted = {"sshd": "openssh-server", "ssh": "openssh-client"}
    return ", ".join(package for program, package in wanted.items() if not _which(program))


def _which(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class OtherMachine:
    """folder: where its files are; docker: the address of an engine that answers there, "" for none; network: the namespace and
    address that it has, else one of its own is made; variables: more of its shell's."""

    number = 0

    def __init__(self, folder, docker="", has=PROGRAMS, python=True, network=None, **variables):
        OtherMachine.number += 1
        self.folder, self.home, self.space = folder, folder / "home of another", ""
        self.home.mkdir(parents=True)
        self.port, self.user = free_port(22000), getpass.getuser()
        for name in ("host_key", "id"):
            checked("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
        self.programs = programs = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-"))  # where others than root get, too
        programs.chmod(0o755)
        for name in has.split() + ["docker"] * bool(docker):
            if found := shutil.which(name):
                (programs / name).symlink_to(found)
        if python:
            (programs / "python3").symlink_to(sys.executable)
            (programs / "uv").symlink_to(shutil.which("uv"))
        self.link = ""
        if network:
            self.space, self.address = network
        else:
            self.address = self._network() or "127.0.0.1"
        kept = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "UV_", "REQUESTS_"))
        }
        # What this machine has downloaded is there, too: a namespace reaches nothing else.
        kept |= {"UV_CACHE_DIR": checked("uv", "cache", "dir").strip(), "DOCKER_HOST": docker or "unix:///nowhere"}
        kept |= {"UV_OFFLINE": "1"} if self.space else {}
        words = " ".join(f"{name}='{value}'" for name, value in (kept | variables).items())
        session = SESSION.format(folder=folder, home=f"'{self.home}'", path=programs, variables=words)
        (folder / "session").write_text(session)
        (folder / "session").chmod(0o755)
        (folder / "sshd_config").write_text(CONFIG.format(port=self.port, address=self.address, folder=folder))
        self.config = folder / "ssh_config"
        known = f"[{self.address}]:{self.port} {(folder / 'host_key.pub').read_text()}"
        (folder / "known_hosts").write_text(known)
        # The user's own ssh, of which a test has no other.
        (folder / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.config} "$@"\n')
        (folder / "ssh").chmod(0o755)
        self.config.write_text(
            f"Host large\n  HostName {self.address}\n  User {self.user}\n  Port {self.port}\n"
            f"Host *\n  IdentityFile {folder}/id\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n"
        )
        if not os.getuid():  # Debian makes it when it starts the service
            os.makedirs("/run/sshd", exist_ok=True)
        self.start()

    def _network(self):
        """A network namespace, and its address; "" where there can be none."""
        if os.getuid() or not _which("ip"):
            return ""
        name = f"{PREFIX}-{OtherMachine.number}"[-30:]
        if command("ip", "netns", "add", name).returncode:
            return ""
        self.space, net = (
            name,
            f"10.{87 + os.getpid() % 100}.{os.getpid() // 100 % 250}.{OtherMachine.number * 4 % 250}",
        )
        base, last = net.rsplit(".", 1)
        here, there = (f"{base}.{int(last) + each}" for each in (1, 2))
        self.link = f"ds{os.getpid() % 100000}-{OtherMachine.number}"
        checked("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", name)
        checked("ip", "addr", "add", f"{here}/30", "dev", self.link)
        checked("ip", "link", "set", self.link, "up")
        for words in (
            ["addr", "add", f"{there}/30", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
        ):
            checked("ip", "-n", name, *words)
        return there

    def inside(self, *words):
        return ["nsenter", f"--net=/run/netns/{self.space}", *words] if self.space else [*words]

    def start(self):
        words = self.inside(_which("sshd"), "-D", "-e", "-f", str(self.folder / "sshd_config"))
        with open(self.folder / "sshd.log", "w") as log:
            streams = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL}
            self.sshd = subprocess.Popen(words, **streams, start_new_session=True)
        wait_for(lambda: "listening" in (self.folder / "sshd.log").read_text(), 20, "sshd")

    def stop(self):
        """Its sshd ends, and every connection to it."""
        family = checked("ps", "-eo", "pid,args").splitlines()
        with_it = [line.split()[0] for line in family if "sshd: " in line and self._is_ours(int(line.split()[0]))]
        for pid in [*map(int, with_it), self.sshd.pid]:
            command("kill", "-9", pid)
        self.sshd.wait()

    def _is_ours(self, pid):
        """Is it a child of our sshd, or one of its children?"""
        while pid > 1:
            if pid == self.sshd.pid:
                return True
            try:
                pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                return False
        return False

    @property
    def commands(self):
        path = self.folder / "commands"
        return path.read_text().splitlines() if path.exists() else []

    def cut(self, ahead, after=0.0):
        """The connection breaks in the command that comes as number `ahead` from now on (1 is the next)."""
        (self.folder / "cut").write_text(f"{len(self.commands) + ahead} {after}\n")

    def run(self, *words, cwd=None):
        """What a person does there, in the home folder or another one."""
        done = command(
            *self.inside(self.folder / "ssh", "-n", "large", f"cd '{cwd or self.home}' && {' '.join(words)}")
        )
        return done

    def remove(self):
        for project in [path.parent for path in self.home.rglob(".local") if path.is_dir()]:
            environment = {"HOME": str(self.home), "PATH": f"{self.programs}:{os.environ['PATH']}", "ENGINE": "local"}
            command(sys.executable, ".dsproj", "destroy", "FORCE=1", cwd=project, env=environment)
        self.stop()
        shutil.rmtree(self.programs)
        if self.link:
            command("ip", "link", "del", self.link)
            command("ip", "netns", "del", self.space)

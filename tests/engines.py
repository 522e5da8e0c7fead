"""Machines for a cluster: Docker engines in network namespaces of this one, on a switch of their own that can cut one off.

Each has its own address, host name, images and containers. What this machine's own engine has is not touched; made as root.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import checked, command, wait_for

LETTERS = "abc"


class Machine:
    """One engine. name: of its namespace and host; address: on the switch; folder: for all of its files."""

    def __init__(self, name, address, folder, registry):
        self.name, self.address, self.folder, self.registry = name, address, folder, registry
        self.link, self.socket = f"{name}-l", f"unix://{folder}/socket"
        self.process = None

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        options = ["--data-root", self.folder / "data", "--exec-root", self.folder / "exec", "--host", self.socket]
        options += ["--pidfile", self.folder / "pid", f"--insecure-registry={self.registry}"]
        # All containers of an engine are one group when the processor is shared out: each machine has its own.
        options.append(f"--cgroup-parent=/{self.name}")
        # `ip netns exec` would mount a /sys without control groups.
        script = 'hostname "$0" && exec dockerd "$@"'
        words = [*self.inside(), "unshare", "--uts", "sh", "-c", script, self.name, *map(str, options)]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(words, stderr=log, stdout=log, start_new_session=True)
        wait_for(lambda: command("docker", "-H", self.socket, "version").returncode == 0, 90, self.name)

    def stop(self, how=signal.SIGTERM):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(120)
            self.process = None

    def inside(self):
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def run(self, *words, **options):
        """A command with this machine's network and engine."""
        environment = os.environ | {"DOCKER_HOST": self.socket} | options.pop("env", {})
        return command(*self.inside(), *words, env=environment, **options)

    def docker(self, *words):
        done = self.run("docker", *words)
        assert done.returncode == 0, f"{self.name}: docker {words}:\n{done.printed}"
        return done.stdout.strip()

    def cut(self):
        checked("ip", "link", "set", self.link, "down")

    def back(self):
        checked("ip", "link", "set", self.link, "up")

    def remove(self):
        if self.process:
            found = self.run("docker", "ps", "--all", "--quiet").stdout.split()
            command("docker", "-H", self.socket, "swarm", "leave", "--force")
            if found:
                command("docker", "-H", self.socket, "rm", "--force", "--volumes", *found)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
            self.stop(signal.SIGKILL)
        for line in Path("/proc/mounts").read_text().splitlines():
            if (place := line.split()[1]).startswith(str(self.folder)):
                command("umount", "--lazy", place)
        command("ip", "link", "delete", self.link)
        command("ip", "netns", "delete", self.name)
        for group in {*Path("/sys/fs/cgroup").glob(self.name), *Path("/sys/fs/cgroup").glob(f"*/{self.name}")}:
            command("find", group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";")
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def machines(folder, number=3, prefix=None, net=None):
    """So many machines, the switch between them (`.switch` is its address, which reaches this machine too), then nothing."""
    if os.geteuid() or not all(map(shutil.which, ("ip", "nsenter", "unshare", "dockerd", "iptables"))):
        pytest.skip("engines in network namespaces take root, iproute2, util-linux, iptables and dockerd")
    prefix = prefix or f"c{os.getpid() % 10_000}"
    net = net or f"10.{214 + os.getpid() % 20}.{os.getpid() % 250}"
    switch, out = f"{prefix}-sw", f"{net}.0/24"
    rules = [
        ["nat", "POSTROUTING", "--source", out, "!", "--out-interface", switch, "--jump", "MASQUERADE"],
        *(["filter", "FORWARD", way, switch, "--jump", "ACCEPT"] for way in ("--in-interface", "--out-interface")),
    ]
    made = []
    try:
        checked("ip", "link", "add", switch, "type", "bridge")
        checked("ip", "address", "add", f"{net}.1/24", "dev", switch)
        checked("ip", "link", "set", switch, "up")
        for table, chain, *rule in rules:
            checked("iptables", "--table", table, "--insert", chain, *rule)
        for number_of, letter in enumerate(LETTERS[:number], 11):
            machine = Machine(f"{prefix}{letter}", f"{net}.{number_of}", folder / letter, f"{net}.1:5000")
            made.append(machine)
            checked("ip", "netns", "add", machine.name)
            inner = ["ip", "-n", machine.name]
            checked("ip", "link", "add", machine.link, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
            checked("ip", "link", "set", machine.link, "master", switch, "up")
            checked(*inner, "address", "add", f"{machine.address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                checked(*inner, "link", "set", device, "up")
            checked(*inner, "route", "add", "default", "via", f"{net}.1")
            machine.start()
        yield made
    finally:
        for machine in made:
            machine.remove()
        for table, chain, *rule in rules:
            command("iptables", "--table", table, "--delete", chain, *rule)
        command("ip", "link", "delete", switch)

"""The servers in containers: Docker Compose in the project's folder. docker_program.py and this alone call the docker program."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NoReturn

from dsproj.errors import Problem
from dsproj.host import docker_program as program
from dsproj.host import first_env, network, packages, stores_elsewhere
from dsproj.host import services as own
from dsproj.host.engine import KEPT, OF_DASK, SERVICES, STORES, Engine, State, free_of_lines, present
from dsproj.host.ports import move, port_is_free
from dsproj.report import LINES, Report, Stopwatch
from dsproj.settings import PROJECT, Settings, change, slug

PATIENCE = 300  # seconds for all services to become healthy
PORTS = {"this_jupyter": "JUPYTER_PORT", "this_monitor": "MONITOR_PORT"}
BUILT = ("this_postgres", "this_jupyter")  # the worker and the dashboard run in the image of this_jupyter
BROKEN = ("unhealthy", "exited", "dead", "restarting")


class Docker(Engine):
    name = "docker"

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.is_built: set[str] = set()  # services whose images this process has built

    # --- life

    def check(self, fresh: bool = False) -> None:
        if problem := program.trouble():
            raise problem
        own.make()
        stores_elsewhere.tell_compose(self.settings)
        program.refuse_other_owner()
        if fresh and (volumes := program.held("volume")):
            raise Problem(
                f'Volumes of an earlier project "{slug()}" exist: {", ".join(volumes)}',
                "make up, which goes on with their data; or to begin anew: make destroy up",
            )

    def start(self, *services: str, report: Report) -> None:
        watch = Stopwatch()
        program.claim()
        for note in network.notes() if not services else ():
            report.done("network", note)
        leaves_root = self._leave_root(report)
        if not services:
            self._wait_for_seed()
            program.remove_forgotten(own.known(), self.elsewhere)
        if wanted := [name for name in BUILT if name in (services or BUILT) and name not in self.is_built]:
            packages.ensure(report)
            self.compose("--progress=plain", "build", *wanted, report=report, failed="an image could not be built")
            self.is_built.update(wanted)
        if leaves_root:
            ids = f"{self.settings['NB_UID']}:{self.settings['NB_GID']}"
            chown = ["--entrypoint", "chown", "this_jupyter", "-R", ids, "/var/lib/jovyan"]
            self.compose("run", "--rm", "--no-deps", "--user=0:0", *chown, report=report)
        if (here := self.here(*services)) or not services:
            alone = ["--no-deps"] if services else []  # a database that lacks a table holds up nothing else
            self._up(*alone, *here, report=report)
            if "this_postgres" not in here:
                self._wait(report, watch, *here)

    def _leave_root(self, report: Report) -> bool:
        """Does another user go on with what root began? Then NB_UID of .env, and JupyterLab's settings, become theirs."""
        if self.settings.get("NB_UID") != "0" or not (ids := first_env.owner())[0]:
            return False
        uid, gid = ids
        change({"NB_UID": uid, "NB_GID": gid})
        self.settings.update(NB_UID=str(uid), NB_GID=str(gid))
        report.done("settings", f"the project was root's: NB_UID={uid} in .env")
        return True

    def _up(self, *words: str, report: Report) -> None:
        """`docker compose up`. A port that another program holds, or takes on the way, gives way to the next free one."""
        self._move_busy_ports(report)
        while True:
            try:
                return self.compose("--progress=plain", "up", "--detach", *words, report=report)
            except Problem:
                if not self._move_busy_ports(report):
                    raise

    def _move_busy_ports(self, report: Report) -> dict[str, int]:
        held = {state.service for state in self.states() if state.running}
        busy = [name for service, name in PORTS.items() if service not in held]
        return move([name for name in busy if not port_is_free(self.settings.port(name))], self.settings, report)

    def stop(self, report: Report) -> None:
        if not program.containers():
            report.done("stack", "nothing runs")
            return
        watch = Stopwatch()
        self._down(report=report)
        report.done("stack", "stopped; the data stays in its volumes", watch.seconds)

    def states(self) -> list[State]:
        found = [self._state(container) for container in program.containers()]
        known = present(self.settings) + list(own.known())
        missing = [State(name, name) for name in known if name not in {state.service for state in found}]
        order = {name: number for number, name in enumerate(SERVICES + OF_DASK)}  # the user's own come last
        return sorted(found + missing, key=lambda state: (order.get(state.service, len(order)), state.name))

    def notes(self, states: list[State]) -> list[str]:
        return [first_env.AS_ROOT] if first_env.runs_as_root(self.settings) else []

    counting = (
        "The peak has the files in it that were read, too: what is over the programs' own goes where room is needed."
    )

    def usage(self) -> list[State]:
        limits = {found["Id"][:12]: found["HostConfig"]["Memory"] for found in program.containers()}
        running = [state for state in self.states() if state.running]
        for state in running:
            (state.used, state.peak), state.limit = program.memory(state.pid), limits.get(state.pid) or None
        return running

    def logs(self, service: str) -> NoReturn:
        if not program.containers():
            raise Problem("Nothing runs, and containers that were removed leave no log", "make up")
        _become("docker", "compose", "logs", "--follow", "--tail=100", *filter(None, [service]))

    def scale(self, workers: int, report: Report) -> None:
        change({"WORKERS": workers})
        self.settings["WORKERS"] = str(workers)
        if not any(state.running for state in self.states()):
            return report.done("workers", f"{workers}, from the next start on: make up")
        watch, grows = Stopwatch(), {"this_worker", "this_dask"}.intersection(present(self.settings))
        self.compose("--progress=plain", "up", "--detach", "--no-recreate", *grows, report=report)
        self._wait(report, watch)

    def install(self, report: Report, changed: bool) -> str:
        self.compose("--progress=plain", "build", "this_jupyter", report=report, failed="the image could not be built")
        running = {state.service for state in self.states() if state.running}
        if "this_jupyter" in running:  # its kernels hold a day's work
            report.doing("installing them where JupyterLab runs")
            self.run("this_jupyter", "python", "-m", "dsproj.kernel.locked")
        if others := sorted(running - {*STORES, "this_jupyter"}):
            self.compose("--progress=plain", "up", "--detach", *others, report=report)
            self._wait(report, Stopwatch(), *others)
        if "this_jupyter" not in running:
            return "the image is built anew; nothing runs yet: make up"
        return "those that run can import it. Their container goes on; the next make up takes the new image"

    # --- services of the user's own

    def renew(self, service: str, report: Report) -> None:
        anew = ["--detach", "--force-recreate"]  # with --no-deps, Compose would take it for another at the next `up`
        self.compose("--progress=plain", "up", *anew, service, report=report, failed=f"{service} does not start")

    def withdraw(self, service: str) -> None:
        self.compose("rm", "--stop", "--force", service)

    def others(self) -> list[str]:
        return [
            name for name in program.run("compose", "config", "--services").stdout.split() if name not in own.known()
        ]

    # --- data

    def holds(self) -> list[str]:
        services = dict.fromkeys(self._state(container).service for container in program.containers())
        found = [f"container {name}" for name in services] + [f"volume {name}" for name in program.held("volume")]
        return found + [f"network {name}" for name in program.held("network")]

    def built(self) -> list[str]:
        names = [f"{slug()}-{service.removeprefix('this_')}" for service in BUILT]
        return [f"image {name}" for name in names if not program.run("image", "inspect", name).returncode]

    def destroy(self, report: Report, built: bool) -> None:
        try:
            self._down("--volumes", "--remove-orphans", report=report)
        finally:
            if not program.held("volume"):
                program.run("volume", "rm", program.owner_note())
            for image in self.built() if built else ():
                program.run("image", "rm", image.split()[1])

    def _down(self, *options: str, report: Report) -> None:
        """`docker compose down`. A network that containers of others have joined stays, with or without a word of Compose."""
        down = ("--progress=plain", "--profile=here", "down", *options)  # of stores elsewhere the volumes, too
        try:
            try:
                self.compose(*down, report=report)
            except Problem:  # an engine may still count a container that it has just removed among the network's
                time.sleep(1)
                self.compose(*down, report=report)
        except Problem as problem:
            problem.cure = "make destroy" if options else "make down"
            raise
        finally:
            for network in program.held("network"):
                if guests := program.guests(network):
                    cures = [f"docker network disconnect --force {network} {guest}" for guest in guests]
                    what = f"The network {network} stays, since {', '.join(guests)} still uses it"
                    raise Problem(what, f"{' && '.join(cures)} && docker network rm {network}")

    def set_aside(self, major: str) -> None:
        # The image keeps a version's data in /var/lib/postgresql/18, and refuses to start beside that of an older one.
        self._in_volume('[ ! -e "kept/$1" ]; mkdir -p kept; mv "$1" kept/', major)

    def take_back(self, old: str, new: str) -> None:
        # The new server's folder, half filled, must not be taken for an upgraded one at the next try.
        self._in_volume('rm -rf "$2"; [ -e "$1" ] || mv "kept/$1" .', old, new)

    def forget(self, major: str) -> str:
        return f"docker compose exec this_postgres rm -r /var/lib/postgresql/kept/{major}"

    def _in_volume(self, script: str, *arguments: str) -> None:
        """Run a shell script where the volume is mounted, with no server on it."""
        self.compose("rm", "--stop", "--force", "this_postgres")
        shell = ["sh", "this_postgres", "-euc", f"cd /var/lib/postgresql; {script}"]
        self.compose("run", "--rm", "--no-deps", "--entrypoint", *shell, "sh", *arguments)

    # --- run something in the stack

    def is_inside(self) -> bool:
        return program.is_inside()

    def command(self, service: str, *words: str, variables: Mapping[str, str] | None = None) -> list[str]:
        options = [word for name, value in (variables or {}).items() for word in ("--env", f"{name}={value}")]
        return [*self._inside(service, "-T", *options), *self.client(service, words)]

    def _inside(self, service: str, *options: str) -> list[str]:
        """What runs a command where a service runs; of a store elsewhere, in a container for that command alone."""
        how = ["--progress=quiet", "run", "--rm", "--no-deps"] if service in self.elsewhere else ["exec"]
        return ["docker", "compose", *how, *options, service]

    def variables(self, service: str) -> dict[str, str]:
        return free_of_lines()

    def replace(self, service: str, *words: str) -> NoReturn:
        self.need(service)
        _become(*self._inside(service, *[] if sys.stdin.isatty() else ["-T"]), *self.client(service, words))

    def once(self, *words: str) -> list[str]:
        # In an image that is as the lock says, with the project mounted, as the project's owner.
        packages.ensure(Report())
        options = ["run", "--rm", "--no-deps", "-T", "--build", "--env", f"{LINES}=1"]
        return ["docker", "compose", "--progress=quiet", *options, "this_jupyter", *words]

    # --- Compose and the engine

    def compose(self, *words: str, report: Report | None = None, failed: str = "") -> None:
        """Run a Compose command, each line of it passed on; where it fails, a Problem with the last ones: `failed`."""
        last: deque[str] = deque(maxlen=KEPT)
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        how: dict[str, Any] = {"cwd": PROJECT, "encoding": "utf-8", "errors": "replace", **streams}
        with subprocess.Popen(["docker", "compose", *words], **how) as process:
            for line in process.stdout or ():
                if line := line.strip():
                    last.append(line)
                    (report or Report()).doing(line)
        if process.returncode:
            if not failed:
                self._complain()
            named = " ".join(word for word in words if not word.startswith("--"))
            raise Problem(failed or f"docker compose {named} failed", "make up", list(last))

    def _state(self, container: dict[str, Any]) -> State:
        labels, told = container["Config"]["Labels"], container["State"]
        service = labels["com.docker.compose.service"]
        state = State(service, container["Name"].lstrip("/"), container["Id"][:12])
        state.running = told["Status"] == "running"
        state.health = told["Status"] if told["Status"] != "created" else "stopped"
        if state.running:
            state.health = told.get("Health", {}).get("Status", "healthy")  # one without a check, of the user's own
            started = datetime.strptime(told["StartedAt"][:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
            state.seconds = (datetime.now(timezone.utc) - started).total_seconds()
            state.port = self.settings[PORTS[service]] if service in PORTS else ""
        if state.health in ("starting", "unhealthy") and (checks := told["Health"].get("Log")):
            state.reason = (checks[-1].get("Output", "").strip().splitlines() or [""])[-1]
        return state

    def _complain(self, *services: str) -> None:
        """Problem with the log of the first service, of some or of all, that has failed, if one has."""
        for state in (state for state in self._states(services) if state.health in BROKEN):
            reason = f": {state.reason}" if state.reason else ""
            self._give_up(state, f"is {state.health}{reason}")

    def _give_up(self, state: State, what: str) -> NoReturn:
        done = program.run("logs", "--tail", str(KEPT), state.pid) if state.pid else None  # None: no container was made
        log = (done.stdout + done.stderr).strip().splitlines()[-KEPT:] if done else []
        raise Problem(f"{state.service} {what}; its log: make logs S={state.service}", "make up", log)

    def _states(self, services: tuple[str, ...]) -> list[State]:
        wanted = [state for state in self.states() if not services or state.service in services]
        return [state for state in wanted if state.service not in own.known()]  # those are for services.wait

    def _wait(self, report: Report, watch: Stopwatch, *services: str) -> None:
        """Wait until some services, or all, are healthy, and say it of each."""
        said: set[str] = set()
        waited = Stopwatch()  # `watch` has counted what went before, such as building an image
        idle = () if self.settings.workers else ("this_worker", "this_dask")
        while True:
            states = self._states(services)
            for state in states:
                if state.health == "healthy" and state.name not in said:
                    said.add(state.name)
                    report.done(state.service, "healthy", watch.seconds)
            waiting = [state for state in states if state.health != "healthy" and state.service not in idle]
            if not waiting:
                return
            report.doing("  ".join(f"{state.service.removeprefix('this_')} {state.health}" for state in waiting))
            self._complain(*services)
            if waited.seconds > PATIENCE:
                self._give_up(waiting[0], f"was not healthy after {PATIENCE} s")
            time.sleep(0.3)

    def _wait_for_seed(self) -> None:
        """The health check runs every few seconds, and Compose gives up at once on what was unhealthy a moment ago."""
        watch = Stopwatch()
        while watch.seconds < 60 and ("this_postgres", "unhealthy") in ((s.service, s.health) for s in self.states()):
            time.sleep(0.3)


def _become(*words: str) -> NoReturn:
    os.chdir(PROJECT)
    sys.stdout.flush()
    os.execvpe(words[0], list(words), free_of_lines())

"""How long from the command until every service is healthy, and how much memory the idle stack takes, for both engines.

    python benchmarks/time_to_ready.py [--engine local] [--engine docker] [--runs 3]

Renders a project into a temporary folder and runs what `make up` runs. "Cold" for local: no environment yet, but a package
cache that knows the packages, unless --empty-cache. "Cold" for docker: the images are there, the project's own are not built.
"Again": `make up` on a stack that is healthy. The stack is stopped, and what was made is removed, at the end.
"""

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import copier

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "hooks" / "samples" / "adult.data"


def run(command, folder, environment=None):
    """Seconds that a command takes; it must succeed."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - start


def make(target, engine):
    return ["make", "--no-print-directory", f"PYTHON3={sys.executable}", f"ENGINE={engine}", target]


def render(folder):
    copier.run_copy(
        str(ROOT), folder, data={"project_slug": f"bench{os.getpid()}"}, vcs_ref="HEAD", defaults=True, unsafe=True,
        quiet=True, skip_tasks=True,
    )  # fmt: skip
    shutil.copy(SAMPLE, folder / "data" / "adult.sample.data")


def local_memory(folder):
    """MB of all processes that run from this project's folder: shared pages counted by share (PSS) where that is told."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes() + os.fsencode(os.readlink(entry / "cwd"))
            if os.fsencode(folder) in words and int(entry.name) != os.getpid():
                total += int(re.search(r"^Pss:\s+(\d+)", (entry / "smaps_rollup").read_text(), re.M)[1])
        except (OSError, TypeError):
            continue
    return total / 1024


def docker_memory(folder):
    """MB that the engine counts for the project's containers."""
    ids = subprocess.run(
        ["docker", "compose", "ps", "--quiet"], cwd=folder, capture_output=True, text=True
    ).stdout.split()
    command = ["docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", *ids]
    used = subprocess.run(command, capture_output=True, text=True).stdout
    units = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(KiB|MiB|GiB) /", used))


def measure(engine, runs, environment):
    """{what: value} of one engine."""
    with tempfile.TemporaryDirectory(prefix="dsproj-bench-") as temporary:
        folder = Path(temporary) / "project"
        render(folder)
        down = make("down", engine)
        try:
            results = {"cold": run(make("up", engine), folder, environment)}
            warm, again = [], []
            for _ in range(runs):
                run(down, folder)
                warm.append(run(make("up", engine), folder, environment))
                again.append(run(make("up", engine), folder, environment))
            results |= {"warm": statistics.median(warm), "again": statistics.median(again)}
            time.sleep(5)
            results["memory"] = {"local": local_memory, "docker": docker_memory}[engine](folder)
            results["down"] = run(down, folder)
        finally:
            subprocess.run(down, cwd=folder, capture_output=True)
            if engine == "docker":
                remove = ["docker", "compose", "down", "--volumes", "--rmi", "local"]
                subprocess.run(remove, cwd=folder, capture_output=True)
        return results


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    parser = argparse.ArgumentParser(description="Time from command to ready, for both engines.")
    parser.add_argument("--engine", action="append", choices=("local", "docker"), help="default: local")
    parser.add_argument("--runs", type=int, default=3, help="warm starts, of which the median is shown")
    parser.add_argument("--empty-cache", action="store_true", help="cold without a package cache: downloads everything")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        caches = {"UV_CACHE_DIR": cache, "PIP_CACHE_DIR": cache} if arguments.empty_cache else {}
        engines = arguments.engine or ["local"]
        found = {engine: measure(engine, arguments.runs, os.environ | caches) for engine in engines}
    print(f"| | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for what, label, unit in [
        ("cold", "`make up`, cold", "s"),
        ("warm", "`make up`, warm", "s"),
        ("again", "`make up` on a healthy stack", "s"),
        ("down", "`make down`", "s"),
        ("memory", "memory, idle", "MB"),
    ]:
        values = (f"{values[what]:.{0 if unit == 'MB' else 1}f} {unit}" for values in found.values())
        print(f"| {label} | {' | '.join(values)} |")
    print(f"\n{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, {sys.platform}")


if __name__ == "__main__":
    main()

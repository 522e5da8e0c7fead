"""A project to measure in, a table of results, and a chart of them: what the benchmarks share."""

import argparse
import contextlib
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from stacks import DockerStack, LocalStack  # noqa: E402

# Runs in the project, which has matplotlib. One bar for each ratio, on a logarithmic axis.
CHART = """
import json, sys
import matplotlib
matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "dsproj"
import matplotlib.pyplot as plt
title, note, rows = json.loads(sys.argv[1])
labels, values, marks = zip(*rows[::-1])
fig, ax = plt.subplots(figsize=(9, 0.6 + 0.45 * len(rows)))
bars = ax.barh(labels, values, color=["#3182bd" if mark else "#969696" for mark in marks])
ax.bar_label(bars, labels=[f"{value:,.0f}×" if value >= 10 else f"{value:.2f}×" for value in values], padding=4)
ax.set_xscale("log")
ax.set(title=title, xlabel=note, xlim=(min(values) / 2, max(values) * 6))
ax.spines[["top", "right"]].set_visible(False)
fig.tight_layout()
fig.savefig(sys.argv[2], metadata={"Date": None})
"""


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--engine", choices=("local", "docker"), default="local")
    parser.add_argument(
        "--project", type=Path, help="measure in this running project; default: a new one, removed after"
    )
    parser.add_argument("--small", action="store_true", help="few rows, once, no chart: does it work?")
    parser.add_argument("--runs", type=int, default=5, help="of which the median is shown")
    return parser


@contextlib.contextmanager
def project(options, **answers):
    """A running project by the words of tests/stacks.py."""
    kind = {"local": LocalStack, "docker": DockerStack}[options.engine]
    if options.project:
        yield kind(options.project.resolve(), options.project.name)
        return
    with tempfile.TemporaryDirectory(prefix="dsproj-bench-") as folder:
        made = kind(Path(folder) / "project", f"dsproj-bench-{os.getpid()}")
        try:
            if "is running" not in made.generate(**answers).printed:
                sys.exit(made.printed)
            yield made
        finally:
            made.remove()


def measure(project, code, *words):
    """Run code in the project; it prints one line of JSON."""
    return json.loads(project.python(code, *map(str, words)).splitlines()[-1])


def machine():
    try:
        text = Path("/proc/cpuinfo").read_text()
        name = next(line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores, {name}, load average {os.getloadavg()[0]:.1f}"


def table(head, rows):
    """Print a Markdown table of (what, seconds, ratio)."""
    print(f"| {head} | time | ratio |\n|---|--:|--:|")
    for what, seconds, ratio in rows:
        print(f"| {what} | {seconds:,.3g} s | {ratio:,.2f} |")
    print(f"\n{machine()}")


def chart(project, name, title, note, rows):
    """docs/NAME.svg: a bar for each (label, ratio, is it ours?)."""
    project.python(CHART, json.dumps([title, note, rows]), f"data/{name}.svg")
    (ROOT / "docs").mkdir(exist_ok=True)
    shutil.move(project.path / "data" / f"{name}.svg", ROOT / "docs" / f"{name}.svg")
    print(f"docs/{name}.svg")

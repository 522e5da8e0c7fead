"""How long a kernel takes from its start to its first answer, with what the project adds (autoreload, %%lib, %%sql), and bare.

    python benchmarks/kernel_start.py [--engine docker] [--runs 15]

Both in turns, in one project; medians.
"""

import running

STARTS = """
import json, os, statistics, sys, time
from jupyter_client import KernelManager

def start(environment):
    begin = time.perf_counter()
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=environment)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    client.execute_interactive("pass", timeout=60)
    seconds = time.perf_counter() - begin
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return seconds

ours = dict(os.environ)
bare = {name: text for name, text in ours.items() if name != "PYTHONSTARTUP"}
assert bare != ours
found = [(start(bare), start(ours)) for _ in range(int(sys.argv[1]) + 1)][1:]
print(json.dumps([statistics.median(column) for column in zip(*found)]))
"""


def main():
    options = running.arguments(__doc__.splitlines()[0]).parse_args()
    with running.project(options) as project:
        bare, ours = running.measure(project, STARTS, 3 if options.small else max(options.runs, 5))
    running.table("a kernel starts", [("bare", bare, 1), ("with autoreload, %%lib and %%sql", ours, ours / bare)])


if __name__ == "__main__":
    main()

"""Which tool answers a question about a table that is smaller than memory, as large, or larger: time, peak memory, who dies.

    python benchmarks/larger_than_memory.py [--limit 512] [--times 0.25 --times 1 --times 3] [--runs 3] [--project PATH] [--small]

PostgreSQL has a container with --limit MB of memory, and each tool one of its own with the same, without swap, anew for each
question; of Dask each of two workers has it, beside 400 MB for the scheduler and the client. A table of 1 is one whose DataFrame takes as much as the limit. Tools take turns. Needs Docker and a package index.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

from running import arguments, machine, project

RIVALS = """polars==2.1.0 polars-runtime-32==2.1.0 dask==2026.8.0 distributed==2026.8.0 cloudpickle toolz fsspec partd locket
zict sortedcontainers tblib msgpack click importlib-metadata zipp psutil packaging pyyaml jinja2 markupsafe tornado urllib3
lazy-importer""".split()
ROW = 96  # bytes of a row in a DataFrame of read_frame
OF_SCHEDULER = 400  # MB, and the client that it shares a process with
PATIENCE = 600  # seconds after which a tool is given up

TABLE = """
DROP TABLE IF EXISTS large, people;
CREATE TABLE people AS SELECT n::int AS person, (n % 12)::int AS region FROM generate_series(1, {people}) AS n;
CREATE TABLE large AS SELECT n AS _id, (n * 7919 % {people} + 1)::int AS person, n * 31 % 1000 / 7.0::float8 AS amount,
    (n % 90)::smallint AS age, 'kind ' || n % 15 AS kind, n / 3.0::float8 AS share, md5(n::text) AS note
    FROM generate_series(1, {rows}::bigint) AS n;
ALTER TABLE large ADD PRIMARY KEY (_id);
ANALYZE large; ANALYZE people;
"""

# The memory of all that runs in a container, without the files that its kernel keeps in memory: looked at every 20 ms.
WATCH = """
import pathlib, sys, threading
def held():
    for name, keys in (("memory.stat", ("anon", "shmem")), ("memory/memory.stat", ("rss", "shmem"))):
        if (path := pathlib.Path("/sys/fs/cgroup", name)).exists():
            found = dict(line.split() for line in path.read_text().splitlines())
            return sum(int(found.get(key, 0)) for key in keys)
highest, done = [held()], threading.Event()
def watch():
    while not done.wait(0.02):
        highest[0] = max(highest[0], held())
threading.Thread(target=watch, daemon=True).start()
"""

# What each tool is set up with is not counted: imports, and Dask's processes.
CODE = """
import sys
sys.path.append("/home/jovyan/data/rivals")
import json, time
tool, question, rows, limit = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
LARGE, PEOPLE = "/home/jovyan/data/rivals/large/*.parquet", "/home/jovyan/data/rivals/people.parquet"
GROUP = "SELECT kind, avg(amount) AS mean, count(*) AS n FROM large GROUP BY kind"
JOIN = "SELECT region, avg(amount) AS mean, count(*) AS n FROM large JOIN people USING (person) GROUP BY region"
SQL = GROUP if question == "group" else JOIN

def read_range(ends):
    from lib.postgres import read_frame
    return read_frame("SELECT * FROM large WHERE _id BETWEEN %s AND %s", ends)

def in_frames(large, people):
    if question == "group":
        return large.groupby("kind").amount.agg(["mean", "count"])
    return large.merge(people, on="person").groupby("region").amount.agg(["mean", "count"])

def main():
    if tool in ("SQL", "pandas", "pandas, two columns"):
        from lib.postgres import read_frame
        read_frame("SELECT 1 AS n")
        if tool == "SQL":
            return lambda: read_frame(SQL)
        columns = "*" if tool == "pandas" else "kind, amount" if question == "group" else "person, amount"
        return lambda: in_frames(read_frame(f"SELECT {columns} FROM large"), read_frame("people"))
    if tool.startswith("DuckDB"):
        import duckdb
        con = duckdb.connect("/tmp/duck.db")
        con.execute(f"SET memory_limit = '{limit * 7 // 10}MB'")
        if tool == "DuckDB, PostgreSQL":
            con.execute("INSTALL postgres; LOAD postgres; ATTACH '' AS pg (TYPE postgres); USE pg")
        else:
            con.execute(f"CREATE VIEW large AS FROM '{LARGE}'; CREATE VIEW people AS FROM '{PEOPLE}'")
        con.execute("SELECT 1 AS n").df()
        return lambda: con.execute(SQL).df()
    if tool == "polars":
        import polars as pl
        large, by = pl.scan_parquet(LARGE), "kind"
        if question == "join":
            large, by = large.join(pl.scan_parquet(PEOPLE), on="person"), "region"
        query = large.group_by(by).agg(pl.col("amount").mean().alias("mean"), pl.len().alias("n"))
        return lambda: query.collect(engine="streaming")
    import dask, dask.dataframe as dd
    from distributed import Client, LocalCluster
    shares = {"target": 0.3, "spill": 0.5, "pause": False, "terminate": 0.95}  # as in a project with Dask
    dask.config.set({f"distributed.worker.memory.{name}": share for name, share in shares.items()})
    back = {"MALLOC_TRIM_THRESHOLD_": 65536, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    dask.config.set({"distributed.nanny.pre-spawn-environ": back, "temporary-directory": "/tmp"})
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=f"{limit}MiB", dashboard_address=None)
    client = Client(cluster)
    from lib.postgres import read_frame
    if tool == "Dask, Parquet":
        large, people = dd.read_parquet(LARGE), dd.read_parquet(PEOPLE)
    else:
        size = 200_000
        ranges = [(first, min(first + size - 1, rows)) for first in range(1, rows + 1, size)]
        large = dd.from_map(read_range, ranges, meta=read_range((0, 0)))
        people = dd.from_pandas(read_frame("people"), npartitions=1)
    client.run(read_frame, "SELECT 1 AS n")
    return lambda: in_frames(large, people).compute()

if __name__ == "__main__":
    action = main()
    start = time.perf_counter()
    found = action()
    took = time.perf_counter() - start
    print(json.dumps([took, highest[0], len(found)]), flush=True)
    import os
    os._exit(0)
"""

PARQUET = """
import pathlib, sys, time
import pyarrow as pa, pyarrow.parquet as pq
from lib.postgres import read_frame
rows, folder = int(sys.argv[1]), pathlib.Path("data/rivals/large")
folder.mkdir(exist_ok=True)
for old in folder.iterdir():
    old.unlink()
start = time.perf_counter()
for first in range(1, rows + 1, 500_000):
    df = read_frame("SELECT * FROM large WHERE _id BETWEEN %s AND %s", [first, first + 499_999])
    pq.write_table(pa.Table.from_pandas(df, preserve_index=False), folder / f"{first:012}.parquet")
took = time.perf_counter() - start
pq.write_table(pa.Table.from_pandas(read_frame("people"), preserve_index=False), "data/rivals/people.parquet")
print(took, sum(path.stat().st_size for path in folder.iterdir()), df.memory_usage(deep=True).sum() / len(df))
"""

TOOLS = ["SQL", "DuckDB, Parquet", "DuckDB, PostgreSQL", "polars", "pandas", "pandas, two columns", "Dask, Parquet"]
TOOLS += ["Dask, PostgreSQL"]


class Machine:
    """A project's images and network, and a memory of `limit` MB for whatever runs in a container of its own."""

    def __init__(self, running, limit):
        self.running, self.limit = running, limit
        self.code = running.path / "data" / "rivals" / "measured.py"
        self.code.write_text(WATCH + CODE)

    def measure(self, tool, question, rows):
        """(seconds, peak bytes), or why there are none."""
        name = f"{self.running.slug}-measured"
        words = [
            "docker",
            "run",
            "--name",
            name,
            "--network",
            f"{self.running.slug}_default",
            "--workdir",
            "/home/jovyan",
        ]
        limit = 2 * self.limit + OF_SCHEDULER if tool.startswith("Dask") else self.limit
        words += ["--memory", f"{limit}m", "--memory-swap", f"{limit}m", "--shm-size", "64m"]
        words += [
            "--volume",
            f"{self.running.path}:/home/jovyan",
            "--user",
            f"{os.getuid()}:{os.getgid()}",
            "--env",
            "PGPASSWORD",
        ]
        for variable in ("PGHOST=this_postgres", "PGUSER=postgres", "PGDATABASE=postgres", "PROJECT_ROOT=/home/jovyan"):
            words += ["--env", variable]
        words += ["--env", "PYTHONPATH=/home/jovyan:/home/jovyan/.dsproj:/home/jovyan/data/rivals"]
        words += [f"{self.running.slug}-jupyter", "python", "data/rivals/measured.py", tool, question, rows, self.limit]
        variables = os.environ | {"PGPASSWORD": self.running.env["POSTGRES_PASSWORD"]}
        server = self.watch_postgres() if tool in ("SQL", "DuckDB, PostgreSQL") else None
        try:
            done = subprocess.run(
                list(map(str, words)), env=variables, capture_output=True, text=True, timeout=PATIENCE
            )
            if done.returncode == 0 and done.stdout.strip():
                took, peak, _ = json.loads(done.stdout.splitlines()[-1])
                return took, max(peak, self.end_of(server) if server else 0)
            return why(done)
        except subprocess.TimeoutExpired:
            return f"not within {PATIENCE // 60} min"
        finally:
            subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
            if server:
                server.kill()

    def watch_postgres(self):
        code = WATCH + "sys.stdin.readline()\nprint(highest[0], flush=True)"
        words = ["docker", "compose", "exec", "-T", "this_postgres", "python3", "-c", code]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(words, cwd=self.running.path, **pipes)

    def end_of(self, server):
        return int(server.communicate("\n", timeout=60)[0])


def why(done):
    """What a tool that failed died of, in few words."""
    if done.returncode == 137:
        return "killed: out of memory"
    last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
    if re.search(r"KilledWorker|MemoryError|Restarting worker|(?i:out of memory)", done.stderr):
        return "died: out of memory"
    return "not here: no package index of DuckDB" if "extension" in last and "ownload" in done.stderr else last[:120]


def compare(there, times, runs):
    """All tools in turns, both questions."""
    rows = int(times * there.limit * 2**20 / ROW)
    subprocess.run(["docker", "compose", "exec", "-T", "this_postgres", "psql", "-q", "-v", "ON_ERROR_STOP=1"], check=True,
                   cwd=there.running.path, input=TABLE.format(rows=rows, people=max(rows // 50, 1)), text=True,
                   stderr=subprocess.DEVNULL)  # fmt: skip
    took, size, row = map(float, there.running.python(PARQUET, str(rows)).split())
    on_disk = int(there.running.sql("SELECT pg_total_relation_size('large')"))
    print(f"\n{times} × the memory: {rows:,} rows, {rows * row / 2**20:,.0f} MB as a DataFrame, {on_disk / 2**20:,.0f} MB in PostgreSQL, "
          f"{size / 2**20:,.0f} MB as Parquet, which took {took:.1f} s", flush=True)  # fmt: skip
    found = {(tool, question): [] for tool in TOOLS for question in ("group", "join")}
    for _ in range(runs):
        for (tool, question), results in found.items():
            if not any(isinstance(each, str) for each in results):  # who died once is not asked again
                results.append(there.measure(tool, question, rows))
                print(f"{time.strftime('%H:%M:%S')} {tool}, {question}: {results[-1]}", file=sys.stderr, flush=True)
    print("| tool | group-by: ratio | peak | join: ratio | peak |\n|---|--:|--:|--:|--:|")
    for tool in TOOLS:
        print(f"| {tool} | {' | '.join(cells(found, tool, question) for question in ('group', 'join'))} |", flush=True)


def cells(found, tool, question):
    """The ratio to SQL and the peak, or the death."""
    results, base = found[tool, question], [each for each in found["SQL", question] if not isinstance(each, str)]
    if words := [each for each in results if isinstance(each, str)]:
        return f"{words[0]} | "
    seconds = statistics.median(each[0] for each in results)
    ratio = (
        f"{seconds / statistics.median(each[0] for each in base):.2f} ({seconds:.1f} s)" if base else f"{seconds:.1f} s"
    )
    return f"{ratio} | {statistics.median(each[1] for each in results) / 2**20:,.0f} MB"


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=512, help="MB of memory for each tool, and for PostgreSQL")
    parser.add_argument("--times", type=float, action="append", help="sizes of the table, in multiples of the limit")
    parser.set_defaults(engine="docker", runs=3)
    options = parser.parse_args()
    limit, sizes, runs = (
        (1024, [0.02], 1) if options.small else (options.limit, options.times or [0.25, 1, 3], options.runs)
    )
    with project(options) as running:
        rivals = running.path / "data" / "rivals"
        try:
            env = running.path / ".env"
            env.write_text(f"{env.read_text()}\nPOSTGRES_MEMORY={limit}m\n")
            running.make("up")
            rivals.mkdir(exist_ok=True)
            running.run("python", "-m", "pip", "install", "--quiet", "--no-deps", "--target", "data/rivals", *RIVALS)
            there = Machine(running, limit)
            print(f"{limit} MB for each; {machine()}; {time.strftime('%Y-%m-%d')}")
            for times in sizes:
                compare(there, times, runs)
            print(f"\n{machine()}")
        finally:
            running.sql("DROP TABLE IF EXISTS large, people")
            shutil.rmtree(rivals, ignore_errors=True)


if __name__ == "__main__":
    main()

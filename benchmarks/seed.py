"""How long a seed takes, next to PostgreSQL's own limit and to other ways to bring a CSV file into a table.

    python benchmarks/seed.py [--copies 100] [--runs 3] [--slow-rows 32561] [--file adult.data]

Loads the Adult data and a file of as many copies of it, with the SQL that a project has: by our normaliser, and (the limit)
by \\copy of a file that is clean already, into the same table with the same key. pandas' to_sql and csvkit's csvsql load
only --slow-rows rows; their time for the large file is that, times the rows. Needs Docker; removes what it made.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import copier

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conftest import SHARED, checked  # noqa: E402
from database import ENV, Server  # noqa: E402

PACKAGES = ["pandas==3.1.1", "sqlalchemy==2.1.9", "psycopg2-binary==2.9.13", "csvkit==2.2.0"]
TO_SQL = """
import sys, time, pandas as pd, sqlalchemy as sa
path, url, names = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
start = time.perf_counter()
frame = pd.read_csv(path, names=names, skipinitialspace=True, na_values="?")
frame.to_sql("by_pandas", sa.create_engine(url), if_exists="replace", index=False)
print(time.perf_counter() - start)
"""
PEAK = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
PEAK += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"


def render(folder, dataset):
    """A project; its server, of dataset "none", starts empty."""
    copier.run_copy(
        str(ROOT), folder, data={"dataset": dataset, "table_name": "adult"}, vcs_ref="HEAD", defaults=True, unsafe=True,
        quiet=True, skip_tasks=True,
    )  # fmt: skip


def clean(source, target, copies):
    """The rows of Adult as COPY takes them without help, so many times."""
    rows = [[value.strip() for value in line.split(",")] for line in source.read_text().splitlines() if line.strip()]
    text = "".join(",".join("" if value == "?" else value for value in row) + "\n" for row in rows)
    with open(target, "w") as file:
        for _ in range(copies):
            file.write(text)
    return len(rows)


def multiply(source, target, copies):
    text = source.read_bytes().rstrip(b"\n") + b"\n"
    with open(target, "wb") as file:
        for _ in range(copies):
            file.write(text)


def limit_of(server, sql, name):
    """Seconds for psql to copy a clean file by the SQL of a data set, and to count as a seed does; the table is new."""
    server.query("DROP TABLE IF EXISTS adult")
    copy = re.search(r"FROM PROGRAM '.*?' WITH", sql)[0]
    clean = sql.replace(copy, f"FROM '/project/data/{name}' WITH")
    (server.data / "load.sql").write_text(f"{clean}\nANALYZE adult;\nSELECT count(*) FROM adult;\n")
    options = "--no-psqlrc --quiet --set=ON_ERROR_STOP=1 --single-transaction"
    return timed(server, f"psql {options} --file=/project/data/load.sql")


def seed_of(server, sql, name):
    """Seconds that the seed took, as it notes them in the ledger: from the empty transaction to the rows, counted."""
    server.query("DROP TABLE IF EXISTS adult")
    server.query("DROP TABLE IF EXISTS dsproj_seed")
    env = server.scripts / "datasets" / "adult.env"
    env.write_text(ENV.format(table="adult", file=name))
    env.with_suffix(".sql").write_text(sql)
    timed(server, "python3 -m dsproj.database.seed once adult")
    return float(server.query("SELECT seconds FROM dsproj_seed")[0][0])


def timed(server, line):
    start = time.perf_counter()
    code, printed = server.run(line)
    seconds = time.perf_counter() - start
    assert code == 0, printed
    return seconds


def measure(server, sql, names, runs):
    """Median seconds (limit, ours) for the clean file and the original one, taken in turns."""
    limit, ours = [], []
    for _ in range(runs):
        limit.append(limit_of(server, sql, names[0]))
        ours.append(seed_of(server, sql, names[1]))
    return statistics.median(limit), statistics.median(ours)


def slow(server, folder, path, names):
    """{"to_sql": seconds, "csvsql": seconds} for one small file."""
    python = folder / "venv" / "bin" / "python"
    checked("uv", "venv", "--quiet", folder / "venv")
    checked("uv", "pip", "install", "--quiet", "--python", python, *PACKAGES)
    host, port = server.address
    url = f"postgresql+psycopg2://postgres@{host}:{port}/postgres"
    to_sql = float(checked(python, "-c", TO_SQL, path, url, ",".join(names)))
    with_header = folder / "with_header.csv"
    with_header.write_text(",".join(names) + "\n" + path.read_text())
    start = time.perf_counter()
    command = [
        python.with_name("csvsql"),
        "--db",
        url,
        "--insert",
        "--skipinitialspace",
        "--overwrite",
        "--tables",
        "by_csvkit",
    ]
    checked(*command, with_header)
    return {"to_sql": to_sql, "csvsql": time.perf_counter() - start}


def infer(project, path):
    """(seconds, peak memory in MB) of finding the types of a file's columns."""
    words = ["--file", path, "--table", "t", "--sql", path.with_suffix(".sql"), "--force"]
    command = [sys.executable, "-m", "dsproj.kernel.schema", *words]
    variables = os.environ | {"PYTHONPATH": str(project / ".dsproj")}
    start = time.perf_counter()
    peak = float(checked(sys.executable, "-c", PEAK, *command, env=variables))
    return time.perf_counter() - start, peak


def normaliser_peak(server, name):
    """MB that the normaliser takes at most."""
    program = f"python3 -m dsproj.database.normalise --trim --null '?' /project/data/{name}"
    code, printed = server.run(f"python3 -c {PEAK!r} {program}")
    assert code == 0, printed
    return float(printed.split()[-1])


def main():
    parser = argparse.ArgumentParser(description="Time seeds against PostgreSQL's limit.")
    parser.add_argument("--copies", type=int, default=100, help="of Adult in the large file")
    parser.add_argument("--runs", type=int, default=3, help="of which the median is shown")
    parser.add_argument("--slow-rows", type=int, default=32561, help="rows for to_sql and csvsql; 0 leaves them out")
    parser.add_argument(
        "--file", type=Path, help="the Adult data; default: a real one at hand, else the made-up sample"
    )
    arguments = parser.parse_args()
    real, sample = SHARED / "data" / "adult.data", ROOT / "hooks" / "samples" / "adult.data"
    source = arguments.file or (real if real.exists() else sample)
    with tempfile.TemporaryDirectory(prefix="dsproj-bench-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        render(folder / "adult", "adult")
        render(folder / "project", "none")
        sql = (folder / "adult/docker/postgres/initdb.sql").read_text()
        names = re.search(r"\\copy adult \((.*?)\)", sql)[1].split(", ")
        server = Server(f"dsproj-bench-{os.getpid()}", folder / "project")
        try:
            server.start()
            lines, times = [], {}
            for copies in (1, arguments.copies):
                rows = clean(source, server.data / "clean.csv", copies)
                multiply(source, server.data / "adult.data", copies)
                limit, ours = measure(server, sql, ("clean.csv", "adult.data"), arguments.runs)
                peak = normaliser_peak(server, "adult.data")
                seconds, memory = infer(folder / "project", server.data / "adult.data")
                times[copies] = limit
                lines += [
                    (f"{rows * copies:,}", r"`\copy` of a clean file", limit, 1, None),
                    (f"{rows * copies:,}", "seed", ours, ours / limit, peak),
                    (f"{rows * copies:,}", "finding the types (once)", seconds, seconds / limit, memory),
                ]
            if arguments.slow_rows:
                few = folder / "few.data"
                few.write_text("\n".join(source.read_text().splitlines()[: arguments.slow_rows]) + "\n")
                scale = rows * arguments.copies / min(arguments.slow_rows, rows)
                for name, seconds in slow(server, folder, few, names).items():
                    label = {"to_sql": "pandas `to_sql`", "csvsql": "csvkit `csvsql --insert`"}[name]
                    note = f"{label} (from {min(arguments.slow_rows, rows):,} rows)"
                    lines.append(
                        (
                            f"{rows * arguments.copies:,}",
                            note,
                            seconds * scale,
                            seconds * scale / times[arguments.copies],
                            None,
                        )
                    )
        finally:
            server.remove()
    print("| rows | | seconds | ratio | peak MB |\n|---:|---|---:|---:|---:|")
    for rows, what, seconds, ratio, memory in lines:
        print(f"| {rows} | {what} | {seconds:.2f} | {ratio:.2f} | {'' if memory is None else f'{memory:.0f}'} |")
    print(
        f"\n{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, {source.name}: {'real' if source != sample else 'SYNTHETIC SAMPLE'}"
    )


if __name__ == "__main__":
    main()

"""A Parquet file becomes a table: as a project loads it, and as ADBC ingests the same file; ratios of one run.

    python benchmarks/parquet.py [--rows 1000000] [--runs 3]

Both copy into the same empty table, in one transaction and in PostgreSQL's binary format. Needs the test group, adbc-driver-postgresql, adbc-driver-manager.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "template" / ".dsproj")]

from conftest import checked  # noqa: E402
from dsproj.kernel import tables  # noqa: E402

GROUP = 1 << 20  # rows
COPY = "COPY trips FROM STDIN (FORMAT binary, FREEZE)"
PEAK = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); " \
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"  # fmt: skip


def taxi(count, seed):
    """Rows as those of the New York taxis: times, whole numbers some of which are missing, amounts, short texts."""
    made = np.random.default_rng(seed)
    start = np.datetime64("2024-01-01T00:00:00", "us") + made.integers(0, 30 * 86400, count).astype("timedelta64[s]")
    amount = lambda scale: np.round(made.gamma(2, scale, count), 2)  # noqa: E731
    columns = {
        "vendor": made.integers(1, 3, count).astype("int32"),
        "pickup": start,
        "dropoff": start + made.integers(60, 3600, count).astype("timedelta64[s]"),
        "passengers": pa.array(made.integers(1, 7, count), mask=made.random(count) < 0.05),
        "distance": amount(2),
        "flag": np.array(["N", "Y"])[made.integers(0, 2, count)],
        "from_zone": made.integers(1, 266, count).astype("int32"),
        "to_zone": made.integers(1, 266, count).astype("int32"),
        "payment": made.integers(0, 5, count),
        "fare": amount(8),
        "tip": amount(2),
        "total": amount(12),
        "zone": np.array([f"zone {number} of the city" for number in range(300)])[made.integers(0, 300, count)],
    }
    return pa.table(columns)


def write(path, rows):
    with pq.ParquetWriter(path, taxi(1, 0).schema) as file:
        for first in range(0, rows, GROUP):
            file.write_table(taxi(min(GROUP, rows - first), first), row_group_size=GROUP)


def ours(con, path):
    """Rows go the way of a seed: a program prints them, COPY reads."""
    words = [sys.executable, "-m", "dsproj.kernel.tables", f"--file={path}"]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "template" / ".dsproj")}
    with con, con.cursor() as cursor:
        cursor.execute("TRUNCATE trips; SELECT * FROM trips")
        variables["COPY_TYPES"] = " ".join(str(column.type_code) for column in cursor.description)
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=variables) as process:
            cursor.copy_expert(COPY, process.stdout, 256 << 10)
        assert process.returncode == 0


def adbc(address, path):
    import adbc_driver_postgresql.dbapi as driver

    with driver.connect(address) as con, con.cursor() as cursor:
        cursor.execute("TRUNCATE trips")
        file = pq.ParquetFile(path)
        cursor.adbc_ingest(
            "trips", pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(1 << 16)), mode="append"
        )
        con.commit()


def timed(function, *words):
    """(seconds, seconds of CPU of this process and its children; the server's are not in it)"""
    used = lambda: sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))  # noqa: E731
    start, before = time.perf_counter(), used()
    function(*words)
    return time.perf_counter() - start, used() - before


def main():
    parser = argparse.ArgumentParser(description="Time Parquet to table against ADBC.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3, help="of which the median is shown")
    chosen = parser.parse_args()
    name = f"dsproj-bench-{os.getpid()}"
    trust = ["--env", "POSTGRES_HOST_AUTH_METHOD=trust"]
    with tempfile.TemporaryDirectory(prefix="dsproj-bench-") as folder:
        path = Path(folder) / "trips.parquet"
        write(path, chosen.rows)
        checked("docker", "run", "--detach", "--name", name, *trust, "--publish", "127.0.0.1::5432", "postgres:18")
        try:
            port = checked("docker", "port", name, "5432/tcp").split()[0].rpartition(":")[2]
            address = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            con = connected(address)
            columns = ", ".join(
                f"{column.name} {column.type}" for column in tables.read(tables.source_of(path)).columns
            )
            with con, con.cursor() as cursor:
                cursor.execute(f"CREATE TABLE trips ({columns})")
                cursor.execute("SELECT * FROM trips")
                types = " ".join(str(column.type_code) for column in cursor.description)
            times = [(timed(adbc, address, path), timed(ours, con, path)) for _ in range(chosen.runs)]
        finally:
            checked("docker", "rm", "--force", "--volumes", name)
        words = [sys.executable, "-m", "dsproj.kernel.tables", f"--file={path}"]
        variables = {"PYTHONPATH": str(ROOT / "template/.dsproj"), "COPY_TYPES": types}
        peak = checked(sys.executable, "-c", PEAK, *words, env=os.environ | variables)
        size = path.stat().st_size / 1e6
    limit, mine = ([statistics.median(run[which][kind] for run in times) for kind in (0, 1)] for which in (0, 1))
    print(f"{chosen.rows:,} rows, {size:.0f} MB; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("| | seconds | ratio | CPU of the client | peak MB |\n|---|---:|---:|---:|---:|")
    print(f"| ADBC | {limit[0]:.2f} | 1 | {limit[1]:.2f} | |")
    print(f"| here | {mine[0]:.2f} | {mine[0] / limit[0]:.2f} | {mine[1]:.2f} | {int(peak)} |")


def connected(address):
    for _ in range(60):
        try:
            return psycopg2.connect(address)
        except psycopg2.OperationalError:
            time.sleep(0.5)
    raise SystemExit("the server does not answer")


if __name__ == "__main__":
    main()

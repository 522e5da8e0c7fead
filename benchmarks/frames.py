"""How long a table takes to a DataFrame and back, against pandas, ADBC and a bare COPY; and how much memory.

    python benchmarks/frames.py [--engine docker] [--runs 5] [--project PATH] [--small]

The rivals are installed into a folder of the project that is removed afterwards.
"""

import shutil

from running import arguments, chart, measure, project, table

RIVALS = ["adbc-driver-postgresql==1.13.0", "sqlalchemy==2.1.9"]

CODE = """
import sys
sys.path.append("data/rivals")
import io, json, os, statistics, threading, time
import adbc_driver_postgresql.dbapi as adbc
import pandas as pd
import psutil
import pyarrow as pa
import sqlalchemy
from lib.postgres import connect_to_postgres, read_frame, write_frame
times, runs = int(sys.argv[1]), int(sys.argv[2])
server = "{PGUSER}:{PGPASSWORD}@{PGHOST}:{PGPORT}/{PGDATABASE}".format(**os.environ)
engine = sqlalchemy.create_engine("postgresql+psycopg2://" + server)
arrow = adbc.connect("postgresql://" + server)
con, cur = connect_to_postgres()
QUERY = "SELECT * FROM bench"
cur.execute("DROP TABLE IF EXISTS bench, bench_to")
cur.execute('''CREATE TABLE bench AS SELECT n AS _id, (n %% 90)::smallint AS age, 'Private' AS workclass,
    md5(n::text) AS name, (n * 7) %% 1000000 AS weight, CASE WHEN n %% 20 > 0 THEN 'Exec-managerial' END AS occupation,
    n %% 2 = 0 AS male, n / 7.0::float8 AS share, CASE WHEN n %% 50 > 0 THEN n::bigint END AS gain
    FROM generate_series(1, %s) AS n''', [32561 * times])
con.commit()

def with_adbc():
    with arrow.cursor() as cursor:
        cursor.execute(QUERY)
        cursor.fetch_arrow_table().to_pandas()

def bare_copy():
    cur.copy_expert(f"COPY ({QUERY}) TO STDOUT (FORMAT csv)", io.BytesIO())
    con.rollback()

def copy_and_read_csv():
    csv = io.BytesIO()
    cur.copy_expert(f"COPY ({QUERY}) TO STDOUT (FORMAT csv, HEADER)", csv)
    con.rollback()
    csv.seek(0)
    pd.read_csv(csv)

def ingest():
    with arrow.cursor() as cursor:
        cursor.adbc_ingest("bench_to", pa.Table.from_pandas(df, preserve_index=False), mode="replace")
    arrow.commit()

def medians(actions):
    # In turns: what the server has yet to set up, such as files for its log, no single one should pay for.
    taken = {name: [] for name in actions}
    for _ in range(runs):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in taken.items()}

def peak(action):
    # Memory above what the process has before, looked at every 2 ms, in bytes.
    process, done = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    highest = [before]
    def watch():
        while not done.wait(0.002):
            highest[0] = max(highest[0], process.memory_info().rss)
    thread = threading.Thread(target=watch)
    thread.start()
    result = action()
    done.set()
    thread.join()
    return result, highest[0] - before

read_frame(QUERY + " LIMIT 10")
df, read_peak = peak(lambda: read_frame(QUERY))
_, write_peak = peak(lambda: write_frame(df, "bench_to", if_exists="replace"))
size = int(df.memory_usage(deep=True).sum())
found = {
    "rows": len(df),
    "memory": [read_peak / size, write_peak / size],
    "read": medians({
        "a bare COPY, not parsed": bare_copy,
        "read_frame": lambda: read_frame(QUERY),
        "ADBC": with_adbc,
        "COPY and pandas.read_csv (loses types)": copy_and_read_csv,
        "pandas.read_sql (loses types)": lambda: pd.read_sql(QUERY, engine),
    }),
    "write": medians({
        "write_frame": lambda: write_frame(df, "bench_to", if_exists="replace"),
        "ADBC ingest": ingest,
        "pandas.to_sql": lambda: df.to_sql("bench_to", engine, if_exists="replace", index=False),
    }),
}
cur.execute("DROP TABLE bench, bench_to")
con.commit()
print(json.dumps(found))
"""


def main():
    options = arguments(__doc__.splitlines()[0]).parse_args()
    times, runs = (1, 1) if options.small else (10, options.runs)
    with project(options) as running:
        try:
            running.run("python", "-m", "pip", "install", "--quiet", "--no-deps", "--target", "data/rivals", *RIVALS,
                        "adbc-driver-manager==1.13.0", "typing-extensions")  # fmt: skip
            found = measure(running, CODE, times, runs)
            bars = []
            for way, base in (("read", "read_frame"), ("write", "write_frame")):
                lines = [(what, took, took / found[way][base]) for what, took in found[way].items()]
                table(f"{way} {found['rows']:,} rows, {options.engine}", lines)
                bars += [(what, ratio, what == base) for what, _, ratio in lines]
            print("peak memory of read_frame {:.1f}, of write_frame {:.1f} times the frame's".format(*found["memory"]))
            if not options.small:
                note = "time, as a multiple of read_frame's or write_frame's"
                chart(running, "frames", "A table to a DataFrame, and back", note, bars)
        finally:
            shutil.rmtree(running.path / "data" / "rivals", ignore_errors=True)


if __name__ == "__main__":
    main()

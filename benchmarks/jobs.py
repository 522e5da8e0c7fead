"""How long a whole table takes through the queue, against one UPDATE (the limit) and one job a row (the textbook's way).

python benchmarks/jobs.py [--engine docker] [--rows 32561 --rows 3200000] [--runs 5] [--project PATH] [--small]
"""

from running import arguments, chart, measure, project, table

# The textbook's job: imports, connects, reads, writes and commits, for one row. And one that only computes.
TEXTBOOK = """
import hashlib
import time

import psycopg2


def encode(_id):
    con = psycopg2.connect("")
    cur = con.cursor()
    cur.execute("SELECT label FROM bench WHERE _id = %s", [_id])
    target = 1 if cur.fetchone()[0] == "yes" else 0
    cur.execute("UPDATE bench SET target = %s WHERE _id = %s", [target, _id])
    con.commit()
    con.close()


def now():
    return time.time()


def small(item):
    return item + 1


def nothing(first_id, last_id):
    return 0


def compute(first_id, last_id):
    return sum(hashlib.pbkdf2_hmac("sha256", b"%d" % _id, b"", 100)[0] for _id in range(first_id, last_id + 1))
"""

MAKE = """
import sys
from lib.postgres import transaction
with transaction() as cur:
    cur.execute("DROP TABLE IF EXISTS bench")
    cur.execute("CREATE TABLE bench (_id integer PRIMARY KEY, label text, filler text, target smallint)")
    cur.execute("INSERT INTO bench SELECT n, CASE WHEN n %% 4 = 0 THEN 'yes' ELSE 'no' END, repeat(md5(n::text), 3)"
                " FROM generate_series(1, %s) AS n", [int(sys.argv[1])])
print(0)
"""

# In turns, and on a freshly vacuumed table each time: an UPDATE leaves the next one more pages to read.
COMPARE = """
import json, sys, time, statistics
from lib.jobs import enqueue_ranges, wait
from lib.postgres import connect_to_postgres, encode_target, encode_targets
rows, runs = int(sys.argv[1]), int(sys.argv[2])
coding = {"table": "bench", "label": "label", "codes": {"no": 0, "yes": 1}}
con, cur = connect_to_postgres()

def seconds(action):
    con.autocommit = True
    cur.execute("VACUUM (ANALYZE) bench")
    cur.execute("CHECKPOINT")
    con.autocommit = False
    start = time.perf_counter()
    action()
    return time.perf_counter() - start

def update():
    cur.execute("UPDATE bench SET target = (label = 'yes')::int")
    con.commit()

def through_the_queue():
    assert sum(wait(enqueue_ranges(encode_targets, "bench", kwargs=coding))) == rows

def row_by_row():
    for _id in range(1, 301):
        encode_target(_id, **coding)

through_the_queue()
found = {"update": [], "queue": []}
for _ in range(runs):
    found["update"].append(seconds(update))
    found["queue"].append(seconds(through_the_queue))
found = {what: statistics.median(times) for what, times in found.items()}
found["loop"] = seconds(row_by_row) / 300 * rows
print(json.dumps(found))
"""

COMPUTE = """
import json, time
from lib.jobs import enqueue_ranges, wait
from lib.textbook import compute
start = time.perf_counter()
wait(enqueue_ranges(compute, "bench", 2000))
print(json.dumps(time.perf_counter() - start))
"""

BY_THE_BOOK = """
import json, subprocess, sys, time
from rq import Queue
from lib.jobs import queue
rows, number = int(sys.argv[1]), int(sys.argv[2])
home = queue("textbook")
start = time.perf_counter()
for _id in range(1, number + 1):
    home.enqueue("lib.textbook.encode", _id)
worker = [sys.executable, "-m", "rq.cli", "worker", "--burst", "--quiet", "--serializer", "json", "textbook"]
subprocess.run(worker, check=True, env=__import__("os").environ | {"RQ_REDIS_URL": __import__("os").environ["REDIS_URL"]})
took = time.perf_counter() - start
assert not home.failed_job_registry.count
home.delete(delete_jobs=True)
print(json.dumps(took / number * rows))
"""

FIRST_JOB = """
import json, statistics, time
from lib.jobs import queue, wait
late = []
for _ in range(21):
    time.sleep(0.3)
    start = time.time()
    late.append(wait([queue().enqueue('lib.textbook.now')])[0] - start)
print(json.dumps(statistics.median(late)))
"""


# Small items: what RQ's own worker does of them in a second, one job each, and what enqueue_each does.
EACH = """
import json, sys, time
from lib.jobs import enqueue_each, queue, wait
from lib.textbook import small
from rq import Queue, Worker
plain, number = int(sys.argv[1]), int(sys.argv[2])
home = Queue("plain", connection=queue().connection)
start = time.perf_counter()
home.enqueue_many([Queue.prepare_data(small, [item]) for item in range(plain)])
Worker([home], connection=home.connection).work(burst=True, logging_level="ERROR")
one = (time.perf_counter() - start) / plain
assert not home.failed_job_registry.count
home.delete(delete_jobs=True)
start = time.perf_counter()
assert wait(enqueue_each(small, range(number))) == list(range(1, number + 1))
print(json.dumps([one, (time.perf_counter() - start) / number]))
"""

# What a job costs beside its work: ranges whose work is nothing.
NOTHING = """
import json, time
from lib.jobs import enqueue_ranges, wait
from lib.textbook import nothing
start = time.perf_counter()
jobs = enqueue_ranges(nothing, "bench", 100)
wait(jobs)
print(json.dumps((time.perf_counter() - start) / len(wait(jobs))))
"""


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, action="append", help="default: 32561")
    options = parser.parse_args()
    sizes = [2000] if options.small else options.rows or [32_561]
    runs, by_the_book = (1, 20) if options.small else (options.runs, 300)
    with project(options) as running:
        (running.path / "lib" / "textbook.py").write_text(TEXTBOOK)
        try:
            bars, computing = [], []
            for rows in sizes:
                measure(running, MAKE, rows)
                running.make("scale", "N=1")
                one = measure(running, COMPARE, rows, runs)
                if not bars:
                    computing.append(measure(running, COMPUTE))
                if not bars:
                    print(f"a range job costs {1000 * measure(running, NOTHING):.1f} ms beside its work, with 1 worker")
                    plain, each = measure(running, EACH, *((20, 1000) if options.small else (300, 10_000)))
                    lines = [("RQ's plain worker, a job each", plain, 1), ("enqueue_each", each, plain / each)]
                    table("a small item, jobs per second as a ratio", lines)
                running.make("scale", "N=2")
                two = measure(running, COMPARE, rows, runs)
                if not bars:
                    computing.append(measure(running, COMPUTE))
                running.make("scale", "N=1")
                book = measure(running, BY_THE_BOOK, rows, by_the_book)
                lines = [
                    ("one UPDATE of all rows (the limit)", one["update"], 1),
                    ("the queue, 2 workers", two["queue"], two["queue"] / two["update"]),
                    ("the queue, 1 worker", one["queue"], one["queue"] / one["update"]),
                    ("a loop, a commit for each row (from 300)", one["loop"], one["loop"] / one["update"]),
                    (f"one job for each row (from {by_the_book})", book, book / one["update"]),
                ]
                table(f"{rows:,} rows, {options.engine}", lines)
                print(
                    f"2 workers: {one['queue'] / two['queue']:.2f} times as fast as 1 where PostgreSQL does the work\n"
                )
                bars += [(f"{what}, {rows:,} rows", ratio, "queue" in what) for what, _, ratio in lines]
            print(f"2 workers: {computing[0] / computing[1]:.2f} times as fast as 1 where the jobs themselves compute")
            print(f"a job on an idle worker begins after {1000 * measure(running, FIRST_JOB):.0f} ms")
            if not options.small:
                chart(running, "jobs", "Encoding every row of a table", "time, as a multiple of one UPDATE", bars)
        finally:
            (running.path / "lib" / "textbook.py").unlink()
            running.sql("DROP TABLE IF EXISTS bench")


if __name__ == "__main__":
    main()

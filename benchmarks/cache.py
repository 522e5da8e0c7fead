"""How long a value takes to Redis and back through `put` and `get`, against raw SET and GET of the same bytes, and pickle.

python benchmarks/cache.py [--engine docker] [--runs 9] [--project PATH] [--small]
"""

from running import arguments, chart, measure, project, table

CODE = """
import json, os, pickle, statistics, sys, time
import numpy as np, pandas as pd, redis
from lib.cache import connect_to_redis, get, put
runs, small = int(sys.argv[1]), sys.argv[2] == "True"
plain, KEY = redis.from_url(os.environ["REDIS_URL"], socket_timeout=60), "bench"  # redis-py as it comes
rng, rows = np.random.default_rng(0), 3_000 if small else 300_000
frame = pd.DataFrame({
    "_id": np.arange(rows), "age": pd.array(rng.integers(17, 90, rows), dtype="Int64"), "share": rng.random(rows),
    "workclass": rng.choice(["Private", "State-gov", "Self-emp"], rows), "name": [f"{n:032x}" for n in range(rows)],
    "weight": rng.random(rows), "male": rng.random(rows) < 0.5, "at": pd.date_range("2000", periods=rows, freq="min"),
    "kind": pd.Categorical(rng.choice(["a", "b", "c"], rows)),
})
values = {"1 KB": rng.random(128), "1 MB": rng.random(2**17)}
values |= {} if small else {"100 MB": rng.random(100 * 2**17)}
values[f"{rows:,} rows"] = frame

def raw(data):
    plain.set(KEY, data)
    plain.get(KEY)

def ours(value):
    put(KEY, value)
    get(KEY)

def pickled(value):
    plain.set(KEY, pickle.dumps(value, protocol=5))
    pickle.loads(plain.get(KEY))

found = {}
for name, value in values.items():
    put(KEY, value)
    data = connect_to_redis().get(KEY)
    actions = {"raw": lambda: raw(data), "ours": lambda: ours(value), "pickled": lambda: pickled(value)}
    taken = {what: [] for what in actions}
    for number in range(runs * (100 if len(data) < 2**16 else 30 if len(data) < 2**22 else 1) + 1):
        for what, action in actions.items():  # in turns
            start = time.perf_counter()
            action()
            taken[what].append(time.perf_counter() - start)
    found[name] = {"bytes": len(data)} | {what: statistics.median(times[1:]) for what, times in taken.items()}
plain.delete(KEY)
print(json.dumps(found))
"""


def main():
    options = arguments(__doc__.splitlines()[0]).parse_args()
    with project(options) as running:
        found = measure(running, CODE, 1 if options.small else options.runs, options.small)
        bars, lines = [], []
        for name, took in found.items():
            ways = (
                ("SET and GET of the same bytes", "raw"),
                ("put and get", "ours"),
                ("pickle, SET and GET", "pickled"),
            )
            ratios = [(f"{name}: {what}", took[way], took[way] / took["raw"]) for what, way in ways]
            lines += ratios
            bars += [(what, ratio, way == "ours") for (what, _, ratio), (_, way) in zip(ratios, ways, strict=True)]
        table(f"to Redis and back, {options.engine}", lines)
        if not options.small:
            note = "time, as a multiple of redis-py's SET and GET of the same bytes"
            chart(running, "cache", "A value to Redis and back", note, bars)


if __name__ == "__main__":
    main()

"""How long documents take into MongoDB, and the nearest of some vectors from both stores, against what is below; and how much memory.

python benchmarks/documents.py [--engine docker] [--runs 5] [--documents 20000] [--vectors 32561] [--project PATH] [--small]

The server is what the engine has: SecantusDB on the local stack, so of MongoDB only the ratios say something. A project that is given has to have MongoDB.
"""

from running import arguments, measure, project, table

DOCUMENTS = """
import json, statistics, sys, time
from datetime import datetime
from dsproj.files import sha256
from dsproj.kernel import documents
from dsproj.kernel.mongo_client import DATABASE
from dsproj.report import Report
from dsproj.sets import PROJECT, DataSet
from lib.memory import peak
from lib.mongo import connect_to_mongo
runs, count = int(sys.argv[1]), int(sys.argv[2])
path, database = PROJECT / "data" / "bench.ndjson", connect_to_mongo()[DATABASE]
collection = database["bench_documents"]

def written(times):
    with path.open("w") as file:
        for n in range(count * times):
            place = {"name": f"station {n % 40}", "at": [n / 7, n / 11]}
            readings = [{"what": "soil moisture", "value": n / 3}, {"what": "air temperature", "value": n % 40 - 9.5}]
            visited = f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}"
            file.write(json.dumps({"n": n, "on": visited, "place": place, "readings": readings, "note": "x" * 80}) + "\\n")
    return DataSet(path, "bench_documents", path.name, "", "", (), path)

def emptied(action):
    collection.drop()
    start = time.perf_counter()
    action()
    return time.perf_counter() - start

def inserted(known):
    for start in range(0, len(known), 1000):
        collection.insert_many(known[start : start + 1000])

def by_hand():
    inserted([{**(found := json.loads(line)), "on": datetime.fromisoformat(found["on"])} for line in path.open()])

part = written(1)
ready = [json.loads(line) for line in path.open()]
ways = {
    "insert_many of documents that are in memory (the limit)": lambda: inserted([dict(each) for each in ready]),
    "a loop of one's own: json.loads, dates by hand, insert_many": by_hand,
    "make dataset TO=mongo: checksum, types of all fields, documents": lambda: documents.fill(Report(), collection, part),
}
taken = {what: [] for what in ways}
for _ in range(runs):
    for what, action in ways.items():  # in turns
        taken[what].append(emptied(action))
found = {"times": {what: statistics.median(times) for what, times in taken.items()}}
del ready
memory = []
for times in (1, 4):
    part = written(times)
    collection.drop()
    memory.append(peak(documents.fill, Report(), collection, part) - peak(int))
collection.drop()
path.unlink()
print(json.dumps({**found, "memory": memory, "count": count}))
"""

VECTORS = """
import json, statistics, sys, time
import numpy as np, pandas as pd
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from dsproj.kernel.mongo_client import DATABASE
from lib import mongo, postgres
from lib.memory import peak
runs, count = int(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
con, cur = postgres.connect_to_postgres()
database = mongo.connect_to_mongo()[DATABASE]
raw = database["bench_vectors"].with_options(codec_options=CodecOptions(document_class=RawBSONDocument))
QUERY = '''SELECT _id, (SELECT sqrt(sum((a - b) ^ 2)) FROM unnest(v, %s::double precision[]) AS u (a, b)) AS distance
    FROM bench_vectors ORDER BY distance LIMIT 5'''

def medians(actions):
    taken = {what: [] for what in actions}
    for number in range(runs + 1):
        for what, action in actions.items():  # in turns
            start = time.perf_counter()
            action()
            taken[what].append(time.perf_counter() - start)
    return {what: statistics.median(times[1:]) for what, times in taken.items()}

def the_query():
    cur.execute(QUERY, [asked])
    cur.fetchall()
    con.rollback()

def euclid():
    np.argsort(((vectors - asked) ** 2).sum(axis=1))[:5]

def all_read():
    for _ in raw.find({}, {"vector": 1}):
        pass

def all_loaded():
    ids, known = mongo.load_vectors("bench_vectors")
    np.argsort(-(known @ asked) / np.linalg.norm(known, axis=1))[:5]

vectors = rng.random((count, 14))
asked = vectors[7]
postgres.write_frame(pd.DataFrame({"_id": range(count), "v": [*vectors]}), "bench_vectors", if_exists="replace")
found = {"postgres": medians({
    "the query alone (the limit)": the_query,
    "lib.postgres.nearest": lambda: postgres.nearest("bench_vectors", "v", asked),
    "numpy, with all of them in memory": euclid,
})}
cur.execute("DROP TABLE bench_vectors")
con.commit()

vectors = rng.random((count, 384), dtype="f4")
asked = vectors[7]
raw.drop()
start = time.perf_counter()
mongo.store_vectors("bench_vectors", list(range(count)), vectors)
found["stored"] = time.perf_counter() - start
found["mongo"] = medians({
    "the documents read, and nothing done with them (the limit)": all_read,
    "lib.mongo.nearest": lambda: mongo.nearest("bench_vectors", asked, 5),
    "load_vectors and numpy, all of them in memory": all_loaded,
})
found["memory"] = [peak(mongo.nearest, "bench_vectors", asked, 5) - peak(int), peak(all_loaded) - peak(int)]
raw.drop()
print(json.dumps(found))
"""


def ratios(times):
    """(what, seconds, multiple of the first)."""
    limit = next(iter(times.values()))
    return [(what, seconds, seconds / limit) for what, seconds in times.items()]


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--vectors", type=int, default=32_561)
    options = parser.parse_args()
    runs, documents, vectors = (1, 500, 500) if options.small else (options.runs, options.documents, options.vectors)
    with project(options, mongo=True) as running:
        found = measure(running, DOCUMENTS, runs, documents)
        table(f"{documents:,} documents into MongoDB's stand-in, {options.engine}", ratios(found["times"]))
        print(
            "memory of the load {:.0f} MB, of four times as many {:.0f} MB".format(
                *(each / 2**20 for each in found["memory"])
            )
        )
        found = measure(running, VECTORS, runs, vectors)
        table(
            f"the nearest of {vectors:,} vectors of 14 numbers, PostgreSQL, {options.engine}", ratios(found["postgres"])
        )
        table(
            f"the nearest of {vectors:,} vectors of 384 numbers, MongoDB's stand-in, {options.engine}",
            ratios(found["mongo"]),
        )
        print(
            "memory of nearest {:.0f} MB, of all in memory {:.0f} MB".format(
                *(each / 2**20 for each in found["memory"])
            )
        )
        print(f"store_vectors took {found['stored']:,.1f} s")


if __name__ == "__main__":
    main()

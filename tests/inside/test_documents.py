"""Documents of JSON files in MongoDB: their types, all of a file or nothing, killed anywhere."""

import io
import os
import re
from datetime import datetime
from uuid import UUID, uuid4

import bson
import pytest
from bson import Decimal128, ObjectId
from dsproj.errors import Problem
from dsproj.kernel import documents, stores_mongo
from dsproj.kernel.mongo_client import DATABASE, connect_to_mongo
from dsproj.report import Report
from dsproj.sets import DataSet
from dsproj.settings import PROJECT
from lib.memory import peak
from pymongo.collection import Collection

pytestmark = pytest.mark.skipif(not os.environ.get("MONGO_URL"), reason="MONGO_URL is not set")
FILES = PROJECT / "data"


class Said(Report):
    def __init__(self):
        self.lines = []

    def done(self, what, text, seconds=None):
        self.lines.append(text)


class Sets:
    """Data sets of documents of this test's own: `sets.write(text)` is a file, `sets.run(mode)` what kernel/documents.py does."""

    def __init__(self, monkeypatch):
        self.name = f"test_{uuid4().hex[:10]}"
        self.parts = []
        monkeypatch.setattr(documents, "collections", lambda: [self.declared])

    @property
    def declared(self):
        first, *parts = self.parts
        env = PROJECT / "docker" / "mongo" / "datasets" / f"{self.name}.env"
        made = [DataSet(env, self.name, file, "", "", (), env) for file in (first, *parts)]
        return DataSet(env, self.name, first, "", "", (), env, parts=tuple(made[1:]))

    def write(self, text, part=False):
        if not part:
            self.parts = []
        self.parts.append(f"{self.name}_{len(self.parts)}.ndjson")
        (FILES / self.parts[-1]).write_text(text, encoding="utf-8")

    def run(self, mode="once"):
        said = Said()
        result = documents.main(said, mode, self.name if mode in ("force", "drop") else "")
        return "\n".join(said.lines) if result is None else result

    def refused(self, mode="once"):
        with pytest.raises(Problem) as problem:
            self.run(mode)
        assert "\n" not in problem.value.what
        return problem.value.what

    @property
    def collection(self):
        return connect_to_mongo()[DATABASE][self.name]

    @property
    def all(self):
        return list(self.collection.find())

    @property
    def line(self):
        return connect_to_mongo()[DATABASE][stores_mongo.LEDGER].find_one({"_id": self.name})

    @property
    def left(self):
        return [name for name in connect_to_mongo()[DATABASE].list_collection_names() if "." in name]


@pytest.fixture
def sets(monkeypatch):
    made = Sets(monkeypatch)
    yield made
    made.collection.drop()
    made.collection.database[stores_mongo.LEDGER].delete_one({"_id": made.name})
    for path in FILES.glob(f"{made.name}*"):
        path.unlink()
    assert made.left == []


def values(sets, *texts, key="v"):
    """What values of one field, as JSON, come back as."""
    sets.write("".join(f'{{"{key}": {text}}}\n' for text in texts))
    sets.run("force")
    return [document[key] for document in sets.all]


@pytest.mark.parametrize(
    "texts, wanted",
    [
        (['"2026-01-31"', "null", '"2024-02-29"'], [datetime(2026, 1, 31), None, datetime(2024, 2, 29)]),
        (['"2026-01-31T10:30:00+02:00"'], [datetime(2026, 1, 31, 8, 30)]),
        (['"2026-01-31 10:30:00.123Z"', '"2026/01/31 10:30"'], ["2026-01-31 10:30:00.123Z", "2026/01/31 10:30"]),
        (['"2026-01-31"', '"2026-01-31 10:30:00.125000"'], [datetime(2026, 1, 31), datetime(2026, 1, 31, 10, 30, 0, 125000)]),
        (['"2026-01-31"', '"soon"'], ["2026-01-31", "soon"]),
        (['"2026-01-31"', '"2026-02-30"'], ["2026-01-31", "2026-02-30"]),
        (['"2026-01-31 10:30:00.1234"'], ["2026-01-31 10:30:00.1234"]),  # finer than MongoDB's dates are
        (["1", "-9223372036854775808", "true"], [1, -(2**63), True]),
        (["18446744073709551615"], [Decimal128("18446744073709551615")]),
        (["1.5", "2", "1e3"], [1.5, 2, 1000.0]),
        (["0.1234567890123456789", "0.5"], [Decimal128("0.1234567890123456789"), Decimal128("0.5")]),
        (['"01067"', '"1"', '""'], ["01067", "1", ""]),
        (['{"$oid": "65a000000000000000000001"}'], [ObjectId("65a000000000000000000001")]),
        (['{"$date": "2026-01-01T00:00:00Z"}', '{"$date": {"$numberLong": "0"}}', '"2026-01-02"'],
         [datetime(2026, 1, 1), datetime(1970, 1, 1), datetime(2026, 1, 2)]),
        (['{"$numberDecimal": "1.10"}', '{"$numberLong": "5"}', '{"$numberDouble": "2.5"}'], [Decimal128("1.10"), 5, 2.5]),
        (['{"$binary": {"base64": "AP8=", "subType": "00"}}'], [b"\x00\xff"]),
        (['{"a": [{"on": "2026-01-01"}, {"on": "2026-01-02"}]}'], [{"a": [{"on": datetime(2026, 1, 1)}, {"on": datetime(2026, 1, 2)}]}]),
        (['[["2026-01-01"], []]', "{}"], [[[datetime(2026, 1, 1)], []], {}]),
    ],
    ids=lambda each: str(each)[:40],
)  # fmt: skip
def test_values_come_with_their_types(sets, texts, wanted):
    found = values(sets, *texts)
    assert found == wanted and all(isinstance(one, type(other)) for one, other in zip(found, wanted, strict=True))


def test_a_uuid_and_a_field_that_looks_like_an_operator(sets):
    made = values(sets, '{"$uuid": "12345678-1234-5678-1234-567812345678"}', '{"k": {"$no": 1}}', key="u")
    assert made[0].as_uuid() == UUID("12345678-1234-5678-1234-567812345678") and made[1] == {"k": {"$no": 1}}


def test_ids_are_those_of_the_file_and_the_same_after_every_load(sets):
    sets.write('[{"_id": "own", "v": 1}, {"v": 2}, {"v": 3}]')
    assert "3 documents" in sets.run()
    first = sets.all
    assert first[0]["_id"] == "own" and isinstance(first[1]["_id"], ObjectId)
    sets.run("force")
    assert sets.all == first
    assert "loaded already" in sets.run()


@pytest.mark.parametrize(
    "text, said",
    [
        ('{"_id": 1}\n{"_id": 1}', "document 2: its _id 1 is there already"),
        ('{"v": 1}\n{"v": ', "the file is cut off in record 2"),
        ('{"v": 1}\n{v: 2}', "record 2, line 2: this is no JSON"),
        ('{"v": 1}\n[2]', "record 2 is no object"),
        ("[]", "there is no document in it"),
        ('{"v": {"$oid": "zz"}}', "document 1: v: .* is no Extended JSON of MongoDB"),
        ('{"v": 1}\n{"v": {"$date": "soon"}}', "document 2: v: .* is no Extended JSON of MongoDB"),
        ('{"v": ' + "9" * 40 + "}", "document 1: v: a number of 40 digits, MongoDB's have 34"),
        ('{"v": ' + "[" * 120 + "]" * 120 + "}", "document 1 is nested deeper than 100 levels"),
        ('{"a": 1}\n{"v": "' + "x" * (17 << 20) + '"}', "document 2 is over 16 MB, the most that MongoDB takes"),
        ("a,b\n1,2\n", "no document begins in it; TO=mongo is for documents"),
        ('{"v": ' + "9" * 5000 + "}", "record 1 has a number of more digits than are read"),
        ('{"a\\u0000b": 1}', "document 1"),
    ],
    ids=lambda text: text[:25],
)
def test_a_file_that_cannot_be_loaded_changes_nothing(sets, text, said):
    sets.write('{"v": 0}')
    sets.run()
    before = sets.all, sets.line
    sets.write(text)
    found = sets.refused("force")
    assert re.search(said, found) and found.startswith(f"data/{sets.name}_0.ndjson: ") and len(found) < 500, found
    assert (sets.all, sets.line, sets.left) == (*before, [])


def test_appended_files_are_added_once_and_keep_what_was_changed_meanwhile(sets):
    sets.write('{"_id": 1, "v": 1}\n')
    sets.run()
    sets.collection.create_index([("v", -1)], name="mine")
    sets.collection.update_one({"_id": 1}, {"$set": {"mine": True}})
    sets.write('{"_id": 2}\n{"_id": 3}', part=True)
    assert f"2 documents from data/{sets.name}_1.ndjson are added" in sets.run()
    assert sets.all == [{"_id": 1, "v": 1, "mine": True}, {"_id": 2}, {"_id": 3}]
    assert "mine" in sets.collection.index_information()
    assert (sets.line["documents"], [each["documents"] for each in sets.line["files"]]) == (3, [1, 2])
    assert "loaded already" in sets.run()
    sets.write('{"_id": 4}\n{"_id": 1}', part=True)
    assert "document 2: its _id 1 is there already" in sets.refused()
    assert len(sets.all) == 3
    sets.parts.pop()
    assert "3 documents" in sets.run("force") and sets.all == [{"_id": 1, "v": 1}, {"_id": 2}, {"_id": 3}]


def test_a_file_that_took_the_place_of_another_is_loaded_when_that_is_asked(sets):
    """As a kill between the two leaves it."""
    sets.write('{"_id": 1}')
    sets.run()
    sets.write('{"_id": 2}')
    assert "has changed since; to load it anew" in sets.run() and sets.all == [{"_id": 1}]
    assert "1 documents" in sets.run("replace") and sets.all == [{"_id": 2}]
    assert "loaded already" in sets.run("replace")


def test_an_index_of_ones_own_that_a_file_hurts_is_named(sets):
    sets.write('{"_id": 1, "station_id": 7}')
    sets.run()
    sets.collection.create_index("station_id", unique=True)
    sets.write('{"_id": 2, "station_id": 8}\n{"_id": 3, "station_id": 7}', part=True)
    assert re.search("document 2: .*station_id_1", sets.refused())
    assert len(sets.all) == 1


def test_a_collection_of_ones_own_stays_whatever_its_name(sets):
    mine = sets.collection.database["loading.bay"]
    mine.insert_one({"_id": 1})
    try:
        sets.write('{"_id": 1}')
        sets.run()
        saved = io.BytesIO()
        stores_mongo.dump(saved)
        saved.seek(0)
        names = [bson.decode(head)["collection"] for kind, head in stores_mongo._entries(saved) if kind == "head"]
        assert mine.count_documents({}) == 1 and "loading.bay" in names
    finally:
        mine.drop()


def test_the_memory_is_that_of_some_documents_whatever_their_length(sets):
    line = '{"text": "' + "x" * (3 << 20) + '"}\n'
    sets.write(line * 5)
    few = peak(sets.run)
    sets.write(line * 60)
    assert peak(sets.run, "force") - few < 60 << 20  # of 180 MB


def test_what_somebody_writes_meanwhile_is_not_lost(sets, monkeypatch):
    sets.write('{"_id": 1}')
    sets.run()
    sets.write('{"_id": 2}', part=True)
    fill = documents.fill

    def disturbed(*words):
        sets.collection.update_one({"_id": 1}, {"$set": {"mine": True}})
        return fill(*words)

    monkeypatch.setattr(documents, "fill", disturbed)
    assert "something writes to it" in sets.refused()
    assert sets.all == [{"_id": 1, "mine": True}]


def test_the_ledger_knows_a_collection_that_was_dropped_and_one_that_is_not_its_own(sets):
    sets.write('{"_id": 1}')
    sets.run()
    assert [sets.name, 1, False, sets.parts] in sets.run("ledger")
    sets.collection.drop()
    assert "1 documents" in sets.run()
    sets.collection.database[stores_mongo.LEDGER].delete_one({"_id": sets.name})
    assert "no seed has made" in sets.refused()
    assert sets.all == [{"_id": 1}]
    sets.run("drop")
    assert sets.all == [{"_id": 1}], "only what a seed has made is dropped"
    with pytest.raises(Problem, match="is there already"):
        documents.main(Report(), "vacant", sets.name)


def killed(sets, mode, step, when):
    """Have a process load the documents that ends before or after a step of it."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        owner, name = (documents, "insert") if step == "insert" else (Collection, step)
        real = getattr(owner, name)

        def last(*words, **options):
            if when == "after":
                real(*words, **options)
            os._exit(9)

        setattr(owner, name, last)
        sets.run(mode)
    finally:
        os._exit(1)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["insert", "update_one", "rename", "replace_one"])
@pytest.mark.parametrize("mode", ["new", "force", "append"])
def test_killed_at_any_step_it_is_whole_or_as_it_was(sets, mode, step, when):
    sets.write('{"_id": 1, "v": "old"}')
    before = []
    if mode != "new":
        sets.run()
        before = sets.all
    if mode == "append":
        sets.write('{"_id": 2, "v": "new"}', part=True)
    else:
        sets.write('{"_id": 2, "v": "new"}')
    assert killed(sets, "force" if mode == "force" else "once", step, when) == 9
    whole = [*(before if mode == "append" else []), {"_id": 2, "v": "new"}]
    is_in_place = (step, when) in {("rename", "after"), ("replace_one", "before"), ("replace_one", "after")}
    assert sets.all == (whole if is_in_place else before), "whoever reads meanwhile sees all or nothing of it"
    said = sets.run("force" if mode == "force" and not is_in_place else "once")
    assert sets.all == whole and sets.line["documents"] == len(whole) and "pending" not in sets.line
    assert ("loaded already" in said) == is_in_place


def test_a_restore_brings_the_ledger_along_and_keeps_the_lines_of_what_stays(sets):
    sets.write('{"_id": 1}')
    sets.run()
    database = sets.collection.database
    ledger, other = database[stores_mongo.LEDGER], f"{sets.name}_other"
    saved = io.BytesIO()
    stores_mongo.dump(saved)
    line = sets.line
    sets.write('{"_id": 2}\n{"_id": 3}')
    sets.run("force")
    database[other].insert_one({"_id": 1})
    ledger.insert_one({"_id": other, "files": [], "documents": 1, "synthetic": False})
    saved.seek(0)
    stores_mongo.restore(saved)
    try:
        assert sets.all == [{"_id": 1}] and sets.line == line
        assert ledger.find_one({"_id": other})["documents"] == 1
    finally:
        database[other].drop()
        ledger.delete_one({"_id": other})

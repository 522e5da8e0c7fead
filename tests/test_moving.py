"""Data on the move: backup, restore and destroy, on both engines and from one to the other; a clone elsewhere."""

import contextlib
import gzip
import json
import os
import re
import shutil
import stat
import tarfile
import time

import pytest
from conftest import PREFIX, ROOT, checked, command
from stacks import IDENTITY, DockerStack, LocalStack

pytestmark = pytest.mark.engine

FILL = """
import time
from datetime import datetime
from bson import ObjectId, Decimal128
from lib.cache import connect_to_redis, put
from lib.mongo import connect_to_mongo
import numpy
put("array", numpy.arange(1000.0))
put("for a while", 1, ttl=86400)
redis = connect_to_redis()
redis.rpush("list", *range(3000), b"\\xff\\x00")
redis.sadd("set", "a", "b")
redis.zadd("zset", {"one": 1.5, "inf": float("inf")})
redis.hset("hash", mapping={"f": "1", b"\\xfe": b"\\xfd"})
redis.xadd("stream", {"k": "v"}, id="5-1")
redis.xgroup_create("stream", "readers", "0")
things = connect_to_mongo().mine.things
things.create_index([("name", 1)], unique=True)
things.insert_many([{"_id": ObjectId("64b000000000000000000001"), "name": "größe", "n": Decimal128("1.10"), "b": b"\\x00"},
                    {"name": "two", "when": datetime(2026, 1, 1), "deep": [{"x": None}]}])
"""
LOOK = """
import json
from lib.cache import connect_to_redis, get
from lib.mongo import connect_to_mongo
r, things = connect_to_redis(), connect_to_mongo().mine.things
r.connection_pool.connection_kwargs
print(json.dumps([
    float(get("array").sum()), get("for a while"), 80000 < r.ttl("for a while") <= 86400,
    [str(x) for x in r.lrange("list", 0, -1)][-2:], r.llen("list"), sorted(map(str, r.smembers("set"))),
    str(r.zrange("zset", 0, -1, withscores=True)), str(sorted(r.hgetall("hash").items())),
    str(r.xrange("stream")), str(r.xinfo_groups("stream")[0]["name"]),
    sorted(map(repr, things.find({}, {"_id": 0}))), str(things.find_one({"name": "größe"})["_id"]),
    sorted(index["name"] for index in things.list_indexes()),
]))
"""
SQL = """
CREATE SCHEMA lab; CREATE TYPE lab.mood AS ENUM ('fine');
CREATE TABLE lab."Odd name" (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text, m lab.mood, b bytea, a float[]);
INSERT INTO lab."Odd name" (t, m, b, a) SELECT 'größe ' || n, 'fine', '\\x00ff', '{1,NaN}' FROM generate_series(1, 500) n;
CREATE VIEW lab.seen AS SELECT count(*) FROM adult;
CREATE MATERIALIZED VIEW lab.kept AS SELECT income_label, count(*) FROM adult GROUP BY 1;
"""
DIGEST = """
SELECT (SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM lab."Odd name" o), (SELECT * FROM lab.seen),
(SELECT sum(count) FROM lab.kept), (SELECT md5(string_agg(a::text, ',' ORDER BY _id)) FROM adult a),
(SELECT row_count FROM dsproj_seed)
"""


def look(project):
    return project.sql(DIGEST), json.loads(project.python(LOOK))


@pytest.fixture(scope="module")
def stacks(engine, tmp_path_factory):
    """Two projects of the same template side by side on one host, one on Docker, one on the local stack; in a third
    folder, what the tests clone."""
    home = tmp_path_factory.mktemp("home")
    made = DockerStack(home / "docker", f"{PREFIX}-moving"), LocalStack(home / "local", f"{PREFIX}-moving")
    try:
        for project in made:
            project.remove()
            project.generate(mongo=True, dataset_source=ROOT / "hooks/samples/adult.data")
            assert "is running" in project.printed, project.printed
        yield made
    finally:
        for project in made:
            project.remove()


def backup(project):
    printed = project.make("backup")
    name = next(line.split(",")[0] for line in printed.splitlines() if line.startswith("backups/"))
    return project.path / name, printed


def test_a_round_trip_over_both_engines(stacks, tmp_path):
    docker, local = stacks
    docker.sql(SQL)
    docker.python(FILL)
    before = look(docker)
    file, printed = backup(docker)
    assert "3 tables with" in printed and "redis, " in printed and "mongo, 243 documents" in printed
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and docker.git("status", "--porcelain") == ""

    # From Docker to the local stack. Nothing is overwritten without a word.
    said = local.refused("restore", f"FILE={file}")
    assert "overwrites" in said and "public.adult" in said and "FORCE=1" in said
    restored = local.make("restore", f"FILE={file}", "FORCE=1")
    assert "Restored: PostgreSQL, 3 tables" in restored
    assert look(local) == before

    # And back, to a Docker stack that has lost everything; the moved folder is the same project.
    file, _ = backup(local)
    said = docker.refused("destroy")
    assert f"volume {docker.slug}_postgres_data" in said and "FORCE=1" in said and docker.states()
    # A container of somebody else's in the network is named with the command that frees it, and nothing is forgotten.
    guest = f"{docker.slug}-guest"
    checked("docker", "run", "-d", "--rm", "--name", guest, "--network", f"{docker.slug}_default", "redis:8")
    try:
        said = docker.refused("destroy", "FORCE=1")
        assert guest in said and f"network {docker.slug}_default" in docker.refused("destroy")
        checked("sh", "-c", re.search(r"To finish: (.*)", said)[1])
        assert "nothing to remove" in docker.make("destroy")
    finally:
        command("docker", "rm", "-f", "-v", guest)
    images = {f"{docker.slug}-jupyter", f"{docker.slug}-postgres"}
    assert docker.states() == {} and checked("docker", "volume", "ls", "-q", "-f", f"name={docker.slug}_") == ""
    assert images <= set(checked("docker", "image", "ls", "--format", "{{.Repository}}").split())
    assert docker.git("status", "--porcelain") == "" and list((docker.path / "backups").iterdir())
    docker.path = docker.path.rename(docker.path.with_name("moved away"))
    assert "rows from data/" in docker.make("up")
    docker.make("restore", f"FILE={file}", "FORCE=1")
    assert look(docker) == before
    assert set(docker.states().values()) == {"healthy"}

    # A password that was edited in .env: the stores learn it, and keep what they hold.
    for project in (docker, local):
        environment, old = project.path / ".env", project.env
        environment.write_text(environment.read_text().replace(old["MONGO_PASSWORD"], "it-is_mine"))
        project.make("up")
        assert look(project) == before


def test_a_restore_that_cannot_be_done_changes_nothing(stacks, tmp_path):
    _, project = stacks
    project.sql("CREATE TABLE only_mine AS SELECT 1 AS one")
    for name, age in ((".part-killed", 90000), (".part-at-work", 60)):  # seconds
        (project.path / "backups" / name).mkdir(mode=0o700, parents=True)
        os.utime(project.path / "backups" / name, (0, time.time() - age))
    file, _ = backup(project)
    assert [path.name for path in (project.path / "backups").glob(".part-*")] == [".part-at-work"]
    (project.path / "backups" / ".part-at-work").rmdir()
    assert "FILE=backups/" in project.refused("restore", "FORCE=1")
    # What is no backup at all is said in one line, with the way to those that there are.
    (tmp_path / "empty.tar").touch()
    (tmp_path / "text.tar").write_text("thesis, chapter 1\n" * 100)
    shutil.make_archive(tmp_path / "archive", "zip", project.path, "lib")
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(file.read_bytes())[:-200])
    (tmp_path / "cut.tar").write_bytes(file.read_bytes()[:-2048][:3000])
    for name in ("nothing.tar", ".", *sorted(path.name for path in tmp_path.iterdir())):
        said = [line for line in project.refused("restore", f"FILE={tmp_path / name}", "FORCE=1").splitlines() if line]
        told = [line for line in said if not line.startswith("make: ")]
        assert len(told) == 2 and "ls backups/" in told[1] and "Error" not in told[0], (name, said)

    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    said = project.refused("restore", f"FILE={damaged}", "FORCE=1")
    assert "Nothing was changed" in said
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path)  # filter= came with Python 3.11.4, and Debian 12 has 3.11.2
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    redis = (tmp_path / "redis.jsonl").read_text()
    (tmp_path / "redis.jsonl").write_text(redis + '{"db": 0, "key": "eA==", "type": "string"')
    altered = tmp_path / "altered.tar"
    with tarfile.open(altered, "w") as archive:
        for name in ("manifest.json", *manifest["files"]):
            archive.add(tmp_path / name, arcname=name)
    assert "redis.jsonl is not what was saved" in project.refused("restore", f"FILE={altered}", "FORCE=1")

    # A foreign backup: its manifest is nothing, or leads to another server.
    for number, said in enumerate(([], {"format": manifest["format"]}, {**manifest, "files": {"x.dump": []}})):
        foreign = tmp_path / f"foreign-{number}.tar"
        (tmp_path / "manifest.json").write_text(json.dumps(said))
        with tarfile.open(foreign, "w") as archive:
            archive.add(tmp_path / "manifest.json", arcname="manifest.json")
        printed = project.refused("restore", f"FILE={foreign}", "FORCE=1")
        assert "is no whole backup (" in printed and "manifest.json" in printed, printed
        assert "Nothing was changed" in printed
    odd = "host=192.0.2.1 dbname='x\\"
    dump = next(name for name, entry in manifest["files"].items() if entry["store"] == "postgres")
    entry = {**manifest["files"][dump], "database": odd}
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "rows": {}, "files": {dump: entry}}))
    with tarfile.open(foreign, "w") as archive:
        for name in ("manifest.json", dump):
            archive.add(tmp_path / name, arcname=name)
    assert "Restored" in project.make("restore", f"FILE={foreign}", "FORCE=1")
    assert odd in project.sql("SELECT datname FROM pg_database").splitlines()  # a name like any other
    again, _ = backup(project)
    with tarfile.open(again) as archive:
        saved = json.load(archive.extractfile("manifest.json"))
    assert odd in {entry.get("database") for entry in saved["files"].values()}
    assert saved["rows"][f"{odd}: public.only_mine"] == 1
    project.sql(f"""DROP DATABASE "{odd}" """)

    # A view that the backup does not know hangs on a table: PostgreSQL refuses, and undoes all of it.
    project.sql("CREATE VIEW newer AS SELECT * FROM only_mine; UPDATE only_mine SET one = 2")
    said = project.refused("restore", f"FILE={file}", "FORCE=1")
    assert "could not be restored and is as it was" in said and "newer" in said and "Nothing was changed" in said
    assert project.sql("SELECT * FROM newer") == "2"
    project.sql("DROP VIEW newer")
    # A data set that is younger than the backup stays, and the ledger goes on to know it.
    (tmp_path / "younger.csv").write_text("a,b\n1,x\n2,y\n")
    project.make("dataset", f"SOURCE={tmp_path / 'younger.csv'}")
    project.make("restore", f"FILE={file}", "FORCE=1")
    assert "younger (2 rows)" in project.make("seed")
    project.make("dataset", "DROP=younger", "FORCE=1")
    assert project.sql("SELECT to_regclass('younger') IS NULL, to_regclass('dsproj_seed_kept') IS NULL") == "t|t"
    assert project.sql("SELECT * FROM only_mine") == "1"
    assert [path.suffix for path in (project.path / "backups").iterdir()] == [".tar"] * len(
        list((project.path / "backups").iterdir())
    )


def test_a_full_disk_is_said_and_leaves_no_half_backup(stacks):
    for project in stacks:
        (project.path / "backups").mkdir(exist_ok=True)
        kept = sorted(path.name for path in (project.path / "backups").iterdir())
        with contextlib.ExitStack() as stack:
            if (
                os.getuid()
                or command("mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", project.path / "backups").returncode
            ):
                pytest.skip("no disk can be mounted here: only root can")
            stack.callback(command, "umount", "--lazy", project.path / "backups")
            (project.path / "backups" / "of-others").write_bytes(b"x" * (180 << 10))
            said = project.refused("backup")
            assert "The disk is full: backups/\nTo finish: make room, then: make backup" in said, said
            assert [path.name for path in (project.path / "backups").iterdir()] == ["of-others"]
        assert sorted(path.name for path in (project.path / "backups").iterdir()) == kept


def test_a_clone_on_another_machine_comes_up_with_data_and_passwords_of_its_own(stacks, tmp_path):
    _, origin = stacks
    checked("git", "clone", "--quiet", origin.path, tmp_path / "clone", env=os.environ | IDENTITY)
    clone = LocalStack(tmp_path / "clone", origin.slug)
    assert not (clone.path / ".env").exists()
    try:
        # ENGINE is given because on this machine Docker would be the answer, and its names are taken by the origin.
        assert "README.md?token=" in clone.make("up", "ENGINE=local", "PYTHON3=python3")
        assert set(clone.states().values()) == {"healthy"}
        assert not set(clone.secrets) & set(origin.secrets)
        ports = {name: value for name, value in clone.env.items() if "PORT" in name}
        assert not set(ports.values()) & {origin.env[name] for name in ports}
        notes = "from lib.mongo import collection as c; print(c('field_notes').count_documents({}), c('dsproj_seed').count_documents({}))"
        assert clone.python(notes).split() == ["240", "1"]
        assert clone.sql("SELECT count(*) FROM adult") == clone.sql("SELECT row_count FROM dsproj_seed") != "0"
        assert set(origin.states().values()) == {"healthy"}
        said = clone.refused("destroy", "ENGINE=local")
        assert ".local/postgres" in said
        assert ".local/venv" in clone.make("destroy", "ENGINE=local", "FORCE=1")
        assert not (clone.path / ".local/postgres").exists() and (clone.path / ".env").exists()
        assert (clone.path / ".local/venv").exists()
        clone.make("destroy", "ENGINE=local", "FORCE=1", "IMAGES=1")
        assert not (clone.path / ".local/venv").exists()
        assert "nothing to remove" in clone.make("destroy", "ENGINE=local").lower()
    finally:
        clone.remove()
        shutil.rmtree(clone.path, ignore_errors=True)

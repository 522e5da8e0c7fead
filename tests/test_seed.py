"""The seed, on both engines: the ledger, all or nothing, and whatever is killed while the database is made or loaded."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from conftest import checked, command, wait_for
from stacks import DockerStack, LocalStack, stack_of

DRILL = int(os.environ.get("DSPROJ_DRILL", "2"))
ROWS = 300_000
SERVERS = """
import sys
from dsproj.local import supervision
if sys.argv[1] == "stop": supervision.stop("this_postgres")
else: print(supervision.processes().get("this_postgres", {}).get("pid", 0))
"""

# In the container: the program that loads, not the one of the health check, soon after it has begun.
KILL_LOAD = """
for _ in {1..200}; do
    for entry in $(grep -al 'dsproj[.]database[.]seed' /proc/[0-9]*/cmdline 2>/dev/null); do
        entry=${entry#/proc/}
        sleep 0.$((RANDOM % 4))
        kill -9 "${entry%/cmdline}" && echo hit
        exit
    done
    sleep 0.05
done
echo "nothing was loading" >&2
exit 1
"""


class Docker(DockerStack):
    """With what the drills need: another first start of the database, and its sudden end."""

    def remove_database(self):
        self.compose("rm", "--force", "--stop", "--volumes", "this_postgres")
        checked("docker", "volume", "rm", "--force", f"{self.slug}_postgres_data")

    def database_runs(self):
        return bool(command("docker", "compose", "ps", "--quiet", "this_postgres", cwd=self.path).stdout.strip())

    def kill_database(self):
        command("docker", "compose", "kill", "--signal", "KILL", "this_postgres", cwd=self.path)
        return True

    def kill_load(self):
        """Was it still loading?"""
        done = command("docker", "compose", "exec", "-T", "this_postgres", "bash", "-c", KILL_LOAD, cwd=self.path)
        assert "nothing was loading" not in done.stderr
        return "hit" in done.stdout

    def in_volume(self, script):
        """Run a script where the volume is mounted, without a server."""
        options = ["run", "--rm", "--no-deps", "-T", "--entrypoint", "bash", "this_postgres", "-euc", script]
        return checked("docker", "compose", *options, cwd=self.path)


class Local(LocalStack):
    def servers(self, word):
        python, room = self.path / ".local/venv/bin/python", self.path / ".dsproj"
        return checked(python, "-c", SERVERS, word, cwd=self.path, env=os.environ | {"PYTHONPATH": str(room)}).strip()

    def remove_database(self):
        self.servers("stop")
        checked("rm", "-rf", self.path / ".local/postgres", self.path / ".local/postgres.new")

    def database_runs(self):
        return self.servers("pid") != "0"

    def kill_database(self):
        for pid in [int(self.servers("pid")), *self.pids_of("initdb")]:
            if pid:
                kill(pid)
        return True

    def kill_load(self):
        deadline = time.monotonic() + 10
        while not (found := self.pids_of("dsproj.database.seed")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert found, "nothing was loading"
        time.sleep(random.uniform(0, 0.3))
        return any([kill(pid) for pid in found])

    def pids_of(self, name):
        listed = checked("ps", "-eww", "-o", "pid=,args=").splitlines()
        mine = [line.split()[0] for line in listed if name in line]
        return [int(pid) for pid in mine if str(self.path) in os.path.realpath(f"/proc/{pid}/cwd")]


def kill(pid):
    """Was it there?"""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


BOTH = [pytest.param(Docker, marks=pytest.mark.engine, id="docker"), pytest.param(Local, id="local")]


@pytest.fixture(scope="module", params=BOTH)
def project(request, tmp_path_factory):
    """One project for each engine, seeded from a file of the user's own that takes a second to load."""
    folder = tmp_path_factory.mktemp("seed")
    with open(folder / "crops.csv", "w") as file:
        file.write("plot,crop,yield\n")
        file.writelines(f"{number},crop {number % 7},{number / 8}\n" for number in range(ROWS))
    with stack_of(request, request.param, folder / "project", "seed") as made:
        yield made.generate(dataset="csv", dataset_source=folder / "crops.csv")


def is_whole(project):
    """The table is complete, and services reach it over the network with the password."""
    assert project.sql("SELECT count(*), max(plot) FROM crops") == f"{ROWS}|{ROWS - 1}"
    assert project.sql("SELECT row_count FROM dsproj_seed WHERE table_name = 'crops'") == str(ROWS)
    code = "import psycopg2 as p; c = p.connect().cursor(); c.execute('TABLE crops LIMIT 1'); print(c.fetchone())"
    assert "crop" in project.python(code)
    wait_for(lambda: project.states()["this_postgres"] == "healthy", what="the health check")
    return True


# --- the ledger --------------------------------------------------------------------------------------------------------


def test_generation_loads_a_file_of_ones_own(project):
    assert is_whole(project), project.printed
    assert f"table crops, {ROWS:,} rows" in project.printed, project.printed
    ledger = project.sql(
        "SELECT file_name, length(sha256), length(sql_sha256), seconds > 0, synthetic FROM dsproj_seed"
    )
    assert ledger == "crops.csv|64|64|t|f"
    noted = (project.path / "docker/postgres/datasets/crops.env").read_text()
    assert f"SEED_SHA256={project.sql('SELECT sha256 FROM dsproj_seed')}\n" in noted
    assert project.git("status", "--porcelain") == ""


def test_what_has_changed_is_said_and_loaded_only_when_asked_for(project):
    data, sql = project.path / "data/crops.csv", project.path / "docker/postgres/initdb.sql"
    before, schema = data.read_bytes(), sql.read_text()
    assert "loaded already" in project.make("seed")
    try:
        with data.open("a") as file:
            file.write(f"{ROWS},new,1\n")
        assert (
            "data/crops.csv has changed since; to drop the table and load it anew: make seed TABLE=crops FORCE=1"
            in (project.make("seed"))
        )
        assert is_whole(project)
        assert f"{ROWS + 1} rows" in project.make("seed", "TABLE=crops", "FORCE=1")
        data.write_bytes(before)
        sql.write_text(schema + "COMMENT ON TABLE crops IS 'mine';\n")
        project.make("seed", "TABLE=crops", "FORCE=1")
        sql.write_text(schema + "COMMENT ON TABLE crops IS 'ours';\n")
        assert "initdb.sql has changed since" in project.make("seed")
        assert project.sql("SELECT obj_description('crops'::regclass)") == "mine"
    finally:
        data.write_bytes(before)
        sql.write_text(schema)
    project.make("seed", "FORCE=1")
    assert is_whole(project)


def test_a_bad_row_is_named_and_nothing_is_lost(project):
    data = project.path / "data/crops.csv"
    before = data.read_bytes()
    try:
        with data.open("a") as file:
            file.write("many,new,1\n")
        said = project.refused("seed", "TABLE=crops", "FORCE=1")
        assert f'data/crops.csv, line {ROWS + 2}, column plot, value "many"' in said and "type" in said
        assert "nothing was changed" in said and "make seed TABLE=crops FORCE=1" in said
        assert is_whole(project)
    finally:
        data.write_bytes(before)


@pytest.mark.local_shows_it
def test_what_others_built_on_the_table_is_not_dropped(project):
    project.sql("CREATE VIEW best AS SELECT max(yield) FROM crops")
    said = project.refused("seed", "TABLE=crops", "FORCE=1")
    assert "view best depends on table crops" in said and "nothing was changed" in said
    assert is_whole(project)
    project.sql("DROP VIEW best")


@pytest.mark.local_shows_it
def test_a_table_of_the_users_own_is_untouched(project):
    project.sql("CREATE TABLE mine AS SELECT 42 AS answer")
    folder = project.path / "docker/postgres/datasets"
    (project.path / "data/mine.csv").write_text("x\n1\n")
    (folder / "mine.env").write_text("SEED_TABLE=mine\nSEED_FILE=mine.csv\nSEED_SHA256=\nSEED_SAMPLE=\nSEED_SOURCES=\n")
    (folder / "mine.sql").write_text("CREATE TABLE mine (x int);\n")
    try:
        for words in (["seed"], ["seed", "TABLE=mine", "FORCE=1"]):
            said = project.refused(*words)
            assert "there is a table of this name that no seed has made" in said
        assert project.sql("SELECT answer FROM mine") == "42"
        # What is declared and not loaded: never healthy.
        wait_for(lambda: project.states().get("this_postgres") != "healthy", what="unhealthy")
    finally:
        for name in ("data/mine.csv", "docker/postgres/datasets/mine.env", "docker/postgres/datasets/mine.sql"):
            (project.path / name).unlink()
        project.sql("DROP TABLE mine")
    wait_for(lambda: project.states().get("this_postgres") == "healthy", what="healthy")


def test_make_dataset_adds_a_table_to_the_running_stack(project, tmp_path):
    source = tmp_path / "Wheat $(touch owned) 'é'.csv"
    source.write_text('When,Größe\n2026-01-31,"1.5"\n,2\n')
    running = project.process_ids()
    words = ["dataset", f"SOURCE={source}", "TABLE=wheat"]
    sql, env = (project.path / "docker/postgres/datasets" / name for name in ("wheat.sql", "wheat.env"))
    try:
        assert "wheat: 2 rows from data/Wheat_touch_owned_e.csv" in project.make(*words)
        assert project.sql("SELECT count(*) FROM wheat") == "2"
        assert sql.stat().st_uid == env.stat().st_uid == os.getuid()
        assert "wheat is loaded already: 2 rows" in project.make(*words)
        assert "loaded already: crops (300000 rows), wheat (2 rows)\n" in project.make("seed")
        # As on a clone, whose database is empty; and on one without the file: where it lay here is nobody's business there.
        project.sql("DROP TABLE wheat; DELETE FROM dsproj_seed WHERE table_name = 'wheat'")
        (project.path / "data/Wheat_touch_owned_e.csv").rename(tmp_path / "wheat.csv")
        assert str(tmp_path) not in env.read_text() + sql.read_text()
        assert "Wheat_touch_owned_e.csv is not here, and came from somebody's own folder" in project.refused("dataset")
        (tmp_path / "wheat.csv").rename(project.path / "data/Wheat_touch_owned_e.csv")
        assert "wheat: 2 rows" in project.make("up")
        for given, message in {
            "SOURCE=/nope.csv": "there is no such file",
            "SOURCE=/": "more than 10,000 files",
            f"SOURCE={sql}": "wheat is a data set of this project already",
        }.items():
            assert message in project.refused("dataset", given)
        assert "select is a reserved word" in project.refused("dataset", f"SOURCE={source}", "TABLE=select")
        assert "which one?" in project.refused("seed", "FORCE=1")
        assert project.process_ids() == running and is_whole(project)
    finally:
        for path in (sql, env, project.path / "data/Wheat_touch_owned_e.csv"):
            path.unlink(missing_ok=True)
        project.sql("DROP TABLE IF EXISTS wheat; DELETE FROM dsproj_seed WHERE table_name = 'wheat'")


@pytest.fixture
def wide(tmp_path):
    """A file whose rows no page of PostgreSQL holds: 1,100 numbers in each."""
    names = [f"n{number}" for number in range(1100)]
    rows = [",".join(str(row + number / 7) for number in range(len(names))) for row in range(3)]
    (tmp_path / "wide.csv").write_text("\n".join([",".join(names), *rows, ""]))
    return tmp_path / "wide.csv"


def test_a_refused_data_set_leaves_nothing_behind(project, wide):
    before = project.git("status", "--porcelain")
    said = project.refused("dataset", f"SOURCE={wide}")
    assert "1,100 columns: a row of 8,800 bytes does not fit" in said and "melt" in said
    assert "To finish: make dataset SOURCE=" in said
    assert project.git("status", "--porcelain") == before
    assert not list((project.path / "data").glob("wide*")) and is_whole(project)
    # One that was put into data/ stays there.
    shutil.copy(wide, project.path / "data")
    project.refused("dataset", "SOURCE=data/wide.csv")
    assert project.git("status", "--porcelain").split() == [*before.split(), "??", "data/wide.csv"]
    (project.path / "data/wide.csv").unlink()


def test_a_data_set_that_does_not_load_keeps_nothing_else_down_and_can_be_withdrawn(project, wide):
    folder = project.path / "docker/postgres/datasets"
    shutil.copy(wide, project.path / "data")
    columns = ", ".join(f"n{number} double precision" for number in range(1100))
    copy = r"\copy wide FROM PROGRAM './get_data.sh' WITH (FORMAT csv, HEADER)"
    (folder / "wide.sql").write_text(f"CREATE TABLE wide ({columns});\n\n{copy}\n")
    (folder / "wide.env").write_text("SEED_TABLE=wide\nSEED_FILE=wide.csv\n")
    project.make("down")
    try:
        said = project.refused("up")
        assert "wide: data/wide.csv, line " in said and "row is too big" in said and "?token=" in said
        assert "All else runs." in said and "make dataset DROP=<its name>" in said
        wait_for(lambda: "wide is not loaded" in project.make("ps"), what="the reason in make ps")
        assert "make dataset DROP=wide" in project.make("ps")
        assert project.sql("SELECT count(*) FROM crops") == str(ROWS)
        states = project.states()
        assert {name for name, state in states.items() if state == "healthy"} == states.keys() - {"this_postgres"}
        project.make("dataset", "DROP=wide")
        assert (project.path / "data/wide.csv").exists() and not (folder / "wide.env").exists()
        project.make("up")
        assert is_whole(project)
    finally:
        for path in [project.path / "data/wide.csv", *folder.glob("wide*")]:
            path.unlink()


def test_a_loaded_data_set_is_withdrawn_when_that_is_meant(project, tmp_path):
    (tmp_path / "rye.csv").write_text("a\n1\n2\n")
    folder = project.path / "docker/postgres/datasets"
    project.make("dataset", f"SOURCE={tmp_path / 'rye.csv'}")
    try:
        assert "drops table rye, 2 rows" in project.refused("dataset", "DROP=rye")
        project.sql("CREATE VIEW best AS TABLE rye")
        said = project.refused("dataset", "DROP=rye", "FORCE=1")
        assert "view best depends on table rye" in said and "To finish: make dataset DROP=rye" in said
        assert project.sql("SELECT count(*) FROM rye") == "2" and (folder / "rye.env").exists()
        project.sql("DROP VIEW best")
        project.make("dataset", "DROP=rye", "FORCE=1")
        assert project.sql("SELECT to_regclass('rye') IS NULL") == "t" and is_whole(project)
        assert "there are: crops" in project.refused("dataset", "DROP=rye")
        assert sorted(path.name.split(".")[1] for path in folder.glob("rye.*.dropped")) == ["env", "sql"]
    finally:
        for path in [project.path / "data/rye.csv", *folder.glob("rye*")]:
            path.unlink()


def test_a_private_file_is_loaded_also_into_an_empty_database(project, tmp_path):
    (tmp_path / "barley.csv").write_text("a\n1\n2\n")
    (tmp_path / "barley.csv").chmod(0o600)
    before = (project.path / ".gitignore").read_text()
    try:
        said = project.make("dataset", f"SOURCE={tmp_path / 'barley.csv'}")
        assert "data/barley.csv is private" in said
        copied = project.path / "data/barley.csv"
        assert copied.stat().st_mode & 0o777 == 0o600 and "barley.csv" not in project.git("status", "--porcelain")
        project.remove_database()
        project.make("up")
        assert project.sql("SELECT count(*) FROM barley") == "2" and is_whole(project)
    finally:
        (project.path / ".gitignore").write_text(before)
        project.make("dataset", "DROP=barley", "FORCE=1")
        for path in [copied, *(project.path / "docker/postgres/datasets").glob("barley*")]:
            path.unlink()


@pytest.mark.local_shows_it
def test_unknown_tables_and_a_force_that_names_none(project):
    assert "no data set makes a table rye; there are: crops" in project.refused("seed", "TABLE=rye")


SMALL = """\
services:
  this_postgres:
    volumes:
      - small:/var/lib/postgresql
volumes:
  small:
    driver_opts: {type: tmpfs, device: tmpfs, o: "size=80m"}
"""


def test_a_full_disk_is_said_and_nothing_is_half_loaded(project):
    if project.kind == "local":
        pytest.skip("needs a disk of its own; test_dataset.py has the message")
    override = project.path / "docker-compose.override.yml"
    override.write_text(SMALL)
    try:
        said = project.refused("up")
        assert "disk is full" in said or "No space left on device" in said
        assert "make up" in said or "make seed" in said
        assert project.states()["this_postgres"] != "healthy"
        project.compose("rm", "--force", "--stop", "this_postgres")
    finally:
        override.unlink()
        command("docker", "volume", "rm", "--force", f"{project.slug}_small")
    project.make("up")
    assert is_whole(project)


# --- what is killed ----------------------------------------------------------------------------------------------------


HALF_MADE = {
    "initdb had begun": "rm -rf $PGDATA/*; echo 18 >$PGDATA/PG_VERSION; : >$PGDATA.initialising",
    "without the rules that let others in": "sed -i '/^host all all all/d' $PGDATA/pg_hba.conf; : >$PGDATA.initialising",
    "a folder with no version yet": "rm -rf $PGDATA/PG_VERSION; : >$PGDATA.initialising",
    "nothing but the note": "rm -rf $PGDATA; : >$PGDATA.initialising",
}


@pytest.mark.parametrize("script", HALF_MADE.values(), ids=HALF_MADE.keys())
def test_a_volume_whose_first_start_was_cut_short_is_made_anew(project, script):
    if project.kind == "local":
        pytest.skip("the local stack renames a complete folder into place")
    project.compose("rm", "--force", "--stop", "this_postgres")
    project.in_volume(script)
    project.make("up")
    assert is_whole(project)


def test_a_volume_that_was_complete_is_never_touched(project):
    project.sql("CREATE TABLE kept AS SELECT 42 AS answer")
    project.kill_database()
    if project.kind == "docker":
        assert project.in_volume("ls -A $(dirname $PGDATA)").split() == ["docker"]
    project.make("up")
    assert project.sql("SELECT answer FROM kept") == "42"
    project.sql("DROP TABLE kept")
    assert is_whole(project)


def test_killed_at_random_moments_it_is_whole_or_it_says_why_not(project):
    seconds, count = None, 0
    random.seed(int(os.environ.get("DSPROJ_SEED", time.time())))
    while count < DRILL:
        project.remove_database()
        started = time.monotonic()
        up = subprocess.Popen(
            ["make", "seed"], cwd=project.path, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if seconds is None:  # how long it takes undisturbed
            said = up.communicate(timeout=300)[0]
            assert up.returncode == 0, said
            seconds = time.monotonic() - started
            continue
        wait_for(project.database_runs, what="the database's start")
        victim = random.choice([project.kill_database, project.kill_database, project.kill_load])
        # That one waits for the load by itself.
        deadline = time.monotonic() + (0 if victim == project.kill_load else random.uniform(0, seconds))
        while time.monotonic() < deadline and up.poll() is None:
            time.sleep(0.05)
        count += victim()  # a load that had just ended does not count
        delay = time.monotonic() - started
        said = up.communicate(timeout=300)[0]
        assert "Traceback" not in said and (up.returncode == 0 or "make up" in said or "make seed" in said), said
        done = command("make", "up", cwd=project.path)
        print(f"{project.kind} {count}: {victim.__name__} after {delay:.1f} s: {up.returncode}, then {done.returncode}")
        assert "Traceback" not in done.printed
        if done.returncode:
            assert "make" in done.printed and project.states().get("this_postgres") != "healthy", done.printed
            project.make("up")
        assert is_whole(project)

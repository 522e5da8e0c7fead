"""A siege: whatever is done to a project, in whatever order, nothing is lost and `make up` comes back.

DSPROJ_DRILL is the minutes for each engine; without it this is skipped. DSPROJ_SIEGE_SEED repeats the run of one seed, which
stands in the log beside every world; DSPROJ_SIEGE_LOG is the folder of the logs. Only root can run it: it mounts a disk.
"""

import functools
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from siege import BOTH_KINDS, FULL, OTHER, WRONG, Ground, World

MINUTES = float(os.environ.get("DSPROJ_DRILL", "0"))
FIRST = int(os.environ.get("DSPROJ_SIEGE_SEED", "0"))
STEPS = 30  # operations in one world
MOST = 3  # folders in it

pytestmark = pytest.mark.skipif(not MINUTES, reason="a siege takes its minutes from DSPROJ_DRILL: nox -s drill")

which = st.integers(0, MOST - 1)
names = st.sampled_from(["d1", "d2", "d3"])
straight = st.booleans()  # whatever the state, without a `make up` before
seconds = st.integers(1, 60).map(lambda n: n / 10)
interruptions = st.sampled_from(["SIGKILL", "SIGKILL", "SIGINT"])


def operation(function):
    """A rule's function, in a world that is there and while there is time: noted, and what goes wrong with it."""

    @functools.wraps(function)
    def operate(self, **given):
        if not self.world or (given and time.monotonic() > self.deadline):
            return
        if "which" in given:
            folders = self.world.folders
            given["folder"] = folders[given.pop("which") % len(folders)]
        log, name = self.ground.log, function.__name__
        log.counts[name] += 1
        log.line(name, *(value.number if key == "folder" else value for key, value in given.items()))
        try:
            function(self, **given)
        except BaseException as error:
            log.line(f"FAILED {type(error).__name__}: {error}")
            self.ground.failure = error
            raise

    return operate


class Siege(RuleBasedStateMachine):
    """What people and bad luck do to a project and to its copies."""

    ground, deadline, seed = None, 0.0, 0

    def __init__(self):
        super().__init__()
        self.world = None

    @initialize(one=st.integers(0, 9), two=st.integers(0, 9), copied=st.booleans())
    def begin(self, one, two, copied):
        if self.ground.failure:  # Hypothesis would do it all again
            raise self.ground.failure
        # Hypothesis begins with its simplest examples, which repeat one rule: those cost nothing here.
        if one and two and time.monotonic() < self.deadline:
            self.ground.log.line(f"world {self.ground.worlds + 1} of seed {self.seed}")
            try:
                self.world = World(self.ground)
            except Exception as error:
                self.ground.log.line(f"FAILED to begin: {error}")
                self.ground.failure = error
                raise
            if copied:
                self.copy(which=0, straight=True)

    def teardown(self):
        if not self.world:
            return
        try:
            if not self.ground.failure:
                self.finish()
        finally:
            self.world.remove()
            self.world = None

    @operation
    def finish(self):
        """At the end of a world everything has to come up, and every job to be done."""
        self.world.disk.make_room()
        for folder in self.world.folders:
            folder.up()
            folder.settle()
            self.world.others_are_untouched(folder)

    # --- daily life

    @rule(which=which)
    @operation
    def up(self, folder):
        folder.up()
        self.world.others_are_untouched(folder)

    @rule(which=which)
    @operation
    def down(self, folder):
        if folder.make("down").returncode == 0:
            folder.is_up = False
        else:
            folder.harm("down failed")

    @rule(which=which, number=st.integers(1, 500), straight=straight)
    @operation
    def write(self, folder, number, straight):
        if not straight:
            folder.have_up()
        first = folder.next_id
        folder.next_id += number
        query = f"\\set ON_ERROR_STOP on\nINSERT INTO mine SELECT generate_series({first}, {folder.next_id - 1});"
        done = folder.sql(query, want=True if folder.is_up else None)
        folder.outcome(done, lambda state: state.with_rows(range(first, first + number)))

    @rule(which=which)
    @operation
    def change_a_row(self, folder):
        folder.have_up()
        (state,) = folder.states
        if rich := sorted(name for name, rows in state.sets if rows > 5):
            folder.sql(f"DELETE FROM {rich[0]} WHERE ctid = (SELECT min(ctid) FROM {rich[0]});", want=True)
            folder.surely(lambda state: state.with_one_row_less(rich[0]))

    @rule(which=which, number=st.integers(1, 30))
    @operation
    def jobs(self, folder, number):
        folder.have_up()
        numbers = range(folder.next_id, folder.next_id + number)
        folder.next_id += number
        folder.enqueue(numbers)

    @rule(which=which)
    @operation
    def settle(self, folder):
        folder.have_up()
        folder.settle()

    @rule(which=which, name=names, straight=straight)
    @operation
    def dataset(self, folder, name, straight):
        if not straight:
            folder.have_up()
        folder.load(name)

    @rule(which=which, name=st.sampled_from(["ragged", "wide", "empty", "zeros"]))
    @operation
    def bad_dataset(self, folder, name):
        folder.have_up()
        folder.make("dataset", f"SOURCE={self.ground.folder / name}.csv", f"TABLE={name}", want=False)
        assert name not in folder.declared and not (folder.path / "data" / f"{name}.csv").exists()
        folder.check()

    @rule(which=which, name=st.sampled_from([*FULL]), straight=straight)
    @operation
    def drop(self, folder, name, straight):
        if not straight:
            folder.have_up()
        was_declared = name in folder.declared
        done = folder.make("dataset", f"DROP={name}", "FORCE=1", want=None if straight else was_declared)
        if was_declared:
            folder.outcome(done, lambda state: state.without_set(name))
        if done.returncode == 0:
            assert name not in folder.declared

    @rule(which=which, straight=straight)
    @operation
    def backup(self, folder, straight):
        if not straight:
            folder.have_up()
            folder.settle()
        folder.make("backup", want=None if straight else True)
        folder.new_backups()

    @rule(which=which, number=st.integers(0, 9), straight=straight)
    @operation
    def restore(self, folder, number, straight):
        if known := sorted(name for name, saved in folder.backups.items() if saved):
            if not straight:
                folder.have_up()
            name = known[number % len(known)]
            done = folder.make("restore", f"FILE=backups/{name}", "FORCE=1", want=None if straight else True)
            folder.was_restored(name, done.returncode == 0)
            self.world.others_are_untouched(folder)

    @rule(which=which)
    @operation
    def update(self, folder):
        self.ground.release()
        folder.commit()
        folder.make("update", want=True)
        assert not folder.git("diff", "--name-only", "--diff-filter=U")
        assert f"release {self.ground.releases}" in (folder.path / "Makefile").read_text()
        folder.commit()

    @rule(which=which, workers=st.integers(0, 3))
    @operation
    def scale(self, folder, workers):
        folder.have_up()
        folder.make("scale", f"N={workers}", want=True)
        folder.make("scale", f"N={max(workers, 1)}", want=True)

    # --- moves

    @precondition(lambda self: self.world is None or len(self.world.folders) < MOST)
    @rule(which=which, straight=straight)
    @operation
    def copy(self, folder, straight):
        if not straight:
            folder.have_up()
        self.world.copy(folder)
        if folder.is_up:
            folder.check()

    @precondition(lambda self: self.world is None or len(self.world.folders) > 1)
    @rule(which=which)
    @operation
    def remove_copy(self, folder):
        folder.make("down")
        self.world.remove_folder(folder)
        self.world.others_are_untouched(folder)

    @rule(which=which)
    @operation
    def move(self, folder):
        path, _ = self.world.place()
        folder.stack.path = folder.path.rename(path.with_name(f"{path.name} it's {folder.number} größer"))
        folder.harm("moved")

    @rule(which=which)
    @operation
    def other_engine(self, folder):
        """The same folder on the other engine for a while: data of its own, and everything is there again afterwards."""
        if folder.number != 1 or not self.ground.has_docker:  # copies share the name that Docker knows
            return
        home = folder.engine
        self.ground.lend_environment(folder.path)
        folder.switch(OTHER[home])
        folder.up()
        self.write(which=self.world.folders.index(folder), number=5, straight=False)
        if folder.number % 2:
            folder.make("down", want=True)
        folder.switch(home)
        folder.up()

    # --- bad luck

    @rule(
        which=which,
        what=st.sampled_from(
            ["postgres", "redis", "worker", "supervisord", "supervisord and guard", "all", "all", "docker kill"]
        ),
    )
    @operation
    def kill(self, folder, what):
        folder.kill(what)
        folder.harm(f"{what} killed")

    @rule(
        which=which,
        what=st.sampled_from(["up", "up", "down", "backup", "dataset", "restore"]),
        name=names,
        seconds=seconds,
        signal=interruptions,
        killed=st.booleans(),
    )
    @operation
    def interrupt(self, folder, what, name, seconds, signal, killed):
        """A command that is killed in the middle; with `killed`, one that has to begin with a stack that was killed."""
        words, known = [what], sorted(name for name, saved in folder.backups.items() if saved)
        if what == "dataset":
            words.append(f"SOURCE={self.ground.folder / name}.csv")
        if what == "restore":
            if not known:
                return
            words += [f"FILE=backups/{known[0]}", "FORCE=1"]
        if what in ("restore", "backup"):
            folder.have_up()
        if killed:
            folder.kill("all")
        declared = folder.declared
        folder.interrupted(words, seconds, signal)
        folder.harm(f"{what} interrupted")
        folder.perhaps(lambda state: state.after_up(declared))
        if what == "dataset":
            folder.perhaps(lambda state: state if dict(state.sets).get(name) else state.with_set(name))
        if what == "restore":
            folder.was_restored(known[0], False)
        folder.new_backups()

    @rule(
        which=which,
        how=st.sampled_from(
            ["lost", "empty", "passwords", "quoted password", "a line lost", "an old one", "engine lost", *WRONG]
        ),
        place=st.integers(0, 30),
        killed=st.booleans(),
    )
    @operation
    def edit_env(self, folder, how, place, killed):
        """With `killed`: while the database, and all else, is killed hard."""
        folder.spoil_env(how, place)
        if killed:
            folder.kill("all")
        folder.harm(f".env: {how}")

    @rule(
        which=which,
        left=st.sampled_from([0, 1 << 20, 20 << 20]),
        then=st.lists(
            st.sampled_from(["ballast", "write", "up", "down", "backup", "dataset", "restore", "kill", "scale"]),
            min_size=1,
            max_size=4,
        ),
    )
    @operation
    def full_disk(self, folder, left, then):
        """For a while nothing more can be written, by any of the folders."""
        place = self.world.folders.index(folder)
        if "ballast" in then:
            folder.have_up()
        self.world.disk.fill(left)
        for each in self.world.folders:
            each.harm("the disk was full")
        try:
            for what in then:
                self.while_full(folder, place, what)
        finally:
            self.world.disk.make_room()

    def while_full(self, folder, place, what):
        if what == "ballast":
            folder.sql("CREATE TABLE ballast AS SELECT n, repeat('x', 200) FROM generate_series(1, 300000) n;")
        elif what == "write":
            self.write(which=place, number=200, straight=True)
        elif what == "dataset":
            folder.load("d3")
        elif what == "kill":
            folder.kill("all")
        elif what == "restore":
            self.restore(which=place, number=0, straight=True)
        elif what == "scale":
            folder.make("scale", "N=2")
        else:
            declared = folder.declared
            folder.make(what)
            folder.perhaps(lambda state: state.after_up(declared))
            folder.new_backups()


@pytest.mark.parametrize("kind", ["local", pytest.param("docker", marks=pytest.mark.engine)])
def test_siege(request, kind, tmp_path_factory):
    try:
        has_docker = request.getfixturevalue("engine")
    except pytest.skip.Exception:
        if kind == "docker":
            raise
        has_docker = False
    logs = Path(os.environ.get("DSPROJ_SIEGE_LOG") or tmp_path_factory.mktemp("logs"))
    file = logs / f"siege-{kind}.log"
    ground = Ground(BOTH_KINDS[kind], tmp_path_factory.mktemp(f"siege-{kind}"), file, has_docker)
    deadline, number = time.monotonic() + MINUTES * 60, FIRST or int(time.time()) % 10**6
    how = settings(
        max_examples=3, stateful_step_count=STEPS, deadline=None, phases=[Phase.generate], database=None,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    try:
        while time.monotonic() < deadline:
            machine = type("Siege", (Siege,), {"ground": ground, "deadline": deadline, "seed": number})
            run_state_machine_as_test(seed(number)(machine), settings=how)
            number = number if FIRST else number + 1
    except Exception:
        if ground.failure:  # rather than what Hypothesis thinks of it
            raise ground.failure from None
        raise
    finally:
        print(ground.log.summary(kind), f"\n  the log: {file}")
        ground.log.line(ground.log.summary(kind))
        shutil.rmtree(ground.base.path, ignore_errors=True)

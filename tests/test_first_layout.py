"""From the layout before the machine room: an update moves what moves, and keeps and names what a person has written."""

import json
import os
import re
import sys

import pytest
from conftest import PREFIX, ROOT, command, free_port, generate
from releases import FirstLayout
from stacks import IDENTITY, RUN_AND_SAVE, DockerStack, LocalStack
from test_update import ANSWERS, FILL_STORES, LOCKS, READ_STORES, Used, compare, up

SAMPLE = ROOT / "hooks/samples/adult.data"
STORY = ["Examine", "Initial", "Verify", "Develop", "Encode"]
CROPS = "id,yield,grown\n1,2.5,true\n2,3.25,false\n"


class Project(Used):
    """A project made from v0.1.0 of a FirstLayout, the layout before, and edited."""

    def begin(self, template, **answers):
        data = {"project_slug": self.slug, "stack": self.kind, "dataset_source": SAMPLE} | ANSWERS | answers
        done = generate(template.path, self.path, "--vcs-ref", "v0.1.0", env=IDENTITY, **data)
        assert done.returncode == 0 and (self.path / "local/commands.py").exists(), done.printed
        return self

    @property
    def run_command(self):
        old = (self.path / "local/commands.py").exists()
        return (sys.executable, "local/stack.py", "run" if old else "exec")

    def sql(self, query):
        return self.run("psql", "-XAt", "-c", query).strip()


class Still(Project, LocalStack):
    """One that does not run."""

    kind = "none"


class OnDocker(Used, DockerStack):
    begin = Project.begin


class OnLocal(Project, LocalStack):
    pass


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return FirstLayout(tmp_path_factory.mktemp("first-layout") / "dsproj")


def edit(project):
    """What a person may have written into files of which some stay, some move and some go."""
    project.append("lib/postgres.py", "\n\ndef mine():\n    return 'MY FUNCTION'\n")
    project.append("lib/frames.py", "\n\ndef mine():\n    return 'MY FRAME'\n")
    project.append("tests/test_cache.py", "\n\ndef test_mine():\n    assert 'MY TEST'\n")
    project.append("local/backup.py", "# MY LINE\n")
    project.replace("ruff.toml", 'select = ["E"', 'select = ["N", "E"')
    project.append("docker/postgres/dataset.env", "# MY REMARK\n")
    project.replace("docker/postgres/dataset.env", "SEED_SOURCES=", "SEED_SOURCES=/mine.data\nOLD_SOURCES=")
    project.append("docker/jupyter/Dockerfile", "COPY fonts /usr/share/fonts\n")
    (project.path / "docker/jupyter/fonts").mkdir()
    (project.path / "docker/jupyter/fonts/mine.ttf").write_text("MY FONT")
    (project.path / "nightly.sh").write_text("#!/bin/sh\npython3 local/backup.py save\n")
    (project.path / "lib/mine.py").write_text("from lib.frames import mine\n")
    (project.path / "docker/postgres/datasets/crops.env").write_text("SEED_TABLE=\nSEED_FILE=\nSEED_SOURCES=\n# MINE\n")


@pytest.mark.parametrize(
    "dataset", ["adult", pytest.param("csv", marks=pytest.mark.long), pytest.param("none", marks=pytest.mark.long)]
)
def test_what_moves_moves_and_what_was_edited_is_kept_and_named(template, tmp_path, dataset):
    (tmp_path / "crops.csv").write_text(CROPS)
    source = {"adult": SAMPLE, "csv": tmp_path / "crops.csv", "none": ""}[dataset]
    project = Still(tmp_path / "project", "mine").begin(
        template, dataset=dataset, dataset_source=source, table_name="mine", mongo=dataset == "adult"
    )
    edit(project)
    project.commit()
    yours = [".env", "lib/mine.py", "nightly.sh", "docker/postgres/initdb.sql", "docker/postgres/datasets/crops.env"]
    yours = [project.path / name for name in yours if dataset == "csv" or "initdb" not in name]
    yours += [*(project.path / "ipynb").iterdir(), *(project.path / "data").iterdir()]
    before = {path: path.read_bytes() for path in yours if path.name != "README.md"}
    head = project.git("rev-parse", "HEAD")
    printed = project.update()

    assert {path: path.read_bytes() for path in before} == before
    assert project.git("rev-parse", "HEAD") == head and not list(project.path.rglob("*.rej"))
    for name, mark, said in (
        ("lib/postgres.py", "MY FUNCTION", "MERGED: the template has written lib/postgres.py anew"),
        ("lib/frames.py", "MY FRAME", "KEPT: the template has no lib/frames.py any more; yours stays where it is"),
        ("tests/test_cache.py", "MY TEST", ""),
        ("local/backup.py.before-update", "# MY LINE", "now in .dsproj/dsproj/host/backup.py), and you had edited it"),
        ("ruff.toml", 'select = ["N", "E"', "KEPT: ruff.toml with your rules"),
        (
            "docker/postgres/dataset.env.before-update",
            "# MY REMARK",
            "KEPT: the template has no docker/postgres/dataset",
        ),
        ("docker/jupyter/Dockerfile", "COPY fonts", "fonts is docker/jupyter/fonts"),
        ("nightly.sh", "local/backup.py", "nightly.sh uses local/backup.py, gone with this version"),
    ):
        assert mark in project.text(name) and said in printed, name
        assert f"!! {name}" not in project.git("status", "--porcelain", "--ignored").splitlines()
    assert "CONFLICT" not in printed and project.git("ls-files", "--unmerged") == ""
    assert "$(PYTHON3) .dsproj" in project.text("Makefile") and ".dsproj" in project.text("ruff.toml")
    assert sorted(path.name for path in (project.path / "local").iterdir() if path.name != "__pycache__") == [
        "backup.py.before-update", "requirements.txt", "stack.py", "supervisord.conf"
    ]  # fmt: skip
    assert project.git("config", "--get-all", "include.path") == "../.dsproj/gitconfig\n"
    assert "up" in printed and "The local stack" not in printed
    check_seed(project, dataset, printed)

    # A notebook that has run is the same for git; what the update did can be committed, and the next one has nothing to do.
    project.commit()
    path = project.notebook("Examine_Database_Requirements")
    notebook = json.loads(path.read_text())
    next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")["execution_count"] = 7
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n")
    assert project.git("diff") == ""
    path.write_bytes(before[path])
    assert "Nothing has changed" in project.update()


def check_seed(project, dataset, printed):
    """The project's own data set is declared among the others, with what the user's file said."""
    moved = project.path / "docker/postgres/datasets/mine.env"
    assert moved.exists() == (dataset != "none") == ("MOVED: docker/postgres/dataset.env" in printed)
    assert not (project.path / "docker/postgres/dataset.env").exists()
    if dataset == "none":
        return
    values = dict(re.findall(r"^(\w+)=(.*)$", moved.read_text(), re.M))
    assert values["SEED_SQL"] == "../initdb.sql" and values["SEED_SOURCES"] == "/mine.data"
    assert values["SEED_TABLE"] == "mine" and re.fullmatch("[0-9a-f]{64}", values["SEED_SHA256"])
    assert values["SEED_FILE"] == {"adult": "adult.data", "csv": "crops.csv"}[dataset]
    examined = project.notebook("Examine_Database_Requirements").name
    assert (f"ipynb/{examined} uses docker/postgres/" in printed) == (dataset == "csv")


def test_a_project_without_edits_becomes_the_fresh_one(template, tmp_path):
    project, fresh = (Still(tmp_path / name, "same") for name in ("project", "fresh"))
    project.begin(template)
    answers = {"project_slug": "same", "stack": "none", "dataset_source": SAMPLE, "project_name": "Crop Yields"}
    done = generate(template.path, fresh.path, env=IDENTITY, **(ANSWERS | answers))
    assert done.returncode == 0, done.printed
    printed = project.update()
    assert "KEPT" not in printed and "CONFLICT" not in printed and "MERGED" not in printed
    compare(project, fresh)


def test_a_local_stack_that_cannot_be_stopped_keeps_the_update_from_beginning(template, tmp_path):
    project = Still(tmp_path / "project", "mine").begin(template)
    (project.path / "local/stack.py").write_text("import sys\nsys.exit('MY REASON')\n")
    project.commit()
    for name in ("run", "venv"):
        (project.path / ".local" / name).mkdir(parents=True)
    options = ["--trust", "--defaults"]
    done = command(sys.executable, "-m", "copier", "update", *options, cwd=project.path, env=os.environ | IDENTITY)
    assert done.returncode and "MY REASON" in done.printed and "make down, then the update again" in done.printed
    assert project.status() == [] and not (project.path / ".dsproj").exists()


# --- with a stack that runs


@pytest.mark.long
@pytest.mark.parametrize(
    "kind", [pytest.param(OnDocker, marks=pytest.mark.engine, id="docker"), pytest.param(OnLocal, id="local")]
)
def test_a_running_stack_comes_up_again_with_all_that_it_held(request, template, tmp_path, kind):
    if kind is OnDocker:
        request.getfixturevalue("engine")
    project = kind(tmp_path / "project", f"{PREFIX}-first-{kind.kind}")
    project.remove()
    (tmp_path / "crops.csv").write_text(CROPS)
    try:
        ports = {"jupyter_port": free_port(20000), "monitor_port": free_port(21000)}
        project.begin(template, mongo=True, **ports)
        up(project)
        project.make("dataset", f"SOURCE={tmp_path / 'crops.csv'}")
        edit_for_use(project)
        project.python(FILL_STORES)
        project.sql("CREATE TABLE mine AS SELECT 42 AS answer; UPDATE adult SET age = 99 WHERE _id = 1")
        look = "SELECT (SELECT answer FROM mine), (SELECT sum(age) FROM adult), (SELECT sum(yield) FROM crops)"
        rows, env, running = project.sql(look), project.env, host_processes(project)

        printed = project.update()
        assert "make up" in printed and "CONFLICT" not in printed
        if kind is OnLocal:
            assert "The local stack was stopped, by its old files; its data stays" in printed
            assert running and not [pid for pid in running if os.path.exists(f"/proc/{pid}")]
        project.commit("Update the template")

        up(project)
        assert {line.split()[-1] for line in project.status()} <= set(LOCKS), (
            "with the user's own packages: to be committed"
        )
        project.commit("Renew the lock")
        states = project.states()
        assert set(states.values()) == {"healthy"}, states
        assert project.sql(look) == rows and project.env == env
        # The packages of the user's own, installed again; what lib/ holds now, and held.
        assert project.python(READ_STORES.replace("humanize, toolz", "toolz")).strip() == "[1, 2] 42 MY FUNCTION"
        assert "loaded already" in project.make("seed")
        project.make("seed", "TABLE=crops", "FORCE=1")
        assert project.sql(look) == rows
        # The journal goes on, from its old notebooks to a new one, and running it changes nothing for git.
        names = [f"ipynb/{path.name}" for path in (project.path / "ipynb").glob("*.ipynb")]
        names.sort(key=lambda name: STORY.index(name.split("-")[1].split("_")[0]))
        project.python(RUN_AND_SAVE, project.inner_port, project.env["JUPYTER_TOKEN"], *names)
        assert project.status() == []
        assert "-1-My_next_idea.ipynb" in project.make("notebook", "NAME=My next idea")
        assert "PostgreSQL, 4 tables" in project.make("backup")
    finally:
        project.remove()


def edit_for_use(project):
    """Edits with which the project has to run on."""
    project.append("lib/postgres.py", "\n\ndef mine():\n    return 'MY FUNCTION'\n")
    project.append("local/backup.py", "# MY LINE\n")
    project.replace("docker/jupyter/requirements.txt", "\n# For `make test`", "\ntoolz==1.0.0\n\n# For `make test`")
    project.commit()


def host_processes(project):
    return project.process_ids() if isinstance(project, LocalStack) else []

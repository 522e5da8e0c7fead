"""Life after generation: an update brings the template's changes and loses nothing of the user's."""

import json
import os
import re
import shutil
import sys
import time
from datetime import date

import copier
import nbformat
import pytest
import yaml
from conftest import PARTS, PREFIX, ROOT, checked, command
from releases import Template
from stacks import IDENTITY, DockerStack, LocalStack

ANSWERS = {"created_on": "2026-11-22", "project_name": "Crop Yields"}


@pytest.fixture(scope="module")
def template_repo(tmp_path_factory):
    """A template with v0.1.0 and v0.2.0; read only."""
    template = Template(tmp_path_factory.mktemp("releases") / "dsproj")
    template.next_release()
    return template


class Used:
    """A project in which somebody works."""

    def make_env(self):
        """.env, and git's filter for notebooks, as generation and `make up` make them."""
        code = "from dsproj.host import first_env; first_env.make('docker')"
        checked(sys.executable, "-c", code, env=os.environ | {"PYTHONPATH": str(self.path / ".dsproj")})

    def notebook(self, title):
        """The path of a notebook by its title."""
        return next((self.path / "ipynb").glob(f"*-{title}.ipynb"))

    def commit(self, message="Work"):
        self.git("add", "--all")
        checked("git", "commit", "--quiet", "--message", message, cwd=self.path, env=os.environ | IDENTITY)

    def update(self, *options):
        """`copier update`; what it printed."""
        copier = [sys.executable, "-m", "copier", "update", "--trust", "--defaults"]
        done = command(*copier, *options, cwd=self.path, env=os.environ | IDENTITY)
        assert done.returncode == 0, done.printed
        return done.printed

    def make_update(self, *options):
        return command("make", "update", *options, cwd=self.path, env=with_copier())

    def text(self, name):
        return (self.path / name).read_text()

    def append(self, name, text):
        with (self.path / name).open("a") as file:
            file.write(text)

    def replace(self, name, old, new):
        assert old in self.text(name), (name, old)
        (self.path / name).write_text(self.text(name).replace(old, new, 1))

    def status(self):
        return self.git("status", "--porcelain").splitlines()


class Project(Used, LocalStack):
    """One that does not run."""

    kind = "none"


class UsedDocker(Used, DockerStack):
    pass


class UsedLocal(Used, LocalStack):
    pass


def with_copier():
    return os.environ | IDENTITY | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """rendered(source, vcs_ref, data) -> a folder to copy from: each version with the same answers is rendered once."""
    kept = {}

    def render(source, vcs_ref, data):
        key = repr((source, vcs_ref, sorted(data.items())))
        if key not in kept:
            options = {"defaults": True, "unsafe": True, "quiet": True, "skip_tasks": True, "vcs_ref": vcs_ref}
            target = tmp_path_factory.mktemp("rendered") / "project"
            copier.run_copy(str(source), target, data=data, **options)
            kept[key] = target
        return kept[key]

    return render


@pytest.fixture
def generated(template_repo, rendered, tmp_path):
    """generated(name, vcs_ref, source, **answers) -> a project in git with its .env, rendered from v0.1.0; it does not run."""

    def generate(name="project", vcs_ref="v0.1.0", source=template_repo.path, **answers):
        project = Project(tmp_path / name, name)
        data = {"project_slug": "same", "stack": "none"} | ANSWERS | answers
        shutil.copytree(rendered(source, vcs_ref, data), project.path, symlinks=True)
        project.git("init", "--quiet", "--initial-branch=main")
        project.make_env()
        project.commit("Generate")
        return project

    return generate


# As `make dataset` writes them.
DATA_SET = ["docker/postgres/datasets/crops.env", "docker/postgres/datasets/crops.sql"]

# Not merged: made anew from the requirements, by `make up`.
LOCKS = ["docker/jupyter/requirements.lock", "local/requirements.lock"]


def use(project):
    """What a person does to a project in its first months; returns the lines that have to survive."""
    project.append("lib/postgres.py", "\n\ndef mine():\n    return 'MY FUNCTION'\n")
    project.replace("docker/jupyter/requirements.txt", "\n# For `make test`", "\ntoolz==1.0.0\n\n# For `make test`")
    project.replace(
        "docker-compose.yml",
        "\nconfigs:\n",
        "\n  my_service:\n    image: redis:8\n    command: [sleep, inf]\n\nconfigs:\n",
    )
    project.append("README.md", "\n## My chapter\n")
    (project.path / "lib/mine.py").write_text("MY_MODULE = 1\n")
    (project.path / "data/plot.png").write_bytes(bytes(range(256)) * 20)
    (project.path / "data/latin1.csv").write_bytes("name\nGr\xf6\xdfe\n".encode("latin-1"))
    (project.path / DATA_SET[0]).write_text("# MINE, and no table yet\nSEED_TABLE=\nSEED_FILE=\nSEED_SOURCES=\n")
    (project.path / DATA_SET[1]).write_text("-- MINE, to be written\n")
    executed = project.notebook("Encode_target")
    notebook = nbformat.read(executed, as_version=4)
    for count, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("stream", text="MY OUTPUT\n")]
    notebook.cells.append(nbformat.v4.new_code_cell("my_cell = 'MY CELL'"))
    nbformat.write(notebook, executed)
    project.notebook("Develop_encoding_target_function").unlink()
    project.make("notebook", "NAME=My own idea")


def snapshot(project):
    """Every file that belongs to the user, as bytes."""
    names = [".env", "config/jupyter.env", "lib/mine.py", "data/plot.png", "data/latin1.csv", *DATA_SET, *LOCKS]
    paths = [project.path / name for name in names] + sorted((project.path / "ipynb").glob("*.ipynb"))
    return {path.name: path.read_bytes() for path in paths}


def check_updated(project, before, head):
    """The template's changes are there, and so is everything of the user's."""
    assert snapshot(project) == before
    for name, theirs, news in (
        ("lib/postgres.py", "MY FUNCTION", "NEWS IN LIB"),
        ("docker/jupyter/requirements.txt", "toolz==1.0.0", "humanize==4.12.3"),
        ("docker-compose.yml", "my_service:\n    image: redis:8", "shm_size: 384m"),
        ("README.md", "## My chapter", "Crop Yields"),
        ("Makefile", "check:", "NEWS IN MAKE"),
        ("docker/postgres/get_data.sh", "", "NEWS IN DOCKER"),
        (".dsproj/dsproj/names.py", "", "NEWS IN THE ROOM"),
        ("lib/news.py", "", "New with this version"),
    ):
        assert theirs in project.text(name) and news in project.text(name), name
    for path in (project.path / "ipynb").glob("*.ipynb"):
        nbformat.validate(json.loads(path.read_text()))
    yaml.safe_load(project.text("docker-compose.yml"))
    assert yaml.safe_load(project.text(".copier-answers.yml"))["_commit"] == "v0.2.0"
    assert project.git("rev-parse", "HEAD") == head
    assert not list(project.path.rglob("*.rej")) and project.git("ls-files", "--unmerged") == ""


def test_an_update_brings_what_is_new_and_loses_nothing(generated):
    project = generated()
    use(project)
    project.commit()
    before, head = snapshot(project), project.git("rev-parse", "HEAD")
    printed = project.update()
    check_updated(project, before, head)
    assert "Nothing was restarted; when it suits you: make up" in printed and "CONFLICT" not in printed
    assert "Environment" not in printed and "Stack" not in printed  # no step of generation has run

    project.commit("Update the template")
    assert "Nothing has changed" in project.update()
    assert project.status() == []


def test_an_updated_project_is_the_fresh_one(generated):
    """With no edits, an update and a new project of the same answers are the same files."""
    project, fresh = generated(), generated("fresh", vcs_ref="v0.2.0")
    project.update()
    compare(project, fresh)


def compare(project, fresh):
    """The same files with the same text; notebooks and locks, which an update leaves alone, apart."""

    def tree(path):
        names = (str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
        made_once = r"\.git/|\.env$|config/jupyter\.env$|ipynb/|(docker/jupyter|local)/requirements\.lock$|.*\.pyc$"
        return {name: (path / name).read_text() for name in names if not re.match(made_once, name)}

    one, other = tree(project.path), tree(fresh.path)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


def test_the_last_release_updates_to_the_present_state(tmp_path, generated):
    """Of this repository itself: a project of its newest tag, updated to the working tree, is the fresh one."""
    described = command("git", "describe", "--tags", "--abbrev=0", "--match", "v*", cwd=ROOT)
    if described.returncode:
        pytest.skip("no version of this repository is tagged yet")
    checked("git", "clone", "--quiet", ROOT, tmp_path / "template")
    for part in PARTS:
        shutil.rmtree(tmp_path / "template" / part) if (ROOT / part).is_dir() else None
        checked("cp", "-R", ROOT / part, tmp_path / "template")
    for words in (["add", "--all"], ["commit", "--quiet", "--allow-empty", "--message", "Now"]):
        checked("git", *words, cwd=tmp_path / "template", env=os.environ | IDENTITY)
    last = described.stdout.strip()
    project, fresh = (
        generated(name, ref, tmp_path / "template") for name, ref in (("project", last), ("fresh", "HEAD"))
    )
    # In quiet corners, where a coming release hardly changes the same lines.
    (project.path / "lib/mine.py").write_text("MINE = 1\n")
    project.append("lib/__init__.py", "\n# MINE\n")
    project.commit()
    printed = project.update("--vcs-ref", "HEAD")
    assert "Updating to template version" in printed and "CONFLICT" not in printed
    assert (project.path / "lib/mine.py").read_text() == "MINE = 1\n"
    (project.path / "lib/mine.py").unlink()
    project.replace("lib/__init__.py", "\n# MINE\n", "")
    compare(project, fresh)


def test_a_conflict_is_listed_with_what_to_do(generated):
    project = generated()
    project.replace("docker-compose.yml", "shm_size: 256m", "shm_size: 1g")
    project.replace("Makefile", "$(dsproj) check\n", "my linter\n")
    project.commit()
    printed = project.update()
    for name in ("docker-compose.yml", "Makefile"):
        assert f"CONFLICT in {name}: your lines and the template's" in printed and f"git add {name}" in printed
    text = project.text("docker-compose.yml")
    assert "shm_size: 1g" in text and "shm_size: 384m" in text
    assert set(project.git("diff", "--name-only", "--diff-filter=U").split()) == {"docker-compose.yml", "Makefile"}
    # The Makefile may be in conflict itself, so what comes next has to be possible without it.
    done = command(sys.executable, ".dsproj", "update", cwd=project.path, env=with_copier())
    assert done.returncode == 1 and "conflicts are open in: Makefile, docker-compose.yml" in done.printed


def test_digests_of_images_are_no_conflict_and_stay_while_the_tag_does(generated, tmp_path):
    template = Template(tmp_path / "template")
    project = generated(source=template.path)
    digest = "@sha256:" + 64 * "a"
    tags = {
        "docker/jupyter/Dockerfile": ":2026-07-28",
        "docker-compose.yml": "redis:8",
        "docker/postgres/Dockerfile": ":18",
    }
    for name, tag in tags.items():
        project.replace(name, tag, tag + digest)
    project.commit()
    template.edit("docker/jupyter/Dockerfile.jinja", (":{% if gpu", ":{% if not gpu %}new-{% endif %}{% if gpu"))
    template.edit("docker-compose.yml.jinja", ("    image: redis:8\n", "    # NEWS\n    image: redis:8\n"))
    template.release("v0.2.0", "Another image")
    printed = project.update()
    assert (
        "CONFLICT" not in printed and "notebook:new-2026-07-28, without its digest; to ask for it: make lock" in printed
    )
    assert "scipy-notebook:new-2026-07-28\n" in project.text("docker/jupyter/Dockerfile")
    assert f"# NEWS\n    image: redis:8{digest}\n" in project.text("docker-compose.yml")
    assert f"FROM postgres:18{digest}\n" in project.text("docker/postgres/Dockerfile")
    assert " M docker-compose.yml" in project.status() and " M docker/jupyter/Dockerfile" in project.status()


def test_an_edited_file_that_the_template_gives_up_is_kept_and_named(generated, tmp_path):
    template = Template(tmp_path / "template")
    project = generated(source=template.path)
    project.append("lib/cache.py", "\nMINE = 1\n")
    project.append("local/supervisord.conf", "; MINE\n")
    project.append("lib/postgres.py", "\n\ndef mine():\n    return 'MINE'\n")
    project.commit()
    for name in ("lib/cache.py", "local/supervisord.conf", "docker/postgres/datasets/README.md"):
        (template.path / "template" / name).unlink()
    # At the end of a module both have written: what the user added there stands below what is new.
    with (template.path / "template/lib/postgres.py.jinja").open("a") as file:
        file.write("\n\nNEWS = 1\n")
    questions = template.path / "copier.yml"
    assert 'default: "18"' in questions.read_text()
    questions.write_text(questions.read_text().replace('default: "18"', 'default: "19"'))
    template.release("v0.2.0", "No cache, PostgreSQL 19")
    printed = project.update()
    # A volume is of one major version: it is recorded, and stays.
    assert project.text("docker/postgres/Dockerfile").startswith("FROM postgres:18\n")
    assert "KEPT: the template has no lib/cache.py any more; yours stays where it is" in printed
    assert "MINE = 1" in project.text("lib/cache.py") and " D lib/cache.py" not in project.status()
    assert "your version is local/supervisord.conf.before-update" in printed
    assert not (project.path / "local/supervisord.conf").exists()
    assert "; MINE\n" in project.text("local/supervisord.conf.before-update")
    assert "?? local/supervisord.conf.before-update" in project.status()
    assert "you had not edited them: docker/postgres/datasets/README.md\n" in printed
    assert "MERGED: the template has written lib/postgres.py anew" in printed and "CONFLICT" not in printed
    assert project.text("lib/postgres.py").endswith("NEWS = 1\n\n\ndef mine():\n    return 'MINE'\n")
    assert project.git("ls-files", "--unmerged") == ""


def test_what_goes_is_named_with_the_way_back_where_the_old_version_cannot_be_had(generated, tmp_path):
    template = Template(tmp_path / "template")
    project = generated(source=template.path)
    (template.path / "template/lib/cache.py").unlink()
    (template.path / "hooks/edited.py").write_text(
        (template.path / "hooks/edited.py").read_text().replace("import copier\n", "raise ImportError\n", 1)
    )
    template.release("v0.2.0", "No cache")
    printed = project.update()
    assert "REMOVED: the template has no lib/cache.py any more; to keep yours: git restore lib/cache.py" in printed


# --- make update -------------------------------------------------------------------------------------------------------


def test_make_update_shows_the_news_first_and_can_only_show(generated):
    project = generated()
    use(project)
    project.commit()
    before, head = snapshot(project), project.git("rev-parse", "HEAD")
    shown = project.make_update("DRY_RUN=1")
    assert shown.returncode == 0, shown.printed
    assert "This project: v0.1.0. The template's newest release: v0.2.0." in shown.printed
    assert "NEWS IN THE CHANGELOG" in shown.printed and "+    shm_size: 384m" in shown.printed
    assert "First" not in shown.printed  # what the project has already
    assert project.status() == [] and project.git("rev-parse", "HEAD") == head

    done = project.make_update()
    assert done.returncode == 0, done.printed
    assert done.printed.index("NEWS IN THE CHANGELOG") < done.printed.index("The template's changes are in your")
    assert "/tmp" not in done.printed and "Running task" not in done.printed  # Copier's own lines
    check_updated(project, before, head)


def test_make_update_refuses_uncommitted_work_and_says_what_to_do(generated):
    project = generated()
    project.append("README.md", "\nunsaved\n")
    (project.path / "new.txt").write_text("new\n")
    done = project.make_update()
    assert done.returncode and "README.md" in done.printed and "new.txt" in done.printed
    assert "git add -A && git commit" in done.printed and "Traceback" not in done.printed
    assert "NEWS" not in project.text("lib/postgres.py")

    # To look at what would come changes nothing, so it refuses nothing.
    before = project.status()
    shown = project.make_update("DRY_RUN=1")
    assert shown.returncode == 0 and "+    shm_size: 384m" in shown.printed, shown.printed
    assert "what is not committed was left out of this" in shown.printed and "-unsaved" not in shown.printed
    assert project.status() == before

    advised = re.search(r"^Commit them: (.+), or .* Then: (.+)$", done.printed, re.M)
    for each in advised.groups():
        checked("sh", "-c", each, cwd=project.path, env=with_copier())
    assert "NEWS" in project.text("lib/postgres.py")


def test_a_release_without_a_change_for_this_project_leaves_nothing_to_commit(generated, tmp_path):
    template = Template(tmp_path / "template")
    project = generated(source=template.path)
    template.release("v0.2.0", "Only for others")
    assert "There is no difference." in project.make_update("DRY_RUN=1").printed
    done = project.make_update()
    assert done.returncode == 0 and "there is nothing to commit" in done.printed, done.printed
    assert project.status() == []


def test_a_notebook_that_was_only_run_does_not_stop_an_update(generated):
    project = generated()
    path = project.notebook("Encode_target")
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if cell.cell_type == "code").outputs = [
        nbformat.v4.new_output("stream", text="MY OUTPUT\n")
    ]
    nbformat.write(notebook, path)
    assert project.status() != []
    done = project.make_update()
    assert done.returncode == 0, done.printed
    assert "MY OUTPUT" in path.read_text() and "NEWS" not in path.read_text()


def test_make_update_says_how_to_get_copier(generated, tmp_path):
    project = generated()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "make", "python3", "sh"):
        (tools / name).symlink_to(checked("which", name).strip() if name != "python3" else "/usr/bin/python3")
    done = command("make", "update", cwd=project.path, env=IDENTITY | {"PATH": str(tools), "HOME": str(tmp_path)})
    assert done.returncode and "uv tool install copier" in done.printed and "Traceback" not in done.printed, (
        done.printed
    )


# --- changing one's mind -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"mongo": "true", "jupyter_port": 9123},
        pytest.param({"jupyter_stack": "minimal", "stack": "local"}, marks=pytest.mark.long),
        pytest.param({"cluster": "true"}, marks=pytest.mark.long),
    ],
    ids=lambda change: "-".join(change),
)
def test_another_answer_changes_exactly_what_belongs_to_it(generated, change):
    def options(answers):
        return [part for key, value in answers.items() for part in ("-d", f"{key}={value}")]

    project = generated()
    project.update()
    project.commit()
    original = yaml.safe_load(project.text(".copier-answers.yml"))
    project.update(*options(change))
    compare(project, generated("there", vcs_ref="v0.2.0", **{k: yaml.safe_load(str(v)) for k, v in change.items()}))
    if "DSPROJ_DRILL" in os.environ:
        project.commit()
        project.update(*options({key: str(original[key]).lower() for key in change}))
        compare(project, generated("back", vcs_ref="v0.2.0"))


def test_another_answer_brings_its_notebook_once_dated_today_and_touches_no_other(generated):
    project = generated()
    project.make("notebook", "NAME=My own idea")
    project.commit()
    before, today = journal(project), f"{date.today():%Y%m%d}"

    printed = project.update("-d", "mongo=true", "-d", "jupyter_stack=r")
    new = [f"{today}-2-Explore_Documents.ipynb", f"{today}-3-Read_Table_In_R.ipynb"]
    assert [f"NEW in the journal, and yours from now on: ipynb/{name}" in printed for name in new] == [True, True]
    after = journal(project)
    assert after == before | {name: after[name] for name in new}
    text = after[new[0]].decode()
    assert f"# {date.today()} · Explore documents" in text and f"[Read Table In R]({new[1]})" in text
    assert all(f"]({name})" in project.text("ipynb/README.md") for name in new)
    for name in new:
        nbformat.validate(json.loads(after[name]))

    project.notebook("Explore_Documents").unlink()
    project.commit()
    assert "NEW in the journal" not in project.update("-d", "monitor_port=5123")
    if "DSPROJ_DRILL" not in os.environ:  # three updates more
        return
    project.commit()
    assert "NEW in the journal" not in project.update("-d", "jupyter_stack=datascience"), "it has the same notebook"
    project.commit()
    project.update("-d", "mongo=false")
    project.commit()
    project.update("-d", "mongo=true")
    assert project.notebook("Explore_Documents").name == f"{today}-4-Explore_Documents.ipynb"


def journal(project):
    return {path.name: path.read_bytes() for path in (project.path / "ipynb").glob("*.ipynb")}


def test_env_follows_a_changed_mind_without_losing_a_secret(generated):
    project = generated()
    secrets = project.env
    printed = project.update("-d", "mongo=true", "-d", "jupyter_port=9123", "-d", "stack=local")
    assert f".env keeps JUPYTER_PORT={secrets['JUPYTER_PORT']}; for the new one write JUPYTER_PORT=9123" in printed
    assert "MONITOR_PORT" not in printed
    if secrets["ENGINE"] != "local":
        assert ".env keeps ENGINE=docker" in printed
    assert project.env == secrets
    project.make_env()  # the first thing that `make up` does
    assert project.env.items() >= secrets.items() and re.fullmatch("[0-9a-f]{32}", project.env["MONGO_PASSWORD"])


# --- with a stack that runs ----------------------------------------------------------------------------------------------

FILL_STORES = """
from lib.cache import put
from lib.mongo import connect_to_mongo
put("mine", [1, 2])
connect_to_mongo().mine.things.insert_one({"mine": 42})
"""
READ_STORES = """
import humanize, toolz
from lib.cache import get
from lib.mongo import connect_to_mongo
from lib.postgres import mine
print(get("mine"), connect_to_mongo().mine.things.find_one()["mine"], mine())
"""


def up(project):
    """`make up` until all is healthy: how long a first start takes on a loaded machine is not the matter here."""
    deadline = time.monotonic() + 300
    while (done := command("make", "up", cwd=project.path)).returncode:
        assert time.monotonic() < deadline, done.printed
        time.sleep(0.3)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(UsedDocker, marks=pytest.mark.engine, id="docker"),
        pytest.param(UsedLocal, marks=pytest.mark.long, id="local"),
    ],
)
def test_an_update_under_a_running_stack(request, tmp_path, kind):
    if kind is UsedDocker:
        request.getfixturevalue("engine")
    template = Template(tmp_path / "template")
    project = kind(tmp_path / "project", f"{PREFIX}-update-{kind.kind}")
    project.remove()
    try:
        sample = ROOT / "hooks/samples/adult.data"
        project.generate(template.path, mongo=True, dataset_source=sample, **ANSWERS)
        up(project)
        project.notebooks(first=2)
        use(project)
        project.commit()
        project.python(FILL_STORES)
        project.sql("CREATE TABLE mine AS SELECT 42 AS answer")
        rows = project.sql("SELECT count(*), sum(target) FROM adult")
        before, head, running = snapshot(project), project.git("rev-parse", "HEAD"), project.process_ids()

        template.next_release()
        printed = project.update()
        check_updated(project, before, head)
        assert "Nothing was restarted; when it suits you: make up" in printed
        assert project.process_ids() == running and set(project.states().values()) == {"healthy"}

        up(project)
        states = project.states()
        assert set(states.values()) - {""} == {"healthy"}, states
        assert ("my_service" in states) == (kind is UsedDocker)
        assert project.sql("SELECT answer FROM mine") == "42"
        assert project.sql("SELECT count(*), sum(target) FROM adult") == rows
        assert project.python(READ_STORES).strip() == "[1, 2] 42 MY FUNCTION"
        now = snapshot(project)
        now.pop("requirements.lock"), before.pop("requirements.lock")  # made anew by make up
        assert now == before and all(f"\n{each}==" in project.text(LOCKS[0]) for each in ("humanize", "toolz"))
    finally:
        project.remove()

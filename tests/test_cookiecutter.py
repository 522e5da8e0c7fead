"""The front door for Cookiecutter: the same questions, and to the byte the project that Copier makes."""

import json
import os
import subprocess
import sys

import copier
import pytest
import yaml
from conftest import ROOT, checked, command, generate
from releases import Template
from stacks import IDENTITY
from test_render import DATASETS

from hooks import cookiecutter_json

# Beside .git: made for each project anew, with random passwords.
RANDOM = {".env"}


@pytest.fixture(scope="module")
def front_door(tmp_path_factory):
    """A repository of the template that has Cookiecutter's files too, at v0.1.0."""
    template = Template(tmp_path_factory.mktemp("front-door") / "dsproj")
    template.git("tag", "--delete", "v0.1.0")
    for name in ("cookiecutter.json", "{{cookiecutter.__folder}}"):
        checked("cp", "-R", ROOT / name, template.path)
    template.release("v0.1.0", "First, with Cookiecutter")
    return template


def cookiecutter(template, folder, **answers):
    """What a person types who takes Cookiecutter; the finished process."""
    given = [f"{name}={value}" for name, value in answers.items()]
    return command(
        sys.executable, "-m", "cookiecutter", "--no-input", template, *given, cwd=folder,
        env=os.environ | IDENTITY | {"PWD": str(folder), "COOKIECUTTER_CONFIG": "/dev/null"},
    )  # fmt: skip


def tree(path):
    names = (file.relative_to(path) for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc")
    kept = {name for name in names if name.parts[0] != ".git" and str(name) not in RANDOM}
    return {str(name): ((path / name).read_bytes(), (path / name).stat().st_mode) for name in kept}


def test_the_questions_are_those_of_copier():
    assert (ROOT / "cookiecutter.json").read_text() == cookiecutter_json.text(), (
        "copier.yml and cookiecutter.json differ: python -m hooks.cookiecutter_json"
    )
    asked = json.loads((ROOT / "cookiecutter.json").read_text())
    questions = yaml.safe_load((ROOT / "copier.yml").read_text())
    hidden = {name for name, question in questions.items() if not name.startswith("_") and question.get("ask") is False}
    assert {name for name in asked if not name.startswith("_")} == {
        name for name in questions if not name.startswith("_")
    } - hidden - {"details"}
    assert set(asked["__prompts__"]) == {name for name in asked if not name.startswith("_")}


@pytest.mark.parametrize("mongo", ["False", "True"], ids=["plain", "mongo"])
@pytest.mark.parametrize("dataset", DATASETS)
def test_the_project_is_copiers_to_the_byte(front_door, tmp_path, dataset, mongo):
    (tmp_path / "crops.csv").write_text("id,yield\n1,2.5\n")
    samples = {"adult": "adult.data", "breast_cancer": "breast-cancer-wisconsin.data"}
    sources = {name: ROOT / "hooks/samples" / file for name, file in samples.items()} | {"csv": tmp_path / "crops.csv"}
    answers = {"project_name": 'Crop "Yields"', "stack": "none", "dataset": dataset, "mongo": mongo, "table_name": "t"}
    answers |= {"dataset_source": str(sources[dataset])} if dataset in sources else {}
    done = cookiecutter(front_door.path, tmp_path, **answers)
    assert done.returncode == 0 and "is generated" in done.printed, done.printed
    if dataset == "csv":  # its schema is written by a step of generation
        done = generate(front_door.path, tmp_path / "copier", cwd=tmp_path, env=IDENTITY, **answers)
        assert done.returncode == 0, done.printed
    else:
        options = {"defaults": True, "unsafe": True, "quiet": True, "skip_tasks": True}
        data = answers | {"mongo": mongo == "True"}
        copier.run_copy(str(front_door.path), tmp_path / "copier", data=data, **options)
    one, other = tree(tmp_path / "crop-yields"), tree(tmp_path / "copier")
    assert other.keys() <= one.keys()
    # What the steps make: credentials, and the data.
    assert {name for name in one.keys() - other.keys() if not name.startswith(("data/", "config/"))} == set()
    assert [name for name in other if one[name] != other[name]] == []
    assert "_commit: v0.1.0" in (tmp_path / "crop-yields/.copier-answers.yml").read_text()


def test_copier_updates_what_cookiecutter_began_and_a_wrong_answer_is_told(front_door, tmp_path):
    done = cookiecutter(front_door.path, tmp_path, project_name="x", project_slug="9-x", dataset="none", stack="none")
    assert done.returncode and "2 to 63 characters: a lower-case letter first" in done.printed
    assert not (tmp_path / "9-x").exists()  # Cookiecutter's own way with a project that did not come about

    done = cookiecutter(front_door.path, tmp_path, project_name="Mine", dataset="none", stack="none")
    assert done.returncode == 0, done.printed
    front_door.next_release()
    project = tmp_path / "mine"
    update = [sys.executable, "-m", "copier", "update", "--trust", "--defaults"]
    done = subprocess.run(update, cwd=project, capture_output=True, text=True, env=os.environ | IDENTITY)
    assert done.returncode == 0, done.stderr
    assert "shm_size: 384m" in (project / "docker-compose.yml").read_text()

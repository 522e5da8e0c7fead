"""The README keeps its word: its links lead somewhere, and its first command, as it stands, makes a running project."""

import os
import re
import subprocess

import pytest
import yaml
from conftest import PREFIX, ROOT, checked, command, remove_stack

README = (ROOT / "README.md").read_text()
GENERATE, TEST = re.findall(r"^python3 -m venv .*$", README, re.M)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_inside_the_repository_lead_somewhere(name):
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", (ROOT / name).read_text())
    assert targets or name == "CHANGELOG.md"
    for target in targets:
        assert (ROOT / target).exists(), target


def test_no_placeholder_is_left():
    assert not re.search(r"TRANSCRIPT|FIGURES|TODO|FIXME", README)


def test_ci_runs_the_test_command():
    script = (ROOT / ".ci/run").read_text()
    for part in TEST.split(" && "):
        assert part.replace("-q", "--quiet") in script


def test_every_question_of_the_contract_is_explained():
    questions = yaml.safe_load((ROOT / "copier.yml").read_text())
    for name in [name for name, question in questions.items() if name[0] != "_" and question.get("ask") is not False]:
        assert f"`{name}`" in README, name


@pytest.mark.parametrize("kind", [pytest.param("docker", marks=pytest.mark.engine), "local"])
def test_first_command_in_a_fresh_clone(kind, tmp_path, request):
    """Only its target folder is another, so that nobody's own "myproj" is in the way."""
    name = f"{PREFIX}-readme-{kind}"
    environment = os.environ | {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    environment |= {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org"}
    if kind == "docker":
        request.getfixturevalue("engine")
        remove_stack(name)
    else:
        environment["DOCKER_HOST"] = f"unix://{tmp_path}/no-engine.sock"
    clone, project = tmp_path / "dsproj", tmp_path / name
    checked("git", "clone", "--quiet", ROOT, clone)
    try:
        done = subprocess.run(
            ["bash", "-c", GENERATE.replace("../myproj", f"../{name}")],
            cwd=clone, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        printed = done.stdout + done.stderr
        assert done.returncode == 0, printed
        assert f"{name} is running." in printed and "README.md?token=" in printed, printed
        assert re.search(r"table adult, (32,561|400) rows", printed)
        assert checked("git", "status", "--porcelain", cwd=project) == ""
        ran = command("make", "test", cwd=project, env=environment)
        assert ran.returncode == 0 and "passed" in ran.printed, ran.printed
    finally:
        command("make", "down", cwd=project, env=environment)
        if kind == "docker":
            remove_stack(name)

"""The hooks of pre-commit, as a project has them: a fresh one passes all, and what looks like a key does not get into git.

`make check` is in test_inside.py.
"""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT, checked, command
from stacks import IDENTITY

from hooks import repository
from hooks.project import Project

# Put together here, so that no tool takes this file for what it looks for.
AWS = "AKIA" + "Q3EGRZ7YJ5KXW2LB"


def test_the_hooks_and_make_check_have_the_same_versions():
    hooks = yaml.safe_load((ROOT / "template/.pre-commit-config.yaml").read_text())["repos"][-1]["hooks"]
    wanted = {hook["id"]: hook["additional_dependencies"][0] for hook in hooks}
    requirements = (ROOT / "template/docker/jupyter/requirements.txt.jinja").read_text()
    for name in ("keys", "ruff-check", "ruff-format"):
        assert re.search(rf"^{re.escape(wanted[name])}\b", requirements, re.M), name


@pytest.mark.index
def test_a_fresh_project_passes_all_hooks_and_a_key_is_stopped(render, tmp_path, monkeypatch):
    uv, tools = shutil.which("uv"), tmp_path / "tools"
    monkeypatch.setenv("UV_TOOL_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_TOOL_BIN_DIR", str(tools))
    if not uv or subprocess.run([uv, "tool", "install", "pre-commit==4.7.0"], capture_output=True).returncode:
        pytest.skip("pre-commit is not to be had")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "hooks"))
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    project = render(mongo=True)
    made = repository.commit(Project(project))
    assert "pre-commit checks what you commit" in made.text and (project / ".git/hooks/pre-commit").exists()
    run = ["pre-commit", "run", "--all-files"]
    done = command(*run, cwd=project)
    assert done.returncode == 0 and re.search(r"keys and passwords\.+Passed", done.printed), done.printed
    assert done.printed.count("Passed") == 7 and checked("git", "diff", cwd=project) == ""
    run.append("keys")
    notebook = next((project / "ipynb").glob("*-1-*.ipynb"))
    for path, text in [
        (project / "lib" / "cloud.py", f'KEY = "{AWS}"\n'),
        (notebook, notebook.read_text().replace("import os", f"import os  # {AWS}", 1)),
    ]:
        before = path.read_text() if path.exists() else ""
        path.write_text(text)
        checked("git", "add", path, cwd=project)
        done = command(*run, cwd=project)
        assert done.returncode == 1 and "AWS Access Key" in done.printed and path.name in done.printed, done.printed
        path.write_text(before or f'KEY = "{AWS}"  # pragma: allowlist secret\n')
        checked("git", "add", path, cwd=project)
    assert command(*run, cwd=project).returncode == 0

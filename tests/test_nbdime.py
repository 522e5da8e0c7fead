"""Notebooks are compared and merged cell by cell where nbdime is installed, and git works as ever where it is not."""

import json
import os
import shutil
import subprocess

import pytest
from conftest import checked, command
from stacks import IDENTITY
from test_render import make_env


@pytest.mark.index
def test_git_goes_by_nbdime_where_it_is(render, tmp_path, monkeypatch):
    uv, tools = shutil.which("uv"), tmp_path / "tools"
    install = [uv, "tool", "install", "--quiet", "nbdime==4.0.4"]
    environment = os.environ | IDENTITY | {"UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(tools)}
    if not uv or subprocess.run(install, capture_output=True, env=environment).returncode:
        pytest.skip("nbdime is not to be had")
    project = render()
    notebook = next((project / "ipynb").glob("*-2-*.ipynb"))

    def git(*words):
        return checked("git", *words, cwd=project, env=os.environ | IDENTITY)

    def edit(number, text):
        cells = json.loads(notebook.read_text())
        cells["cells"][number]["source"] = [text]
        notebook.write_text(json.dumps(cells, indent=1, ensure_ascii=False) + "\n")
        git("commit", "--quiet", "--all", "--message", text)

    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    make_env(project, "local")
    git("commit", "--quiet", "--message", "First")
    git("switch", "--quiet", "--create", "other")
    edit(0, "the other's first cell")
    assert "nbdiff" not in git("diff", "main")
    git("switch", "--quiet", "main")
    edit(1, "mine")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    make_env(project, "local")
    assert "nbdiff" in git("diff", "other")
    git("merge", "--quiet", "--message", "Both", "other")
    cells = json.loads(notebook.read_text())["cells"]
    assert ["".join(cell["source"]) for cell in cells[:2]] == ["the other's first cell", "mine"]
    monkeypatch.setenv("PATH", os.environ["PATH"].replace(f"{tools}:", ""))
    make_env(project, "local")  # nbdime has gone
    assert command("git", "diff", "HEAD~1", cwd=project).returncode == 0

"""What looks like a key does not get into git: the hook of pre-commit, as a project has it. `make check` is in test_inside.py."""

import re
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT, checked, command
from stacks import IDENTITY

# Put together here, so that no tool takes this file for what it looks for.
AWS = "AKIA" + "Q3EGRZ7YJ5KXW2LB"


def test_the_hook_and_make_check_have_the_same_version():
    hooks = yaml.safe_load((ROOT / "template/.pre-commit-config.yaml").read_text())["repos"][-1]["hooks"]
    (wanted,) = (each for hook in hooks if hook["id"] == "keys" for each in hook["additional_dependencies"])
    assert f"\n{wanted} " in (ROOT / "template/docker/jupyter/requirements.txt.jinja").read_text()


@pytest.mark.index
def test_a_commit_with_a_key_is_stopped_and_a_fresh_project_is_not(render, tmp_path, monkeypatch):
    uv = shutil.which("uv")
    if not uv or subprocess.run([uv, "tool", "run", "pre-commit@4.7.0", "--version"], capture_output=True).returncode:
        pytest.skip("pre-commit is not to be had")
    project = render(mongo=True)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "hooks"))
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    checked("git", "init", "--quiet", cwd=project)
    checked("git", "add", ".", cwd=project)
    # The other hooks come from a forge; of the file that the project has, this is the part that needs a package index alone.
    config = yaml.safe_load((project / ".pre-commit-config.yaml").read_text())
    config["repos"] = [each for each in config["repos"] if each["repo"] == "local"]
    (tmp_path / "local.yaml").write_text(yaml.safe_dump(config))
    run = [uv, "tool", "run", "pre-commit@4.7.0", "run", "--config", tmp_path / "local.yaml", "keys", "--all-files"]
    done = command(*run, cwd=project)
    assert done.returncode == 0 and re.search(r"keys and passwords\.+Passed", done.printed), done.printed
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

"""What runs after each push of a generated project: valid for the forge, and its commands succeed in a clean clone."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from conftest import PREFIX, ROOT, checked, command, free_port, generate
from stacks import BOTH, IDENTITY, ODD_CSV, LocalStack

GITHUB, GITLAB = ".github/workflows/ci.yml", ".gitlab-ci.yml"
FOLDERS = [("ipynb", "ipynb"), ("reports", "html")]
STEPS = ["make up", "make check", "make test", "make report"]


def tool(name, *words):
    return checked(Path(sys.executable).with_name(name), *words)


def steps(project):
    """(the commands, the variables) of GitHub's workflow, or of GitLab's."""
    if (project / GITLAB).exists():
        job = yaml.safe_load((project / GITLAB).read_text())["check"]
        return job["script"], job["variables"]
    job = yaml.safe_load((project / GITHUB).read_text())["jobs"]["check"]
    return [step["run"] for step in job["steps"] if "run" in step], job["env"]


def test_each_forge_understands_it(render):
    github, gitlab, none = render("a"), render("b", ci="gitlab"), render("c", ci="none")
    tool("actionlint", github / GITHUB)
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", github / GITHUB)
    tool("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", gitlab / GITLAB)
    assert not (github / GITLAB).exists() and not (gitlab / ".github").exists()
    assert not (none / "CITATION.cff").exists()  # nobody to name
    assert not (none / GITLAB).exists() and not (none / ".github").exists()
    assert steps(github) == steps(gitlab) == (STEPS, {"ENGINE": "local"})


@pytest.mark.parametrize("license", ["MIT", "BSD-3-Clause", "Apache-2.0", "none"])
def test_license_and_citation_follow_the_answers(render, license):
    author = 'Ada "Countess" Lovelace: #1'
    project = render(license=license, author_name=author, created_on="2026-11-22")
    text = (project / "LICENSE").read_text() if license != "none" else ""
    assert license == "none" or license.split("-")[0] in text
    assert license not in ("MIT", "BSD-3-Clause") or f"Copyright (c) 2026 {author}" in text
    assert (f'license = "{license}"' in (project / "pyproject.toml").read_text()) == (license != "none")
    tool("check-jsonschema", "--builtin-schema", "vendor.citation-file-format", project / "CITATION.cff")
    cited = yaml.safe_load((project / "CITATION.cff").read_text())
    assert cited["authors"] == [{"name": author}] and cited.get("license", "none") == license
    assert (project / "LICENSE").exists() == (license != "none")


def test_its_commands_succeed_in_a_clean_clone(template, tmp_path):
    """With a data set of one's own, which is in git with the project."""
    project, source = tmp_path / "project", tmp_path / "Crop Yields.csv"
    source.write_text(ODD_CSV)
    answers = {"jupyter_port": free_port(22000), "monitor_port": free_port(23000), "stack": "none"}
    answers |= {"project_slug": f"{PREFIX}-ci", "dataset": "csv", "dataset_source": source}
    made = generate(template, project, env=IDENTITY, **answers)
    assert made.returncode == 0 and "commit" in made.printed, made.printed
    clone = LocalStack(tmp_path / "clone", f"{PREFIX}-ci")
    checked("git", "clone", "--quiet", project, clone.path)
    try:
        commands, variables = steps(clone.path)
        for each in commands:
            done = command(*shlex.split(each), cwd=clone.path, env=os.environ | variables)
            assert done.returncode == 0, f"{each}:\n{done.printed}"
        assert clone.env["ENGINE"] == "local" and (clone.path / "reports/index.html").exists()
        values = clone.sql("SELECT count(*), sum(yield), max(crop_name), max(column_when) FROM crop_yields")
        assert values == "3|7.5|Wheat; winter|2026-03-01"
        notebooks, pages = (
            {path.stem for path in (clone.path / folder).rglob(f"*.{ending}")} for folder, ending in FOLDERS
        )
        assert notebooks <= pages and len(notebooks) >= 7
        assert clone.git("status", "--porcelain") == ""
    finally:
        clone.remove()


@pytest.mark.long
@pytest.mark.parametrize("kind", BOTH)
def test_a_second_person_gets_the_same_figures(made, tmp_path, kind, adult):
    """All results of all notebooks, but for those that tell seconds and megabytes: `make report` itself compares them."""
    first = made(kind, name=f"person-{kind.kind}", dataset_source=adult or ROOT / "hooks/samples/adult.data")
    first.make("report")
    first.make("destroy", "FORCE=1")  # the second one has the same name, and an engine of its own
    clone = kind(tmp_path / "clone", first.slug)
    checked("git", "clone", "--quiet", first.path, clone.path)
    shutil.copy(first.path / "data/adult.data", clone.path / "data")
    shutil.copytree(first.path / "reports", clone.path / "reports")
    try:
        clone.make("up", f"ENGINE={kind.kind}")
        said = clone.make("report", f"ENGINE={kind.kind}")
    finally:
        clone.remove()
    assert said.count("as before") == len(list((clone.path / "ipynb").glob("*.ipynb"))) >= 8, said
    assert "changed" not in said

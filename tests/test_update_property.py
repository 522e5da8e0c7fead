"""Whatever a user has edited and whatever the template changes: an update loses no line of the user's without a word.

DSPROJ_DRILL is the number of examples, 3 by default.
"""

import json
import os
import re
import shutil
import sys

import copier
import nbformat
import pytest
from conftest import checked, command
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from releases import Template
from stacks import IDENTITY

EXAMPLES = int(os.environ.get("DSPROJ_DRILL", "3"))
# What a line may hold, beyond the mark by which it is known again.
TAILS = ["", " größe 数据", ' "quoted" \\n', " %s {x}", "\t", " <b>&amp;</b>"]
ADDED_BY_BOTH = "lib/both.py"


class Ground:
    """A template in git at v0.1.0 and a project made from it, both copied or put back for each example."""

    def __init__(self, folder):
        self.template = Template(folder / "template")
        self.original, self.project = folder / "original", folder / "project"
        options = {"defaults": True, "unsafe": True, "quiet": True, "skip_tasks": True, "vcs_ref": "v0.1.0"}
        data = {"created_on": "2026-11-22", "stack": "none", "mongo": True}
        copier.run_copy(str(self.template.path), self.original, data=data, **options)
        self.git("init", "--quiet", "--initial-branch=main", cwd=self.original)
        make_env = "from dsproj.host import first_env; first_env.make('local')"
        checked(sys.executable, "-c", make_env, env=os.environ | {"PYTHONPATH": str(self.original / ".dsproj")})
        self.git("add", "--all", cwd=self.original)
        self.git("commit", "--quiet", "--message", "Generate", cwd=self.original)
        tracked = self.git("ls-files", cwd=self.original).splitlines()
        self.files = [name for name in tracked if not name.startswith((".copier-answers", "ipynb/"))]
        self.notebooks = [name for name in tracked if name.startswith("ipynb/")]
        sources = [path.relative_to(self.template.path / "template") for path in self.template.find()]
        self.sources = [str(path) for path in sources if path.suffix != ".ipynb" and ".ipynb" not in path.name]
        self.sources = [name for name in self.sources if "copier_conf" not in name and "dataset" not in name]

    def git(self, *arguments, cwd):
        return checked("git", "-c", "core.quotePath=false", *arguments, cwd=cwd, env=os.environ | IDENTITY)

    def reset(self):
        shutil.rmtree(self.project, ignore_errors=True)
        shutil.copytree(self.original, self.project, symlinks=True)
        self.template.git("checkout", "--quiet", "--force", "--detach", "v0.1.0")


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return Ground(tmp_path_factory.mktemp("ground"))


KINDS = ["insert", "insert", "insert", "replace", "replace", "cut", "delete", "rename", "no newline"]
edits = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 10**6), st.floats(0, 1), st.sampled_from(TAILS)),
    min_size=1,
    max_size=6,
)
flags = st.fixed_dictionaries(
    {name: st.booleans() for name in ("add_both", "run_notebook", "add_notebook", "delete_notebook", "close")}
)


def is_plain(line):
    """No Jinja in it, so that it can be replaced or cut without breaking the template."""
    return not re.search(r"\{[{%#]|[}%#]\}", line)


def change(lines, kind, place, mark, plain=lambda line: True):
    """Edit a list of lines in place; returns whether `mark` is now in it."""
    at = int(place * len(lines))
    if kind == "insert" or not lines:
        lines.insert(at, mark + "\n")
        return True
    at = min(at, len(lines) - 1)
    if kind == "replace" and plain(lines[at]):
        lines[at] = mark + "\n"
        return True
    if kind == "cut":
        lines[at : at + 5] = [line for line in lines[at : at + 5] if not plain(line)]
    if kind == "no newline":
        lines[-1] = lines[-1].rstrip("\n")
    return False


def edit_file(path, kind, place, mark, plain=lambda line: True):
    """True where `mark` is in the file afterwards."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    added = change(lines, kind, place, mark, plain)
    path.write_text("".join(lines), encoding="utf-8")
    return added


def user_edits(ground, chosen, options):
    """Edit the project and commit; returns {mark: file} of the user's lines, and the files taken away or renamed."""
    marks, gone = {}, set()
    for count, (kind, which, place, tail) in enumerate(chosen):
        name = ground.files[which % len(ground.files)]
        path, mark = ground.project / name, f"# user-line-{count}-end{tail}"
        if not path.exists():
            continue
        if kind == "delete":
            path.unlink()
            gone.add(name)
        elif kind == "rename":
            path.rename(path.with_name(f"mine_{count}_{path.name}"))
            gone.add(name)
        elif edit_file(path, kind, place, mark):
            marks[mark] = name
    if options["add_both"]:
        (ground.project / ADDED_BY_BOTH).write_text("# user-line-both-end\n")
        marks["# user-line-both-end"] = ADDED_BY_BOTH
    if options["run_notebook"]:
        path = ground.project / ground.notebooks[0]
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell("mine", outputs=[nbformat.v4.new_output("stream", text="out")]))
        nbformat.write(notebook, path)
    if options["add_notebook"]:
        nbformat.write(nbformat.v4.new_notebook(), ground.project / "ipynb/20270101-Mine.ipynb")
    if options["delete_notebook"]:
        (ground.project / ground.notebooks[1]).unlink()
    ground.git("add", "--all", cwd=ground.project)
    ground.git("commit", "--quiet", "--allow-empty", "--message", "Work", cwd=ground.project)
    # A mark may have been replaced or its file deleted by a later edit of the user's own.
    tree = everything(ground.project)
    return {mark: name for mark, name in marks.items() if mark in tree}, gone


def template_changes(ground, chosen, options):
    """Edit the template and release it as v0.2.0."""
    for count, (kind, which, place, tail) in enumerate(chosen):
        name = ground.sources[which % len(ground.sources)]
        path, mark = ground.template.path / "template" / name, f"# template-line-{count}-end"
        if not path.exists() or kind == "rename":
            continue
        if kind == "delete":
            path.unlink()
        else:
            edit_file(path, kind, place, mark + tail.replace("{", "("), is_plain)
    if options["add_both"]:
        (ground.template.path / "template" / ADDED_BY_BOTH).write_text("# template-line-both-end\n")
    for notebook in ground.template.find(".ipynb"):
        notebook.write_text(notebook.read_text().replace("# ", "# NEWS ", 1))
    ground.template.git("add", "--all")
    ground.template.git("commit", "--quiet", "--message", "v0.2.0")
    ground.template.git("tag", "--force", "v0.2.0")


def everything(project):
    """All text of the working tree."""
    left_out = {".git", "__pycache__"}
    paths = (
        path for path in project.rglob("*") if path.is_file() and not left_out & {*path.relative_to(project).parts}
    )
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def untouchable(project):
    paths = [project / ".env", *sorted((project / "ipynb").iterdir())]
    return {path.name: path.read_bytes() for path in paths}


@settings(max_examples=EXAMPLES, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck), database=None)
@given(mine=edits, theirs=edits, options=flags)
def test_no_line_of_the_users_is_lost(ground, mine, theirs, options):
    ground.reset()
    if options["close"]:  # both at work on the same files
        theirs = [(kind, mine[i % len(mine)][1], place, tail) for i, (kind, _, place, tail) in enumerate(theirs)]
        names = [ground.files[which % len(ground.files)] for _, which, _, _ in theirs]
        at = [next((i for i, source in enumerate(ground.sources) if rendered(source) == name), 0) for name in names]
        theirs = [(kind, i, place, tail) for (kind, _, place, tail), i in zip(theirs, at, strict=True)]
    marks, gone = user_edits(ground, mine, options)
    template_changes(ground, theirs, options)
    before = untouchable(ground.project)

    options = ["--defaults", "--trust", "--skip-tasks", "--vcs-ref", "v0.2.0"]
    done = command(sys.executable, "-m", "copier", "update", *options, cwd=ground.project)
    report = done.printed
    note(report)
    assert done.returncode == 0
    for word in ("CONFLICT", "REMOVED", "KEPT", "MERGED"):
        event(f"{word}: {word in report}")
    tree, head = everything(ground.project), ground.git("rev-parse", "HEAD", cwd=ground.project)
    given_up = {
        name for name in ground.files if not (ground.template.path / "template" / source_of(ground, name)).exists()
    }
    for mark, name in marks.items():
        assert mark in tree, mark
        if name in given_up:
            assert f"KEPT: the template has no {name} any more" in report, mark
    for name in gone:
        assert not (ground.project / name).exists(), name
    for name in ground.git("diff", "--name-only", "--diff-filter=U", cwd=ground.project).splitlines():
        assert f"CONFLICT in {name}:" in report
    assert (tree.count("\n<<<<<<< ") > 0) <= ("CONFLICT" in report)
    assert not list(ground.project.rglob("*.rej"))
    assert untouchable(ground.project) == before
    for path in (ground.project / "ipynb").glob("*.ipynb"):
        nbformat.validate(json.loads(path.read_text(encoding="utf-8")))
    assert head == ground.git("rev-parse", "main", cwd=ground.project)


def source_of(ground, name):
    """The file of the template that a file of the project comes from, "" where that is not known."""
    return next((source for source in ground.sources if rendered(source) == name), "")


def rendered(source):
    """The name of the file that a file of the template becomes, as far as it is needed here."""
    return re.sub(r"\{%.*?%\}", "", source).removesuffix(".jinja")

"""What messages tell to type is there to be typed."""

import ast
import re
import shlex

import pytest
from conftest import ROOT, checked, command
from stacks import LocalStack, stack_of

TEMPLATE = ROOT / "template"
# The Makefile, and what it includes where jobs may run on several machines.
MAKEFILES = "\n".join(path.read_text() for path in [TEMPLATE / "Makefile", *TEMPLATE.rglob("targets.mk")])
TARGETS = set(" ".join(re.findall(r"^([a-z][a-z -]*):(?!=)", MAKEFILES, re.M)).split())
VARIABLES = {"ENGINE", "PYTHON3", *" ".join(re.findall(r"^VARIABLES \+?:?= *(.*)$", MAKEFILES, re.M)).split()}
WORDS = set(
    "a all an any each it its more new no of one own room some sure that the them this up-to-date use way your".split()
)  # plain English after "make"


def messages():
    """(file, text) of every string of the template's and the hooks' Python that is no docstring."""
    for path in [*TEMPLATE.rglob("*.py"), *(ROOT / "hooks").rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
                yield path.relative_to(ROOT).as_posix(), node.value


def test_every_command_of_make_that_a_message_names_exists():
    named = [
        (path, found)
        for path, text in messages()
        for found in re.finditer(r"\bmake ([a-z][a-z-]*)((?: [A-Z]\w*=)?)", text)
    ]
    assert len(named) > 50
    for path, found in named:
        target, variable = found[1], found[2].strip(" =")
        assert target in TARGETS | WORDS, f"{path}: {found[0]}"
        assert not variable or variable in VARIABLES, f"{path}: {found[0]}"


# --- brought about, read, typed ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(request, tmp_path_factory):
    """One running project for all of them, beside it the files of their data sets."""
    folder = tmp_path_factory.mktemp("advice")
    for name in ("crops", "rye"):
        (folder / f"{name}.csv").write_text("plot,yield\n1,2.5\n2,3.5\n")
    with stack_of(request, LocalStack, folder / "project", "advice") as made:
        yield made.generate(dataset="none")


def advice(printed):
    """The command behind the last "To finish:"."""
    return re.findall(r"^To finish: (.*?)(?:, or .*)?$", printed, re.M)[-1]


def advised(project, *words, fill=("", "")):
    """`make words` fails; what it says is typed, with one placeholder filled in, and does its work. What was said."""
    done = command("make", *words, cwd=project.path)
    assert done.returncode and "Traceback" not in done.printed and "usage:" not in done.printed, done.printed
    typed = advice(done.printed).replace(*fill)
    assert "<" not in typed and "…" not in typed, typed
    checked("sh", "-c", typed, cwd=project.path)
    return done.printed


def test_advice_on_a_missing_or_wrong_value(project):
    assert "Which command?" in advised(project, "exec")
    assert "N=abc is no number from 0 to 32" in advised(project, "scale", "N=abc")
    assert project.workers() == 4
    project.make("scale", "N=1")


def test_advice_on_data_sets(project):
    crops, rye = (project.path.parent / f"{name}.csv" for name in ("crops", "rye"))
    assert "no data set yet" in advised(project, "dataset", fill=("<path or link>", str(crops)))
    project.make("dataset")
    assert "no data set makes a table x" in advised(project, "seed", "TABLE=x", fill=("<one of them>", "crops"))
    # The file that data/ had is gone.
    (project.path / "data/crops.csv").unlink()
    again = ["seed", "TABLE=crops", "FORCE=1"]
    copied = ("copy the file to data/crops.csv, then:", f"cp {shlex.quote(str(crops))} data/crops.csv &&")
    assert "data/crops.csv is missing" in advised(project, *again, fill=copied)
    assert "crops: 2 rows" in project.make(*again)
    # Where it came from there is another one now.
    crops.write_text(crops.read_text() + "3,4.5\n")
    assert "this is another file than data/crops.csv" in advised(project, "dataset", f"SOURCE={crops}")
    assert project.sql("SELECT count(*) FROM crops") == "3"
    # The name of the table is taken, and a data set that is there is meant by a word that is none.
    project.sql("CREATE TABLE rye ()")
    assert "is the name of a table" in advised(project, "dataset", f"SOURCE={rye}", fill=("…", shlex.quote(str(rye))))
    assert project.sql("SELECT count(*) FROM rye_data") == "2"
    project.sql("DROP TABLE rye_data; DELETE FROM dsproj_seed WHERE table_name = 'rye_data'")
    assert "there are: crops, rye_data" in advised(project, "dataset", "DROP=oats", fill=("<one of them>", "rye_data"))
    # A table that is refused; the mended file is taken.
    oats = crops.with_name("oats.csv")
    oats.write_text("plot,yield\n1\n")
    said = command("make", "dataset", f"SOURCE={oats}", cwd=project.path).printed
    assert "line 2 has 1 value, the header has 2" in said
    oats.write_text("plot,yield\n1,2\n")
    assert "oats: 1 rows" in project.make("dataset", f"SOURCE={oats}")


def test_advice_on_a_stopped_stack(project):
    project.make("down")
    advised(project, "psql")
    assert set(project.states().values()) == {"healthy"}
    project.make("backup")

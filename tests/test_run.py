"""Which notebooks `make run` means, and with which parameters. That they run is tested on running stacks, in test_stack.py."""

import sys

import nbformat
import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_notebook

sys.path.insert(0, str(ROOT / "template" / ".dsproj"))

from dsproj.errors import Problem
from dsproj.kernel import run

NAMES = ["20261124-2-Look", "20261124-10-Encode_target", "20261125-2-Plot", "20261125-3-A 'b' \"c\"", "zoo"]
PARAMETERS = "year: int = 2024\ntitle = 'a'  # of the plot\nprint(year == 2024)\n%matplotlib inline"


@pytest.fixture
def journal(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PROJECT", tmp_path)
    (tmp_path / "ipynb" / ".ipynb_checkpoints").mkdir(parents=True)
    for name in [*reversed(NAMES), ".hidden"]:
        nbformat.write(new_notebook(), tmp_path / "ipynb" / f"{name}.ipynb")
    return tmp_path


def test_the_journal_is_read_by_day_and_number(journal):
    assert [path.stem for path in run.journal()] == NAMES


@pytest.mark.parametrize(
    "wanted, found",
    [
        ("", NAMES),
        ("10", [NAMES[1]]),
        ("03", [NAMES[3]]),
        ("20261125", NAMES[2:4]),
        ("20261125-2", [NAMES[2]]),
        ("encode target", [NAMES[1]]),
        ("'b' \"C\"", [NAMES[3]]),
        ("ipynb/zoo.ipynb", ["zoo"]),
        ("elsewhere/kept.ipynb", ["kept"]),
    ],
)
def test_nb_is_a_number_a_path_or_a_part_of_the_name(journal, wanted, found):
    (journal / "elsewhere").mkdir()
    nbformat.write(new_notebook(), journal / "elsewhere" / "kept.ipynb")
    assert [path.stem for path in run.find(wanted)] == found


@pytest.mark.parametrize(
    "wanted, said",
    [
        ("2", f"more than one has that number: {NAMES[0]}, {NAMES[2]}"),
        ("4", f"no such notebook; there are: {', '.join(NAMES)}"),
        ("ipynb/none.ipynb", "no such notebook"),
        ("0", "no such notebook"),
        ("..", "no such notebook"),
    ],
)
def test_what_nb_does_not_mean_is_said_with_what_there_is(journal, wanted, said):
    with pytest.raises(Problem) as problem:
        run.find(wanted)
    assert said in str(problem.value) and "\n" not in str(problem.value)


def test_an_empty_journal_has_no_notebook(journal):
    for path in run.journal():
        path.unlink()
    with pytest.raises(Problem, match="none"):
        run.find("")


@pytest.mark.parametrize(
    "text, value",
    [
        ("n=3", 3),
        ("n=-1.5e3", -1500.0),
        ("n=None", None),
        ("n=[1,2]", [1, 2]),
        ("'n=[1, 2]'", [1, 2]),
        ("n=2026-11-24", "2026-11-24"),
        ("n='two words'", "two words"),
        ("n=\"'3'\"", "3"),
        ("n=a=b", "a=b"),
        ("n=", ""),
        ("n=$(touch/x)", "$(touch/x)"),
        ("n=__import__('os')", "__import__(os)"),
        ("n=ä", "ä"),
        ("n=3 n=4", 4),
        ("n=1e999", float("inf")),
    ],
)
def test_a_value_is_a_python_literal_or_text(text, value):
    parsed = run.parse(text)
    assert eval(parsed["n"], {"__builtins__": {}}) == value and len(parsed) == 1


@pytest.mark.parametrize("text", ["n", "=3", "1n=3", "n-m=3", "n='", "year = 3"])
def test_what_is_no_parameter_is_said(text):
    with pytest.raises(Problem, match="SET"):
        run.parse(text)


def test_parameters_come_after_their_defaults_and_nowhere_else():
    cells = [new_code_cell("import os"), new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    cells += [new_code_cell("year = 1", metadata={"tags": ["injected-parameters"]}), new_code_cell("year")]
    notebook = new_notebook(cells=cells)
    assert run.parameters(notebook) == ["year", "title"]
    run.inject(notebook, {"other": "1"})
    assert notebook.cells == cells
    run.inject(notebook, {"year": "2000", "other": "1"})
    assert [cell.source for cell in notebook.cells] == ["import os", PARAMETERS, "year = 2000", "year"]
    assert [cell.source for cell in run.code_cells(notebook)] == ["import os", PARAMETERS, "year"]


def test_a_parameter_that_no_notebook_has_is_said_with_those_there_are(journal):
    (journal / "ipynb" / "20261124-1-Broken.ipynb").write_text("{")
    with pytest.raises(Problem, match="no parameter yaer; there is none"):
        run.check_parameters(run.find(""), {"yaer": "1"})
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    nbformat.write(new_notebook(cells=cells), journal / "ipynb" / "zoo.ipynb")
    run.check_parameters(run.find(""), {"year": "1"})
    with pytest.raises(Problem, match="no parameter yaer; zoo has year, title$"):
        run.check_parameters(run.find(""), {"year": "1", "yaer": "1"})


def test_a_bar_is_no_result():
    def made(html):
        output = nbformat.v4.new_output("display_data", {"text/html": html, "text/plain": "…"})
        return new_notebook(cells=[new_code_cell("wait(jobs)", id="same", outputs=[output])])

    first, second = (run.results(made(f'<progress value="{n}"></progress> 3 jobs, {n} job/s')) for n in (1, 2))
    assert first == second and first != run.results(made("<b>3</b>"))

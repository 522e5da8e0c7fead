"""`%%lib NAME`, in an IPython shell that has started as a kernel does."""

import ast
import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from dsproj.settings import PROJECT

LIB, TESTS = PROJECT / "lib" / "shapes.py", PROJECT / "tests" / "test_shapes.py"


@pytest.fixture
def shell(shell):
    yield shell
    sys.modules.pop("lib.shapes", None)
    for path in (LIB, TESTS):
        path.unlink(missing_ok=True)


@pytest.fixture
def run(shell, capsys):
    """run(cell) -> (what the next cell would be, what was printed)."""

    def ran(cell):
        shell.rl_next_input = None  # in a notebook, the cell's own new text
        shell.run_cell(cell, store_history=True)
        said = capsys.readouterr()
        return shell.rl_next_input, said.out + said.err

    return ran


def lint():
    with contextlib.chdir(PROJECT):
        for words in (["check"], ["format", "--diff"]):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *words, "lib/shapes.py", "tests/test_shapes.py"],
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr


def test_functions_move_with_the_imports_they_need_and_the_cell_becomes_their_import(shell, run):
    run("import numpy as np\nimport os.path\nfrom math import pi as circle, sqrt")
    cell = '''%%lib shapes
import json
# What a ring covers,
# in square metres.
def ring(inner: float, outer: float) -> float:  # a remark
    return circle * (outer**2 - inner**2)
def corners(n):
    """Points on a circle."""
    def at(k):
        return np.exp(2j * circle * k / n)
    return [at(k) for k in range(n)]
# the end
'''
    after, said = run(cell)
    assert after == "import json\nfrom lib.shapes import ring, corners"
    assert said.strip() == "lib/shapes.py: ring, corners; to be filled in: tests/test_shapes.py"
    text = LIB.read_text()
    assert text.startswith("from math import pi as circle\n\nimport numpy as np\n\n\n# What a ring covers,\n")
    assert "# a remark" in text and text.endswith("# the end\n") and "sqrt" not in text and "os" not in text
    assert "def test_ring" in TESTS.read_text() and "def test_corners" in TESTS.read_text()
    lint()
    assert shell.user_ns["ring"].__module__ == "lib.shapes" and round(shell.user_ns["ring"](1, 2), 3) == 9.425
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/test_shapes.py"], cwd=PROJECT, capture_output=True
    )
    assert b"2 skipped" in done.stdout, done.stdout


def test_what_is_there_stays_and_the_same_name_is_replaced(shell, run):
    LIB.write_text(
        '"""Mine."""\n\nimport json\n\nSIDE = 2\n\n\n# Old words.\ndef area():\n    return json.loads("1")\n\n\ndef kept():\n    return SIDE\n'
    )
    assert "2\n" in run("from lib.shapes import area, kept\nprint(kept())")[1]
    TESTS.write_text("from lib.shapes import kept\n\n\ndef test_kept():\n    assert kept() == 2\n")
    run("import functools")
    _, said = run(
        "%%lib shapes\n@functools.cache\ndef area():\n    return SIDE * kept()\n\ndef fresh():\n    return area()"
    )
    assert "lib/shapes.py: area, fresh" in said
    assert LIB.read_text() == (
        '"""Mine."""\n\nimport functools\nimport json\n\nSIDE = 2\n\n\n# Old words.\n@functools.cache\ndef area():\n'
        "    return SIDE * kept()\n\n\ndef kept():\n    return SIDE\n\n\ndef fresh():\n    return area()\n"
    )
    assert "assert kept() == 2" in TESTS.read_text() and TESTS.read_text().count("def test_") == 3
    assert run("print(area(), fresh())")[1].split() == ["4", "4"]
    # Once more, with another body and words of its own.
    run("%%lib shapes\n# New words.\ndef area():\n    return 7")
    assert "Old words" not in LIB.read_text() and run("print(area(), fresh())")[1].split() == ["7", "7"]
    names = [node.name for node in ast.parse(LIB.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert names == ["area", "kept", "fresh"]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%lib no-module\ndef f(): pass", "%%lib no-module: no name for a module"),
        ("%%lib class\ndef f(): pass", "no name for a module"),
        ("%%lib\ndef f(): pass", "no name for a module"),
        ("%%lib shapes\n# words\n", "there is no function in this cell"),
        ("%%lib shapes\ndef f():\n    pass\n\nN = 5\n", "line 5 is none: N = 5"),
        ("%%lib shapes\nimport os\n\ndef f(x):\n    return x * factor\n", "line 5 of the cell: factor is a variable of the notebook"),
        ("%%lib shapes\ndef f():\n    global factor\n    factor = 1\n", "factor is a variable of the notebook; make it a parameter"),
        ("%%lib shapes\ndef f(x):\n    return helper(x)\n", "helper is another function of the notebook; move it too"),
        ("%%lib shapes\ndef f(x=nothing):\n    pass\n", "line 2 of the cell: nothing is nowhere"),
        ("%%lib shapes\ndef f(:\n    pass\n", "%%lib, line 2 of the cell: "),
        ("%%lib shapes\ndef TAKEN():\n    pass\n", "lib/shapes.py has another TAKEN, which is no function"),
        ("%%lib shapes\ndef f(x=1 / 0):\n    pass\n", "cannot be imported with it (ZeroDivisionError"),
    ],
)  # fmt: skip
def test_what_would_be_lost_or_does_not_work_is_refused_with_its_line(shell, run, cell, message):
    run("factor = 3\ndef helper(x):\n    return x")
    LIB.write_text("TAKEN = 1\n")
    after, said = run(cell)
    assert message in said and "Traceback" not in said, said
    assert not after and LIB.read_text() == "TAKEN = 1\n" and not TESTS.exists()


def test_a_module_that_is_broken_is_left_alone(run):
    LIB.write_text("def broken(:\n")
    assert "lib/shapes.py, line 1" in run("%%lib shapes\ndef f():\n    pass")[1]
    assert LIB.read_text() == "def broken(:\n"
    assert not Path(TESTS).exists()

r"""How a data set's SQL file is split in steps: at the lines that begin with a backslash."""

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "template" / ".dsproj"))

from dsproj.database.explain import lines_of  # noqa: E402
from dsproj.database.sqlfile import Step, steps  # noqa: E402
from dsproj.errors import Problem  # noqa: E402


def split(text):
    return [(step.line, step.sql) for step in steps(text, "x.sql")]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", []),
        ("-- a; b\n\n", []),
        ("/* a; b */ -- c\n;;\n", []),
        (";;", []),
        ("SELECT 1;", [(1, "SELECT 1;")]),
        ("-- a; b\n\nSELECT 1 ;\nSELECT\n2", [(1, "-- a; b\n\nSELECT 1 ;\nSELECT\n2")]),
        ("\n \n  SELECT ';', E'\\';', \";\";\n\n", [(3, "SELECT ';', E'\\';', \";\";")]),
        ("DO $$ BEGIN; \\x ' END $$;\nSELECT 1;", [(1, "DO $$ BEGIN; \\x ' END $$;\nSELECT 1;")]),
        ("SELECT '\u2028\f';\n\\copy t from 'x'\n\n-- c\n\\copy t from 'x'\nSELECT 2;",
         [(1, "SELECT '\u2028\f';"), (2, "COPY t FROM STDIN "), (5, "COPY t FROM STDIN "), (6, "SELECT 2;")]),
        ("SELECT 'open; \n", [(1, "SELECT 'open;")]),
    ],
)  # fmt: skip
def test_statements(text, expected):
    assert split(text) == expected


def test_the_line_of_an_error():
    step = Step(3, "SELECT 1;\nSELECT b;\n\nSELECT 2")
    assert lines_of(step, 18) == "line 4" and lines_of(step, 1) == "line 3" and lines_of(step, 0) == "lines 3 to 6"
    assert lines_of(Step(3, "SELECT 1"), 0) == "line 3"


def test_copy_from_a_program():
    text = r"""CREATE TABLE t (a int);

\copy t (a, "b") FROM PROGRAM './get_data.sh --null "it''s"' WITH (FORMAT csv, QUOTE '''');
SELECT 1;"""
    assert list(steps(text, "x.sql"))[1:] == [
        Step(3, "COPY t (a, \"b\") FROM STDIN WITH (FORMAT csv, QUOTE '''')", program='./get_data.sh --null "it\'s"'),
        Step(4, "SELECT 1;"),
    ]


def test_copy_from_a_file():
    text = "\\COPY t from '/files/the x.csv' csv"
    assert list(steps(text, "x.sql")) == [Step(1, "COPY t FROM STDIN csv", program="cat -- '/files/the x.csv'")]


@pytest.mark.parametrize(
    "line",
    ["\\set x 1", "\\i other.sql", "\\copy t TO 'x'", "\\copy (SELECT 1) TO PROGRAM 'x'", "\\."],
)
def test_other_commands_of_psql_are_refused_by_line(line):
    with pytest.raises(Problem, match=r"x.sql, line 2: \\[a-z.]+: of psql's own commands a seed knows"):
        split(f"SELECT 1;\n{line}\n")

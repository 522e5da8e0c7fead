"""What messages tell to type is there to be typed."""

import ast
import re

from conftest import ROOT

TEMPLATE = ROOT / "template"
MAKEFILE = (TEMPLATE / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+)\s*:(?!=)", MAKEFILE, re.M))
VARIABLES = {"ENGINE", "PYTHON3", *re.search(r"^VARIABLES := (.*)$", MAKEFILE, re.M)[1].split()}
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

"""The cell magic `%%lib NAME`: the functions of a cell move to lib/NAME.py, and the cell becomes their import."""

from __future__ import annotations

import ast
import importlib
import keyword
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError

from dsproj.files import replace_text
from dsproj.kernel import sources
from dsproj.kernel.sources import Piece
from dsproj.settings import PROJECT

KNOWN = {"display": "from IPython.display import display"}  # what IPython gives every notebook
STUB = """
def test_{name}():
    pytest.skip("what should {name} give? assert {name}(...) == ...")
"""


def move(shell: Any, name: str, cell: str) -> None:
    """Move the cell's functions and classes to lib/NAME.py, and import them. UsageError where that would lose something.

    Functions of the same name are replaced there, imports that they need come along, and tests/test_NAME.py gets a stub for
    each new one. Where lib/NAME.py cannot be imported then, it stays as it was.
    """
    path = _path(name)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    parts, own = _parts(cell), sources.imports_of(cell)
    functions = [part for part in parts if part.name]
    names = [function.name for function in functions]
    present = _present(path, before)
    _refuse_other_things(path, names, present)
    imports = dict(_imports(shell, _needed(parts, present), own))
    text = sources.put(before, functions, imports.values())
    _write(path, before, sources.tidy(text, str(path), whole=not before), lambda: _use(shell, path.stem, names))
    stubs = _write_stubs(path.stem, names)
    rest = [line for part in parts if not part.name for line in part.text.splitlines() if line.startswith("#")]
    rest += [statement for each, statement in own.items() if each not in imports]
    shell.set_next_input("\n".join([*rest, f"from lib.{path.stem} import {', '.join(names)}"]), replace=True)
    print(f"lib/{path.name}: {', '.join(names)}{stubs}")


def _path(name: str) -> Path:
    """The file of a module of lib/; UsageError for a name that no module can have."""
    name = name.strip()
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"%%lib {name}: no name for a module; write letters, digits and _, as in: %%lib features")
    return PROJECT / "lib" / f"{name}.py"


def _refuse_other_things(path: Path, names: Sequence[str], present: Mapping[str, ast.stmt]) -> None:
    for name in names:
        if not isinstance(present.get(name), (*sources.Function, type(None))):
            raise UsageError(f"lib/{path.name} has another {name}, which is no function: give yours another name")


def _write(path: Path, before: str, text: str, check: Callable[[], None]) -> None:
    """Write the module; where `check` fails it is as it was, and a UsageError says why."""
    was_there = path.exists()
    try:
        replace_text(path, text)
        check()
    except BaseException as error:
        if was_there:
            replace_text(path, before)
        else:
            path.unlink(missing_ok=True)
        raise UsageError(f"lib/{path.name} cannot be imported with it ({error!r}): nothing was moved") from None


def _parts(cell: str) -> list[Piece]:
    """The functions, classes and imports of a cell; UsageError for another statement, and where there is no function."""
    try:
        found = sources.pieces(cell)
    except SyntaxError as error:
        raise UsageError(f"%%lib, line {(error.lineno or 0) + 1} of the cell: {error.msg}") from None
    for piece in found:
        if not isinstance(piece.node, (*sources.Function, *sources.Import)):
            said = cell.splitlines()[piece.node.lineno - 1]
            raise UsageError(
                f"%%lib moves functions, classes and imports; line {piece.node.lineno + 1} is none: {said}"
            )
    if not any(piece.name for piece in found):
        raise UsageError("%%lib: there is no function in this cell")
    return found


def _present(path: Path, text: str) -> dict[str, ast.stmt]:
    """{name: the statement that binds it} of a module as it is; UsageError where it is no Python."""
    try:
        return {name: piece.node for piece in sources.pieces(text) for name in sources.bound(piece.node)}
    except SyntaxError as error:
        raise UsageError(f"{path.parent.name}/{path.name}, line {error.lineno}: {error.msg}; mend it first") from None


def _needed(parts: Sequence[Piece], present: Mapping[str, ast.stmt]) -> dict[str, int]:
    """{name: its line} of what the functions take from outside themselves and the module."""
    code = "".join(part.text if part.name else "\n" * part.text.count("\n") for part in parts)
    return {name: line for name, line in sources.uses(code).items() if name not in present}


def _imports(shell: Any, needed: dict[str, int], own: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(name, the statement that imports it) for all that the functions need; UsageError for what no import gives."""
    history: dict[str, str] = {}
    for text in shell.history_manager.input_hist_parsed:
        history |= sources.imports_of(text)
    for name, line in needed.items():
        value = shell.user_ns.get(name)
        if statement := own.get(name) or KNOWN.get(name) or (history.get(name) if name in shell.user_ns else ""):
            yield name, statement
        elif isinstance(value, types.ModuleType):
            yield name, f"import {value.__name__}" + (f" as {name}" if value.__name__ != name else "")
        elif name not in shell.user_ns:
            raise UsageError(
                f"%%lib, line {line + 1} of the cell: {name} is nowhere; import it, or make it a parameter"
            )
        else:
            kind = "another function" if callable(value) else "a variable"
            cure = "move it too" if callable(value) else "make it a parameter"
            raise UsageError(f"%%lib, line {line + 1} of the cell: {name} is {kind} of the notebook; {cure}")


def _use(shell: Any, name: str, names: Sequence[str]) -> None:
    """Import the functions into the notebook, as they stand in the file now."""
    importlib.invalidate_caches()
    shell.run_line_magic("autoreload", "now")
    module = importlib.import_module(f"lib.{name}")
    if not all(hasattr(module, each) for each in names):
        module = importlib.reload(module)
    shell.push({each: getattr(module, each) for each in names})


def _write_stubs(name: str, names: Sequence[str]) -> str:
    """Add a test for each function that has none; what to say of it, "" where all have one."""
    path = PROJECT / "tests" / f"test_{name}.py"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    try:
        missing = [each for each in names if f"test_{each}" not in _present(path, before)]
    except UsageError as error:
        return f"; but {error}"
    if not missing:
        return ""
    stubs = [piece for each in missing for piece in sources.pieces(STUB.format(name=each))]
    text = sources.put(before, stubs, [] if "import pytest" in before else ["import pytest"])
    replace_text(path, sources.tidy(text, str(path), whole=not before))
    return f"; to be filled in: tests/{path.name}"

"""Python source as pieces that can be moved: what a text defines, imports and uses. Nothing here runs it."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import subprocess
import symtable
import sys
from collections.abc import Iterable, Iterator

Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Import = (ast.Import, ast.ImportFrom)


@dataclasses.dataclass
class Piece:
    """A statement with the comments and blank lines above it. lines: of the text, from `start` (0 is the first)."""

    node: ast.stmt
    start: int
    end: int
    text: str

    @property
    def name(self) -> str:
        """The function's or class's name, "" for another statement."""
        return self.node.name if isinstance(self.node, Function) else ""


def pieces(text: str) -> list[Piece]:
    """The statements of a text, in order; what stands below the last one belongs to it. Raises SyntaxError."""
    lines, found, start = text.splitlines(keepends=True), [], 0
    body = ast.parse(text).body
    for number, node in enumerate(body):
        end = (node.end_lineno or node.lineno) if number + 1 < len(body) else len(lines)
        found.append(Piece(node, start, end, "".join(lines[start:end])))
        start = end
    return found


def bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top of a module gives a value."""
    if isinstance(node, Function):
        yield node.name
    elif isinstance(node, Import):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    else:
        yield from (
            each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        )


def imports_of(text: str) -> dict[str, str]:
    """{name: the statement that imports it} of a text's top level; {} where it is no Python."""
    found = {}
    try:
        nodes = ast.parse(text).body
    except (SyntaxError, ValueError):
        return {}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                one = (
                    ast.Import([alias])
                    if isinstance(node, ast.Import)
                    else ast.ImportFrom(node.module, [alias], node.level)
                )
                found[next(bound(one))] = ast.unparse(one)
    return found


def uses(text: str) -> dict[str, int]:
    """{name: a line on which it is read} of what functions take from around them, Python's own names left out."""
    names: set[str] = set()

    def look(table: symtable.SymbolTable) -> None:
        for symbol in table.get_symbols():
            top = table.get_type() == "module"
            if symbol.is_declared_global() or (symbol.is_referenced() and (top or symbol.is_global())):
                names.add(symbol.get_name())
        for child in table.get_children():
            look(child)

    look(symtable.symtable(text, "cell", "exec"))
    tree = ast.parse(text)
    own = {name for node in tree.body for name in bound(node)}
    wanted = names - own - set(dir(builtins)) - {"__file__"}
    lines = {node.id: node.lineno for node in reversed(list(ast.walk(tree))) if isinstance(node, ast.Name)}
    return {name: lines.get(name, 1) for name in sorted(wanted)}


def put(text: str, functions: Iterable[Piece], imports: Iterable[str]) -> str:
    """A module's text with these functions in the place of those of the same name, or at its end, and with these imports."""
    lines, extra = text.splitlines(keepends=True), []
    present = {piece.name: piece for piece in pieces(text)}
    for function in sorted(functions, key=lambda each: -present[each.name].start if each.name in present else 0):
        if old := present.get(function.name):
            first = min([old.node.lineno, *(each.lineno for each in getattr(old.node, "decorator_list", ()))]) - 1
            if function.text.lstrip().startswith("#"):  # the comment above is replaced by the new one
                first = old.start + len(old.text) - len(old.text.lstrip("\n"))
            lines[first : old.node.end_lineno] = [function.text.strip("\n") + "\n"]
        else:
            extra.append(function.text.strip("\n") + "\n")
    body = "".join(lines)
    after = max(
        (piece.end for piece in pieces(body) if isinstance(piece.node, Import) or _is_docstring(piece)), default=0
    )
    lines = body.splitlines(keepends=True)
    lines[after:after] = [f"{statement}\n" for statement in imports]
    return "\n\n".join(["".join(lines).rstrip("\n") + "\n", *extra]).lstrip("\n")


def _is_docstring(piece: Piece) -> bool:
    node = piece.node
    return piece.start == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def tidy(text: str, path: str, whole: bool) -> str:
    """The text with its imports sorted by the project's rules, `whole`: all of it in ruff's format."""
    for words in (["check", "--select", "I", "--fix"], *([["format"]] if whole else [])):
        command = [sys.executable, "-m", "ruff", *words, "--quiet", "--stdin-filename", path, "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        text = done.stdout if done.returncode == 0 else text
    return text

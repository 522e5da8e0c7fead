"""The lab journal, ipynb/: a notebook is dated today, numbered on, and starts with the project-root cell.

Its page, ipynb/README.md, has a list of them, which is brought up to date between two marks; all else there is the user's.
"""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.settings import PROJECT

FOLDER = PROJECT / "ipynb"
PAGE = FOLDER / "README.md"
LIST = re.compile(r"(<!-- journal[^\n]*-->\n).*?(?=<!-- /journal -->)", re.DOTALL)
HEAD = "| day | | notebook |\n|---|--:|---|\n"
NAME = re.compile(r"(?:(\d{8})-)?(?:(?<=-)(\d+)-)?(.*)", re.DOTALL)
UNTITLED = "Untitled"

ROOT_CELL = """\
# The project's root is where lib/ and data/ are; running this twice is harmless.
import os

os.chdir(os.environ.get("PROJECT_ROOT", ".." if os.path.isdir("../ipynb") else "."))"""


def notebook(title: str) -> str:
    """A new notebook (nbformat 4.5) as Jupyter itself would save it."""

    def cell(kind: str, number: int, source: str, **more: Any) -> dict[str, Any]:
        lines = source.splitlines(keepends=True)
        return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": lines, **more}

    code: dict[str, Any] = {"execution_count": None, "outputs": []}
    head = cell("markdown", 1, f"# {title}\n\n{date.today():%d %B %Y}. What do I want to know?")
    cells = [head, cell("code", 2, ROOT_CELL, **code), cell("code", 3, "", **code)]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def make(name: str) -> Path:
    """Make a notebook of today with this title; its path."""
    title = name.strip()
    plain = re.sub(r"[^\w-]+", "_", title).strip("_")
    if not plain:
        raise Problem('How is it called? make notebook NAME="Encode target"')
    path = vacant(plain)
    FOLDER.mkdir(exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(notebook(title))
    list_notebooks()
    return path


def vacant(plain: str) -> Path:
    """ipynb/YYYYMMDD-N-Title.ipynb, N being one more than the day's highest number; Problem where today has that title."""
    today, number = f"{date.today():%Y%m%d}", 0
    for path in FOLDER.glob(f"{today}-*.ipynb"):
        count, known = re.fullmatch(r"\d{8}-(?:(\d+)-)?(.*)", path.stem).groups("0")  # type: ignore[union-attr]
        if known == plain != UNTITLED:
            raise Problem(f"{path.relative_to(PROJECT)} is there already; another name, please.")
        number = max(number, int(count))
    return FOLDER / f"{today}-{number + 1}-{plain}.ipynb"


def list_notebooks() -> None:
    """Have the page list the notebooks that there are, where it has a place for that."""
    rows = []
    for path in FOLDER.glob("*.ipynb"):
        day, number, title = NAME.fullmatch(path.stem).groups("")  # type: ignore[union-attr]
        day = day and f"{day[:4]}-{day[4:6]}-{day[6:]}"
        row = f"| {day} | {number} | [{title.replace('_', ' ')}]({quote(path.name)}) |\n"
        rows.append((not day, day, int(number or 0), row))  # what has no date comes last
    lines = "".join(row for *_, row in sorted(rows))
    try:
        text = PAGE.read_text(encoding="utf-8")
        new = LIST.sub(lambda found: f"{found[1]}\n{HEAD}{lines}\n", text)
        if new != text:
            replace_text(PAGE, new)
    except OSError:
        pass  # the page is the user's: it may be gone, or be nobody's to write

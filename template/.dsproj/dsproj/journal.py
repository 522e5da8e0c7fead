"""Make a notebook that is dated today, numbered on, and starts with the project-root cell."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.settings import PROJECT

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
    """Make ipynb/YYYYMMDD-N-Title.ipynb, N being one more than the day's highest number; its path."""
    title = name.strip()
    plain = re.sub(r"[^\w-]+", "_", title).strip("_")
    if not plain:
        raise Problem('How is it called? make notebook NAME="Encode target"')
    today, number = f"{date.today():%Y%m%d}", 0
    for path in (PROJECT / "ipynb").glob(f"{today}-*.ipynb"):
        count, known = re.fullmatch(r"\d{8}-(?:(\d+)-)?(.*)", path.stem).groups("0")  # type: ignore[union-attr]
        if known == plain:
            raise Problem(f"{path.relative_to(PROJECT)} is there already; another name, please.")
        number = max(number, int(count))
    path = PROJECT / "ipynb" / f"{today}-{number + 1}-{plain}.ipynb"
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(notebook(title))
    return path

"""Make a notebook that is dated today and starts with the project-root cell.

python3 local/new_notebook.py "Encode target"    ->  ipynb/20261122-Encode_target.ipynb
"""

import json
import re
import sys
from datetime import date

from env import PROJECT

ROOT_CELL = """\
# The project's root is where lib/ and data/ are; running this twice is harmless.
import os
import sys

os.chdir(os.environ.get("PROJECT_ROOT", "/home/jovyan"))
if os.getcwd() not in sys.path:
    sys.path.insert(0, os.getcwd())"""


def notebook(title):
    """A new notebook (nbformat 4.5) as Jupyter itself would save it."""

    def cell(kind, number, source, **more):
        lines = source.splitlines(keepends=True)
        return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": lines, **more}

    code = {"execution_count": None, "outputs": []}
    content = {
        "cells": [
            cell("markdown", 1, f"# {title}\n\n{date.today():%d %B %Y}. What do I want to know?"),
            cell("code", 2, ROOT_CELL, **code),
            cell("code", 3, "", **code),
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def main(title):
    name = re.sub(r"[^\w-]+", "_", title.strip()).strip("_")
    if not name:
        sys.exit('How is it called? make notebook NAME="Encode target"')
    path = PROJECT / "ipynb" / f"{date.today():%Y%m%d}-{name}.ipynb"
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(notebook(title.strip()))
    except FileExistsError:
        sys.exit(f"{path.relative_to(PROJECT)} is there already; another name, please.")
    print(path.relative_to(PROJECT))


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))

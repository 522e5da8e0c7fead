"""Print the notebook on standard input without its output: what git stores of it (.dsproj/gitconfig, .gitattributes).

Running a notebook then changes nothing for git; a plot or a table cannot end up in its history. What it cannot read as a
notebook it passes through untouched. git calls it once a notebook, so it imports next to nothing.
"""

from __future__ import annotations

import json
import sys

TYPE_CHECKING = False  # without the import of typing, which takes as long as all else here
if TYPE_CHECKING:
    from typing import Any


def without_output(notebook: dict[str, Any]) -> dict[str, Any]:
    """Take results and run counts out of a parsed notebook (nbformat 4), in place, and return it."""
    for cell in notebook.get("cells", []):
        if cell.get("cell_type") == "code":
            cell["outputs"] = []
            cell["execution_count"] = None
        for note in ("execution", "collapsed", "scrolled", "trusted"):
            cell.get("metadata", {}).pop(note, None)
    metadata = notebook.get("metadata", {})
    metadata.pop("widgets", None)
    # The kernel's exact version says who ran it last, nothing about the content.
    if "language_info" in metadata:
        metadata["language_info"] = {"name": metadata["language_info"].get("name", "python")}
    return notebook


def main() -> None:
    original = sys.stdin.buffer.read()
    try:
        cleaned = without_output(json.loads(original))
    except (ValueError, AttributeError, TypeError):
        sys.stdout.buffer.write(original)
        return
    text = json.dumps(cleaned, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))

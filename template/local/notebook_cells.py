"""Print the notebook on standard input without its output: what git stores of it (local/gitconfig, .gitattributes).

Running a notebook then changes nothing for git; a plot or a table cannot end up in its history. Standard library only,
since git calls it on any machine. What it cannot read as a notebook it passes through untouched.
"""

import json
import subprocess
import sys


def without_output(notebook):
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


def after_save(model, os_path, contents_manager, **_):
    """Called by JupyterLab when it has saved a file: keep git from calling a notebook modified that has only run.

    To be quick, git takes a file for modified where its size is not the one it noted, and output changes the size. Where
    the cells are the same as those in the index, adding the file stages nothing, but has git note the new size.
    """
    if model["type"] != "notebook":
        return
    git = ["git", "-C", contents_manager.root_dir]
    try:
        for question in (["ls-files", "--error-unmatch"], ["diff", "--quiet"]):
            if subprocess.run([*git, *question, "--", os_path], capture_output=True).returncode:
                return
        subprocess.run([*git, "add", "--", os_path], capture_output=True)
    except OSError:
        pass  # no git here


def main():
    original = sys.stdin.buffer.read()
    try:
        cleaned = without_output(json.loads(original))
    except (ValueError, AttributeError, TypeError):
        sys.stdout.buffer.write(original)
        return
    text = json.dumps(cleaned, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))


if __name__ == "__main__":
    main()

"""What JupyterLab does when it has saved a notebook: jupyter/jupyter_server_config.json names the function."""

import subprocess
from typing import Any


def after_save(model: dict[str, Any], os_path: str, contents_manager: Any, **_: Any) -> None:
    """Keep git from calling a notebook modified that has only run."""
    # To be quick, git takes a file for modified where its size is not the one it noted, and output changes the size. Where
    # the cells are the same as those in the index (the filter in host/notebook_cells.py leaves out what running changes),
    # adding the file stages nothing, but has git note the new size.
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

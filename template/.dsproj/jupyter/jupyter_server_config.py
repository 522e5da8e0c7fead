"""What has to be asked of the machine; all else stands in the .json beside this file."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from dsproj.errors import Problem
from dsproj.kernel import memory
from dsproj.sets import collections, data_sets
from jupyter_core.paths import jupyter_config_dir

c = get_config()  # noqa: F821

# Jupyter's own choice is a login shell, whose PATH is not that of the kernels.
shell = [os.environ.get("SHELL") or "bash"]
if shell[0].endswith("bash"):
    shell += ["--rcfile", str(Path(__file__).resolve().with_name("terminal.bash"))]
c.ServerApp.terminado_settings = {"shell_command": shell}

# What a container may use, for the status bar; without such a limit, that shows only what is used. Its kernels inherit from
# here, and may have a little less each: a MemoryError in the cell that wants more, where the kernel would be killed.
if (limit := memory.container_limit()) < 1 << 50:
    c.ResourceUseDisplay.mem_limit = limit
    of_each, most = int(limit * 15 / 16), resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (of_each if most == resource.RLIM_INFINITY else min(of_each, most), most))

# The dashboard of Dask, in a project that has it, is a socket that this user alone may open.
if socket := os.environ.get("DASK_DASHBOARD"):
    entry = {"title": "Dask", "path_info": "dask/status"}
    c.ServerProxy.servers = {"dask": {"command": [], "unix_socket": socket, "launcher_entry": entry}}

# The file browser is as wide as the journal's names, until whoever uses JupyterLab has it otherwise.
workspace = Path(jupyter_config_dir(), "lab", "workspaces", "default-37a8.jupyterlab-workspace")
if not workspace.exists():
    with contextlib.suppress(OSError):
        workspace.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(__file__).with_name("workspace.json"), workspace)

# After a plain `docker compose up`: data sets that this_postgres could not read, and documents, are loaded from here; `make up` has done so.
with contextlib.suppress(Problem):
    if any(each.needs_readers for each in data_sets()):
        subprocess.Popen([sys.executable, "-m", "dsproj.database.seed", "once"])
    if os.environ.get("MONGO_URL") and collections():
        subprocess.Popen([sys.executable, "-m", "dsproj.kernel.documents", "once"])

"""What has to be asked of the machine; all else stands in the .json beside this file."""

import os
from contextlib import suppress
from pathlib import Path

c = get_config()  # noqa: F821

# Jupyter's own choice is a login shell, whose PATH is not that of the kernels.
shell = [os.environ.get("SHELL") or "bash"]
if shell[0].endswith("bash"):
    shell += ["--rcfile", str(Path(__file__).resolve().with_name("terminal.bash"))]
c.ServerApp.terminado_settings = {"shell_command": shell}

# What a container may use, for the status bar; without such a limit, that shows only what is used.
for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
    with suppress(OSError, ValueError):  # "max" is no number
        if (limit := int(Path(file).read_text())) < 1 << 50:
            c.ResourceUseDisplay.mem_limit = limit

#!/usr/bin/env python
"""Become the Jupyter server. DOCKER_STACKS_JUPYTER_CMD, NOTEBOOK_ARGS and RESTARTABLE work as upstream."""

import os
import shlex
import sys

if "JUPYTERHUB_API_TOKEN" in os.environ:
    sys.exit("start-notebook.py: the stand-in image has no JupyterHub")

command = ["jupyter", os.environ.get("DOCKER_STACKS_JUPYTER_CMD", "lab")]
command += shlex.split(os.environ.get("NOTEBOOK_ARGS", ""))
command += sys.argv[1:]
if os.environ.get("RESTARTABLE") == "yes":
    command[:0] = ["bash", "-c", 'while true; do "$@"; sleep 1; done', "restart"]

print("Executing:", shlex.join(command), flush=True)
os.execvp(command[0], command)

"""uv, which resolves and installs packages in seconds where pip takes a minute: where it is, and how it finds the index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from dsproj.host.places import TOOLS

NAMES = {"UV_DEFAULT_INDEX": "index-url", "UV_INDEX": "extra-index-url"}
NAMES |= {"UV_FIND_LINKS": "find-links", "UV_INSECURE_HOST": "trusted-host", "SSL_CERT_FILE": "cert"}


def find(variables: Mapping[str, str]) -> str | None:
    """The path of uv: the machine's, or one of our own in .local/tools; None where it cannot be had."""
    own = os.pathsep.join([str(TOOLS / "bin"), str(TOOLS / "Scripts")])
    if found := shutil.which("uv") or shutil.which("uv", path=own):
        return found
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(TOOLS), "uv"]
    subprocess.run(pip, capture_output=True, env={**variables, "PIP_USER": "0"})
    return shutil.which("uv", path=own)


def settings(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, and the user's pip configuration (index, certificates) in uv's names where uv is given none."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, env=variables)
    pairs = (line.partition("=") for line in listed.stdout.splitlines())
    found = {name.rpartition(".")[2]: value.strip("'\"").replace("\\n", " ") for name, _, value in pairs}
    known = {uv: " ".join(found[pip].split()) for uv, pip in NAMES.items() if pip in found}
    # pip takes the best version of all indexes.
    return {"UV_SYSTEM_CERTS": "1", "UV_INDEX_STRATEGY": "unsafe-best-match", **known, **variables}

"""What upstream sets for every server of these images."""

import os
import subprocess
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir

c = get_config()  # noqa: F821
c.ServerApp.ip = ""  # all interfaces
c.ServerApp.open_browser = False
c.FileContentsManager.delete_to_trash = False
c.InlineBackend.figure_formats = {"png", "jpeg", "svg", "pdf"}

if "GEN_CERT" in os.environ:
    pem = Path(jupyter_data_dir(), "notebook.pem")
    pem.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-new", "-newkey", "rsa:2048", "-nodes", "-days", "365"]
        + ["-subj", "/O=generated/CN=generated", "-keyout", pem, "-out", pem],
        check=True,
    )
    pem.chmod(0o600)
    c.ServerApp.certfile = str(pem)

if "NB_UMASK" in os.environ:
    os.umask(int(os.environ["NB_UMASK"], 8))

#!/usr/bin/env python3
"""Healthy is who answers /api at the address that a server wrote to Jupyter's runtime folder.

Docker runs this as the image's user or, where the container was started as root, as root:
so the home folder is made from NB_USER.
"""

import json
import os
import subprocess
from pathlib import Path

import requests

home = {"HOME": f"/home/{os.environ['NB_USER']}"}
asked = subprocess.run(
    ["jupyter", "--runtime-dir"], env={**os.environ, **home}, check=True, capture_output=True, text=True
)
server = next(Path(asked.stdout.strip()).glob("*server-*.json"))
url = json.loads(server.read_text())["url"]
if url.startswith("http"):  # else a unix socket, which is taken as healthy
    answer = requests.get(f"{url}api", verify=False, proxies={"http": "", "https": ""})
    answer.raise_for_status()
    print(answer.text)

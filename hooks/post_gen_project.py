"""The front door for Cookiecutter: its answers go to Copier, which makes the project, so that `copier update` works later.

Cookiecutter runs this in the new folder, which holds nothing but the answers. It renders this file too: no braces doubled.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

carrier = Path(".answers.json")
context = json.loads(carrier.read_text(encoding="utf-8"))
started_in = Path(os.environ.get("PWD", ".."))


def absolute(place):
    """A path as seen from where the user is; an address (https://…, gh:org/name, git@host:…) as it is."""
    found = started_in / os.path.expanduser(place)
    return str(found.resolve()) if found.exists() else place


# The search for Copier is the project's own; `make update` uses it later.
sys.path.insert(0, str(Path(absolute(context["_repo_dir"])) / "template" / ".dsproj"))
sys.dont_write_bytecode = True
from dsproj.errors import Problem  # noqa: E402
from dsproj.host.update import find_copier  # noqa: E402

# Empty answers are left for Copier to work out.
answers = {name: value for name, value in context.items() if not name.startswith("_") and value != ""}
with tempfile.TemporaryDirectory() as folder:
    data = Path(folder) / "answers.json"  # JSON is YAML
    data.write_text(json.dumps(answers), encoding="utf-8")
    carrier.unlink()
    try:
        command = [*find_copier(), "copy", "--trust", "--defaults", "--quiet", "--data-file", str(data)]
    except Problem as problem:
        sys.exit(str(problem))
    if context.get("_checkout"):
        command += ["--vcs-ref", context["_checkout"]]
    done = subprocess.run([*command, absolute(context["_template"]), "."], stderr=subprocess.PIPE, text=True)
if done.returncode:
    # An answer that does not do: the last line says which, and why.
    sys.exit((done.stderr.strip().splitlines() or ["Copier failed"])[-1])
sys.stderr.write(done.stderr)

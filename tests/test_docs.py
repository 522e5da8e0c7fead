"""The documentation keeps its word: every command of its pages is run, in the project that the first page makes.

A block of `sh` or `console` is run as it stands (of `console`, the lines after `$ `), one of `python` as a notebook's cell. Above a block may stand
`<!-- not run: reason -->`, or `<!-- file: path -->` for what the reader is to write into that file.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT, command
from releases import Template
from stacks import IDENTITY

DOCS = ROOT / "docs"
FIRST, UPDATE = "first-minute.md", "how-to/update.md"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.parent.name != "decisions")
PAGES.sort(key=lambda name: (name != FIRST, name != "tutorial.md", name))
BLOCK = re.compile(r"(?:^<!-- (not run|file): (.+?) -->\n)?^```(\w+)[^\n]*\n(.*?)^```$", re.M | re.S)
COMMANDS = ("sh", "console", "python")
HOME = "gh:org/dsproj"

# A kernel of the project without its wires: it reads cells as lines of JSON, and answers each with its error, or "".
KERNEL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from dsproj.settings import ROOM
shell = InteractiveShell.instance()
shell.safe_execfile(str(ROOM / "jupyter" / "startup.py"), shell.user_ns)
for line in sys.stdin:
    done = shell.run_cell(json.loads(line))
    print("\\0" + json.dumps(repr(done.error_before_exec or done.error_in_exec or "")), flush=True)
"""


class Block(NamedTuple):
    mark: str  # "not run", "file" or ""
    about: str  # the reason, or the path
    language: str
    text: str


def blocks(page):
    return [Block(*found) for found in BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))]


class Reader:
    """Somebody who types what the pages say: in one folder, one notebook a page."""

    def __init__(self, folder):
        self.folder = self.place = folder
        self.project = folder / "myproj"
        self.template = Template(folder / "template")
        self.kernel = None
        # No engine answers, so the servers are processes of this machine.
        self.environment = (
            os.environ | IDENTITY | {"DOCKER_HOST": f"unix://{folder}/no-engine.sock", "MPLBACKEND": "agg"}
        )

    def open(self, page):
        self.close()
        self.place = self.folder if page == FIRST else self.project
        if page == UPDATE:
            self.template.release("v0.2.0", "News for whoever reads this page")

    def close(self):
        if self.kernel:
            self.kernel.stdin.close()
            self.kernel.wait(30)
        self.kernel = None

    def type(self, text):
        """What bash prints; `cd` lasts."""
        said = self.folder / "place"
        script = f"{text.replace(HOME, str(self.template.path))}\npwd > {said}"
        done = command("bash", "-euo", "pipefail", "-c", script, cwd=self.place, env=self.environment, timeout=300)
        assert done.returncode == 0, f"{text}\n{done.printed}"
        self.place = Path(said.read_text().strip())
        return done.printed

    def cell(self, text):
        if not self.kernel:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            words = [sys.executable, ".dsproj", "exec", "python", "-c", KERNEL]
            self.kernel = subprocess.Popen(words, cwd=self.project, env=self.environment, **pipes)
        self.kernel.stdin.write(json.dumps(text) + "\n")
        self.kernel.stdin.flush()
        printed = []
        for line in self.kernel.stdout:
            if line.startswith("\0"):
                error = json.loads(line[1:])
                assert error == "''", f"{text}\n{''.join(printed)}\n{error}"
                return
            printed.append(line)
        raise AssertionError(f"the kernel ended:\n{text}\n{''.join(printed)}")


def without_numbers(line):
    """A line of output, for what it says: figures, times and checksums are others each time."""
    return re.sub(r"\b[0-9a-f]{7,}\b|\d[\d.,:]*", "0", line).strip()


def says_what_the_page_says(block, printed):
    """Each line of a console block is printed; one that ends with … begins like it."""
    lines = [without_numbers(line) for line in printed.splitlines()]
    for line in block.text.splitlines():
        wanted = without_numbers(line)
        if wanted and not line.startswith("$ ") and wanted != "…":
            alike = [
                each for each in lines if each == wanted or wanted[-1] == "…" and each.startswith(wanted[:-1].strip())
            ]
            assert alike, f"the page says: {line}\nprinted is:\n{printed}"


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    made = Reader(tmp_path_factory.mktemp("reader"))
    yield made
    made.close()
    if made.project.exists():
        command("make", "down", cwd=made.project, env=made.environment)


@pytest.mark.parametrize("page", [page for page in PAGES if any(each.language in COMMANDS for each in blocks(page))])
def test_every_command_of_a_page_runs(page, reader):
    if page != FIRST and not reader.project.exists():
        pytest.skip(f"{FIRST} has made no project")
    reader.open(page)
    for block in blocks(page):
        if block.mark == "file":
            (reader.project / block.about).write_text(block.text, encoding="utf-8")
        elif block.mark or block.language not in COMMANDS:
            continue
        elif block.language == "python":
            reader.cell(block.text)
        elif block.language == "sh":
            reader.type(block.text)
        else:
            typed = "\n".join(line[2:] for line in block.text.splitlines() if line.startswith("$ "))
            says_what_the_page_says(block, reader.type(typed))


def test_few_commands_are_not_run_and_each_has_a_reason():
    found = [block for page in PAGES for block in blocks(page) if block.language in COMMANDS]
    kept = [block for block in found if block.mark == "not run"]
    assert all(len(block.about.split()) > 2 for block in kept), kept
    assert len(kept) <= len(found) / 3, f"{len(kept)} of {len(found)} blocks are not run"


def test_each_variable_of_make_is_explained():
    texts = [path.read_text() for path in (ROOT / "template/Makefile", *ROOT.glob("template/docker/*/targets.mk"))]
    names = [name for text in texts for name in re.search(r"^VARIABLES [:+]= (.*)$", text, re.M)[1].split()]
    page = (DOCS / "reference/make.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_picture_is_of_the_walk_and_on_a_page():
    walk = (ROOT / "tests/test_browser.py").read_text() + (DOCS / "record.py").read_text()
    shown = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *DOCS.rglob("*.md")])
    for path in (DOCS / "pictures").iterdir():
        assert f'picture("{path.stem}")' in walk or f'record("{path.stem}"' in walk, path.name
        assert f"pictures/{path.name})" in shown, path.name


def test_the_first_command_is_recorded(tmp_path):
    folder = Path(os.environ.get("DSPROJ_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    done = command(sys.executable, DOCS / "record.py", folder, "first-minute", timeout=300)
    assert done.returncode == 0, done.printed
    text = re.sub("<[^>]*>", "", (folder / "first-minute.svg").read_text(encoding="utf-8"))
    assert "myproj is running." in text.replace("\xa0", " ") and "healthy" in text, text[-3000:]

"""A repository of the template with releases: as it is in the working tree, and with changes as a next version brings them."""

import os
import shutil

import pytest
from conftest import PARTS, ROOT, checked, command
from stacks import IDENTITY

# The last commit before the machine room: in a project made from it, local/ and docker/postgres/ hold what runs the servers.
FIRST_LAYOUT = "6a5b0b3"
IGNORED = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", ".*_cache")


class Template:
    """A git repository at `path` with the tag v0.1.0 on the working tree's template."""

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True)
        self.copy_working_tree()
        self.git("init", "--quiet", "--initial-branch=main")
        self.release("v0.1.0", "First")

    def copy_working_tree(self):
        """Put the template of the working tree in the place of what is there."""
        for part in (*PARTS, "CHANGELOG.md"):
            source, target = ROOT / part, self.path / part
            if source.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target, ignore=IGNORED)
            else:
                shutil.copy(source, self.path)

    def git(self, *arguments):
        return checked("git", *arguments, cwd=self.path, env=os.environ | IDENTITY)

    def find(self, *names):
        """The template's files with such words in their names."""
        return [
            path
            for path in (self.path / "template").rglob("*")
            if path.is_file() and all(n in path.name for n in names)
        ]

    def edit(self, name, *replacements):
        """Replace text in template/<name>; what is to be replaced has to be there."""
        path = self.path / "template" / name
        text = path.read_text()
        for old, new in replacements:
            assert old in text, (name, old)
            text = text.replace(old, new, 1)
        path.write_text(text)

    def release(self, tag, news):
        changelog = self.path / "CHANGELOG.md"
        text = changelog.read_text()
        head, found, rest = text.partition("## [Unreleased]\n")
        changelog.write_text(f"{head}{found}\n## [{tag.removeprefix('v')}] - 2026-12-01\n\n- {news}\n{rest}")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", tag)
        self.git("tag", tag)

    def next_release(self):
        """v0.2.0: a change in each kind of file."""
        self.edit("docker-compose.yml.jinja", ("shm_size: 256m", "shm_size: 384m"))
        self.edit("lib/postgres.py.jinja", ('"""', '"""NEWS IN LIB. '))
        self.edit("Makefile", ("$(dsproj) check\n", "$(dsproj) check  # NEWS IN MAKE\n"))
        self.edit("docker/jupyter/requirements.txt.jinja", ("six==1.17.0", "humanize==4.12.3\nsix==1.17.0"))
        self.edit("docker/jupyter/requirements.lock.jinja", ("six==1.17.0 ", "six==1.17.0  "))
        self.edit("docker/postgres/get_data.sh", ("#!/bin/sh\n", "#!/bin/sh\n# NEWS IN DOCKER\n"))
        self.edit(".dsproj/dsproj/names.py", ("import re\n", "import re  # NEWS IN THE ROOM\n"))
        self.edit(".env.example.jinja", ("# How much memory", "# NEWS: a variable\n# How much memory"))
        for notebook in self.find("Encode_target", ".ipynb"):
            notebook.write_text(notebook.read_text().replace("# ", "# NEWS ", 1))
        (self.path / "template/lib/news.py").write_text('"""New with this version."""\n')
        self.release("v0.2.0", "NEWS IN THE CHANGELOG")


class FirstLayout(Template):
    """The same, with v0.1.0 on the last commit before the machine room and v0.2.0 on the working tree's template."""

    def __init__(self, path):
        self.path = path
        if command("git", "cat-file", "-e", f"{FIRST_LAYOUT}^{{commit}}", cwd=ROOT).returncode:
            pytest.skip(f"this checkout has no history back to {FIRST_LAYOUT}: git fetch --unshallow")
        checked("git", "clone", "--quiet", "--no-checkout", "--no-tags", ROOT, path)
        self.git("checkout", "--quiet", "-B", "main", FIRST_LAYOUT)
        self.git("tag", "v0.1.0")
        self.copy_working_tree()
        self.release("v0.2.0", "The machine room")

"""A repository of the template with releases: as it is in the working tree, and with changes as a next version brings them."""

import os
import shutil

from conftest import PARTS, ROOT, checked
from stacks import IDENTITY


class Template:
    """A git repository at `path` with the tag v0.1.0 on the working tree's template."""

    def __init__(self, path):
        self.path = path
        ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", ".ruff_cache")
        path.mkdir(parents=True)
        for part in (*PARTS, "CHANGELOG.md"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, path / part, ignore=ignore)
            else:
                shutil.copy(source, path)
        self.git("init", "--quiet", "--initial-branch=main")
        self.release("v0.1.0", "First")

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
        self.edit("Makefile", ("check: ## lint the code", "check: ## lint all of the code"))
        self.edit("docker/jupyter/requirements.txt.jinja", ("six==1.17.0", "humanize==4.12.3\nsix==1.17.0"))
        self.edit("docker/postgres/init.sh", ("#!/usr/bin/env bash\n", "#!/usr/bin/env bash\n# NEWS IN DOCKER\n"))
        self.edit(".env.example.jinja", ("# How much memory", "# NEWS: a variable\n# How much memory"))
        for notebook in self.find("Encode_target", ".ipynb"):
            notebook.write_text(notebook.read_text().replace("# ", "# NEWS ", 1))
        (self.path / "template/lib/news.py").write_text('"""New with this version."""\n')
        self.release("v0.2.0", "NEWS IN THE CHANGELOG")

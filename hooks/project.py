"""The project that was generated: its folder, its answers, and its own modules that the steps use."""

import importlib.util
import sys
from pathlib import Path

import yaml


class Project:
    """The folder that Copier has just rendered.

    path: the folder; answers: the stored answers as a dict, `stack`, `dataset` and so on.
    """

    def __init__(self, path, answers_file=".copier-answers.yml"):
        self.path = Path(path).resolve()
        self.answers = yaml.safe_load((self.path / answers_file).read_text(encoding="utf-8"))

    def module(self, relative):
        """Import a file of the project, such as local/env.py: what is needed later again lives there, not here."""
        path = self.path / relative
        spec = importlib.util.spec_from_file_location(f"project_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(path.parent))  # a script finds its neighbours
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(path.parent))
        return module

    @property
    def environment(self):
        """The variables of .env, {} where there is none yet."""
        return self.module("local/env.py").read(self.path / ".env")

"""The project that was generated: its folder, its answers, and its own modules that the steps use."""

import importlib
import sys
from pathlib import Path

import yaml


class Project:
    """The folder that Copier has just rendered.

    path: the folder; answers: the stored answers as a dict, `stack`, `dataset` and so on; source: the path or link of the
    data as it was typed, where the stored answer has but the name.
    """

    def __init__(self, path, answers_file=".copier-answers.yml", source=""):
        self.path, self.source = Path(path).resolve(), source.strip()
        self.answers = yaml.safe_load((self.path / answers_file).read_text(encoding="utf-8"))

    def module(self, name):
        """Import a module of the project's machine room, such as host.up: what is needed later again lives there, not here."""
        room = str(self.path / ".dsproj")
        if sys.path[:1] != [room]:
            for known in [known for known in sys.modules if known.split(".")[0] == "dsproj"]:
                del sys.modules[known]  # another project's
            sys.path[:] = [room, *(place for place in sys.path if not place.endswith("/.dsproj"))]
        return importlib.import_module(f"dsproj.{name}")

    @property
    def env(self):
        """The variables of .env, {} where there is none yet."""
        return self.module("settings").read(self.path / ".env")

"""The notebooks that come with a changed answer: MongoDB's, Dask's, and that of another Jupyter image. Those that are there stay as they are.

They are dated on the day of the update, with the next numbers, as `make notebook` does.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from hooks.project import Project

TEMPLATE = Path(__file__).resolve().parent.parent
ASKED = ("mongo", "jupyter_stack", "cluster")  # the questions on which a notebook depends
NAME = re.compile(r"\d{8}-(\d+)-(\w+)\.ipynb")


def bring(project: Project, before: Mapping[str, Any]) -> Iterator[str]:
    """Put the notebooks into the journal that the answers have and those of `before` had not; a line for each."""
    former = {name: before[name] for name in ASKED if name in before}
    now = {name: value for name, value in project.answers.items() if not name.startswith("_")}
    if former.items() <= now.items():
        return
    journal = project.module("journal")
    there = {journal.NAME.fullmatch(path.stem)[3] for path in journal.FOLDER.glob("*.ipynb")}
    journal.FOLDER.mkdir(exist_ok=True)
    wanted = rendered({**now, "created_on": f"{date.today():%Y-%m-%d}"})
    titles = [title for title in wanted if title not in {*there, *rendered({**now, **former})}]
    places = {}
    for title in titles:
        places[title] = journal.vacant(title)
        places[title].write_text(wanted[title], encoding="utf-8", newline="\n")
    for path in places.values():  # a link to one that has come, too, by the name that it has here
        path.write_text(linked(path.read_text(encoding="utf-8"), places), encoding="utf-8", newline="\n")
        yield f"NEW in the journal, and yours from now on: ipynb/{path.name}"
    journal.list_notebooks()


def linked(text: str, places: Mapping[str, Path]) -> str:
    return NAME.sub(lambda found: places[found[2]].name if found[2] in places else found[0], text)


def rendered(answers: Mapping[str, Any]) -> dict[str, str]:
    """{title: text} of the notebooks that a new project of these answers would have, in their order."""
    import copier

    with tempfile.TemporaryDirectory() as folder:
        options = {"defaults": True, "unsafe": True, "quiet": True, "skip_tasks": True, "overwrite": True}
        copier.run_copy(str(TEMPLATE), folder, data=dict(answers), vcs_ref="HEAD", **options)
        named = [
            (found, path) for path in Path(folder, "ipynb").glob("*.ipynb") if (found := NAME.fullmatch(path.name))
        ]
        named.sort(key=lambda pair: int(pair[0][1]))
        return {found[2]: path.read_text(encoding="utf-8") for found, path in named}

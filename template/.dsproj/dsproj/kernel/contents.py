"""How JupyterLab makes and reads files here: jupyter/jupyter_server_config.json names the class."""

import posixpath
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from dsproj import journal


class Contents(AsyncLargeFileManager):
    """Jupyter's own, for which a new notebook is the journal's next, wherever the launcher stands."""

    async def new_untitled(self, path: str = "", type: str = "", ext: str = "") -> dict[str, Any]:
        if type != "notebook" and ext != ".ipynb":
            return await super().new_untitled(path, type, ext)
        made = f"{journal.FOLDER.name}/{journal.make(journal.UNTITLED).name}"
        model = await self.get(made, content=False)
        # The page looks for that name where it stands, whatever the path says.
        return {**model, "name": posixpath.relpath(made, path.strip("/") or ".")}

    async def get(self, path: str, *words: Any, **options: Any) -> dict[str, Any]:
        if path.strip("/") == f"{journal.FOLDER.name}/{journal.PAGE.name}":
            journal.list_notebooks()
        return await super().get(path, *words, **options)

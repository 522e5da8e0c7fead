"""Where the project's pages are: JupyterLab, with its token, and the job dashboard, with its login."""

from __future__ import annotations

from dsproj.journal import PAGE
from dsproj.settings import Settings


def links(settings: Settings | None = None) -> list[tuple[str, str]]:
    """(what, address) of each page, from .env; Problem where that is not complete."""
    settings = settings or Settings()
    page = "ipynb/README.md" if PAGE.exists() else "ipynb"
    lab = f"http://127.0.0.1:{settings['JUPYTER_PORT']}/lab/tree/{page}?token={settings['JUPYTER_TOKEN']}"
    login = f"(user dsproj, password {settings['MONITOR_PASSWORD']})"
    return [("JupyterLab", lab), ("Jobs", f"http://127.0.0.1:{settings['MONITOR_PORT']}/  {login}")]

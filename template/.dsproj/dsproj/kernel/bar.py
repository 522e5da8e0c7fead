"""A bar that shows how far something is: in a notebook a line of HTML, which every theme and saved page can show."""

import html
import sys
from typing import Any

from tqdm import tqdm


class PageBar(tqdm):
    """tqdm by the notebook's own display: it needs no widgets, and does not look like an error."""

    monitor_interval = 0  # no thread
    page: Any = None

    def __init__(self, **options: Any) -> None:
        super().__init__(gui=True, miniters=1, **options)  # gui: tqdm counts, and does not print
        from IPython.display import HTML, display

        self.html = HTML
        self.page = display(self._line(), display_id=True)

    def _line(self) -> Any:
        form = "{desc}{n_fmt} of {total_fmt} {unit}s, {rate_fmt}, {elapsed} gone, {remaining} to go{postfix}"
        text = html.escape(self.format_meter(**{**self.format_dict, "bar_format": form, "ncols": None}))
        width = "width: 20em; vertical-align: middle; accent-color: var(--jp-brand-color1)"
        return self.html(f'<progress value="{self.n}" max="{self.total or 1}" style="{width}"></progress> {text}')

    def display(self, *_: Any, **__: Any) -> None:
        if self.page:
            self.page.update(self._line())

    def close(self) -> None:
        if not self.disable:
            self.display()
        super().close()


def bar(total: int, **options: Any) -> tqdm:
    """A tqdm for where this runs; `update`, `set_postfix` and `close` it."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return PageBar(total=total, **options) if hasattr(shell, "kernel") else tqdm(total=total, **options)

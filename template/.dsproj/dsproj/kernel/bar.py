"""A bar that shows how far something is: in a notebook a line of HTML, which every theme and saved page can show."""

import html
import sys
from typing import Any

from tqdm import tqdm

FORM = "{desc}{n_fmt} of {total_fmt} {unit}s, {rate_fmt}, {elapsed} gone, {remaining} to go{postfix}"
STYLE = "width: 20em; vertical-align: middle; accent-color: var(--jp-brand-color1)"


class PageBar(tqdm):
    """tqdm by the notebook's own display: it needs no widgets, and does not look like an error."""

    monitor_interval = 0  # no thread
    page: Any = None

    def display(self, *_: Any, **__: Any) -> None:
        from IPython.display import HTML, display

        text = html.escape(self.format_meter(**{**self.format_dict, "bar_format": FORM, "ncols": None}))
        line = HTML(f'<progress value="{self.n}" max="{self.total or 1}" style="{STYLE}"></progress> {text}')
        if self.page:
            self.page.update(line)
        else:
            self.page = display(line, display_id=True)

    def close(self) -> None:
        self.display()
        super().close()


def bar(total: int, **options: Any) -> tqdm:
    """A tqdm for where this runs; `update`, `set_postfix` and `close` it."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not hasattr(shell, "kernel"):
        return tqdm(total=total, **options)
    shown = PageBar(total=total, gui=True, miniters=1, **options)  # gui: tqdm counts, and does not print
    shown.display()
    return shown

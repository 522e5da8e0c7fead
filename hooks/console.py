"""The screen: a line for each step, with a spinner or a bar while it lasts. Plain lines where rich is missing, or nobody looks."""

from contextlib import contextmanager

try:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
    from rich.text import Text

    screen = Console(highlight=False, soft_wrap=True)  # no colour in a pipe, nor with NO_COLOR
except ImportError:
    screen = None


def say(text="", style=None):
    """Print a line; never interpreted as markup, since paths and messages may hold brackets."""
    if screen is None:
        print(text, flush=True)
    else:
        screen.print(text, style=style, markup=False)


@contextmanager
def working(text):
    """While the block runs, show `text` with a spinner; yields show(text, is_news), which changes it.

    Where nobody looks on, what is news becomes a line, so that a long wait is no silence.
    """
    if screen is None or not screen.is_terminal:
        say(f"  … {text}")
        yield lambda text, is_news: say(f"  … {text}") if is_news else None
        return
    with screen.status(Text(text, overflow="ellipsis", no_wrap=True)) as status:
        yield lambda text, is_news: status.update(Text(text, overflow="ellipsis", no_wrap=True))


@contextmanager
def transfer(name):
    """A progress bar in bytes; yields `progress(done, total)`, total 0 where unknown."""
    if screen is None or not screen.is_terminal:
        yield lambda done, total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)

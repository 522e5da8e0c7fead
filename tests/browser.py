"""A real browser for tests: Chromium, driven by Playwright, and JupyterLab as a person has it before them."""

import contextlib
import functools
import json
import os
import shutil
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SIZE = {"width": 1300, "height": 850}
PATIENCE = 120_000  # milliseconds, on a machine that does much else


@contextlib.contextmanager
def chromium():
    """A browser; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip(f"no browser here: {', '.join(NAMES)}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


def network_changes_allowed(test):
    """Once more where Chromium broke requests off: it does whenever any container of the machine comes or goes."""

    @functools.wraps(test)
    def twice(walk):
        try:
            test(walk)
        except Exception:
            if not any("ERR_NETWORK_CHANGED" in (failure or "") for failure in walk.broken_off):
                raise
            test(walk)

    return twice


class Walk:
    """One page of a browser, and the project whose servers it looks at."""

    def __init__(self, page, project):
        self.page, self.project = page, project
        page.set_default_timeout(PATIENCE)
        self.broken_off = []
        page.on("requestfailed", lambda request: self.broken_off.append(request.failure))

    def picture(self, name):
        """A screenshot for the documentation, where `nox -s pictures` asks for them; of the local stack alone."""
        if (folder := os.environ.get("DSPROJ_PICTURES")) and self.project.kind == "local":
            self.page.mouse.move(0, SIZE["height"])
            self.page.wait_for_timeout(1000)  # what has just opened is drawn by then
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    # --- JupyterLab

    @property
    def lab(self):
        return f"http://127.0.0.1:{self.project.env['JUPYTER_PORT']}"

    @property
    def printed_link(self):
        """What `make url` says."""
        return next(line.split()[1] for line in self.project.make("url").splitlines() if line.startswith("JupyterLab"))

    def contents(self, method, path, **body):
        """Ask JupyterLab's own interface for files."""
        address = f"{self.lab}/api/contents/{urllib.parse.quote(path)}"
        request = urllib.request.Request(address, json.dumps(body).encode() if body else None, method=method)
        request.add_header("Authorization", f"token {self.project.env['JUPYTER_TOKEN']}")
        with urllib.request.urlopen(request) as reply:
            return json.loads(reply.read() or "null")

    def open(self, path=""):
        """Open a file of the project, with nothing else in the window."""
        self.page.goto(
            f"{self.lab}/lab/tree/{urllib.parse.quote(path)}?token={self.project.env['JUPYTER_TOKEN']}&reset"
        )
        self.page.wait_for_selector("#jp-main-dock-panel .lm-TabBar-tab")

    def open_notebook(self, path):
        self.open(path)
        self.wait_idle()

    def wait_idle(self):
        """Until the notebook's kernel is there and has nothing to do."""
        self.page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()

    def menu(self, *names):
        for name in names:
            self.page.get_by_role("menuitem", name=name, exact=True).click()

    def run_all(self):
        self.menu("Run", "Run All Cells")

    def scroll(self, panel, target):
        """Until the target's lower edge is a little above the panel's."""
        target.scroll_into_view_if_needed()
        room, box = panel.bounding_box(), target.bounding_box()
        lower = box["y"] + box["height"] - room["y"] - room["height"] + 40
        panel.evaluate("(panel, by) => panel.scrollBy(0, by)", lower)

    def shows(self, text):
        """Wait until a cell of the notebook has this in its output."""
        self.page.locator(".jp-OutputArea-output").get_by_text(text, exact=True).first.wait_for()

    # --- the dashboard

    def dashboard(self, path):
        self.page.goto(f"http://127.0.0.1:{self.project.env['MONITOR_PORT']}/{path}")

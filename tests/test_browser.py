"""What a person sees: JupyterLab and the job dashboard in a real browser, on both engines, one stack each for all of it."""

import textwrap

import nbformat
import pytest
from browser import SIZE, Walk, chromium
from conftest import wait_for
from stacks import BOTH, stack_of

pytestmark = pytest.mark.browser

ADD_UP = """\
def add_up(first, last):
    return {how}(range(first, last + 1))
"""

WORK = """\
import time
from pathlib import Path


def slow(seconds):
    time.sleep(seconds)
    return seconds


def size(name):
    return len(Path(name).read_text())
"""

ENQUEUE = "import sys; from lib.jobs import queue; print(queue().enqueue(*sys.argv[1:]).id)"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module", params=BOTH)
def project(request, browser, tmp_path_factory, adult):
    with stack_of(request, request.param, tmp_path_factory.mktemp("seen") / "seen", "seen") as stack:
        stack.generate(**({"dataset_source": adult} if adult else {}))
        (stack.path / "lib/work.py").write_text(WORK)
        yield stack


@pytest.fixture
def walk(browser, project, tmp_path):
    login = {"username": "dsproj", "password": project.env["MONITOR_PASSWORD"]}
    context = browser.new_context(viewport=SIZE, http_credentials=login)
    page = context.new_page()
    yield Walk(page, project)
    page.screenshot(path=tmp_path / "last.png")  # of use where the test has failed
    context.close()


def journal(project):
    return sorted(path.name for path in (project.path / "ipynb").glob("*.ipynb"))


def write_notebook(project, name, *sources):
    """A notebook of the test's own."""
    cells = [nbformat.v4.new_code_cell(textwrap.dedent(source).strip()) for source in sources]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(made, project.path / name)


def test_the_printed_link_opens_jupyterlab(walk):
    walk.page.goto(walk.printed_link)
    walk.page.wait_for_selector("#jp-main-dock-panel .lm-TabBar-tab")


def test_run_all_on_the_first_notebook_ends_in_its_plot(walk):
    walk.open_notebook(f"ipynb/{journal(walk.project)[0]}")
    walk.run_all()
    walk.page.wait_for_selector(".jp-OutputArea-output img")
    walk.wait_idle()
    assert not walk.page.locator('.jp-OutputArea-output[data-mime-type$="stderr"]').count()
    walk.picture("notebook")


def test_a_live_kernel_runs_what_was_edited_in_lib(walk):
    file = walk.project.path / "lib/ages.py"
    file.write_text(ADD_UP.format(how="sum"))
    write_notebook(walk.project, "ipynb/live.ipynb", "from lib.ages import add_up", "add_up(1, 1000)")
    walk.open_notebook("ipynb/live.ipynb")
    walk.run_all()
    walk.shows("500500")
    walk.wait_idle()
    file.write_text(ADD_UP.format(how="max"))
    walk.run_all()
    walk.shows("1000")


def test_the_dashboard_shows_a_worker_at_work(walk):
    walk.project.python("from lib.jobs import queue; queue().enqueue('lib.work.slow', 8)")
    walk.dashboard("0/view/workers")
    walk.page.get_by_role("link", name="lib.work.slow(8)").wait_for()
    walk.picture("dashboard")
    walk.dashboard("0/view/queues")
    walk.page.get_by_role("cell", name="default", exact=True).wait_for()
    assert "Traceback" not in walk.project.log("this_monitor")


def test_a_failed_job_is_requeued_from_the_dashboard(walk):
    job = walk.project.python(ENQUEUE, "lib.work.size", "data/late.csv").strip()
    walk.dashboard("0/view/jobs/default/failed/8/asc/1")
    row = walk.page.locator(f'[data-job-id="{job}"]')
    row.get_by_text("FileNotFoundError").wait_for()
    (walk.project.path / "data/late.csv").write_text("late")
    row.get_by_role("link", name="Requeue").click()
    done = "import sys; from lib.jobs import queue; print(queue().fetch_job(sys.argv[1]).return_value())"
    wait_for(lambda: walk.project.python(done, job).strip() == "4", what="the job's second try")

"""What a person sees: JupyterLab and the job dashboard in a real browser, on both engines, one stack each for all of it."""

import json
import os
import re
import textwrap

import nbformat
import pytest
from browser import SIZE, Walk, chromium, network_changes_allowed
from conftest import wait_for
from stacks import BOTH, stack_of
from test_docs import blocks

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
    with stack_of(request, request.param, tmp_path_factory.mktemp("seen") / "myproj", "seen") as stack:
        if "DSPROJ_PICTURES" in os.environ and stack.kind == "local":
            stack.slug = "myproj"  # as the pictures' readers call theirs
        stack.generate(**({"dataset_source": adult} if adult else {}))
        (stack.path / "lib/work.py").write_text(WORK)
        yield stack


@pytest.fixture
def walk(browser, project, tmp_path):
    project.git("clean", "--force", "--quiet", "ipynb")  # other tests' notebooks
    login = {"username": "dsproj", "password": project.env["MONITOR_PASSWORD"]}
    context = browser.new_context(viewport=SIZE, http_credentials=login)
    page = context.new_page()
    yield Walk(page, project)
    page.screenshot(path=tmp_path / "last.png")  # of use where the test has failed
    context.close()


def journal(project):
    """The notebooks by day and number."""
    names = [path.name for path in (project.path / "ipynb").glob("*.ipynb")]
    return sorted(names, key=lambda name: [int(part) if part.isdecimal() else 0 for part in name.split("-")[:2]])


def write_notebook(project, name, *sources):
    """A notebook of the test's own."""
    cells = [nbformat.v4.new_code_cell(textwrap.dedent(source).strip()) for source in sources]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(made, project.path / name)


@network_changes_allowed
def test_the_printed_link_opens_the_journal_and_leads_through_it(walk):
    first, second, *others = journal(walk.project)
    walk.page.goto(walk.printed_link)
    page = walk.page.locator(".jp-MarkdownViewer")
    page.get_by_role("table").wait_for()
    page.locator("img, svg").first.wait_for()  # the loop, drawn
    assert page.get_by_role("row").count() == 1 + 2 + len(others)
    walk.page.locator("#jp-main-statusbar").get_by_text("Mem: ").wait_for()
    if walk.project.kind == "docker":  # JUPYTER_MEMORY
        walk.page.locator("#jp-main-statusbar").get_by_text("/ 4096.00 MB").wait_for()
    names = walk.page.locator(".jp-DirListing-itemText").all_inner_texts()
    assert names == [first, second, *others, "README.md"]
    cut = "found => found.filter(name => name.scrollWidth > name.clientWidth).map(name => name.innerText)"
    assert walk.page.locator(".jp-DirListing-itemText").evaluate_all(cut) == []
    walk.picture("journal")
    page.get_by_role("link", name="Examine Database Requirements").click()
    walk.wait_idle()
    walk.page.locator(".jp-Notebook").get_by_role("link", name="Initial Database Connection").click()
    walk.page.get_by_role("tab", name=second[:20]).wait_for()
    assert walk.project.git("status", "--porcelain", "ipynb/README.md") == ""


@pytest.mark.local_shows_it
@network_changes_allowed
def test_a_notebook_of_the_launcher_is_the_journals_next(walk):
    before = journal(walk.project)
    walk.open("lib")
    walk.page.locator('.jp-LauncherCard[data-category="Notebook"]').first.click()
    walk.wait_idle()
    (made,) = set(journal(walk.project)) - set(before)
    assert re.fullmatch(rf"\d{{8}}-{len(before) + 1}-Untitled\.ipynb", made)
    walk.page.get_by_role("heading", name="Untitled").wait_for()
    walk.open("ipynb/README.md")
    walk.page.locator(".jp-MarkdownViewer").get_by_role("link", name="Untitled").wait_for()
    for folder in ("", "ipynb", "data"):
        answer = walk.contents("POST", folder, type="notebook")
        assert answer["path"] == f"ipynb/{journal(walk.project)[-1]}"
        assert (walk.project.path / folder / answer["name"]).samefile(walk.project.path / answer["path"])
    assert len(journal(walk.project)) == len(before) + 4


@network_changes_allowed
def test_a_terminal_has_what_kernels_have(walk):
    """Opened by a person, in a folder below; the page draws its text as a picture, so what it says goes to a file."""
    say = "import json, os, sys; print(json.dumps([sys.executable, *map(os.getenv, sys.argv[1:])]))"
    variables = ["PGHOST", "REDIS_URL", "PYTHONPATH", "PROJECT_ROOT"]
    (walk.project.path / "lib/say.py").write_text(say)
    walk.open("lib")
    walk.page.locator(".jp-LauncherCard").get_by_text("Terminal", exact=True).click()
    walk.page.locator(".jp-Terminal .xterm-screen").wait_for()
    out = walk.project.path / "lib/said.txt"

    def typed(command):
        out.unlink(missing_ok=True)
        walk.page.keyboard.type(f"clear; {{ {command}; }} > .said 2>&1; mv .said said.txt\n")
        wait_for(out.exists, 180, command)
        return out.read_text()

    wait_for(lambda: walk.page.locator(".xterm-helper-textarea:focus").count(), what="the terminal's focus")
    said = json.loads(typed(f"python say.py {' '.join(variables)}"))
    assert said == json.loads(walk.project.run("python", "lib/say.py", *variables))
    assert "ruff" in typed("ruff --version") and "jupyter" in typed("command -v jupyter")
    assert "rows" in typed(
        'python -c \'from lib.postgres import read_frame; print(len(read_frame("SELECT 1")), "rows")\''
    )
    links = typed("(cd .. && make url)")
    assert walk.project.env["JUPYTER_TOKEN"] in links
    if walk.project.kind == "docker":
        psql = typed("(cd .. && make psql)")
        assert "inside a container" in psql and "terminal of the machine itself" in psql and "install" not in psql


@pytest.mark.local_shows_it
def test_idle_kernels_end_after_a_day_and_busy_ones_do_not(project):
    code = """
        import json
        from jupyter_server.serverapp import ServerApp
        app = ServerApp()
        app.load_config_file()
        print(json.dumps(app.config.MappingKernelManager))
    """
    shown = project.run("env", "JUPYTER_CONFIG_PATH=.dsproj/jupyter", "python", "-c", textwrap.dedent(code))
    culling = json.loads(shown.splitlines()[-1])
    assert culling["cull_idle_timeout"] == 86400 and culling["cull_connected"] and not culling.get("cull_busy")


@network_changes_allowed
def test_run_all_on_the_first_notebook_ends_in_its_plot(walk):
    walk.open_notebook(f"ipynb/{journal(walk.project)[0]}")
    walk.run_all()
    walk.page.wait_for_selector(".jp-OutputArea-output img")
    walk.wait_idle()
    assert not walk.page.locator('.jp-OutputArea-output[data-mime-type$="stderr"]').count()
    walk.picture("notebook")


@pytest.mark.local_shows_it
@network_changes_allowed
def test_a_result_of_sql_is_a_grid_that_sorts_and_searches(walk):
    walk.open_notebook(f"ipynb/{journal(walk.project)[2]}")
    walk.run_all()
    walk.wait_idle()  # what comes below moves the grid while one clicks
    grid = walk.page.locator(".dt-container")
    ages, arrows = grid.locator("tbody tr td:first-child"), grid.get_by_role("button", name="age: Activate")
    arrows.click()
    wait_for(lambda: ages.first.inner_text() == "75", what="the youngest first")
    arrows.click()
    wait_for(lambda: int(ages.first.inner_text()) > 80, what="the oldest first")
    grid.get_by_role("searchbox").fill("doctorate")
    rows = grid.locator("tbody tr")
    wait_for(lambda: all("Doctorate" in text for text in rows.all_inner_texts()), what="the search")
    walk.wait_idle()
    assert not walk.page.locator('.jp-OutputArea-output[data-mime-type$="stderr"]').count()
    walk.picture("grid")


@network_changes_allowed
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


@network_changes_allowed
def test_a_cell_that_wants_more_memory_than_there_is_names_the_variable(walk):
    write_notebook(walk.project, "ipynb/greedy.ipynb", "kept = 41", "more = bytearray(5 * 2**30)", "kept + 1")
    walk.open_notebook("ipynb/greedy.ipynb")
    walk.run_all()
    error = walk.page.locator(".jp-OutputArea-output").get_by_text("MemoryError").first
    error.wait_for()
    assert "set JUPYTER_MEMORY in .env higher, then: make up" in walk.page.locator(".jp-Notebook").inner_text()
    walk.page.locator(".jp-CodeCell .cm-content").last.click()
    walk.page.keyboard.press("Shift+Enter")
    walk.shows("42")  # the kernel lives


@pytest.mark.local_shows_it
@network_changes_allowed
def test_a_second_notebook_watches_the_first(walk):
    enough = walk.project.path / "enough"
    enough.unlink(missing_ok=True)
    count = """
    import time
    from pathlib import Path
    from lib.jobs import progress
    for _ in progress(range(400), key="count"):
        time.sleep(0.25)
        if Path("../enough").exists():
            break
    """
    write_notebook(walk.project, "ipynb/counts.ipynb", count)
    write_notebook(walk.project, "ipynb/watches.ipynb", "from lib.jobs import watch", "watch('count')")
    walk.open_notebook("ipynb/counts.ipynb")
    walk.run_all()
    bar = walk.page.locator(".jp-OutputArea-output progress")
    bar.wait_for()
    other = Walk(walk.page.context.new_page(), walk.project)
    other.open_notebook("ipynb/watches.ipynb")
    other.run_all()
    seen = other.page.locator(".jp-OutputArea-output progress")
    seen.wait_for()
    before = float(seen.get_attribute("value"))
    wait_for(lambda: float(seen.get_attribute("value")) >= before + 4, what="the bar in the second notebook")
    other.picture("watch")
    assert seen.get_attribute("max") == bar.get_attribute("max") == "400"
    enough.touch()
    other.page.locator(".jp-OutputArea-output").get_by_text("stopped").wait_for()
    other.wait_idle()
    enough.unlink()


@network_changes_allowed
def test_the_dashboard_shows_a_worker_at_work(walk):
    walk.project.python("from lib.jobs import queue; queue().enqueue('lib.work.slow', 8)")
    walk.dashboard("0/view/workers")
    walk.page.get_by_role("link", name="lib.work.slow(8)").wait_for()
    walk.picture("dashboard")
    walk.project.python("from lib.jobs import enqueue_each; from lib.work import slow; enqueue_each(slow, [0.1] * 150)")
    walk.page.get_by_role("link", name="lib.work.slow, 2 × from 0.1").first.wait_for()
    walk.dashboard("0/view/queues")
    walk.page.get_by_role("cell", name="default", exact=True).wait_for()
    assert "Traceback" not in walk.project.log("this_monitor")


@pytest.mark.local_shows_it
@network_changes_allowed
def test_a_failed_job_is_requeued_from_the_dashboard(walk):
    (walk.project.path / "data/late.csv").unlink(missing_ok=True)
    job = walk.project.python(ENQUEUE, "lib.work.size", "data/late.csv").strip()
    walk.dashboard("0/view/jobs/default/failed/8/asc/1")
    row = walk.page.locator(f'[data-job-id="{job}"]')
    row.get_by_text("FileNotFoundError").wait_for()
    (walk.project.path / "data/late.csv").write_text("late")
    row.get_by_role("link", name="Requeue").click()
    done = "import sys; from lib.jobs import queue; print(queue().fetch_job(sys.argv[1]).return_value())"
    wait_for(lambda: walk.project.python(done, job).strip() == "4", what="the job's second try")


@pytest.mark.long
@pytest.mark.skipif("DSPROJ_PICTURES" not in os.environ, reason="only for nox -s pictures")
@network_changes_allowed
def test_the_tutorial_is_pictured(walk):
    """docs/tutorial.md, its cells in a notebook of the journal; that they do what the page says is seen by test_docs.py."""
    first, *cells = [block.text.rstrip("\n") for block in blocks("tutorial.md") if block.language == "python"]
    walk.project.python(first)
    walk.project.make("dataset", "SOURCE=wine.csv")
    name = walk.project.make("notebook", "NAME=Tell cultivars apart").strip()
    write_notebook(walk.project, name, *cells)
    walk.open_notebook(name)
    walk.run_all()
    walk.page.wait_for_selector(".jp-OutputArea-output img")
    walk.wait_idle()
    notebook = walk.page.locator(".jp-Notebook .jp-WindowedPanel-outer")
    walk.scroll(notebook, walk.page.locator(".jp-OutputArea-output img").first)
    walk.picture("tutorial-look")
    walk.scroll(notebook, walk.page.locator(".jp-OutputArea-output").filter(has_text="max_leaf_nodes").first)
    walk.picture("tutorial-models")
    walk.project.make("report")
    walk.page.goto(f"file://{walk.project.path}/reports/index.html")
    walk.picture("tutorial-report")

"""Daily life with a generated project: the same for Docker and for the local stack."""

import html
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from urllib.parse import quote

import corporate
import nbformat
import pytest
import requests
from conftest import PREFIX, ROOT, checked, command, wait_for
from nbformat.v4 import new_code_cell, new_notebook
from stacks import BOTH, IDENTITY, ODD_CSV, SERVICES, DockerStack

JOB = """
from lib.jobs import enqueue_ranges, wait
from lib.postgres import TABLE, encode_targets
print(sum(wait(enqueue_ranges(encode_targets, TABLE, 5000), timeout=120)))
"""


@pytest.fixture(scope="module", params=BOTH)
def project(request, tmp_path_factory, adult):
    """One project for each kind, generated as a person would, in a folder with a blank and an accent."""
    if request.param is DockerStack:
        request.getfixturevalue("engine")
    path = tmp_path_factory.mktemp("home") / "my projéct"
    made = request.param(path, f"{PREFIX}-{request.param.kind}")
    made.remove()
    try:
        yield made.generate(project_name="My Projéct", **({"dataset_source": adult} if adult else {}))
    finally:
        made.remove()


@pytest.fixture(scope="module")
def expected_rows(adult):
    return 32561 if adult else 400


def test_everything_is_healthy_and_the_summary_says_so(project, expected_rows):
    assert project.states() == dict.fromkeys(SERVICES, "healthy")
    assert "My Projéct is running." in project.printed
    assert (
        f"http://127.0.0.1:{project.env['JUPYTER_PORT']}/lab/tree/ipynb/README.md?token={project.env['JUPYTER_TOKEN']}"
        in project.printed
    )
    assert f"table adult, {expected_rows:,} rows" in project.printed
    assert ("SYNTHETIC SAMPLE" in project.printed) == (expected_rows == 400)


def test_rows_are_typed_trimmed_and_null_where_the_file_has_a_question_mark(project, expected_rows):
    counts = project.sql("SELECT count(*), count(DISTINCT _id), max(_id) FROM adult")
    assert counts == "|".join([str(expected_rows)] * 3)
    assert project.sql("SELECT DISTINCT income_label FROM adult ORDER BY 1").split() == ["<=50K", ">50K"]
    assert project.sql("SELECT count(*) FROM adult WHERE adult::text LIKE '%?%' OR workclass LIKE ' %'") == "0"
    assert int(project.sql("SELECT count(*) FROM adult WHERE workclass IS NULL")) > 0
    if expected_rows == 32561:
        assert project.sql("SELECT count(*) FROM adult WHERE workclass IS NULL") == "1836"
        assert project.sql("SELECT sum(age), sum(fnlwgt::bigint) FROM adult") == "1256257|6179373392"
    assert project.sql("SELECT table_name, row_count FROM dsproj_seed") == f"adult|{expected_rows}"


def test_psql_takes_a_query_with_any_character_and_says_what_is_wrong_with_it(project):
    query = "SELECT 6 * 7 AS n, 'a''b $HOME `id` \"x\" é' AS t"
    assert re.search(r"\n +42 \| a'b \$HOME `id` \"x\" é\n\(1 row\)", project.make("psql", f"Q={query}"))
    said = project.refused("psql", "Q=SELECT * FROM no_such; SELECT 1")
    assert said.startswith('ERROR:  relation "no_such" does not exist') and "?column?" not in said


def test_text_sorts_the_same_on_both_engines(project):
    assert (
        project.sql("SELECT string_agg(x, '' ORDER BY x) FROM (VALUES ('b'), ('B'), ('a'), ('é')) AS v (x)") == "Babé"
    )


def test_one_commit_clean_tree_and_no_secret_in_git(project):
    assert len(project.git("log", "--oneline").splitlines()) == 1
    assert project.git("status", "--porcelain") == ""
    for secret in project.secrets:
        assert command("git", "grep", secret, "HEAD", cwd=project.path).returncode == 1
    assert stat.S_IMODE((project.path / ".env").stat().st_mode) == 0o600


def test_an_editor_finds_the_servers_by_itself(project):
    """Visual Studio Code's settings as they stand; with Docker, tests/inside asks for the line that says where to run."""
    settings = json.loads(
        (project.path / ".vscode/settings.json").read_text().replace("${workspaceFolder}", str(project.path))
    )
    if project.kind == "docker":
        pytest.skip("the data stores are not published")
    bare = {name: text for name, text in os.environ.items() if not name.startswith(("PG", "REDIS", "PYTHONPATH"))}
    code = "from lib.postgres import read_frame; from lib.jobs import queue; print(len(read_frame('SELECT 1')), queue().name)"
    for folder, more in ((".", {}), ("ipynb", settings["terminal.integrated.env.linux"])):
        python = settings["python.defaultInterpreterPath"]
        assert checked(python, "-c", code, cwd=project.path / folder, env=bare | more) == "1 default\n"
    cells = [*settings["jupyter.runStartupCommands"], "%%sql one\nSELECT 1 AS n", "print(one.n.sum())"]
    kernel = (
        f"from IPython import InteractiveShell as S; shell = S.instance(); [shell.run_cell(cell) for cell in {cells}]"
    )
    assert checked(python, "-c", kernel, cwd=project.path, env=bare).splitlines()[-1] == "1"


def test_passwords_are_demanded(project):
    lab, monitor = (f"http://127.0.0.1:{project.env[name]}" for name in ("JUPYTER_PORT", "MONITOR_PORT"))
    assert requests.get(f"{lab}/api/contents").status_code == 403
    token = {"Authorization": f"token {project.env['JUPYTER_TOKEN']}"}
    listed = requests.get(f"{lab}/api/contents", headers=token).json()["content"]
    assert {"ipynb", "lib", "data"} <= {entry["name"] for entry in listed}
    assert requests.get(monitor).status_code == 401
    assert requests.get(monitor, auth=("dsproj", project.env["MONITOR_PASSWORD"])).status_code == 200
    refused = project.python(
        "import os, psycopg2, redis\n"
        "try: psycopg2.connect(password='wrong')\n"
        "except psycopg2.OperationalError as error: print(error)\n"
        "address = os.environ['REDIS_URL'].partition('@')[2]\n"
        "try: redis.from_url('redis://' + address).ping()\n"
        "except redis.AuthenticationError: print('redis refused')\n"
    )
    assert "password authentication failed" in refused and "redis refused" in refused


def test_no_password_in_a_process_list(project):
    running = checked("ps", "-eww", "-o", "args")
    assert not [secret for secret in project.secrets if secret in running]


def test_a_job_goes_through_the_worker_and_the_dashboard_shows_it(project, expected_rows):
    assert project.python(JOB).split()[-1] == str(expected_rows)
    assert project.sql("SELECT count(*) FROM adult WHERE target IS NULL") == "0"
    dashboard = f"http://127.0.0.1:{project.env['MONITOR_PORT']}/0/data/queues.json"
    queues = requests.get(dashboard, auth=("dsproj", project.env["MONITOR_PASSWORD"])).json()["queues"]
    assert [queue["name"] for queue in queues] == ["default"]


@pytest.mark.local_shows_it
def test_every_notebook_runs_and_git_sees_nothing(project):
    assert project.notebooks(times=2 if "DSPROJ_DRILL" in os.environ else 1) == own_notebooks(project) >= 8
    assert project.git("status", "--porcelain") == ""
    dotted = {path.name for path in project.path.iterdir() if path.name.startswith(".")}
    known = {entry.split("/")[0] for entry in project.git("ls-files").splitlines()}
    assert dotted - known <= {".git", ".env", ".local"}


def own_notebooks(project):
    """How many come along with it."""
    return len([path for path in (project.path / "ipynb").glob("*.ipynb") if not path.name.startswith("2030")])


def notebook(project, name, *cells):
    """A notebook in the journal; a cell that starts with a comment `# tag` has that tag."""
    made = [new_code_cell(cell, metadata={"tags": re.findall(r"^# ([a-z-]+)$", cell, re.M)}) for cell in cells]
    nbformat.write(new_notebook(cells=made), project.path / "ipynb" / f"{name}.ipynb")


@pytest.fixture
def hostile(project):
    """Beside the project's own notebooks: such as run, and such as cannot."""
    odd = "20300101-1-Odd 'name', \"quotes\" & #50% 'é"
    notebook(
        project, odd, "# parameters\nyear: int = 2024\ntitle = 'a'", "", "from lib import postgres\nprint(title, year)"
    )
    notebook(project, "20300101-2-Fails", "1", "x = 2\nraise ValueError('no\\n\\n such thing\\nthird')", "3")
    notebook(project, "20300101-10-Dies", "import os", "os.kill(os.getpid(), 9)")
    notebook(project, "20300101-9-Changes", "import time\nprint('took 0.1 s')", "open('../given').read()")
    (project.path / "ipynb" / "20300101-11-Broken.ipynb").write_text("{ not JSON")
    (project.path / "given").write_text("before")
    yield odd
    for path in [*(project.path / "ipynb").glob("2030*"), project.path / "given"]:
        path.unlink()


@pytest.mark.local_shows_it
def test_run(project, hostile):
    done = command("make", "run", "NB=20300101", cwd=project.path)
    assert done.returncode and "Traceback" not in done.printed, done.printed
    said = [re.sub(r" +\(\d+\.\d s\)$|20300101-|[\d,]+(?= MB)", "", line) for line in done.stdout.splitlines()]
    failed = [
        "2-Fails FAILED cell 2, line 2 (raise ValueError('no\\n\\n such thing\\nthird')): ValueError: no such thing",
        "9-Changes ok",
        "10-Dies FAILED cell 2 (os.kill(os.getpid(), 9)): the kernel died. Killed by signal 9 (Killed); "
        "its peak was at most MB of memory. Where nobody killed it, memory ran out: see JUPYTER_MEMORY in .env.",
        "11-Broken FAILED is no notebook: Notebook does not appear to be JSON: '{ not JSON'",
    ]
    assert [" ".join(line.split()) for line in said] == [
        f"{hostile.partition('-')[2]} ok",
        *failed,
        "run executed copies are in reports/runs/",
    ]
    assert "3 of 5 notebooks failed; what came out of all others is there" in done.stderr
    assert "outputs" in (project.path / "reports/runs/20300101-2-Fails.ipynb").read_text()

    path = project.path / "ipynb" / f"{hostile}.ipynb"
    before = path.read_bytes()
    # A value is data: the shell's words in it are not run, neither are Python's.
    project.make("run", f"NB={path}", "SET=year=2000 title='$(touch mine) \"; 1/0; `touch mine`'")
    copies = [
        nbformat.read(copy, as_version=4) for copy in (project.path / "reports/runs").glob(f"{hostile} year=2000*")
    ]
    assert [cell.outputs[0].text for cell in copies[0].cells if cell.get("outputs")] == [
        '$(touch mine) "; 1/0; `touch mine` 2000\n'
    ]
    assert path.read_bytes() == before and not (project.path / "mine").exists()

    for words, what in [
        (["NB=77"], "NB=77: no such notebook; there are: "),
        (["NB=odd", "SET=yaer=1"], f"SET: no parameter yaer; {hostile} has year, title\n"),
        (["NB=/etc/passwd"], "etc/passwd: no such notebook"),
    ]:
        done = command("make", "run", *words, cwd=project.path)
        assert done.returncode and what in done.stderr and done.stdout == "", done.printed
    assert "reports" not in project.git("status", "--porcelain")


def test_run_through_the_queue(project, hostile):
    for name in ("1-Odd", "9-Changes", "10-Dies", "11-Broken"):
        next((project.path / "ipynb").glob(f"20300101-{name}*")).unlink()
    wait = "from lib.jobs import queue, wait\nwait([queue().enqueue('lib.postgres.encode_target', 1)], timeout=60)"
    notebook(project, "20300101-12-Hands_on", "# parameters\nvalue = 1", wait, "print(value)")
    done = command("make", "run", "QUEUE=1", "NB=20300101", cwd=project.path)
    assert done.returncode and done.stderr.splitlines()[:2] == [
        "There is 1 worker, and a notebook that waits for jobs needs one beside its own",
        "To finish: make scale N=2",
    ]
    project.make("scale", "N=2")
    try:
        done = command("make", "run", "QUEUE=1", "NB=20300101", "SET=value='1/0 or worse'", cwd=project.path)
    finally:
        project.make("scale", "N=1")
    assert done.returncode and "1 of 2 notebooks failed" in done.stderr and "Traceback" not in done.printed
    fails, waits = done.stdout.splitlines()[:2]
    assert "2-Fails" in fails and "FAILED  cell 2, line 2 (raise ValueError" in fails
    assert "12-Hands_on" in waits and " ok " in waits
    copy = nbformat.read(project.path / "reports/runs/20300101-12-Hands_on value=_1_0_or_worse_.ipynb", as_version=4)
    assert copy.cells[-1].outputs[0].text == "1/0 or worse\n"


@pytest.fixture
def short_journal(project):
    """The first three of the project's own notebooks, where another test runs all."""
    kept = project.path.parent / "not_now"
    kept.mkdir()
    moved = [path.rename(kept / path.name) for path in sorted((project.path / "ipynb").glob("*.ipynb"))[3:]]
    yield
    for path in moved:
        path.rename(project.path / "ipynb" / path.name)


@pytest.mark.local_shows_it
def test_report(project, short_journal, hostile):
    def page(name="index"):
        return (project.path / "reports" / f"{name}.html").read_text()

    done = command("make", "report", cwd=project.path)
    assert done.returncode and done.stdout.count(" ok ") == own_notebooks(project) + 2, done.printed
    assert (
        "reports/index.html" in done.stdout
        and f"3 of {own_notebooks(project) + 5} notebooks failed; what came" in done.stderr
    )
    names = sorted(path.stem for path in (project.path / "ipynb").glob("*.ipynb"))
    order = re.findall(r"[> ](\d{8}-\d+-[^<]*)<", page())
    assert [html.unescape(name)[9:].partition("-")[0] for name in order[own_notebooks(project) :]] == [
        "1",
        "2",
        "9",
        "10",
        "11",
    ]
    assert sorted(map(html.unescape, order)) == names
    assert (
        page().count('class="failed"') == 3
        and "cell 2, line 2" in page()
        and "changed" not in page().partition("</style>")[2]
    )
    for name in (name for name in names if "Broken" not in name):
        assert f'href="journal/{quote(name)}.html"' in page()
        # Nothing has to be fetched to see it, and what is not there is not asked for.
        assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(?!data:)', page(f"journal/{name}")), name
    assert "data:image/png;base64" in page(f"journal/{names[0]}") and ".html" in page(f"journal/{names[0]}")
    assert "ValueError" in page("journal/20300101-2-Fails")

    kept = project.path.parent / "kept"
    kept.mkdir()
    moved = [path.rename(kept / path.name) for path in (project.path / "ipynb").glob("*") if "Changes" not in path.name]
    notebook(project, "20300101-9-Changes", "# parameters\nprint('took 7.25 s')", "open('../given').read()", "4")
    first = command("make", "report", cwd=project.path)
    (project.path / "given").write_text("after")
    second = command("make", "report", cwd=project.path)
    for path in moved:
        path.rename(project.path / "ipynb" / path.name)
    assert first.returncode == 0 and "changed in cell" in first.stdout, first.printed
    assert second.returncode == 0 and "ok, changed in cell 2 " in second.stdout, second.printed
    assert re.search(r'changed in cell <a href="journal/20300101-9-Changes.html#cell-id=\w+">2</a></span>', page())


EACH_BAR = """
import glob, json
cells = json.load(open(glob.glob("ipynb/*-5-*.ipynb")[0]))["cells"]
source = "".join(next(cell["source"] for cell in cells if cell["id"] == "plot"))
import matplotlib.pyplot as plt
one_by_one, queued, one_statement, rows = 299, 1.7, 1.0, 32561
exec(source.partition("\\n\\n")[0] + "\\n" + source.partition("\\n\\n")[2].partition("\\n\\n")[0].partition("\\ncur.")[0])
print([bool(bar.get_window_extent().height / left.get_window_extent().height > 0.1) for bar in bars])
"""


def test_the_plot_of_the_last_notebook_shows_every_bar(project):
    assert project.python(EACH_BAR).strip() == "[True, True, True]"


@pytest.mark.local_shows_it
def test_a_run_ends_with_who_waits_for_it(project):
    path, beat = project.path / "ipynb" / "20300101-1-Waits.ipynb", project.path / "beat"
    source = "import time\nfor n in range(900):\n    open('../beat', 'w').write(str(n))\n    time.sleep(0.1)"
    notebook(project, path.stem, source)
    words, how = [sys.executable, ".dsproj", "run", "NB=waits"], {"stderr": subprocess.PIPE, "text": True}
    how |= {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # which a shell's & has ignored
    try:
        for name in ("SIGINT", "SIGKILL"):
            with subprocess.Popen(words, cwd=project.path, start_new_session=True, **how) as process:
                wait_for(beat.exists, what="the first beat")
                os.killpg(process.pid, signal.Signals[name])
                said = process.stderr.read()
            whole = "Interrupted: the notebook that ran is stopped, and what is not whole is not kept.\n"
            assert process.returncode and said == (whole if name == "SIGINT" else "")

            def still():
                beat.unlink(missing_ok=True)
                time.sleep(0.5)
                return not beat.exists()

            wait_for(still, 20, "the end of the kernel")
    finally:
        path.unlink()
    assert not [
        found for found in (project.path / "reports").rglob("*") if "Waits" in found.name or ".part" in found.name
    ]


def test_projects_own_tests_and_lint_pass(project):
    assert "passed" in project.make("test")
    assert "All checks passed" in project.make("check")
    assert project.git("status", "--porcelain") == ""


@pytest.fixture
def company(project, tmp_path):
    """The project in a company's network, whose proxy, certificates and index stand in its .env."""
    path = project.path / ".env"
    before = path.read_text()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing
        probe.connect(("198.51.100.1", 9))
        address = probe.getsockname()[0]  # of this machine, as its containers, too, reach it
    with corporate.network(tmp_path) as network:
        path.write_text(before + network.env(address))
        yield network
    path.write_text(before)
    project.git("reset", "--quiet", "--hard")
    project.git("clean", "--quiet", "--force", "-d")


def test_a_companys_network_reaches_kernels_jobs_and_downloads(project, company):
    link = f"{company.place}/crops.csv"  # of a host that only the proxy knows
    (project.path / "lib/fetching.py").write_text(
        "import urllib.request\n\nimport requests\n\n\n"
        "def fetch(link):\n    assert urllib.request.urlopen(link).read() == requests.get(link).content\n    return len(link)\n"
    )
    project.make("up")
    assert project.states() == dict.fromkeys(SERVICES, "healthy")
    project.python(
        "import sys; from lib.fetching import fetch; from lib.jobs import enqueue_each, wait\n"
        "assert fetch(sys.argv[1]) == wait(enqueue_each(fetch, sys.argv[1:2]))[0]",
        link,
    )
    fetch = 'cd "$(mktemp -d)" && python -m pip download --no-deps corp-only && rm -r "$PWD"'
    assert "Saved" in project.run("sh", "-c", fetch)
    assert "corp_crops: 2 rows" in project.make("dataset", f"SOURCE={link}", "TABLE=corp_crops")
    if "DSPROJ_DRILL" in os.environ:  # the image's build, or the environment
        project.make("add", "PKG=corp-only")
        assert project.python("import corp_only; print(corp_only.WHERE)") == "the private index\n"
        if project.kind == "docker":
            made = [f"{project.slug}-{name}" for name in ("jupyter", "postgres")]
            for shown in (
                ["history", "--no-trunc", made[0]],
                ["history", "--no-trunc", made[1]],
                ["image", "inspect", *made],
            ):
                assert "s3cret" not in checked("docker", *shown)
    project.make("dataset", "DROP=corp_crops", "FORCE=1")
    project.git("add", "--all")
    assert "s3cret" not in project.git("diff", "--cached")


def test_down_and_up_keep_the_data(project, expected_rows):
    project.sql("CREATE TABLE mine AS SELECT 42 AS answer")
    project.python("from lib.cache import put; put('mine', 42)")
    project.make("down")
    assert project.states() == {}
    for target in (
        "psql",
        *"test backup run report stats url logs shell".split(),
        "exec CMD=true",
        "restore FILE=x",
    ):
        done = command("make", *target.split(), cwd=project.path, timeout=30)
        assert done.returncode and "To finish: make up" in done.printed, (target, done.printed)
        assert any(words in done.printed for words in ("not running", "Nothing runs", "does not run")), done.printed
    assert "1, from the next start on: make up" in project.make("scale", "N=1")
    printed = project.make("up")
    assert f"adult is loaded already: {expected_rows} rows" in printed and "README.md?token=" in printed
    assert project.states() == dict.fromkeys(SERVICES, "healthy")
    assert project.sql("SELECT answer FROM mine") == "42"
    assert project.python("from lib.cache import get; print(get('mine'))").strip() == "42"
    project.sql("DROP TABLE mine")


def test_make_targets(project):
    listed = project.make()
    targets = """
        help up down url dataset seed psql notebook run report scale service add lock ps stats logs shell exec test check
        remote remote-down publish backup restore update upgrade-postgres destroy
    """
    assert re.findall(r"^  make ([\w-]+)", listed, re.M) == targets.split()
    assert "\nStart and stop\n  make up " in listed and len(listed.splitlines()) <= 40, "one screen, in groups"
    assert "this_worker" in project.make("ps")
    assert "README.md?token=" in project.make("url")
    stats = {line.split()[0]: line for line in project.make("stats").splitlines() if line.startswith("this_")}
    for service in SERVICES:
        variable = service.removeprefix("this_").upper() + "_MEMORY"
        assert re.fullmatch(rf"{service}( +[1-9][\d,]* MB){{3}}  {variable}", stats[service]), stats
        used, limit, peak = (int(size.replace(",", "")) for size in re.findall(r"([\d,]+) MB", stats[service]))
        assert used <= peak < limit, stats
    assert "loaded already" in project.make("seed")
    project.make("scale", "N=2")
    assert project.workers() == 2
    project.make("scale", "N=0")
    assert project.workers() == 0
    project.make("scale", "N=1")
    assert project.workers() == 1
    assert "make scale N=4" in command("make", "scale", cwd=project.path).printed


def test_forced_seed_loads_anew(project, expected_rows):
    project.sql("DELETE FROM adult WHERE _id <= 10")
    project.make("seed")
    assert project.sql("SELECT count(*) FROM adult") == str(expected_rows - 10)
    project.make("seed", "FORCE=1")
    assert project.sql("SELECT count(*) FROM adult") == str(expected_rows)


@pytest.mark.parametrize("again", ["recopy", "copy"])
def test_generating_over_it_again_changes_nothing(project, again):
    before, started = project.env, project.process_ids()
    answers = project.path / ".copier-answers.yml"
    arguments = [project.path] if again == "recopy" else ["--data-file", answers, ROOT, project.path]
    done = command(
        sys.executable, "-m", "copier", again, "--trust", "--defaults", "--overwrite", "--quiet", "--vcs-ref", "HEAD",
        *arguments, env=os.environ | IDENTITY,
    )  # fmt: skip
    assert done.returncode == 0 and "is running" in done.printed, done.printed
    assert project.env == before
    assert len(project.git("log", "--oneline").splitlines()) == 1
    assert project.process_ids() == started


# What of the lock differs here, and every package with its version.
PACKAGES = """
import json
from dsproj.kernel import locked
there, lock = locked.installed(), locked.holding(locked.locks.LOCKS[0])
direct, own = locked.require_lock(lock), locked.of_image()
kept = [name for name in lock if name in own and name not in direct]
print(json.dumps([[name for name in lock if there.get(name) != lock[name].version and name not in kept], there, kept]))
"""
LISTS = {}


def test_both_engines_have_the_lock_s_versions(project):
    """What the image brought along by itself counts as the image's; all else is the same in both."""
    others, there, kept = json.loads(project.python(PACKAGES))
    assert others == [] and bool(kept) == (project.kind == "docker")
    LISTS[project.kind] = there, kept
    if len(LISTS) == 2:
        (docker, kept), (local, _) = LISTS["docker"], LISTS["local"]
        added = {name: version for name, version in docker.items() if name in local and name not in kept}
        assert len(added) > 20 and {name: local[name] for name in added} == added


IN_A_JOB = """
from lib.jobs import queue, wait
print(wait([queue().enqueue("lib.added.version")], timeout=60))
"""


@pytest.mark.index
def test_a_package_is_added_while_kernels_run_and_taken_back_where_it_fails(project):
    """The last of this project: with Docker, its next `make up` has another image for JupyterLab."""
    jupyter, commit = project.host_process_id("this_jupyter"), project.git("rev-parse", "HEAD")
    (project.path / "lib" / "added.py").write_text("def version():\n    import toolz\n    return toolz.__version__\n")
    said = project.refused("add", "PKG=no-such-package-of-dsproj")
    assert said.startswith("There is no package no-such-package-of-dsproj in the package index. Nothing was changed.")
    assert project.git("status", "--porcelain", "docker", "local") == ""
    said = project.make("add", "PKG=toolz==1.0.0")
    assert "toolz 1.0.0: in docker/jupyter/requirements.txt" in said and "those that run can import it" in said
    assert project.git("rev-parse", "HEAD") == commit and project.host_process_id("this_jupyter") == jupyter
    assert project.python("import toolz; print(toolz.__version__)").strip() == "1.0.0"
    assert project.python(IN_A_JOB).strip() == "['1.0.0']"
    project.run("python", "-m", "pip", "install", "--quiet", "--no-deps", "humanize==4.12.3")
    assert 'make add PKG="humanize==4.12.3"' in project.make("check")
    assert "toolz 1.0.0: there already" in project.make("add", "PKG=toolz")


# --- other answers -----------------------------------------------------------------------------------------------------


@pytest.mark.local_shows_it
@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    "answers",
    [
        {"dataset": "breast_cancer", "mongo": True, "jupyter_stack": "r"},
        pytest.param({"dataset": "csv"}, marks=pytest.mark.long),  # test_ci.py has it on the local stack
        pytest.param({"dataset": "none", "jupyter_stack": "minimal"}, marks=pytest.mark.long),
    ],
    ids=lambda answers: answers["dataset"],
)
def test_other_answers_run_too(made, tmp_path, kind, answers):
    if answers["dataset"] == "csv":
        (tmp_path / "Crop Yields.csv").write_text(ODD_CSV)
        answers = answers | {"dataset_source": tmp_path / "Crop Yields.csv"}
    project = made(kind, name=f"{answers['dataset'].replace('_', '-')}-{kind.kind}", **answers)
    assert "is running" in project.printed, project.printed
    assert set(project.states().values()) == {"healthy"}
    if answers["dataset"] == "csv":
        values = project.sql("SELECT count(*), sum(yield), max(crop_name), max(column_when) FROM crop_yields")
        assert values == "3|7.5|Wheat; winter|2026-03-01"
    if answers.get("mongo"):
        code = "from lib.mongo import connect_to_mongo as c; print(c().admin.command('ping')['ok'])"
        assert project.python(code).strip() == "1.0"
    times = 2 if "DSPROJ_DRILL" in os.environ else 1
    assert project.notebooks(times) == own_notebooks(project) >= 7
    assert "passed" in project.make("test")
    assert project.git("status", "--porcelain") == ""


KERNELS = """
import json, os, subprocess, sys
listed = subprocess.run(["jupyter", "kernelspec", "list", "--json"], capture_output=True, text=True, check=True).stdout
stat = os.stat("ipynb")
print(json.dumps([sorted(json.loads(listed)["kernelspecs"]), sys.prefix, sys.version_info[:2], os.getuid() == stat.st_uid]))
"""


@pytest.mark.skipif("DSPROJ_DRILL" not in os.environ, reason="r is in test_other_answers_run_too; all: nox -s drill")
@pytest.mark.parametrize("stack", ["minimal", "scipy", "datascience", "r", "tensorflow", "pytorch", "pyspark"])
def test_every_jupyter_image_builds_and_starts(made, stack):
    """On stand-ins, of which those with R run their own notebook; docs/jupyter-stacks.md says what else was run."""
    project = made(DockerStack, name=f"stack-{stack}", jupyter_stack=stack, dataset="none")
    assert project.states() == dict.fromkeys(SERVICES, "healthy"), project.printed
    kernels, prefix, version, is_owner = json.loads(project.python(KERNELS))
    assert {"python3", *(["ir"] if stack in ("r", "datascience") else [])} <= set(kernels)
    assert prefix == "/opt/conda" and version >= [3, 11] and is_owner
    if "ir" in kernels:
        for _ in range(2):
            assert "Read_Table_In_R ok" in project.make("run", "NB=Read_Table_In_R")
    assert project.git("status", "--porcelain") == ""

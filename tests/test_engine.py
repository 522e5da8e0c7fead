"""Generation and daily life on a real Docker engine: what a user would notice."""

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest
import requests
from conftest import ROOT, checked, command, free_port, generate, remove_stack, wait_for

pytestmark = pytest.mark.engine

SERVICES = {"this_jupyter", "this_monitor", "this_postgres", "this_redis", "this_worker"}
IDENTITY = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
IDENTITY |= {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org"}
JOB = """
from lib.jobs import enqueue_ranges, wait
from lib.postgres import TABLE, encode_targets
print(sum(wait(enqueue_ranges(encode_targets, TABLE, 5000), timeout=120)))
"""


def compose(project, *arguments, **options):
    return checked("docker", "compose", *arguments, cwd=project, **options)


def sql(project, query):
    return compose(project, "exec", "-T", "this_postgres", "psql", "-At", "-c", query).strip()


def states(project):
    listed = compose(project, "ps", "--all", "--format", "json").splitlines()
    return {entry["Service"]: entry["Health"] for entry in map(json.loads, listed)}


def variables(project):
    return dict(line.split("=", 1) for line in (project / ".env").read_text().splitlines() if "=" in line)


def python(project, code):
    return compose(project, "exec", "-T", "this_jupyter", "python", "-c", code)


def notebooks(project, times=1):
    """Run every notebook in its order, and save it with its output through JupyterLab's own interface."""
    script = """
import json, os, sys, urllib.request, nbformat
from nbclient import NotebookClient
for path in sys.argv[1:]:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": "ipynb"}}).execute()
    body = json.dumps({"type": "notebook", "format": "json", "content": notebook}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:8888/api/contents/{path}", body, method="PUT")
    request.add_header("Authorization", "token " + os.environ["JUPYTER_TOKEN"])
    urllib.request.urlopen(request).read()
    assert any(cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells)
"""
    # In the order of the journal: it is told, not spelt.
    order = ["Examine", "Initial", "Verify", "Develop", "Encode"]
    found = sorted((project / "ipynb").glob("*.ipynb"), key=lambda p: order.index(p.name.split("-")[1].split("_")[0]))
    names = [f"ipynb/{path.name}" for path in found]
    for _ in range(times):
        compose(project, "exec", "-T", "this_jupyter", "python", "-c", script, *names)
    return len(names)


@pytest.fixture(scope="module")
def home(engine, tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def project(home, adult):
    """One project, generated as a person would, with its stack up; the printed summary is `project.printed`."""
    slug = "dsproj-test-main"
    remove_stack(slug)
    answers = {"project_slug": slug, "jupyter_port": free_port(20000), "monitor_port": free_port(20100)}
    if adult:
        answers["dataset_source"] = adult
    done = generate(ROOT, home / "my projéct", project_name="My Projéct", stack="docker", env=IDENTITY, **answers)
    path = type("Project", (type(home),), {})(home / "my projéct")
    path.printed = done.printed
    assert done.returncode == 0, done.printed
    yield path
    remove_stack(slug)


@pytest.fixture(scope="module")
def expected_rows(adult):
    return 32561 if adult else 400


# --- generation --------------------------------------------------------------------------------------------------------


def test_everything_is_healthy_and_the_summary_says_so(project, expected_rows):
    assert states(project) == dict.fromkeys(SERVICES, "healthy")
    env = variables(project)
    assert "My Projéct is running." in project.printed
    assert f"http://127.0.0.1:{env['JUPYTER_PORT']}/lab?token={env['JUPYTER_TOKEN']}" in project.printed
    assert f"table adult, {expected_rows:,} rows" in project.printed
    assert ("SYNTHETIC SAMPLE" in project.printed) == (expected_rows == 400)


def test_rows_are_typed_trimmed_and_null_where_the_file_has_a_question_mark(project, expected_rows):
    assert sql(project, "SELECT count(*), count(DISTINCT _id), max(_id) FROM adult") == "|".join(
        [str(expected_rows)] * 3
    )
    assert sql(project, "SELECT DISTINCT income_label FROM adult ORDER BY 1").split() == ["<=50K", ">50K"]
    assert sql(project, "SELECT count(*) FROM adult WHERE adult::text LIKE '%?%' OR workclass LIKE ' %'") == "0"
    assert int(sql(project, "SELECT count(*) FROM adult WHERE workclass IS NULL")) > 0
    if expected_rows == 32561:
        assert sql(project, "SELECT count(*) FROM adult WHERE workclass IS NULL") == "1836"
        assert sql(project, "SELECT sum(age), sum(fnlwgt::bigint) FROM adult") == "1256257|6179373392"
    assert sql(project, "SELECT table_name, row_count FROM dsproj_seed") == f"adult|{expected_rows}"


def test_one_commit_clean_tree_and_no_secret_in_git(project):
    assert len(checked("git", "log", "--oneline", cwd=project).splitlines()) == 1
    assert checked("git", "status", "--porcelain", cwd=project) == ""
    for name, value in variables(project).items():
        if name.endswith(("PASSWORD", "TOKEN")):
            assert command("git", "grep", value, "HEAD", cwd=project).returncode == 1, name
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600


def test_passwords_are_demanded(project):
    env = variables(project)
    lab, monitor = (f"http://127.0.0.1:{env[name]}" for name in ("JUPYTER_PORT", "MONITOR_PORT"))
    assert requests.get(f"{lab}/api/contents").status_code == 403
    token = {"Authorization": f"token {env['JUPYTER_TOKEN']}"}
    listed = requests.get(f"{lab}/api/contents", headers=token).json()["content"]
    assert {"ipynb", "lib", "data"} <= {entry["name"] for entry in listed}
    assert requests.get(monitor).status_code == 401
    assert requests.get(monitor, auth=("dsproj", env["MONITOR_PASSWORD"])).status_code == 200
    assert "NOAUTH" in compose(project, "exec", "-T", "-e", "REDISCLI_AUTH=", "this_redis", "redis-cli", "ping")
    refused = command(
        "docker", "compose", "exec", "-T", "-e", "PGPASSWORD=wrong", "this_jupyter", "python", "-c",
        "import psycopg2; psycopg2.connect()", cwd=project,
    )  # fmt: skip
    assert "password authentication failed" in refused.printed


def test_ports_are_on_loopback_alone(project):
    for service in SERVICES:
        ids = compose(project, "ps", "--quiet", service).split()
        bindings = json.loads(checked("docker", "inspect", *ids))[0]["NetworkSettings"]["Ports"]
        hosts = {binding["HostIp"] for published in bindings.values() for binding in published or []}
        assert hosts <= {"127.0.0.1"}, service


def test_no_password_in_a_process_list(project):
    secrets = [value for name, value in variables(project).items() if name.endswith(("PASSWORD", "TOKEN"))]
    running = checked("ps", "-eww", "-o", "args")
    assert not [secret for secret in secrets if secret in running]


def test_nothing_runs_as_root_but_for_a_project_of_roots(project):
    owner = f"{project.stat().st_uid}\n"
    for service in ("this_jupyter", "this_worker", "this_monitor"):
        assert compose(project, "exec", "-T", service, "id", "-u") == owner
    for service, process in (("this_postgres", "postgres"), ("this_redis", "redis")):
        users = compose(project, "top", service)
        assert f"{process}" in users and "root " not in users, users


# --- work --------------------------------------------------------------------------------------------------------------


def test_a_job_goes_through_the_worker_and_the_dashboard_shows_it(project, expected_rows):
    assert python(project, JOB).split()[-1] == str(expected_rows)
    assert sql(project, "SELECT count(*) FROM adult WHERE target IS NULL") == "0"
    env = variables(project)
    queues = requests.get(
        f"http://127.0.0.1:{env['MONITOR_PORT']}/0/data/queues.json", auth=("dsproj", env["MONITOR_PASSWORD"])
    ).json()["queues"]
    assert [queue["name"] for queue in queues] == ["default"]


def test_every_notebook_runs_twice_and_git_sees_nothing(project):
    assert notebooks(project, times=2) == 5
    assert checked("git", "status", "--porcelain", cwd=project) == ""
    loose = {path.name for path in project.iterdir() if path.name.startswith(".")}
    known = {entry.split("/")[0] for entry in checked("git", "ls-files", cwd=project).splitlines()}
    assert loose - known <= {".git", ".env"}


def test_projects_own_tests_and_lint_pass(project):
    assert "passed" in checked("make", "test", cwd=project)
    assert "All checks passed" in checked("make", "check", cwd=project)
    assert checked("git", "status", "--porcelain", cwd=project) == ""


def test_files_written_inside_belong_to_the_owner_outside(project):
    python(project, "open('/home/jovyan/data/made-inside.csv', 'w').write('1')")
    made = project / "data/made-inside.csv"
    owner = project.stat()
    assert (made.stat().st_uid, made.stat().st_gid) == (owner.st_uid, owner.st_gid)
    made.unlink()


def test_down_and_up_keep_the_data(project, expected_rows):
    sql(project, "CREATE TABLE mine AS SELECT 42 AS answer")
    compose(project, "exec", "-T", "this_redis", "redis-cli", "set", "mine", "42")
    checked("make", "down", cwd=project)
    assert states(project) == {}
    printed = checked("make", "up", cwd=project)
    assert f"adult is loaded already: {expected_rows} rows" in printed and "/lab?token=" in printed
    assert states(project) == dict.fromkeys(SERVICES, "healthy")
    assert sql(project, "SELECT answer FROM mine") == "42"
    assert compose(project, "exec", "-T", "this_redis", "redis-cli", "get", "mine").strip() == "42"
    sql(project, "DROP TABLE mine")


def test_make_targets(project):
    listed = checked("make", cwd=project)
    targets = "help up down ps logs url psql seed dataset notebook scale test check".split()
    assert [line.split()[1] for line in listed.splitlines()] == targets
    assert "this_worker" in checked("make", "ps", cwd=project)
    assert "/lab?token=" in checked("make", "url", cwd=project)
    assert "loaded already" in checked("make", "seed", cwd=project)
    checked("make", "scale", "N=2", cwd=project)
    assert len(compose(project, "ps", "--quiet", "this_worker").split()) == 2
    checked("make", "scale", "N=1", cwd=project)
    refused = command("make", "scale", cwd=project)
    assert "make scale N=4" in refused.printed


def test_forced_seed_loads_anew(project, expected_rows):
    sql(project, "DELETE FROM adult WHERE _id <= 10")
    checked("make", "seed", cwd=project)
    assert sql(project, "SELECT count(*) FROM adult") == str(expected_rows - 10)
    checked("make", "seed", "FORCE=1", cwd=project)
    assert sql(project, "SELECT count(*) FROM adult") == str(expected_rows)


def test_a_database_without_its_table_is_not_healthy(project):
    sql(project, "ALTER TABLE dsproj_seed RENAME TO hidden")
    wait_for(lambda: states(project)["this_postgres"] == "unhealthy", 120, "an unhealthy state")
    sql(project, "ALTER TABLE hidden RENAME TO dsproj_seed")
    wait_for(lambda: states(project)["this_postgres"] == "healthy", 30, "a healthy state")


def test_generating_over_it_again_changes_nothing(project, home):
    before = variables(project)
    started = compose(project, "ps", "--quiet").split()
    answers = project / ".copier-answers.yml"
    source = next(line for line in answers.read_text().splitlines() if line.startswith("_src_path"))
    for arguments in (["recopy"], ["copy"]):
        where = [project] if arguments == ["recopy"] else [ROOT, project]
        done = command(
            sys.executable, "-m", "copier", *arguments, "--trust", "--defaults", "--overwrite", "--quiet",
            *(["--vcs-ref", "HEAD"]), *(["--data-file", answers] if arguments == ["copy"] else []), *where,
            env=os.environ | IDENTITY,
        )  # fmt: skip
        assert done.returncode == 0 and "is running" in done.printed, done.printed
        assert variables(project) == before
        assert len(checked("git", "log", "--oneline", cwd=project).splitlines()) == 1
        assert compose(project, "ps", "--quiet").split() == started
    assert source in answers.read_text()


# --- other answers -------------------------------------------------------------------------------------------------------

ODD_CSV = 'Id;Crop Name;When;Yield\n1;"Wheat; winter";2026-01-31;3.5\n2;"Rye ""old""";;4\n3;;2026-03-01;\n'


@pytest.mark.parametrize("answers, rows", [
    ({"dataset": "breast_cancer", "mongo": True, "jupyter_stack": "minimal"}, None),
    ({"dataset": "csv"}, 3),
    ({"dataset": "none", "jupyter_stack": "r"}, 0),
])  # fmt: skip
def test_other_answers_run_too(engine, tmp_path, answers, rows):
    slug = f"dsproj-test-{answers['dataset'].replace('_', '-')}"
    remove_stack(slug)
    if answers["dataset"] == "csv":
        (tmp_path / "Crop Yields.csv").write_text(ODD_CSV)
        answers = answers | {"dataset_source": tmp_path / "Crop Yields.csv"}
    ports = {"jupyter_port": free_port(20200), "monitor_port": free_port(20300)}
    target = tmp_path / "project"
    try:
        done = generate(ROOT, target, project_slug=slug, stack="docker", env=IDENTITY, **ports, **answers)
        assert done.returncode == 0 and "is running" in done.printed, done.printed
        assert set(states(target).values()) == {"healthy"}
        if rows:
            assert sql(target, "SELECT count(*), sum(yield), max(crop_name), max(column_when) FROM crop_yields") == (
                "3|7.5|Wheat; winter|2026-03-01"
            )
        if answers.get("mongo"):
            code = "from lib.mongo import connect_to_mongo as c; print(c().admin.command('ping')['ok'])"
            assert python(target, code).strip() == "1.0"
        assert notebooks(target) == 5
        assert "passed" in checked("make", "test", cwd=target)
        assert checked("git", "status", "--porcelain", cwd=target) == ""
    finally:
        remove_stack(slug)


# --- other people ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ordinary_user(engine):
    """The name of a user who is not root; (name, may use Docker?) -> made for these tests, and taken away again."""
    if os.getuid() != 0:
        pytest.skip("only root can make users")
    name = "dsprojtest"
    command("userdel", "--remove", name)
    checked("useradd", "--create-home", "--uid", "4321", name)
    yield name
    subprocess.run(["userdel", "--remove", name], capture_output=True)


def as_user(name, *arguments, cwd, groups=()):
    """Run a command as that user, with a copy of the interpreter's environment but the user's own home."""
    group = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    account = pwd.getpwnam(name)
    keep = {
        k: v for k, v in os.environ.items() if k.endswith(("_CERT", "_BUNDLE", "_FILE", "_INDEX", "_URL", "_LINKS"))
    }
    env = keep | {"HOME": account.pw_dir, "USER": name, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | IDENTITY
    return command(
        "setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", *group, *arguments, cwd=cwd, env=env
    )


@pytest.fixture
def readable_template(ordinary_user, template):
    """A copy of the template that the other user may read, and the interpreter they run Copier with."""
    account = pwd.getpwnam(ordinary_user)
    copy = shutil.copytree(template, f"{account.pw_dir}/template-{time.monotonic_ns()}")
    checked("chown", "-R", f"{ordinary_user}:", copy)
    python = f"{account.pw_dir}/venv/bin/python"
    if not os.path.exists(python):
        for interpreter in ("/usr/bin/python3", sys.executable):
            probe = as_user(ordinary_user, interpreter, "-c", "import sys; assert sys.version_info >= (3, 11)", cwd="/")
            if probe.returncode == 0:
                break
        else:
            pytest.skip("no Python 3.11 that another user may run")
        checked("uv", "venv", "--quiet", "--python", interpreter, f"{account.pw_dir}/venv")
        needed = ["copier==9.19.1", "docker==7.2.0", "GitPython==3.2.1", "rich==15.0.0"]
        checked("uv", "pip", "install", "--quiet", "--link-mode=copy", "--python", python, *needed)
        checked("chown", "-R", f"{ordinary_user}:", f"{account.pw_dir}/venv")
    return python, copy


def test_an_ordinary_users_files_stay_theirs(ordinary_user, readable_template):
    slug, (python_path, copy) = "dsproj-test-user", readable_template
    remove_stack(slug)
    home = pwd.getpwnam(ordinary_user).pw_dir
    docker_group = os.stat("/var/run/docker.sock").st_gid
    answers = [
        f"project_slug={slug}",
        f"jupyter_port={free_port(20400)}",
        f"monitor_port={free_port(20500)}",
        "stack=docker",
    ]
    data = [part for answer in answers for part in ("--data", answer)]
    try:
        done = as_user(
            ordinary_user, python_path, "-m", "copier", "copy", "--trust", "--defaults", "-q", *data, copy, "mine",
            cwd=home, groups=[docker_group],
        )  # fmt: skip
        assert done.returncode == 0 and "is running" in done.printed, done.printed
        project = type(ROOT)(home) / "mine"
        env = os.environ | {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        assert compose(project, "exec", "-T", "this_jupyter", "id", "-u").strip() == "4321"
        notebooks(project)
        python(project, "import lib.postgres; open('data/x.csv', 'w').close()")
        owners = {path.owner() for path in project.rglob("*")}
        assert owners == {ordinary_user}
        assert checked("git", "status", "--porcelain", cwd=project, env=env).split() == ["??", "data/x.csv"]
    finally:
        remove_stack(slug)


def test_a_user_who_may_not_use_docker_gets_the_project_and_the_way_out(ordinary_user, readable_template):
    python_path, copy = readable_template
    home = pwd.getpwnam(ordinary_user).pw_dir
    done = as_user(
        ordinary_user, python_path, "-m", "copier", "copy", "--trust", "--defaults", "-q", "-d", "stack=docker", copy,
        "denied", cwd=home,
    )  # fmt: skip
    assert done.returncode == 0, done.printed
    assert "this user may not use the Docker engine" in done.printed and "usermod -aG docker" in done.printed
    assert "does not run yet" in done.printed and "Traceback" not in done.printed
    assert os.path.exists(f"{home}/denied/docker-compose.yml")


# --- bad luck ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stackless(engine, tmp_path):
    """stackless(**answers) -> a project that has everything but a started stack; removed afterwards."""
    slugs = []

    def made(name="project", **answers):
        slug = f"dsproj-test-luck-{len(slugs)}"
        slugs.append(slug)
        remove_stack(slug)
        ports = {"jupyter_port": free_port(20600), "monitor_port": free_port(20700)}
        answers = {"project_slug": slug, "stack": "none"} | ports | answers
        done = generate(ROOT, tmp_path / name, env=IDENTITY, **answers)
        assert done.returncode == 0, done.printed
        (tmp_path / name / ".env").write_text((tmp_path / name / ".env").read_text().replace("=local", "=docker"))
        return tmp_path / name

    yield made
    for slug in slugs:
        remove_stack(slug)


def step(project):
    """The stack step alone, run again on a project, with its answer changed from none to docker."""
    from hooks import stack
    from hooks.project import Project

    view = Project(project)
    view.answers["stack"] = "docker"
    return stack.start(view, fresh=True)


def test_an_image_that_does_not_build_shows_the_log(stackless):
    project = stackless()
    with (project / "docker/jupyter/requirements.txt").open("a") as file:
        file.write("no-such-package-of-dsproj==1.0\n")
    outcome = step(project)
    assert outcome.why == "an image could not be built" and outcome.command == "make up"
    assert "no-such-package-of-dsproj" in "\n".join(outcome.log)


def test_a_service_that_ends_is_named_with_its_log(stackless):
    project = stackless()
    path = project / "docker-compose.yml"
    path.write_text(path.read_text().replace("[rq-dashboard]", "[sh, -c, 'echo out of luck; exit 3']"))
    outcome = step(project)
    assert "this_monitor is" in outcome.why and "out of luck" in "\n".join(outcome.log)


def test_a_bad_data_file_is_named_with_its_line_and_the_next_up_heals(stackless):
    project = stackless()
    good = next((project / "data").glob("*.data"))
    content = good.read_text()
    good.write_text(content.replace("\n", "\nseventy, State-gov\n", 1))
    outcome = step(project)
    log = "\n".join(outcome.log)
    assert "COPY adult, line 2" in log or 'invalid input syntax for type smallint: "seventy"' in log, log
    assert sql(project, "SELECT to_regclass('adult') IS NULL, to_regclass('dsproj_seed') IS NULL") == "t|t"
    assert states(project)["this_postgres"] != "healthy"
    good.write_text(content)
    assert "rows from data/" in checked("make", "up", cwd=project)
    assert set(states(project).values()) == {"healthy"}


def test_volumes_of_an_earlier_project_are_not_taken_over(stackless, tmp_path):
    project = stackless()
    slug = variables_slug(project)
    checked("docker", "volume", "create", "--label", f"com.docker.compose.project={slug}", f"{slug}_postgres_data")
    outcome = step(project)
    assert f'volumes of an earlier project "{slug}"' in outcome.why
    assert "docker compose down --volumes && make up" in outcome.command
    assert command("docker", "volume", "inspect", f"{slug}_postgres_data").returncode == 0


def variables_slug(project):
    return next(
        line.split(": ")[1]
        for line in (project / ".copier-answers.yml").read_text().splitlines()
        if "project_slug" in line
    )


def test_ctrl_c_while_the_stack_comes_up_leaves_a_project_that_make_up_finishes(engine, tmp_path):
    slug = "dsproj-test-interrupt"
    remove_stack(slug)
    answers = [
        f"project_slug={slug}",
        f"jupyter_port={free_port(20800)}",
        f"monitor_port={free_port(20900)}",
        "stack=docker",
    ]
    data = [part for answer in answers for part in ("--data", answer)]
    process = subprocess.Popen(
        [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "--quiet", *data, str(ROOT), str(tmp_path / "p")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=os.environ | IDENTITY,
    )  # fmt: skip
    try:
        for line in process.stdout:
            if "docker compose build" in line or "starting PostgreSQL" in line:
                break
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
        process.wait(timeout=60)
        assert "The project is complete on disk; to start it: make up" in rest
        assert len(checked("git", "log", "--oneline", cwd=tmp_path / "p").splitlines()) == 1
        checked("make", "up", cwd=tmp_path / "p")
        assert set(states(tmp_path / "p").values()) == {"healthy"}
    finally:
        remove_stack(slug)

"""The steps of generation, each alone: what they make, and what they say when something is wrong."""

import json
import os
import runpy
import socket
import stat
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT, checked, command, free_port, generate
from loopback import Handler, serving

from hooks import dataset, environment, libraries, repository, schema, stack, summary
from hooks.outcome import Outcome
from hooks.project import Project


@pytest.fixture
def project(render):
    """project(**answers) -> hooks' view of a rendered project."""
    return lambda **answers: Project(render(**answers), source=answers.get("dataset_source", ""))


# --- environment -----------------------------------------------------------------------------------------------------


def test_env_is_private_random_and_made_once(project):
    one, two = project(stack="none"), project(name="other", stack="none")
    assert environment.make(one).facts["made"].fresh
    path = one.path / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((one.path / "config/jupyter.env").stat().st_mode) == 0o600
    secrets = [value for name, value in one.env.items() if name.endswith(("PASSWORD", "TOKEN"))]
    assert len(secrets) == 4 and len(set(secrets)) == 4 and min(map(len, secrets)) >= 16
    environment.make(two)
    assert not set(secrets) & set(two.env.values())
    before = path.read_text()
    assert not environment.make(one).facts["made"].fresh
    assert path.read_text() == before
    assert not list(one.path.glob("*.part"))


def test_env_gets_what_a_newer_template_needs_and_keeps_the_rest(project):
    made = project(mongo=True)
    path = made.path / ".env"
    path.write_text("ENGINE=local\nPOSTGRES_PASSWORD=mine\nMY_OWN=1")
    outcome = environment.make(made)
    assert path.read_text().startswith("ENGINE=local\nPOSTGRES_PASSWORD=mine\nMY_OWN=1\n")
    assert len(made.env["MONGO_PASSWORD"]) == 32
    assert "added" in outcome.text and "POSTGRES_PASSWORD" not in outcome.text


def test_users_credentials_are_kept(project):
    made = project()
    (made.path / "config/jupyter.env").write_text("KEY=mine\n")
    environment.make(made)
    assert (made.path / "config/jupyter.env").read_text() == "KEY=mine\n"


@pytest.mark.parametrize("answer, engine_name", [("docker", "docker"), ("local", "local")])
def test_engine_follows_the_answer(project, answer, engine_name):
    made = project(stack=answer)
    environment.make(made)
    assert made.env["ENGINE"] == engine_name


def test_busy_port_moves_to_the_next_free_one_and_is_said(project):
    port = free_port()
    made = project(jupyter_port=port, monitor_port=port + 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        outcome = environment.make(made)
    chosen = int(made.env["JUPYTER_PORT"])
    assert chosen > port and chosen != int(made.env["MONITOR_PORT"])
    assert f"port {port} is busy: JUPYTER_PORT={chosen} in .env" in outcome.text


def test_many_at_once_make_one_env(render):
    target = render()
    code = "from dsproj.host import first_env; first_env.make('local')"
    environ = os.environ | {"PYTHONPATH": str(target / ".dsproj")}
    runs = [subprocess.Popen([sys.executable, "-c", code], env=environ) for _ in range(6)]
    assert [run.wait() for run in runs] == [0] * 6
    lines = (target / ".env").read_text().splitlines()
    assert len([line for line in lines if line.startswith("POSTGRES_PASSWORD=")]) == 1


# --- data ------------------------------------------------------------------------------------------------------------


class Archive(Handler):
    """A data archive on loopback: /file, /zip, /short (ends too early), /gone (404), /page (HTML)."""

    content = b"1,2\n" * 1000

    def do_GET(self):
        name = self.path.strip("/")
        if name == "gone":
            self.send_error(404)
            return
        body = self.server.packed if name == "zip" else self.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + (500 if name == "short" else 0)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def archive(tmp_path):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("inner.data", Archive.content)
    with serving(Archive, packed=packed.read_bytes()) as server:
        yield server.place


@pytest.fixture
def fetcher(project):
    return project().module("host.download")


def test_fetch_takes_the_first_source_that_works(fetcher, archive, tmp_path):
    target, seen = tmp_path / "data" / "x.data", []
    used = fetcher.fetch([f"{archive}/gone", f"{archive}/file"], target, progress=lambda *step: seen.append(step))
    assert used == f"{archive}/file" and target.read_bytes() == Archive.content
    assert seen[-1] == (4000, 4000)
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_fetch_picks_a_member_of_a_zip_archive(fetcher, archive, tmp_path):
    fetcher.fetch([f"{archive}/zip#inner.data"], tmp_path / "x.data")
    assert (tmp_path / "x.data").read_bytes() == Archive.content
    with pytest.raises(fetcher.Problem, match="no zip archive with other.data in it"):
        fetcher.fetch([f"{archive}/zip#other.data"], tmp_path / "y.data")


@pytest.mark.parametrize(
    "path, message",
    [("gone", "the server says 404"), ("short", "ended after 4000 of 4500 bytes"), ("file", "refused, its SHA-256 is")],
)
def test_failed_download_leaves_nothing(fetcher, archive, tmp_path, path, message):
    folder = tmp_path / "data"
    with pytest.raises(fetcher.Problem, match=message):
        fetcher.fetch([f"{archive}/{path}"], folder / "x.data", checksum="00" * 32)
    assert list(folder.iterdir()) == []


def test_unreachable_server_and_missing_path_are_one_line_each(fetcher, tmp_path):
    with pytest.raises(fetcher.Problem) as caught:
        fetcher.fetch([f"http://127.0.0.1:{free_port()}/x", str(tmp_path / "no.csv")], tmp_path / "x.data")
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and "refused" in lines[0] and lines[1].endswith("no.csv: No such file or directory")


def test_a_file_that_is_there_is_never_replaced(fetcher, archive, tmp_path):
    (tmp_path / "x.data").write_text("mine")
    assert fetcher.fetch([f"{archive}/file"], tmp_path / "x.data", checksum="00" * 32) is None
    assert (tmp_path / "x.data").read_text() == "mine"


@pytest.mark.parametrize("name", ["adult", "breast_cancer"])
def test_without_the_archive_the_sample_is_used_and_said(project, tmp_path, name):
    outcome = dataset.bring(project(dataset=name, dataset_source=str(tmp_path / "absent.data")))
    assert "SYNTHETIC SAMPLE" in outcome.text and "NOT THE REAL DATA" in outcome.text
    assert outcome.command == "make dataset" and "absent.data" in outcome.why


def test_wrong_checksum_is_refused_and_said(project, tmp_path):
    (tmp_path / "adult.data").write_text("39, State-gov\n")
    made = project(dataset_source=str(tmp_path / "adult.data"))
    outcome = dataset.bring(made)
    assert "refused" in outcome.why and not (made.path / "data/adult.data").exists()


def test_relative_source_is_meant_from_where_the_user_typed(project, tmp_path, monkeypatch):
    (tmp_path / "my crops.csv").write_text("a\n1\n")
    monkeypatch.setenv("PWD", str(tmp_path))
    made = project(dataset="csv", dataset_source="my crops.csv")
    assert dataset.bring(made).complete
    assert (made.path / "data/my_crops.csv").read_text() == "a\n1\n"


def test_a_folder_comes_as_one_archive(project, tmp_path):
    folder = tmp_path / "Sales 2026"
    folder.mkdir()
    (folder / "jan.csv").write_text("day,sum\n2026-01-31,1.5\n")
    (folder / "feb.csv").write_text("sum;day;note\n2;2026-02-01;x\n")
    made = project(dataset="csv", dataset_source=f"{folder}/")
    assert dataset.bring(made).complete
    with zipfile.ZipFile(made.path / "data/sales_2026.zip") as archive:
        assert archive.namelist() == ["feb.csv", "jan.csv"]
    assert "is written when the servers start" in schema.infer(made).text


def test_no_file_of_git_says_where_the_data_lay(template, tmp_path):
    home = tmp_path / "home of Ada"
    home.mkdir()
    (home / "crops.csv").write_text("a,b\n1,2\n")
    made = tmp_path / "project"
    done = generate(template, made, dataset="csv", dataset_source=home / "crops.csv", stack="none")
    assert done.returncode == 0 and (made / "data/crops.csv").exists(), done.printed
    found = command("git", "grep", "--fixed-strings", "--name-only", str(home), cwd=made)
    assert found.stdout == "" and checked("git", "ls-files", cwd=made)
    assert "dataset_source: crops.csv\n" in (made / ".copier-answers.yml").read_text()
    # What a killed generation or another try needs, `copier recopy`, goes on with the file that is in data/.
    again = command(
        sys.executable, "-m", "copier", "recopy", "--trust", "--defaults", "--overwrite", "--quiet", made, cwd=tmp_path
    )
    assert again.returncode == 0 and "data/crops.csv, 0.0 MB, was there already" in again.printed, again.printed


def test_samples_are_what_their_script_makes(tmp_path):
    folder = ROOT / "hooks" / "samples"
    runpy.run_path(str(folder / "make_samples.py"))["main"](tmp_path)
    for name in ("adult.data", "breast-cancer-wisconsin.data"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    notes = runpy.run_path(str(folder / "make_notes.py"))
    notes["main"](tmp_path / "notes")
    assert (tmp_path / "notes").read_bytes() == notes["TARGET"].read_bytes()


# --- schema of a CSV file ----------------------------------------------------------------------------------------------


def infer(project, text, name="crops.csv", encoding="utf-8"):
    made = project(dataset="csv", dataset_source=f"/x/{name}")
    (made.path / "data" / name).write_bytes(text.encode(encoding))
    return made, schema.infer(made)


def test_schema_is_written_with_types_and_tidy_names(project):
    text = 'id;Größe (cm);Zip;When;Order;id\n1;1,5;01234;2026-01-31;a;x\n2;;00501;;"b;""c""";y\n9007199254740993;3;99999;2025-12-01;;\n'
    made, outcome = infer(project, text)
    assert outcome.complete
    sql = (made.path / "docker/postgres/initdb.sql").read_text()
    lines = sql.partition("(\n")[2].partition("\n)")[0].splitlines()
    declared = [" ".join(line.partition(" --")[0].split()).rstrip(",") for line in lines]
    assert declared[1:] == [
        "id bigint", "groesse_cm double precision", "zip text", "column_when date", "column_order text", "id_2 text",
    ]  # fmt: skip
    assert "DELIMITER ';'" in sql and "COMMENT ON COLUMN crops.zip IS 'Zip';" in sql


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the file is empty"),
        ("a,b\n1,2\n3\n", "line 3 has 1 value, the header has 2"),
        ("a\n\0\n", "no text file"),
        ('a,b\n"1,2\n', "line"),
    ],
)
def test_bad_csv_is_one_line_and_schema_is_not_written(project, text, message):
    made, outcome = infer(project, text)
    assert message in outcome.why and "Traceback" not in outcome.why and outcome.command.startswith("make dataset")
    assert "that has not happened yet" in (made.path / "docker/postgres/initdb.sql").read_text()


def test_schema_of_a_file_in_windows_1252(project):
    made, outcome = infer(project, "a,b\nÄ,1\n", encoding="latin-1")
    assert outcome.complete and "--encoding cp1252" in (made.path / "docker/postgres/initdb.sql").read_text()


def test_schema_is_the_users_once_written(project):
    made, _ = infer(project, "a\n1\n")
    sql = made.path / "docker/postgres/initdb.sql"
    sql.write_text("SELECT 1;\n")
    assert "written already" in schema.infer(made).text
    assert sql.read_text() == "SELECT 1;\n"


# --- git -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def git_home(tmp_path, monkeypatch):
    """A home folder with a git identity and nothing else of this machine's settings."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("GIT_")] + ["EMAIL", "XDG_CONFIG_HOME"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    return home


def test_one_commit_on_main_and_a_clean_tree(project, git_home):
    made = project()
    environment.make(made)
    outcome = repository.commit(made)
    assert outcome.complete, outcome
    assert checked("git", "log", "--format=%an %s", cwd=made.path).splitlines() == [f"Ada {repository.MESSAGE}"]
    assert checked("git", "branch", "--show-current", cwd=made.path).strip() == "main"
    assert checked("git", "status", "--porcelain", cwd=made.path) == ""
    tracked = checked("git", "ls-files", cwd=made.path).split("\n")
    assert ".env" not in tracked and "config/jupyter.env" not in tracked
    assert "nothing to commit" in repository.commit(made).text
    (made.path / "lib/new.py").write_text("x = 1\n")
    assert "with changes to commit" in repository.commit(made).text
    assert len(checked("git", "log", "--format=%h", cwd=made.path).splitlines()) == 1


def test_scripts_stay_executable_in_git(project, git_home):
    made = project()
    repository.commit(made)
    assert "100755" in checked("git", "ls-files", "--stage", "docker/postgres/get_data.sh", cwd=made.path)


def test_without_identity_everything_is_there_but_the_commit(project, git_home):
    (git_home / ".gitconfig").write_text("")
    made = project(author_name="Ada L", author_email="ada@example.org")
    outcome = repository.commit(made)
    assert "git knows no name" in outcome.why
    assert "git config --global user.name 'Ada L'" in outcome.command and "git commit" in outcome.command
    assert checked("git", "diff", "--cached", "--name-only", cwd=made.path)
    checked("sh", "-c", outcome.command, cwd=made.path)
    assert len(checked("git", "log", "--format=%h", cwd=made.path).splitlines()) == 1


def test_without_a_home_folder_the_identity_is_the_projects(project, git_home, monkeypatch):
    monkeypatch.setenv("HOME", "/nonexistent")
    made = project()
    outcome = repository.commit(made)
    assert "git knows no name" in outcome.why and "--global" not in outcome.command
    assert finished(made, outcome)


def test_never_a_repository_inside_another(project, git_home, tmp_path):
    checked("git", "init", "--quiet", tmp_path)
    made = project()
    outcome = repository.commit(made)
    assert f"part of the repository {tmp_path}" in outcome.text
    assert not (made.path / ".git").exists()


def test_signing_and_global_hooks_do_not_get_in_the_way(project, git_home):
    (git_home / "hooks").mkdir()
    (git_home / "hooks/pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (git_home / "hooks/pre-commit").chmod(0o755)
    with (git_home / ".gitconfig").open("a") as file:
        file.write(f"[commit]\n\tgpgsign = true\n[core]\n\thooksPath = {git_home}/hooks\n")
    assert repository.commit(project()).complete


def test_files_too_large_for_a_hosting_service_stay_out(project, git_home):
    made = project()
    with (made.path / "data/big.csv").open("wb") as file:
        file.truncate(100 * 1024 * 1024 + 1)
    assert "left out, over 100 MB: data/big.csv" in repository.commit(made).text
    assert "data/big.csv" not in checked("git", "ls-files", cwd=made.path)
    assert checked("git", "status", "--porcelain", cwd=made.path) == ""


def test_a_private_file_stays_private_and_out_of_git(project, git_home, tmp_path):
    (tmp_path / "patients.csv").write_text("a\n1\n")
    (tmp_path / "patients.csv").chmod(0o600)
    made = project(dataset="csv", dataset_source=str(tmp_path / "patients.csv"))
    assert dataset.bring(made).complete
    assert stat.S_IMODE((made.path / "data/patients.csv").stat().st_mode) == 0o600
    assert "left out, private: data/patients.csv" in repository.commit(made).text
    assert "patients.csv" not in checked("git", "ls-files", "data", cwd=made.path)
    assert checked("git", "status", "--porcelain", cwd=made.path) == ""


@pytest.mark.parametrize("mask", [0o077, 0o000])
def test_whatever_the_umask_secrets_are_private_and_all_else_is_committed(project, git_home, mask):
    before = os.umask(mask)
    try:
        made = project()
        environment.make(made)
        dataset.bring(made)
        outcome = repository.commit(made)
    finally:
        os.umask(before)
    assert outcome.complete and "left out" not in outcome.text, outcome
    for name in (".env", "config/jupyter.env"):
        assert stat.S_IMODE((made.path / name).stat().st_mode) == 0o600
    tracked = checked("git", "ls-files", "--stage", cwd=made.path)
    assert "data/" in tracked and {line.split()[0] for line in tracked.splitlines()} == {"100644", "100755"}
    assert checked("git", "status", "--porcelain", cwd=made.path) == ""


def test_output_of_notebooks_does_not_reach_git(project, git_home):
    made = project()
    repository.commit(made)
    path = next((made.path / "ipynb").glob("*Encode_target.ipynb"))
    notebook = json.loads(path.read_text())
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            cell["execution_count"] = number
            cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": ["secret\n"]}]
    notebook["metadata"]["language_info"] |= {"version": "3.13.1", "file_extension": ".py"}
    path.write_text(json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    assert checked("git", "status", "--porcelain", cwd=made.path) == ""
    notebook["cells"][0]["source"] = ["# Mine\n"]
    path.write_text(json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    checked("git", "add", "--all", cwd=made.path)
    assert "secret" not in checked("git", "diff", "--cached", cwd=made.path)
    assert "# Mine" in checked("git", "diff", "--cached", cwd=made.path)


def test_filter_passes_on_what_is_no_notebook(render):
    target = render()
    broken = b'{"cells": [\n<<<<<<< ours\n'
    done = subprocess.run([sys.executable, target / ".dsproj", "clean-notebook"], input=broken, capture_output=True)
    assert done.stdout == broken and done.returncode == 0


def test_a_dollar_in_the_folders_name_is_no_variable(project, git_home):
    made = project(name="dol$HOME")
    assert repository.commit(made).complete
    assert checked("git", "status", "--porcelain", cwd=made.path) == "" and (made.path / ".git").is_dir()
    assert "nothing to commit" in repository.commit(made).text


@pytest.mark.parametrize(
    "hook", ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "reference-transaction"]
)
def test_no_hook_of_a_git_template_gets_in_the_way(project, git_home, hook):
    (git_home / "template/hooks").mkdir(parents=True)
    (git_home / "template/hooks" / hook).write_text("#!/bin/sh\nexit 1\n")
    (git_home / "template/hooks" / hook).chmod(0o755)
    with (git_home / ".gitconfig").open("a") as file:
        file.write(f"[init]\n\ttemplateDir = {git_home}/template\n")
    outcome = repository.commit(project())
    assert outcome.complete, outcome


def finished(made, outcome):
    """Type what a step that fell short says; is all of the project in git then, as the step would have done it?"""
    assert not outcome.complete and "\n" not in outcome.why and "Cmd(" not in outcome.why, outcome
    checked("sh", "-c", outcome.command, cwd=made.path)
    assert checked("git", "log", "--format=%s", cwd=made.path) == f"{repository.MESSAGE}\n"
    assert checked("git", "config", "--get", "filter.notebook-cells.clean", cwd=made.path)
    return checked("git", "status", "--porcelain", cwd=made.path) == ""


def test_a_folder_of_somebody_else_is_said_with_what_makes_git_trust_it(project, git_home):
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    made = project()
    os.chown(made.path, 12345, 12345)
    outcome = repository.commit(made)
    assert "dubious ownership" in outcome.why and "safe.directory" in outcome.command
    assert finished(made, outcome)


def test_without_git_the_command_makes_all_of_the_repository(project, git_home):
    made = project()
    assert finished(made, Outcome("no commit", "no git", repository.by_hand()))


# --- stack and engine ------------------------------------------------------------------------------------------------


def test_a_colon_in_the_folders_name_is_said_at_generation(project, tmp_path):
    for name in ("co:lon", "a:b/c:d"):
        made = project(name=name, stack="none", dataset="none")
        outcome, moves = stack.start(made, None), 0
        while not outcome.complete:
            assert "':'" in outcome.why and outcome.command.endswith(" && make up")
            where = checked("sh", "-c", outcome.command.replace("make up", "pwd"), cwd=made.path).strip()
            made, moves = Project(where), moves + 1
            outcome = stack.start(made, None)
        assert (made.path / "Makefile").exists() and moves == name.count(":")


def test_nothing_is_started_when_nothing_was_asked_for(project):
    outcome = stack.start(project(stack="none"), None)
    assert outcome.complete and "make up" in outcome.text


def fake(folder, name, script):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return str(folder)


@pytest.fixture
def trouble(project):
    """trouble() -> (what, cure): why the docker engine cannot be used, as the machine room says it."""
    docker = project().module("host.docker_program")

    def asked():
        problem = docker.trouble()
        return problem and (problem.what, problem.cure)

    return asked


def test_no_docker_at_all(trouble, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    what, cure = trouble()
    assert what == "Docker is not installed here" and "ENGINE=local" in cure


def test_client_without_an_engine(trouble, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", fake(tmp_path / "bin", "docker", "exit 1"))
    what, cure = trouble()
    assert what == "No Docker engine answers" and "start Docker" in cure


@pytest.mark.parametrize(
    "script, message",
    [
        ("exit 1", "Docker Compose v2 is missing"),
        ("echo 2.20.3", "Docker Compose is 2.20, 2.24 or newer is needed"),
        ("echo 2.24.0", None),
    ],
)
def test_engine_without_a_usable_compose(trouble, monkeypatch, tmp_path, script, message):
    monkeypatch.setenv("PATH", fake(tmp_path / "bin", "docker", f'[ "$1" = version ] || {script}'))
    found = trouble()
    assert (found and found[0]) == message


def test_without_a_usable_engine_the_local_stack_is_chosen(project, monkeypatch, tmp_path):
    made = project()
    monkeypatch.setenv("PATH", fake(tmp_path / "bin", "docker", "exit 1"))
    environment.make(made)
    assert made.env["ENGINE"] == "local"


# --- the whole -------------------------------------------------------------------------------------------------------


def test_summary_says_what_is_missing_and_how_to_finish(project, capsys):
    made = project(project_name="Crops [bold]x[/bold]")
    environment.make(made)
    results = {
        "Data": (Outcome("SYNTHETIC SAMPLE", "no net", "make dataset", facts={"synthetic": "data/adult.data"}), 0.1),
        "Git": (Outcome("no commit yet", "no name", "git commit"), 0.1),
        "Stack": (Outcome("healthy", facts={"rows": [("adult", 400, True)]}), 12.3),
    }
    summary.show(made, results)
    printed = capsys.readouterr().out
    assert "Crops [bold]x[/bold] is running." in printed
    assert f"token={made.env['JUPYTER_TOKEN']}" in printed
    assert "table adult, 400 rows" in printed and "SYNTHETIC SAMPLE, NOT THE REAL DATA" in printed
    assert "make dataset" in printed and "copy it to data/adult.data" in printed
    assert "Git: git commit" in printed and "stack 12.3 s" in printed
    # It ends with the one link to click, fits one screen, and is plain in a pipe.
    assert printed.splitlines()[-1].startswith("Open JupyterLab: http://127.0.0.1:")
    assert len(printed.splitlines()) < 16 and "\x1b" not in printed


def test_the_same_cure_is_asked_for_once_and_all_lines_of_a_step_keep_its_column(project, capsys):
    missing = Outcome("MISSING", "not here\nnor there", "copy it, then: make dataset")
    summary.line("Data", missing, 0.1)
    summary.line("Environment", Outcome("made\nport 8888 is busy"), 0.1)
    printed = capsys.readouterr().out.splitlines()
    assert [line[:15] for line in printed] == ["! Data         ", *[" " * 15] * 3, "✓ Environment  ", " " * 15]
    assert [line[15:].strip() for line in printed[1:4]] == [
        "why: not here",
        "nor there",
        f"to finish: {missing.command}",
    ]
    made = project()
    environment.make(made)
    summary.show(made, {"Data": (missing, 0.1), "Stack": (Outcome("runs", "not all", missing.command), 1.0)})
    assert capsys.readouterr().out.count(missing.command) == 1


def test_a_step_that_breaks_does_not_end_the_run(render, git_home):
    target = render(stack="none", dataset="none")
    (target / ".dsproj/dsproj/host/first_env.py").write_text("raise RuntimeError('broken')\n")
    done = command(sys.executable, ROOT / "hooks", ".copier-answers.yml", cwd=target)
    assert done.returncode == 0 and "Traceback" not in done.printed
    assert "RuntimeError: broken" in done.printed and "branch main" in done.printed


def test_missing_libraries_are_fetched_by_pip_into_a_cache(render, git_home, tmp_path):
    """A Python that has only what Copier brings, and no uv."""
    checked(sys.executable, "-m", "venv", tmp_path / "bare")
    python = tmp_path / "bare/bin/python"
    checked(python, "-m", "pip", "install", "--quiet", "PyYAML")
    target = render(stack="none", dataset="none")
    path = f"{tmp_path / 'bare/bin'}:/usr/bin:/bin"
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PATH": path}
    environ |= {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = command(python, ROOT / "hooks", ".copier-answers.yml", cwd=target, env=environ)
    assert done.returncode == 0 and "branch main" in done.printed, done.printed
    assert [entry.name for entry in (tmp_path / "cache/dsproj").iterdir()] == [libraries.cache_folder().name]


def test_missing_libraries_that_cannot_be_fetched_are_one_line(render, git_home, tmp_path):
    checked(sys.executable, "-m", "venv", tmp_path / "bare")
    python = tmp_path / "bare/bin/python"
    checked(python, "-m", "pip", "install", "--quiet", "PyYAML")
    target = render(stack="none", dataset="none")
    environ = os.environ | {"PATH": f"{tmp_path / 'bare/bin'}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environ |= {"PIP_INDEX_URL": f"http://127.0.0.1:{free_port()}/", "PIP_RETRIES": "0"}
    environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    done = command(python, ROOT / "hooks", ".copier-answers.yml", cwd=target, env=environ)
    assert done.returncode == 0 and "Traceback" not in done.printed, done.printed
    assert "No module named 'git'" in done.printed and "git commit" in done.printed

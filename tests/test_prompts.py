"""The questions as a person meets them: typed in a terminal, a wrong answer first, and Ctrl-C."""

import sys

import pexpect
import pytest
import yaml

DOWN, RETURN = "\x1b[B", "\r"


@pytest.fixture
def asked(template, tmp_path):
    """asked(*words) -> `copier copy` at a terminal of its own, waiting for answers; nothing is started by it."""
    children = []

    def start(*words):
        command = ["-m", "copier", "copy", "--trust", "--skip-tasks", *words, str(template), str(tmp_path / "project")]
        child = pexpect.spawn(sys.executable, command, encoding="utf-8", timeout=30, dimensions=(50, 160))
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def answers(tmp_path):
    return yaml.safe_load((tmp_path / "project" / ".copier-answers.yml").read_text())


def reply(child, question, keys):
    child.expect(question)
    child.send(keys)


def finish(child):
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0 and "Traceback" not in child.before, child.before


def test_five_returns_make_a_project(asked, tmp_path):
    child = asked()
    for question in ("called", "Which data", "Which Jupyter", "MongoDB", "details"):
        reply(child, question, RETURN)
    finish(child)
    assert answers(tmp_path)["dataset"] == "adult"


def test_a_csv_file_of_ones_own_is_asked_for_until_there_is_one(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my crops [2026].csv").write_text("a,b\n1,2\n")
    child = asked()
    reply(child, "called", RETURN)
    reply(child, "Which data", DOWN * 2 + RETURN)
    reply(child, "Where is the file", RETURN)
    reply(child, "needs its file", "ftp://x/y.csv" + RETURN)
    reply(child, "starts with http", "\x15" + "https://x.org/a.csv?X-Amz-Signature=1" + RETURN)
    reply(child, "give its path", "\x15" + "~/my crop [2026].csv" + RETURN)
    reply(child, "no file", "\x15" + "my crop.csv" + RETURN)
    reply(child, "he folder in which", "\x15" + "~/my crops [2026].csv" + RETURN)
    for question in ("Which Jupyter", "MongoDB", "details"):
        reply(child, question, RETURN)
    finish(child)
    assert answers(tmp_path)["dataset_source"] == "my crops [2026].csv"
    assert answers(tmp_path)["table_name"] == "my_crops_2026"


@pytest.mark.parametrize("number, dataset", [(0, "adult"), (1, "breast_cancer"), (2, "csv"), (3, "none")])
def test_every_data_set_can_be_chosen(asked, tmp_path, number, dataset):
    child = asked()
    reply(child, "called", RETURN)
    reply(child, "Which data", DOWN * number + RETURN)
    if dataset == "csv":
        reply(child, "Where is the file", "https://example.org/a.csv" + RETURN)
    for question in ("Which Jupyter", "MongoDB", "details"):
        reply(child, question, RETURN)
    finish(child)
    assert answers(tmp_path)["dataset"] == dataset


def test_details_open_the_rest_and_each_refusal_says_what_is_right(asked, tmp_path):
    child = asked()
    for question in ("called", "Which data", "Which Jupyter", "MongoDB"):
        reply(child, question, RETURN)
    reply(child, "details", "y")
    reply(child, "Short name", "\x15" + "9 lives" + RETURN)
    reply(child, "a lower-case letter first", "\x15" + "nine-lives" + RETURN)
    reply(child, "One sentence", RETURN)
    reply(child, "Your name", "Ada" + RETURN)
    reply(child, "e-mail", "nowhere" + RETURN)
    reply(child, "looks like ada@example.org", "\x15" + "ada@example.org" + RETURN)
    reply(child, "Name of the table", "\x15" + "select" + RETURN)
    reply(child, "reserved word", "\x15" + "people" + RETURN)
    reply(child, "Port for JupyterLab", "\x15" + "80" + RETURN)
    reply(child, "from 1024 to 65535", "\x15" + "8899" + RETURN)
    reply(child, "job dashboard", "\x15" + "8899" + RETURN)
    reply(child, "has port 8899 already", "\x15" + "5001" + RETURN)
    reply(child, "How should the servers run", DOWN * 3 + RETURN)
    reply(child, "Under which license", DOWN + RETURN)
    reply(child, "after each push", DOWN + RETURN)
    reply(child, "push images to", RETURN)
    reply(child, "several machines", "y")
    finish(child)
    made = answers(tmp_path)
    assert (made["project_slug"], made["table_name"], made["jupyter_port"]) == ("nine-lives", "people", 8899)
    assert (made["monitor_port"], made["stack"], made["author_email"]) == (5001, "none", "ada@example.org")
    assert (made["license"], made["ci"], made["cluster"]) == ("MIT", "gitlab", True)


def test_ctrl_c_leaves_nothing_behind(asked, tmp_path):
    child = asked()
    reply(child, "called", RETURN)
    child.expect("Which data")
    child.sendintr()
    child.expect(pexpect.EOF)
    assert "Traceback" not in child.before
    assert not (tmp_path / "project").exists()

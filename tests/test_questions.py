"""The questions: what a person is asked, what the defaults are, and what a wrong answer is told."""

import os
import sys

import pytest
import yaml
from conftest import ROOT, checked, command, generate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hooks.project import Project

CONTRACT = [
    "project_name", "project_slug", "description", "author_name", "author_email", "dataset", "dataset_source",
    "table_name", "jupyter_stack", "mongo", "jupyter_port", "monitor_port", "stack", "gpu", "license", "ci",
    "image_namespace", "cluster", "created_on", "postgres_version",
]  # fmt: skip


def answers(project):
    return yaml.safe_load((project / ".copier-answers.yml").read_text())


def questions():
    loaded = yaml.safe_load((ROOT / "copier.yml").read_text())
    return {name: details for name, details in loaded.items() if not name.startswith("_")}


def test_every_question_of_the_contract_is_there_and_explains_itself():
    assert set(CONTRACT) <= set(questions())
    for name, details in questions().items():
        assert details["help"].strip(), name


def test_the_common_path_is_five_returns():
    asked = [name for name, details in questions().items() if details.get("ask", True) is True]
    assert asked == ["project_name", "dataset", "jupyter_stack", "mongo", "details"]


def test_all_answers_are_stored_so_that_an_update_finds_them(render):
    assert set(CONTRACT) <= set(answers(render()))


def test_creation_date_is_frozen(render):
    project = render(created_on="2024-02-29")
    assert answers(project)["created_on"] == "2024-02-29"
    assert [path.name for path in (project / "ipynb").glob("20240229-*")] == [
        path.name for path in (project / "ipynb").glob("*.ipynb")
    ]


@pytest.mark.parametrize(
    "name, slug",
    [
        ("Crop Yields 2026", "crop-yields-2026"),
        ("  -- spaced --  ", "spaced"),
        ("2026 census", "project-2026-census"),
        ("Größe & Gewicht", "groesse-gewicht"),
        ("ÅNGSTRÖM, Łódź", "angstroem-lodz"),
        ("Gro\u0308ße", "groesse"),
        ("数据科学", "dsproj"),
        ("x", "project-x"),
        ("-dash", "dash"),
        ("a" * 100, "a" * 63),
        ('it\'s "quoted"', "it-s-quoted"),
    ],
)
def test_slug_from_name(render, name, slug):
    assert answers(render(project_name=name))["project_slug"] == slug


def test_letters_become_plain_in_a_slug_as_in_a_files_name(render):
    """Two languages, one rule: all letters of Latin-1 and Latin Extended-A, but some that hardly any keyboard has."""
    letters = [chr(code) for code in range(0xC0, 0x180) if chr(code).isalpha() and chr(code) not in "ŉŊŋĸĲĳ"]
    names = Project(ROOT / "template", "../copier.yml").module("names")
    for number in range(0, len(letters), 20):
        text = "-".join(["p", *letters[number : number + 20]])
        made = answers(render(str(number), project_name=text))["project_slug"]
        assert made == names.plain(text).lower()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=100).filter(str.strip))
def test_any_name_gives_a_valid_project(render, name):
    project = render(project_name=name)
    stored = answers(project)
    assert stored["project_name"] == name
    assert yaml.safe_load((project / "docker-compose.yml").read_text())["name"] == stored["project_slug"]


@pytest.mark.parametrize(
    "source, table",
    [
        ("/data/Crop Yields (2026).csv", "crop_yields_2026"),
        ("https://example.org/a/b.csv.gz?x=1", "b"),
        ("2026.csv", "t_2026"),
        ("s3://bucket/a/Crop Yields.csv", "crop_yields"),
        ("https://docs.google.com/spreadsheets/d/1aB/edit#gid=0", "sheet"),
        ("/tmp/данные.csv", "data"),
        ("/data/Sales 2026/", "sales_2026"),
    ],
)
def test_table_name_from_source(render, source, table):
    assert answers(render(dataset="csv", dataset_source=source))["table_name"] == table


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"project_name": "  "}, "A name is needed"),
        ({"project_slug": "Crop Yields"}, "2 to 63 characters: a lower-case letter first"),
        ({"project_slug": "x"}, "2 to 63 characters"),
        ({"project_slug": "ok\n"}, "2 to 63 characters"),
        ({"jupyter_port": 80}, "A port from 1024 to 65535"),
        ({"jupyter_port": 70000}, "A port from 1024 to 65535"),
        ({"monitor_port": 8888}, "JupyterLab has port 8888 already"),
        ({"table_name": "Robert'); DROP TABLE x;--"}, "A table name is 1 to 63 lower-case letters"),
        ({"table_name": "user"}, '"user" is a reserved word; user_data would do'),
        ({"dataset": "csv", "dataset_source": ""}, "A data set of your own needs its file"),
        ({"dataset": "csv", "dataset_source": "ftp://x/y.csv"}, "A link starts with http:// or https://"),
        *(
            ({"dataset": "csv", "dataset_source": f"https://x.org/a?b=c&{key}=x"}, "This link has a key in it")
            for key in ("X-Amz-Signature", "sig", "token", "api_key")
        ),
        ({"author_email": "nobody"}, "An e-mail address looks like"),
        ({"dataset": "iris"}, "iris"),
        ({"gpu": True}, "gpu=true needs jupyter_stack to be one of them"),
    ],
)
def test_a_wrong_answer_is_told_what_is_right(render, wrong, message):
    with pytest.raises(ValueError, match="(?s)" + __import__("re").escape(message)):
        render(**wrong)


@pytest.mark.parametrize("name", ["n" * 180, "new\nline", " ", "\x1b[1m", "dol$HOME", "co:lon", "-v"])
def test_any_folder_gives_a_name(template, tmp_path, name):
    """Copier ends in a traceback where a default does not satisfy its own validator."""
    done = generate(template, tmp_path / name, "--skip-tasks")
    assert done.returncode == 0, done.printed
    assert (tmp_path / name / "README.md").read_text().startswith("# ")
    assert "\n" not in answers(tmp_path / name)["project_name"]


def test_a_name_may_be_long_or_of_two_lines(render):
    assert (render(project_name="one\ntwo") / "README.md").read_text().startswith("# one two\n")
    assert answers(render("other", project_name="n" * 180))["project_slug"] == "n" * 63


@pytest.mark.parametrize("gone", [".dsproj/__main__.py", "lib", ".dsproj/dsproj/local", ".dsproj/files"])
def test_rendering_that_was_cut_short_is_said_by_make_and_finished_by_what_it_says(template, tmp_path, gone):
    project = tmp_path / "project"
    assert (
        generate(template, project, "--skip-tasks", dataset="none", stack="none", project_slug="mine").returncode == 0
    )
    checked("rm", "-r", project / gone)
    done = command("make", "up", cwd=project)
    assert "files of the project are missing, such as" in done.printed and "Traceback" not in done.printed
    said = done.printed.partition("To finish: copier ")[2].partition(" (")[0].split()
    assert said[:1] == ["recopy"]
    checked(sys.executable, "-m", "copier", *said, "--skip-tasks", cwd=project)
    assert checked("make", "help", cwd=project) and answers(project)["project_slug"] == "mine"
    (project / ".copier-answers.yml").unlink()
    checked("rm", "-r", project / gone)
    assert "To finish: copier copy --trust --overwrite <the template> . (in" in command("make", cwd=project).printed


def test_wrong_answer_on_the_command_line_leaves_nothing(template, tmp_path):
    done = generate(template, tmp_path / "p", "--skip-tasks", project_slug="NO")
    assert done.returncode != 0
    assert "a lower-case letter first" in done.printed
    assert not (tmp_path / "p").exists()


def test_without_trust_nothing_is_written_and_there_are_two_ways_on(template, tmp_path):
    def copy(name, *options, **variables):
        return command(sys.executable, "-m", "copier", "copy", "--defaults", *options, template, name,
                       cwd=tmp_path, env=os.environ | variables)  # fmt: skip

    refused = copy("refused")
    assert refused.returncode == 4 and "--trust" in refused.printed and not (tmp_path / "refused").exists()
    looked = copy("looked", "--skip-tasks")
    assert looked.returncode == 0 and "cd looked && git init" in looked.printed and "make up\n" in looked.printed
    assert not (tmp_path / "looked/.env").exists()
    settings = tmp_path / "settings.yml"
    settings.write_text(f"trust:\n  - {template}\n")
    trusted = copy("trusted", "-d", "stack=none", "-d", "dataset=none", "-q", COPIER_SETTINGS_PATH=str(settings))
    assert trusted.returncode == 0 and "trusted is generated" in trusted.printed, trusted.printed

"""A table that is there and a further file for it: what is new is said, taken when asked for, added; on both engines."""

import shutil
from datetime import date
from functools import partial

import pandas as pd
import pytest
import s3
from conftest import command
from stacks import BOTH, stack_of

JANUARY = "plot,day,yield\n1,31/01/2026,2.5\n2,13/01/2026,3\n"
FEBRUARY = "plot,day,yield\n3,01/02/2026,4\n4,02/02/2026,\n"
ROWS = "SELECT string_agg(concat_ws(',', _id, plot, day, yield), ' ' ORDER BY _id) FROM crops"
OF_JANUARY = "1,1,2026-01-31,2.5 2,2,2026-01-13,3"
OF_BOTH = f"{OF_JANUARY} 3,3,2026-02-01,4 4,4,2026-02-02"
LEDGER = "SELECT row_count, file_name, jsonb_path_query_array(appended, '$[*].file_name') FROM dsproj_seed WHERE table_name = 'crops'"


@pytest.fixture(scope="module", params=BOTH)
def stack(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("again")
    with stack_of(request, request.param, folder / "project", "again") as made:
        yield made.generate(dataset="none")


@pytest.fixture
def project(stack, tmp_path):
    """The stack, with table crops of January; gone at the end."""
    (tmp_path / "crops.csv").write_text(JANUARY)
    stack.make("dataset", f"SOURCE={tmp_path}/crops.csv")
    yield stack
    stack.make("dataset", "DROP=crops", "FORCE=1")
    for path in [*(stack.path / "docker/postgres/datasets").iterdir(), *(stack.path / "data").iterdir()]:
        if path.name != "README.md":
            path.unlink()
    assert stack.git("status", "--porcelain") == ""


def state(project):
    """All that a refused file must leave as it was: the project's files, the ledger, the rows."""
    files = {
        path.relative_to(project.path).as_posix(): path.read_bytes()
        for folder in ("data", "docker", "config")
        for path in (project.path / folder).rglob("*")
        if path.is_file()
    }
    return (
        files | {".gitignore": (project.path / ".gitignore").read_bytes()},
        project.sql("TABLE dsproj_seed"),
        project.sql(ROWS),
    )


def refused(project, *words):
    """What a `make dataset …` that has to fail printed; all is as it was."""
    before = state(project)
    printed = project.refused("dataset", *words)
    assert state(project) == before
    return printed


@pytest.mark.local_shows_it
def test_the_same_file_changes_nothing_and_a_changed_one_is_described(project, tmp_path):
    source = tmp_path / "crops.csv"
    assert "crops is loaded already: 2 rows" in project.make("dataset", f"SOURCE={source}")
    source.write_text(JANUARY + "3,01/02/2026,x\n")
    printed = refused(project, f"SOURCE={source}")
    assert "3 rows, 2 before" in printed and "other types: yield text, was double precision" in printed
    assert f"make dataset SOURCE={source} TABLE=crops MODE=replace" in printed and "TABLE=crops_2" in printed
    source.write_text("plot,day,soil\n1,31/01/2026,clay\n")
    printed = refused(project, f"SOURCE={source}")
    assert "new columns: soil (text)" in printed and "columns that are gone: yield" in printed
    assert "MODE=append" not in printed  # its rows would not go there


def test_a_changed_file_is_taken_in_place_of_the_other(project, tmp_path):
    source, sql = tmp_path / "crops.csv", project.path / "docker/postgres/datasets/crops.sql"
    sql.write_text(sql.read_text().replace("double precision", "numeric") + "-- mine\n")
    source.write_text(JANUARY + "3,28/01/2026,4.5\n")
    project.make("dataset", f"SOURCE={source}", "MODE=replace")
    assert project.sql(ROWS) == f"{OF_JANUARY} 3,3,2026-01-28,4.5"
    assert "numeric" in sql.read_text() and "-- mine" in sql.read_text()  # the columns are the same: so is their SQL
    assert (project.path / "data/crops.csv").read_text() == source.read_text()
    source.write_text("plot,soil\n1,clay\n")
    printed = project.make("dataset", f"SOURCE={source}", "MODE=replace")
    assert project.sql("SELECT soil FROM crops") == "clay" and "-- mine" not in sql.read_text()
    (aside,) = sql.parent.glob("crops.sql.before")
    assert "-- mine" in aside.read_text() and aside.name in printed
    project.make("dataset", f"SOURCE={source}", "HEADER=yes")  # finds the same types: nothing to be kept
    assert list(sql.parent.glob("crops.sql.before*")) == [aside]
    assert "crops is loaded already: 1 rows" in project.make("dataset", f"SOURCE={source}")


@pytest.mark.local_shows_it
def test_a_file_that_takes_the_place_of_another_overwrites_no_third(project, tmp_path):
    mine = project.path / "data/mine.csv"
    mine.write_text("a file of mine\n")
    (tmp_path / "peas.csv").write_text("plot,soil\n1,clay\n")
    (tmp_path / "mine.csv").write_text("plot,soil\n2,sand\n")
    project.make("dataset", f"SOURCE={tmp_path}/peas.csv")
    try:
        project.make("dataset", f"SOURCE={tmp_path}/mine.csv", "TABLE=peas", "MODE=replace")
        assert project.sql("SELECT soil FROM peas") == "sand" and mine.read_text() == "a file of mine\n"
    finally:
        project.make("dataset", "DROP=peas", "FORCE=1")


@pytest.mark.local_shows_it
def test_what_cannot_replace_leaves_all_as_it_was(project, tmp_path):
    source = tmp_path / "crops.csv"
    source.write_text("a\n\0\n")
    assert "no text file" in refused(project, f"SOURCE={source}", "MODE=replace")
    source.write_text("plot,soil\n1,clay\n")
    project.sql("CREATE VIEW mine AS SELECT yield FROM crops")
    try:
        assert "other objects depend" in refused(project, f"SOURCE={source}", "MODE=replace")
    finally:
        project.sql("DROP VIEW mine")
    assert "MODE=more: append adds" in refused(project, f"SOURCE={source}", "MODE=more")
    assert "wheat is no data set that is here; there are: crops" in refused(
        project, f"SOURCE={source}", "TABLE=wheat", "MODE=append"
    )


def test_a_new_month_is_added_and_every_way_to_the_table_has_it(project, tmp_path):
    month = tmp_path / "crops 2026-02.csv"
    month.write_text(FEBRUARY)
    project.sql("UPDATE crops SET yield = 9 WHERE plot = 2")  # work on the table stays
    said = project.make("dataset", f"SOURCE={month}", "TABLE=crops", "MODE=append")
    assert "date: day first, as in the table" in said, said  # which January shows
    assert project.sql(ROWS) == OF_BOTH.replace(",13,3 ", ",13,9 ").replace("2026-01-13,3", "2026-01-13,9")
    assert project.sql(LEDGER) == '4|crops.csv|["crops_2026-02.csv"]'
    assert str(tmp_path) not in (project.path / "docker/postgres/datasets/crops+1.env").read_text()
    for words in (["seed", "TABLE=crops", "FORCE=1"], ["seed"], ["up"]):
        project.make(*words)
        assert project.sql(ROWS) == OF_BOTH, words
    # A clone has an empty database, and the files that git has.
    project.sql("DROP TABLE crops, dsproj_seed")
    project.make("up")
    assert project.sql(ROWS) == OF_BOTH and project.sql(LEDGER).startswith("4|")


def test_a_month_that_a_colleague_has_added_comes_with_make_up(project, tmp_path):
    (tmp_path / "feb.csv").write_text(FEBRUARY)
    saved = project.make("backup")
    backup = max((project.path / "backups").iterdir())
    project.make("dataset", f"SOURCE={tmp_path}/feb.csv", "TABLE=crops", "MODE=append")
    project.make("restore", f"FILE={backup}", "FORCE=1")  # of before
    assert project.sql(ROWS) == OF_JANUARY, saved
    project.make("up")
    assert project.sql(ROWS) == OF_BOTH
    shutil.rmtree(project.path / "backups")


@pytest.mark.local_shows_it
def test_what_cannot_be_added_leaves_all_as_it_was(project, tmp_path):
    source, feb = tmp_path / "crops.csv", tmp_path / "feb.csv"
    append = ("TABLE=crops", "MODE=append")
    assert "crops has these rows already: data/crops.csv is the same file" in refused(
        project, f"SOURCE={source}", *append
    )
    feb.write_text(FEBRUARY)
    project.make("dataset", f"SOURCE={feb}", *append)
    (tmp_path / "copy.csv").write_text(FEBRUARY)
    assert "data/feb.csv is the same file" in refused(project, f"SOURCE={tmp_path}/copy.csv", *append)
    feb.write_text("plot,day,soil\n5,31/03/2026,clay\n")
    printed = refused(project, f"SOURCE={feb}", *append)
    assert "it has no column yield; the table has no soil" in printed
    assert "To finish: make dataset SOURCE=<the mended file> TABLE=crops MODE=append\n" in printed
    feb.write_text("plot,day,yield\n5,31/03/2026,much\n")
    printed = refused(project, f"SOURCE={feb}", *append)
    assert 'line 2, column yield, value "much"' in printed and "nothing was added" in printed
    assert "docker/postgres/datasets/crops.sql" in printed and "MODE=append" in printed


@pytest.mark.local_shows_it
def test_a_month_of_the_same_file_name_and_of_renamed_columns(project, tmp_path):
    sql = project.path / "docker/postgres/datasets/crops.sql"
    sql.write_text(sql.read_text().replace("yield", "harvest"))
    project.make("seed", "TABLE=crops", "FORCE=1")
    (tmp_path / "crops.csv").write_text(FEBRUARY)
    project.make("dataset", f"SOURCE={tmp_path}/crops.csv", "MODE=append")
    assert project.sql("SELECT sum(harvest) FROM crops") == "9.5"
    assert (project.path / "data/crops-2.csv").read_text() == FEBRUARY


def test_files_with_types_are_added_and_take_the_place_of_others(stack, tmp_path):
    """Parquet, JSON lines, a workbook: to a table that a file of another kind has made, and in its place."""
    frame = pd.DataFrame({"plot": [1, 2], "day": [date(2026, 1, 31), None], "yield": [2.5, None]})
    writers = {"parquet": frame.to_parquet, "xlsx": partial(frame.to_excel, index=False),
               "jsonl": partial(frame.to_json, orient="records", lines=True, date_format="iso", date_unit="s")}  # fmt: skip
    rows = "SELECT string_agg(concat_ws(',', plot, day::date, yield), ' ' ORDER BY _id) FROM oats"
    once = "1,2026-01-31,2.5 2"
    for name in ("a.parquet", "b.xlsx", "c.jsonl"):
        writers[name.partition(".")[2]](tmp_path / name)
    try:
        stack.make("dataset", f"SOURCE={tmp_path}/c.jsonl", "TABLE=oats")
        for name in ("a.parquet", "b.xlsx"):
            stack.make("dataset", f"SOURCE={tmp_path}/{name}", "TABLE=oats", "MODE=replace")
            assert stack.sql(rows) == once
        for name in ("a.parquet", "c.jsonl"):
            stack.make("dataset", f"SOURCE={tmp_path}/{name}", "TABLE=oats", "MODE=append")
        assert stack.sql(rows) == f"{once} {once} {once}"
    finally:
        stack.make("dataset", "DROP=oats", "FORCE=1")


@pytest.mark.local_shows_it
def test_days_and_months_are_told_apart_or_not_taken(project, tmp_path):
    """February's dates alone do not say which is which: January's do, and where nothing does, nothing is guessed."""
    (tmp_path / "iso.csv").write_text("plot,day\n1,2026-01-31\n")
    (tmp_path / "odd.csv").write_text("plot,day\n1,01/02/2026\n")
    project.make("dataset", f"SOURCE={tmp_path}/iso.csv")
    try:
        printed = refused(project, f"SOURCE={tmp_path}/odd.csv", "TABLE=iso", "MODE=append")
        assert 'column day, value "01/02/2026"' in printed
    finally:
        project.make("dataset", "DROP=iso", "FORCE=1")


# --- places ------------------------------------------------------------------------------------------------------------


def test_a_file_of_an_s3_store_with_the_credentials_of_the_project(project):
    """Loaded, forgotten as on a clone, fetched again; no key stands in a file of git, and a refusal leaves nothing."""
    credentials = project.path / "config/jupyter.env"
    before = credentials.read_text()
    with s3.store(**{"rye.csv": JANUARY.encode()}) as variables:
        try:
            credentials.write_text(f"AWS_ENDPOINT_URL={variables['AWS_ENDPOINT_URL']}\n")
            assert "AWS_ACCESS_KEY_ID" in refused(project, "SOURCE=s3://crops/rye.csv")  # nobody has said who asks
            credentials.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
            project.make("dataset", "SOURCE=s3://crops/rye.csv")
            assert project.sql("SELECT sum(yield) FROM rye") == "5.5"
            (project.path / "data/rye.csv").unlink()
            project.sql("DROP TABLE rye; DELETE FROM dsproj_seed WHERE table_name = 'rye'")
            project.make("up")
            assert project.sql("SELECT sum(yield) FROM rye") == "5.5"
            secret = variables["AWS_SECRET_ACCESS_KEY"]
            assert (
                command("grep", "-rlF", secret, "data", "docker", "config", cwd=project.path).stdout
                == "config/jupyter.env\n"
            )
            assert "The specified key does not exist" in refused(project, "SOURCE=s3://crops/oats.csv")
        finally:
            credentials.write_text(before)
            command("make", "dataset", "DROP=rye", "FORCE=1", cwd=project.path)

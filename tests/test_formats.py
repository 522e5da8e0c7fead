"""Every format that `make dataset` takes, on both engines: loaded with its types and values, or refused with nothing left."""

import decimal
import hashlib
import json
import re

import pytest
from conftest import checked, command, wait_for
from stacks import BOTH, stack_of

formats = pytest.importorskip("formats")


@pytest.fixture(scope="module", params=BOTH)
def project(request, tmp_path_factory):
    """One project for each engine; it begins with a Parquet file."""
    folder = tmp_path_factory.mktemp("formats")
    path = folder / "first.parquet"
    formats.parquet(path)
    with stack_of(request, request.param, folder / "project", "formats") as made:
        yield made.generate(dataset="csv", dataset_source=path)


def rows_of(project, table):
    """The table's rows as JSON has them, in order, without NULLs and the key; numbers exact."""
    rows = json.loads(
        project.sql(f"SELECT jsonb_agg(to_jsonb(t) - '_id' ORDER BY _id) FROM {table} t"), parse_float=decimal.Decimal
    )
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def exact(wanted):
    """Expected rows in the same form."""
    if isinstance(wanted, dict):
        return {name: exact(value) for name, value in wanted.items()}
    if isinstance(wanted, list):
        return list(map(exact, wanted))
    return decimal.Decimal(repr(wanted)) if isinstance(wanted, float) else wanted


def state_of(project):
    """All files of the project, and the ledger."""
    files = {}
    for path in sorted(project.path.rglob("*")):
        inside = path.relative_to(project.path).parts
        if path.is_file() and inside[0] not in (".local", ".git", ".ruff_cache") and "__pycache__" not in inside:
            files["/".join(inside)] = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode
    tables = (
        "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    seen = project.sql(f"{tables} UNION ALL SELECT string_agg(s::text, ' ' ORDER BY s) FROM dsproj_seed s")
    return files, seen, project.git("status", "--porcelain")


def test_generation_takes_a_parquet_file(project):
    assert "table first, 3 rows" in project.printed, project.printed
    assert rows_of(project, "first") == exact(formats.ARROW)
    types = "SELECT string_agg(atttypid::regtype::text, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'first'::regclass AND attnum > 1"
    assert project.sql(types).startswith(
        "integer bigint text double precision date timestamp without time zone timestamp with"
    )
    wait_for(lambda: set(project.states().values()) == {"healthy"}, what="health")


@pytest.mark.local_shows_it
def test_it_is_loaded_anew_when_asked_and_by_up_where_it_is_lost(project):
    assert "first is loaded already" in project.make("seed")
    project.sql("DELETE FROM first")
    project.make("seed", "FORCE=1")
    assert rows_of(project, "first") == exact(formats.ARROW)
    project.sql("DROP TABLE first; DELETE FROM dsproj_seed WHERE table_name = 'first'")
    assert "first: 3 rows from data/first.parquet" in project.make("up")
    assert rows_of(project, "first") == exact(formats.ARROW)


@pytest.mark.local_shows_it
def test_an_edit_of_the_sql_is_taken_and_a_bad_row_named(project):
    """In a type that the file has not, which its rows then go to as text; in one that a row of the binary format breaks."""
    sql = project.path / "docker/postgres/initdb.sql"
    text = sql.read_text()
    try:
        sql.write_text(re.sub(r"(\n +day +)date", r"\1text", text))
        project.make("seed", "FORCE=1")
        assert project.sql("SELECT day || pg_typeof(day) FROM first ORDER BY _id LIMIT 1") == "2026-01-31text"
        sql.write_text(re.sub(r"(\n +plot_id +integer)", r"\1 NOT NULL", text))
        assert 'row 3: null value in column "plot_id"' in project.refused("seed", "FORCE=1")
        assert project.sql("SELECT count(*) FROM first") == "3"
    finally:
        sql.write_text(text)
        project.make("seed", "FORCE=1")


# test_tables.py reads all of them with each push; one of each family of readers shows the way to a table.
FAMILIES = {"crops.parquet", "lines.jsonl", "book.xlsx", "shop.sqlite", "fixed.txt"}
EACH = [each if each in FAMILIES else pytest.param(each, marks=pytest.mark.long) for each in formats.FORMATS]


@pytest.mark.parametrize("name", EACH)
def test_a_format_is_loaded_and_withdrawn(project, tmp_path, name):
    _, source, words, rows = formats.make(name, tmp_path)
    before = state_of(project)
    said = project.make("dataset", f"SOURCE={source}", "TABLE=t", *words)
    try:
        assert f"t: {len(rows)} rows from data/{name}" in said, said
        assert rows_of(project, "t") == exact(rows)
    finally:
        project.make("dataset", "DROP=t", "FORCE=1")
        for path in [project.path / "data" / name, *(project.path / "docker/postgres/datasets").glob("t.*")]:
            path.unlink()
    assert state_of(project) == before


@pytest.mark.local_shows_it
@pytest.mark.parametrize("name", formats.BROKEN)
def test_a_broken_file_is_one_message_and_leaves_the_project_byte_for_byte(project, tmp_path, name):
    path, source, words, _ = formats.make(name, tmp_path)
    damage, message = formats.BROKEN[name]
    path.write_bytes(damage(path.read_bytes()))
    before = state_of(project)
    said = project.refused("dataset", f"SOURCE={source}", "TABLE=t", *words)
    assert message in said and f"data/{name}: " in said and "To finish: make dataset SOURCE=" in said, said
    assert state_of(project) == before


@pytest.mark.local_shows_it
@pytest.mark.parametrize(
    "name, part, message",
    [
        ("book.xlsx", "", "it holds 2 sheets: Sheet 1, other"),
        ("book.xlsx", "#Nope", "there is no sheet Nope in it: Sheet 1, other"),
        ("shop.sqlite", "", "it holds 2 tables: orders, others"),
        ("shop.duckdb", "#nope", "there is no table nope in it: t, more.other"),
        ("crops.parquet", "#x", "it holds one table"),
    ],
)
def test_a_part_that_is_not_there_or_has_to_be_named(project, tmp_path, name, part, message):
    path, *_ = formats.make(name, tmp_path)
    before = state_of(project)
    assert message in project.refused("dataset", f"SOURCE={path}{part}", "TABLE=t")
    assert state_of(project) == before


@pytest.mark.local_shows_it
def test_several_files_become_one_table_or_one_each(project, tmp_path):
    folder = tmp_path / "sales"
    folder.mkdir()
    (folder / "2024.csv").write_text("year,sum\n2024,1.5\n")
    (folder / "2025.csv").write_text("sum,note,year\n2,x,2025\n")
    before = state_of(project)
    try:
        project.make("dataset", f"SOURCE={folder}", "FILENAME=1")
        first, second = {"year": 2024, "sum": 1.5}, {"year": 2025, "sum": 2, "note": "x"}
        named = [{**first, "filename": "2024.csv"}, {**second, "filename": "2025.csv"}]
        assert rows_of(project, "sales") == exact(named)
        (folder / "2023.csv").write_text("year,n\n2023,1,2\n2023,1,2\n")
        (folder / "2024a.csv").write_text("\0")
        said = project.refused("dataset", f"SOURCE={folder}/*.csv", "FILES=each")
        assert "data/2023.csv: line 2 has 3 values" in said and "data/2024a.csv: " in said, said
        assert "t_2025: 1 rows from data/2025.csv" in said  # the others are loaded
        for name in ("2023.csv", "2024a.csv"):
            assert not (project.path / "data" / name).exists()
            (folder / name).unlink()
        assert rows_of(project, "t_2024") + rows_of(project, "t_2025") == exact([first, second])
    finally:
        for table in ("sales", "t_2024", "t_2025"):
            command("make", "dataset", f"DROP={table}", "FORCE=1", cwd=project.path)
        sets = project.path / "docker/postgres/datasets"
        for path in [
            *(project.path / "data").glob("*.zip"),
            *(project.path / "data").glob("202*"),
            *sets.glob("*.dropped"),
        ]:
            path.unlink()
    assert state_of(project) == before
    (folder / "2026.csv").write_text("sum,year\n1,2,3\n1,5,6\n")
    said = project.refused("dataset", f"SOURCE={folder}")
    assert "data/sales.zip: 2026.csv: row 2 has 3 values, the header has 2" in said and state_of(project) == before


def test_a_plain_compose_up_loads_what_the_database_cannot_read(project):
    if project.kind == "local":
        pytest.skip("has no Compose")
    checked("docker", "compose", "rm", "--force", "--stop", "--volumes", cwd=project.path)
    checked("docker", "volume", "rm", "--force", f"{project.slug}_postgres_data")
    project.compose("up", "--detach", "--wait")
    wait_for(lambda: project.sql("SELECT to_regclass('first') IS NOT NULL") == "t", what="the load from this_jupyter")
    assert rows_of(project, "first") == exact(formats.ARROW)


@pytest.mark.local_shows_it
def test_a_backup_has_it(project):
    project.make("backup")
    (saved,) = (project.path / "backups").iterdir()
    project.sql("DROP TABLE first")
    project.make("restore", f"FILE=backups/{saved.name}", "FORCE=1")
    assert rows_of(project, "first") == exact(formats.ARROW)
    assert "first is loaded already" in project.make("up")

"""`make dataset`: what it fetches, what it writes, and what it refuses; without servers (test_seed.py has them)."""

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from types import SimpleNamespace

import copier
import pytest
from conftest import ROOT, checked, command
from loopback import Handler, serving

sys.path.insert(0, str(ROOT / "template" / ".dsproj"))

from dsproj import names, sets  # noqa: E402
from dsproj.database import data_files  # noqa: E402
from dsproj.database.explain import Attempt  # noqa: E402
from dsproj.database.sqlfile import Step  # noqa: E402
from dsproj.errors import Problem  # noqa: E402
from dsproj.host import adding, datasets, download, loading, pacing  # noqa: E402
from dsproj.kernel.schema import infer  # noqa: E402
from dsproj.report import Report  # noqa: E402

CONTENT = b"".join(b"%d,%d\n" % (number, number * 7) for number in range(500_000))


class Archive(Handler):
    """A data archive on loopback that can send parts, break off, forget versions, and answer with a page."""

    def do_GET(self):
        server, body, path = self.server, self.server.content, self.path.partition("?")[0]
        server.asked.append((path, self.headers.get("Range")))
        if path.startswith("/drip"):
            return self.drip(path)
        if path == "/page.csv":
            body = b"\n <!DOCTYPE html>\n<html>Please log in</html>"
        if path == "/login.csv":
            self.send_response(302)
            self.send_header("Location", "/page.csv")
            self.end_headers()
            return
        if path in ("/gone.csv", "/forbidden.csv"):
            self.send_error(404 if path == "/gone.csv" else 403)
            return
        start = 0
        if (asked := self.headers.get("Range")) and self.headers.get("If-Range") == server.etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + server.breaks.pop(0) if server.breaks else len(body)
        self.wfile.write(body[start:end])

    def drip(self, path):
        """A byte every tenth of a second, of the head already or of the body, with or without a length."""
        head = 'HTTP/1.0 200 OK\r\nETag: "one"\r\n' + "Content-Length: 9999\r\n" * (path == "/drip-body.csv")
        if path != "/drip-head.csv":
            self.wfile.write(f"{head}\r\n".encode())
            head = ""
        for byte in head.encode() + b"1" * 999:
            if self.server.ended.wait(0.1):
                return
            self.wfile.write(bytes([byte]))


@pytest.fixture
def archive():
    with serving(Archive, content=CONTENT, etag='"one"', breaks=[], asked=[]) as server:
        yield server


class Engine:
    """In place of the servers: notes what it is asked for, and writes an SQL file."""

    settings = SimpleNamespace(mongo=False)

    def __init__(self, project):
        self.project, self.calls, self.refuse, self.loaded = project, [], False, set()

    def start(self, *services, report):
        assert services == ("this_postgres",)

    def call(self, service, module, *words, report=None):
        assert (service, module) == ("this_postgres", "dsproj.database.seed")
        if words == ("ledger",):
            return [[table, 1, False, []] for table in self.loaded]
        self.calls.append(words)
        self.loaded |= {words[1]} if words[0] in ("once", "add", "force") else set()

    def once(self, *words):
        return list(words)

    def variables(self, service):
        return {}

    def told(self, command, variables, report):
        python, *words = command
        assert words[:2] == ["-m", "dsproj.kernel.schema"]
        if "--sql" not in words:
            return {"lines": ["1 rows, 1 before", "the same columns and types"], "same": True, "keep": True}
        self.calls.append(("infer", *words[2:]))
        if self.refuse:
            raise Problem("data/x.csv: this is no table")
        (self.project / words[words.index("--sql") + 1]).write_text("CREATE TABLE x ();\n")
        return "what was found"


class Said(Report):
    """What is said, kept."""

    def __init__(self):
        self.lines = []

    def done(self, what, text, seconds=None):
        self.lines.append(text)


class Project:
    """A project with data sets and no servers: `engine` stands in for them, `said` is what people would read."""

    def __init__(self, path):
        self.path, self.engine, self.said = path, Engine(path), Said()

    def add(self, source, table=""):
        datasets.dataset(self.engine, self.said, str(source), table)

    def fetch(self):
        datasets.dataset(self.engine, self.said)


@pytest.fixture(scope="module")
def rendered(template, tmp_path_factory):
    target = tmp_path_factory.mktemp("rendered") / "project"
    copier.run_copy(
        str(template), target, data={"dataset": "none"}, defaults=True, unsafe=True, quiet=True, skip_tasks=True
    )
    return target


@pytest.fixture
def project(rendered, tmp_path, monkeypatch):
    made = Project(shutil.copytree(rendered, tmp_path / "project"))
    for module in (sets, adding, datasets, loading):
        monkeypatch.setattr(module, "PROJECT", made.path)
    monkeypatch.setattr(loading, "told", made.engine.told)
    monkeypatch.setattr(download, "RESERVE", 0)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    return made


def files(project):
    """What is in data/ and datasets/, without what every project has."""
    folders = (project.path / "data", project.path / "docker/postgres/datasets")
    return sorted(path.name for folder in folders for path in folder.iterdir() if path.name != "README.md")


# --- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source, table, file",
    [
        ("/a/Crop Yields 2026.csv", "crop_yields_2026", "Crop_Yields_2026.csv"),
        ("https://x.org/a/crops.csv.gz?raw=1", "crops", "crops.csv.gz"),
        ("https://x.org/Crop%20Yields.csv", "crop_yields", "Crop_Yields.csv"),
        ("https://x.org/all.zip#inner/rye.csv", "all", "rye.csv"),
        ("/a/2026.parquet", "t_2026", "2026.parquet"),
        ("/a/Größe.csv", "groesse", "Groesse.csv"),
        ("/a/数据.csv", "data", "data.csv"),
        ("https://x.org/", "data", "data"),
        ("https://x.org/download?id=4", "download", "download"),
        ("/a/; DROP TABLE x; --.csv", "drop_table_x", "DROP_TABLE_x.csv"),
    ],
)
def test_names_come_from_the_source(source, table, file):
    assert names.table_name(source) == table
    assert names.file_name(source, table) == file


@pytest.mark.parametrize("name", ["x; drop table adult", "Größe", '"x"', "9x", "x" * 64, "../x", "x\ny"])
def test_a_table_name_is_an_identifier(project, tmp_path, name):
    (tmp_path / "x.csv").write_text("a\n1\n")
    with pytest.raises(Problem, match="a table name is 1 to 63"):
        project.add(tmp_path / "x.csv", name)
    assert files(project) == [] and project.engine.calls == []


# --- a path ------------------------------------------------------------------------------------------------------------


HOSTILE = 'it\'s a "file" $(touch owned) `id` $HOME %s é.csv'


def test_a_path_is_copied_declared_and_loaded(project, tmp_path):
    (tmp_path / HOSTILE).write_text("a\n1\n")
    project.add(tmp_path / HOSTILE, "crops")
    name = "it_s_a_file_touch_owned_id_HOME_s_e.csv"
    assert files(project) == ["crops.env", "crops.sql", name]
    assert [call[0] for call in project.engine.calls] == ["vacant", "infer", "add"]
    # The same words to a shell, whose syntax it has, as to Python.
    script = 'set -eu; . ./docker/postgres/datasets/crops.env; printf %s "$SEED_SOURCES"; test "$SEED_TABLE" = crops'
    printed = checked("bash", "-c", script, cwd=project.path)
    assert printed == "" and not (project.path / "owned").exists()
    project.add(tmp_path / HOSTILE, "crops")
    assert [call[0] for call in project.engine.calls[3:]] == ["replace-sample"]


def test_make_hands_over_what_was_typed(project, tmp_path):
    (tmp_path / "fake").write_text('#!/bin/sh\nprintf %s "$DSPROJ_SOURCE|$DSPROJ_TABLE|$DSPROJ_COLUMNS" >seen\n')
    (tmp_path / "fake").chmod(0o755)
    source = "a 'b' \"c\" $(touch owned) $(unclosed ${x} `id` #d é.csv"
    environment = os.environ | {"COLUMNS": "80"}
    words = ["make", "dataset", f"PYTHON3={tmp_path}/fake", f"SOURCE={source}", "TABLE=t"]
    (project.path / ".env").write_text("ENGINE=docker\n")
    subprocess.run(words, cwd=project.path, env=environment, check=True)
    assert (project.path / "seen").read_text() == f"{source}|t|"
    assert not (project.path / "owned").exists()


@pytest.mark.parametrize("word", ["source=/x/y.csv", "Source=/x/y.csv"])
def test_variables_in_small_letters_are_said(project, word):
    done = command("make", "dataset", word, cwd=project.path)
    name = word.partition("=")[0]
    assert f"{name}=…: variables are written in capitals\nTo finish: make dataset SOURCE=…\n" in done.printed
    assert done.returncode and not (project.path / ".env").exists()


@pytest.mark.parametrize("word", ["SOURCE=https://x.org/a?file=b c source=d", "mine=1"])
def test_what_only_looks_like_a_variable_is_not(project, word):
    done = command("make", "dataset", word, "TABLE=9", "ENGINE=local", cwd=project.path)
    assert "capitals" not in done.printed, done.printed


@pytest.mark.parametrize(
    "typed",
    [
        'Price in $USD: what is "it"?',
        "`touch owned`",
        "$(touch owned)",
        "$(shell touch owned)",
        "'; touch owned; '",
        "a\\b #c",
    ],
)
def test_no_variable_of_make_is_shell_code(project, tmp_path, typed):
    variables = re.search(r"^VARIABLES := (.*)$", (project.path / "Makefile").read_text(), re.M)[1].split()
    assert {"NAME", "FILE", "S", "N", "DROP", "CMD"} <= set(variables)
    shown = "\n".join(f'printf "%s\\n" "$DSPROJ_{name}"' for name in variables)
    (tmp_path / "fake").write_text(f"#!/bin/sh\n{shown}\n")
    (tmp_path / "fake").chmod(0o755)
    words = ["make", "notebook", f"PYTHON3={tmp_path}/fake", *(f"{name}={typed}" for name in variables)]
    assert checked(*words, cwd=project.path).splitlines() == [typed] * len(variables)
    assert not (project.path / "owned").exists()


def test_a_file_that_is_in_data_stays_where_it_is(project):
    (project.path / "data/crops.csv").write_text("a\n1\n")
    for _ in range(2):
        project.add(project.path / "data/crops.csv")
    assert files(project) == ["crops.csv", "crops.env", "crops.sql"]
    assert "SEED_SOURCES=''" in (project.path / "docker/postgres/datasets/crops.env").read_text()


@pytest.mark.parametrize("pack, ending", [(gzip.compress, ".gz"), (bz2.compress, ".bz2"), (lzma.compress, ".xz")])
@pytest.mark.parametrize("name", ["a.csv", "a", "a.csv{}", "a{}"])
def test_compressed_files_stay_so_and_are_called_so(project, tmp_path, name, pack, ending):
    source = tmp_path / name.format(ending)
    source.write_bytes(pack(b"a\n1\n"))
    project.add(source)
    called = source.name.removesuffix(ending) + ending
    assert sorted(files(project)) == sorted([called, "a.env", "a.sql"])


@pytest.mark.parametrize("key", ["X-Amz-Signature", "sig", "token", "api_key"])
def test_a_link_with_a_key_in_it_is_not_noted(project, archive, key):
    datasets.dataset(project.engine, project.said, f"{archive.place}/crops.csv?raw=1&{key}=secret")
    env = (project.path / "docker/postgres/datasets/crops.env").read_text()
    assert "SEED_SOURCES=''" in env and "secret" not in env


def test_the_sheet_that_the_project_began_with_is_the_one_that_is_read(project):
    env = project.path / "docker/postgres/datasets/crops.env"
    env.write_text("SEED_TABLE=crops\nSEED_FILE=crops.xlsx\nSEED_SQL=../initdb.sql\nSEED_PART='Sheet 2'\n")
    (project.path / "data/crops.xlsx").write_bytes(b"")
    project.fetch()
    assert "--part=Sheet 2" in project.engine.calls[0]


def test_another_file_of_the_same_name_is_not_replaced(project, tmp_path):
    (project.path / "data/crops.csv").write_text("mine\n")
    (tmp_path / "crops.csv").write_text("a\n1\n")
    with pytest.raises(Problem, match="is there already and is another file"):
        project.add(tmp_path / "crops.csv")
    assert files(project) == ["crops.csv"] and (project.path / "data/crops.csv").read_text() == "mine\n"


def test_a_table_of_the_project_is_not_redefined(project, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "b.csv").write_text("a\n2\n")
    project.add(tmp_path / "a.csv", "crops")
    before = files(project)
    with pytest.raises(Problem, match="crops is a data set of this project already"):
        project.add(tmp_path / "b.csv", "crops")
    assert files(project) == before


@pytest.mark.parametrize("kind", ["absent", "folder", "unreadable", "empty", "page", "ftp", "line", "not a table"])
def test_bad_input_is_one_message_and_changes_nothing(project, tmp_path, kind):
    source, message = tmp_path / "x.csv", "this is a web page"
    if kind == "page":
        source.write_text("<!DOCTYPE html><title>Log in</title>")
    elif kind == "absent":
        message = "there is no such file"
    elif kind == "folder":
        source.mkdir()
        message = "the folder is empty"
    elif kind == "unreadable":
        source.write_text("a\n1\n")
        source.chmod(0)
        message = "you may not read this file"
        if os.access(source, os.R_OK):
            pytest.skip("root may read everything")
    elif kind == "empty":
        source.write_text("")
        message = "the file is empty"
    elif kind == "ftp":
        source, message = "ftp://x.org/x.csv", "starts with http:// or https://"
    elif kind == "line":
        source, message = "/a\nb.csv", "no line breaks"
    else:
        source.write_text("neither\0fish\nnor,flesh")
        project.engine.refuse, message = True, None
    with pytest.raises(Problem, match=message):
        project.add(source)
    assert files(project) == []


def test_options_for_a_loaded_data_set_find_its_types_anew(project, tmp_path):
    (tmp_path / "crops.csv").write_text("a\n1\n")
    sql = project.path / "docker/postgres/datasets/crops.sql"
    project.add(tmp_path / "crops.csv")
    sql.write_text("CREATE TABLE mine ();\n")
    datasets.dataset(project.engine, project.said, str(tmp_path / "crops.csv"), bad="null")
    assert "--bad=null" in project.engine.calls[-2] and project.engine.calls[-1] == ("force", "crops")
    assert sql.read_text() == "CREATE TABLE x ();\n"
    assert sql.with_name("crops.sql.before").read_text() == "CREATE TABLE mine ();\n"
    project.engine.refuse = True
    before = files(project)
    with pytest.raises(Problem):
        datasets.dataset(project.engine, project.said, str(tmp_path / "crops.csv"), bad="nil")
    assert files(project) == before
    assert sql.read_text() == "CREATE TABLE x ();\n"


def test_a_mended_file_is_taken_after_all(project, tmp_path):
    """The file of the project's own data set was none that can be read; initdb.sql is not written yet."""
    source = tmp_path / "crops.csv"
    env = project.path / "docker/postgres/datasets/crops.env"
    env.write_text(f"SEED_TABLE=crops\nSEED_FILE=crops.csv\nSEED_SQL=../initdb.sql\nSEED_SOURCES={source}\n")
    (project.path / "data/crops.csv").write_text("a\n1,2\n")
    source.write_text("a,b\n1,2\n")
    project.add(source)
    assert (project.path / "data/crops.csv").read_text() == "a,b\n1,2\n"
    assert files(project) == ["crops.csv", "crops.env"]
    assert project.engine.calls[0][:3] == ("infer", "--file", "data/crops.csv")
    assert project.engine.calls[0][-1] == "docker/postgres/initdb.sql"
    assert "SEED_TABLE=crops\n" in env.read_text() and "SEED_SQL=../initdb.sql\n" in env.read_text()


def test_another_file_than_the_one_that_was_not_there_keeps_the_table_that_the_project_knows(project, tmp_path):
    env = project.path / "docker/postgres/datasets/crpos.env"
    env.write_text("SEED_TABLE=crpos\nSEED_FILE=crpos.csv\nSEED_SQL=../initdb.sql\nSEED_SOURCES=\n")
    (tmp_path / "crops.csv").write_text("a,b\n1,2\n")
    project.add(tmp_path / "crops.csv")
    assert "the table is called crpos, as lib/ and the notebooks know it" in project.said.lines
    assert files(project) == ["crops.csv", "crpos.env"] and "SEED_FILE=crops.csv\n" in env.read_text()


# --- several files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def sales(tmp_path):
    folder = tmp_path / "sales"
    (folder / "2025").mkdir(parents=True)
    for name in ("2024-1.csv", "2024-2.csv", "2025/a.csv", ".DS_Store"):
        (folder / name).write_text(f"a,b\n1,{name}\n")
    return folder


@pytest.mark.parametrize(
    "pattern, table, names",
    [
        ("", "sales", ["2024-1.csv", "2024-2.csv", "2025/a.csv"]),
        ("/2024-*.csv", "t_2024", ["2024-1.csv", "2024-2.csv"]),
        ("/**/*.csv", "data", ["2024-1.csv", "2024-2.csv", "2025/a.csv"]),
    ],
)
def test_a_folder_or_pattern_is_one_archive_in_data(project, sales, pattern, table, names):
    source = f"{sales}{pattern}"
    project.add(source)
    assert files(project) == [f"{table}.env", f"{table}.sql", f"{table}.zip"]
    with zipfile.ZipFile(project.path / f"data/{table}.zip") as archive:
        assert archive.namelist() == names
        assert archive.read("2024-1.csv") == b"a,b\n1,2024-1.csv\n"
    os.utime(sales / "2024-1.csv", (1, 1))
    project.add(source)
    assert [call[0] for call in project.engine.calls if call != ("ledger",)] == [
        "vacant",
        "infer",
        "add",
        "replace-sample",
    ]
    (sales / "2024-2.csv").write_text("a,b\n7,8\n")
    with pytest.raises(Problem, match="and this is another file than data/"):
        project.add(source)
    assert not list((project.path / "data").glob("*.part"))


def test_a_table_for_each_of_several_files(project, sales):
    datasets.dataset(project.engine, project.said, f"{sales}/2024-*.csv", "", files="each")
    assert files(project) == [
        "2024-1.csv",
        "2024-2.csv",
        "t_2024_1.env",
        "t_2024_1.sql",
        "t_2024_2.env",
        "t_2024_2.sql",
    ]
    with pytest.raises(Problem, match="FILES=each is for a folder, or for a pattern"):
        datasets.dataset(project.engine, project.said, f"{sales}/2024-1.csv", "x", files="each")
    with pytest.raises(Problem, match="FILES=two: one .* or each"):
        datasets.dataset(project.engine, project.said, str(sales), "x", files="two")


@pytest.mark.parametrize(
    "pattern, message", [("/none-*.csv", "no such file of this pattern"), ("/empty", "the folder is empty")]
)
def test_several_files_that_are_none(project, sales, pattern, message):
    (sales / "empty").mkdir()
    with pytest.raises(Problem, match=message):
        project.add(f"{sales}{pattern}")
    assert files(project) == []


# --- a link ------------------------------------------------------------------------------------------------------------


def test_a_broken_download_goes_on_where_it_ended(project, archive):
    archive.breaks = [1000, 2_000_000]
    project.add(f"{archive.place}/crops.csv")
    assert (project.path / "data/crops.csv").read_bytes() == CONTENT
    assert [asked for _, asked in archive.asked] == [None, "bytes=1000-", "bytes=2001000-"]
    assert files(project) == ["crops.csv", "crops.env", "crops.sql"]


def test_the_next_command_goes_on_where_the_last_one_ended(project, archive):
    archive.breaks = [1000, 0, 0, 0]
    with pytest.raises(Problem, match="the connection ended after 1000 of"):
        project.add(f"{archive.place}/crops.csv")
    assert files(project) == ["crops.csv.info.part", "crops.csv.part"]
    archive.asked.clear()
    project.add(f"{archive.place}/crops.csv")
    assert archive.asked == [("/crops.csv", "bytes=1000-")]
    assert (project.path / "data/crops.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["drip-head.csv", "drip-body.csv", "drip-endless.csv"])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(project, archive, monkeypatch, path):
    monkeypatch.setattr(pacing, "TIMEOUT", 0.5)
    with pytest.raises(Problem) as caught:
        project.add(f"{archive.place}/{path}")
    assert "sends less than 1 kB a second, after" in caught.value.what and f"data/{path}" in caught.value.what
    assert caught.value.cure.startswith(f"make dataset SOURCE={archive.place}/{path}") and len(archive.asked) <= 4
    assert [name for name in files(project) if not name.endswith(".part")] == []


@pytest.mark.parametrize("etag", ['"two"', 'W/"weak"', ""])
def test_another_version_on_the_server_is_fetched_whole(project, archive, etag):
    archive.breaks = [1000, 0, 0, 0]
    archive.etag = '"one"' if etag == '"two"' else etag
    with pytest.raises(Problem):
        project.add(f"{archive.place}/crops.csv")
    archive.breaks, archive.etag, archive.content = [], etag, b"a\n1\n"
    project.add(f"{archive.place}/crops.csv")
    assert (project.path / "data/crops.csv").read_bytes() == b"a\n1\n"


def test_a_download_that_is_no_table_is_kept_as_a_part_for_another_try(project, archive):
    project.engine.refuse = True
    with pytest.raises(Problem):
        project.add(f"{archive.place}/crops.csv")
    assert files(project) == ["crops.csv.info.part", "crops.csv.part"]
    project.engine.refuse = False
    archive.asked.clear()
    project.add(f"{archive.place}/crops.csv")
    assert archive.asked == []
    assert files(project) == ["crops.csv", "crops.env", "crops.sql"]


@pytest.mark.parametrize(
    "path, message",
    [("gone.csv", "404"), ("forbidden.csv", "403"), ("page.csv", "web page"), ("login.csv", "web page")],
)
def test_bad_answers_are_one_message_and_change_nothing(project, archive, path, message):
    with pytest.raises(Problem, match=message):
        project.add(f"{archive.place}/{path}")
    assert files(project) == []


def test_unknown_hosts_and_links_with_passwords(project):
    with pytest.raises(Problem, match="nosuch.invalid: no such host is known"):
        project.add("https://nosuch.invalid/x.csv")
    with pytest.raises(Problem, match="would end up in git"):
        project.add("https://ada:secret@example.org/x.csv")
    assert files(project) == []


def test_a_link_as_people_write_it(project, archive):
    project.add(f"{archive.place}/Größe in cm.csv?a=b c", "sizes")
    assert archive.asked == [("/Gr%C3%B6%C3%9Fe%20in%20cm.csv", None)]


def test_a_member_of_an_archive(project, archive, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        packed.writestr("inner/rye.csv", "a\n1\n")
    archive.content = (tmp_path / "all.zip").read_bytes()
    project.add(f"{archive.place}/all.zip#inner/rye.csv", "rye")
    assert (project.path / "data/rye.csv").read_text() == "a\n1\n"


def test_no_room_on_the_disk_is_said_before_anything_is_fetched(project, archive, monkeypatch):
    monkeypatch.setattr(download, "RESERVE", 10**18)
    with pytest.raises(Problem, match="data/ has no room: the file needs [67] MB more"):
        project.add(f"{archive.place}/crops.csv")
    assert files(project) == []


# --- what is no table ----------------------------------------------------------------------------------------------------


def packed(kind):
    """The bytes of a file that people hand over by mistake, or that was damaged on its way."""
    written = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=written, mode="w:gz") as file:
            file.add(__file__, "crops.csv")
        return written.getvalue()
    if kind == "bz2":
        return b"BZh9" + b"\xff" * 300
    return gzip.compress(CONTENT)[:5000] + b"\0\xff\x13" * 20


@pytest.mark.parametrize(
    "kind, message",
    [("tar", "a tar archive: unpack it"), ("bz2", "damaged or cut off"), ("gz", "damaged or cut off")],
)  # fmt: skip
def test_what_is_no_table_or_damaged_is_said_as_what_it_is(tmp_path, kind, message):
    (tmp_path / "x").write_bytes(packed(kind))
    with pytest.raises(Problem, match=message), data_files.unpacked(tmp_path / "x") as file:
        data_files.check_start(file.read(1000))
        while file.read(1 << 16):
            pass


@pytest.mark.parametrize("content", [b"1,2\n" * 5_000_000, b"\0" * 50_000_000, b"1" * 50_000_000])
def test_a_file_of_one_to_a_thousand_takes_neither_memory_nor_the_disk(tmp_path, monkeypatch, content):
    if os.geteuid():
        pytest.skip("a disk of 8 MB needs root")
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"a,b\n" + content))
    (tmp_path / "small").mkdir()
    checked("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path / "small")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "small"))
    try:
        with pytest.raises(Problem, match="no room in .*small|NUL bytes|a row longer than 8 MB|line 2 has 1 value"):
            infer(tmp_path / "bomb.csv.gz", "bomb", tmp_path / "bomb.sql")
        assert list((tmp_path / "small").iterdir()) == [] and not (tmp_path / "bomb.sql").exists()
    finally:
        checked("umount", tmp_path / "small")


# --- a clone -----------------------------------------------------------------------------------------------------------


def test_a_clone_fetches_checks_and_loads(project, archive):
    project.add(f"{archive.place}/crops.csv")
    (project.path / "data/crops.csv").unlink()
    project.fetch()
    assert (project.path / "data/crops.csv").read_bytes() == CONTENT
    assert project.engine.calls[-1] == ("replace-sample",)
    (project.path / "data/crops.csv").unlink()
    archive.content = b"something else"
    with pytest.raises(Problem):
        project.fetch()
    assert not (project.path / "data/crops.csv").exists()


def test_a_clone_without_the_path_says_so(project, tmp_path):
    (tmp_path / "crops.csv").write_text("a\n1\n")
    project.add(tmp_path / "crops.csv")
    (project.path / "data/crops.csv").unlink()
    (tmp_path / "crops.csv").unlink()
    with pytest.raises(Problem, match="data/crops.csv is not here, and came from somebody's own folder"):
        project.fetch()


def test_large_files_stay_out_of_git(project, tmp_path):
    with open(tmp_path / "big.csv", "wb") as file:
        file.write(b"a\n")
        file.truncate(loading.LARGEST + 1)
    checked("git", "init", "-q", cwd=project.path)
    for _ in range(2):
        project.add(tmp_path / "big.csv")
    assert any("data/big.csv is over 100 MB" in line for line in project.said.lines)
    assert command("git", "check-ignore", "data/big.csv", cwd=project.path).returncode == 0
    assert (project.path / ".gitignore").read_text().count("big.csv") == 1


@pytest.mark.parametrize("mode, kept", [(0o600, 0o600), (0o400, 0o600), (0o640, 0o640), (0o644, 0o644), (0o666, 0o644)])
def test_who_may_not_read_a_file_may_not_read_its_copy_and_git_has_it_not(project, tmp_path, monkeypatch, mode, kept):
    (tmp_path / "crops.csv").write_text("a\n1\n")
    (tmp_path / "crops.csv").chmod(mode)
    seen = []
    monkeypatch.setattr(adding, "progress", lambda *_: lambda *_: seen.append(part.stat().st_mode & 0o777))
    part = project.path / "data/crops.csv.part"
    checked("git", "init", "-q", cwd=project.path)
    for _ in range(2):
        project.add(tmp_path / "crops.csv")
    assert seen and {*seen, (project.path / "data/crops.csv").stat().st_mode & 0o777} == {kept}
    private = not mode & 0o004
    assert any("private" in line and "git ignores it" in line for line in project.said.lines) == private
    assert (command("git", "check-ignore", "data/crops.csv", cwd=project.path).returncode == 0) == private
    assert (project.path / ".gitignore").read_text().count("/data/crops.csv") == private


@pytest.mark.parametrize(
    "modes, kept", [((0o644, 0o644), 0o644), ((0o660, 0o644), 0o640), ((0o644, 0o700), 0o600), ((0o640, 0o604), 0o600)]
)
def test_who_may_not_read_each_of_several_files_may_not_read_the_archive(tmp_path, modes, kept):
    (tmp_path / "crops").mkdir()
    for number, mode in enumerate(modes):
        (tmp_path / f"crops/{number}.csv").write_text("a\n1\n")
        (tmp_path / f"crops/{number}.csv").chmod(mode)
    download.copy(str(tmp_path / "crops"), tmp_path / "crops.zip.part", download.silent)
    assert (tmp_path / "crops.zip.part").stat().st_mode & 0o777 == kept


def test_killed_after_any_step_the_same_command_finishes(project, tmp_path, monkeypatch):
    """Each write and each call is once the last thing that happens."""
    (tmp_path / "crops.csv").write_text("a\n1\n")
    for name in ("replace_text", "forget", "obtain", "sha256"):
        for when in ("before", "after"):
            original = getattr(adding, name)

            def die(*words, original=original, when=when, **options):
                if when == "after":
                    original(*words, **options)
                raise KeyboardInterrupt

            with monkeypatch.context() as patch:
                patch.setattr(adding, name, die)
                with pytest.raises(KeyboardInterrupt):
                    project.add(tmp_path / "crops.csv")
            project.add(tmp_path / "crops.csv")
            assert files(project) == ["crops.csv", "crops.env", "crops.sql"], (name, when)
            for path in ("data/crops.csv", "docker/postgres/datasets/crops.env", "docker/postgres/datasets/crops.sql"):
                (project.path / path).unlink()


def test_a_broken_env_file_is_one_message(project):
    (project.path / "docker/postgres/datasets/crops.env").write_text("SEED_TABLE='crops\n")
    with pytest.raises(Problem, match="docker/postgres/datasets/crops.env is no valid file of settings"):
        project.fetch()


# --- what the server says, and what people read --------------------------------------------------------------------------


def error(code, message, context="", detail="", position=""):
    """As psycopg2 has it."""
    said = {"message_primary": message, "context": context, "message_detail": detail, "statement_position": position}
    return SimpleNamespace(pgcode=code, diag=SimpleNamespace(**{name: text or None for name, text in said.items()}))


COPY = "COPY crops, {}"
SAID = {
    "a value": (
        error("22P02", 'invalid input syntax for type integer: "19x5"', COPY.format('line 5, column year: "19x5"')),
        ['data/crops.csv, line 5, column year, value "19x5": invalid input syntax for type integer\n', "column's type"],
    ),
    "a number out of range": (
        error("22003", 'value "99999999999" is out of range for type integer', COPY.format('line 5, column n: "99999999999"')),
        ['line 5, column n, value "99999999999": value "99999999999" is out of range for type integer\n'],
    ),
    "too many values": (
        error("22P04", "extra data after last expected column", COPY.format('line 7: "a, b,c"')),
        ["data/crops.csv, line 7: extra data after last expected column\n", 'the row: "a, b,c"\n'],
    ),
    "an open quote": (
        error("22P04", "unterminated CSV quoted field", COPY.format('line 9: ""abc"')),
        ["data/crops.csv, line 9: unterminated CSV quoted field\n"],
    ),
    "a slip in the SQL": (
        error("42601", 'syntax error at or near "TABEL"', position="8"),
        ['docker/postgres/datasets/crops.sql, line 4: syntax error at or near "TABEL"\n'],
    ),
    "dependents": (
        error("2BP01", "cannot drop table crops because other objects depend on it",
              detail="view a depends on table crops\nview b depends on table crops"),
        ["  view a depends on table crops\n  view b depends on table crops\n", "other objects depend on the table"],
    ),
    "a full disk": (
        error("53100", 'could not extend file "base/5/16500": No space left on device', COPY.format("line 100")),
        ["the database's disk is full\nnothing was loaded; make room\n", "To finish: make seed TABLE=crops\n"],
    ),
    "a lock": (
        error("55P03", "canceling statement due to lock timeout"),
        ["another session uses the table\nnothing was loaded; end it", "To finish: make seed TABLE=crops\n"],
    ),
    "the server is shut down": (
        error("57P01", "terminating connection due to administrator command"),
        ["the server or the load was ended\nnothing was loaded", "To finish: make up\n"],
    ),
    "the server is gone": (
        error(None, "server closed the connection unexpectedly"),
        ["the server or the load was ended\nnothing was loaded", "To finish: make up\n"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("said, read", SAID.values(), ids=SAID.keys())
def test_a_failed_load_is_explained(project, said, read):
    env = project.path / "docker/postgres/datasets/crops.env"
    env.write_text("SEED_TABLE=crops\nSEED_FILE=crops.csv\n")
    attempt = Attempt(sets.read(env), "once", "crops.csv")
    problem = attempt.explained(said, lost=said.pgcode is None, step=Step(3, "CREATE\nTABEL"))
    for text in read:
        assert text in f"{problem}\n", problem
    assert str(problem).startswith("crops: ") and "line 0" not in str(problem)


def test_lines_that_are_skipped_count(project):
    env = project.path / "docker/postgres/datasets/crops.env"
    env.write_text("SEED_TABLE=crops\nSEED_FILE=crops.csv\n")
    step = Step(3, "COPY crops FROM STDIN", program="./get_data.sh --skip 2 --trim")
    problem = Attempt(sets.read(env), "force", "crops.csv").explained(SAID["a value"][0], False, step)
    assert "line 7" in problem.what and "nothing was changed" in problem.what
    assert problem.cure == "make seed TABLE=crops FORCE=1"


def test_a_file_that_is_no_text_has_rows_not_lines(project):
    env = project.path / "docker/postgres/datasets/crops.env"
    env.write_text("SEED_TABLE=crops\nSEED_FILE=crops.parquet\n")
    step = Step(3, "COPY crops FROM STDIN", program="./get_table.sh --columns=1,3")
    problem = Attempt(sets.read(env), "force", "crops.parquet").explained(SAID["a value"][0], False, step)
    assert "data/crops.parquet, row 5, column year" in problem.what

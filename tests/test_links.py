"""Where a link leads, and what a server may do wrong: one true line each, and nothing is left behind."""

import base64
import sys
import time

import pytest
import s3
from conftest import ROOT
from loopback import Handler, serving

sys.path.insert(0, str(ROOT / "template" / ".dsproj"))

from dsproj import names  # noqa: E402
from dsproj.errors import Problem  # noqa: E402
from dsproj.host import clouds, download, pacing  # noqa: E402

ROWS = b"a,b\n1,2\n"
VARIABLES = (
    "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_ENDPOINT_URL "
    "AWS_ENDPOINT_URL_S3 GOOGLE_OAUTH_ACCESS_TOKEN STORAGE_EMULATOR_HOST HF_TOKEN HF_ENDPOINT KAGGLE_USERNAME KAGGLE_KEY "
    "KAGGLE_API_TOKEN KAGGLE_API_ENDPOINT"
).split()


class Odd(Handler):
    """Does what the first part of the path says; notes what it is asked, with which credentials."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        getattr(self, "do_" + self.path.split("/")[1].partition(".")[0].replace("-", "_"), self.do_file)()

    def do_file(self):
        self.answer(len(ROWS), ROWS)

    def answer(self, length, body):
        self.send_response(200)
        self.send_header("ETag", '"one"')
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def do_stalls(self):
        self.answer(1000, ROWS)
        self.server.ended.wait(5)

    def do_is_silent(self):
        self.server.ended.wait(5)

    def do_says_more(self):
        self.answer(len(ROWS) + 100, ROWS)

    def do_says_less(self):
        self.answer(len(ROWS) - 4, ROWS)

    def do_says_nothing(self):
        self.answer(None, ROWS)

    def do_no_http(self):
        self.wfile.write(b"\x15\x03\x01\x00\x02\x02P" * 100)

    def do_empty(self):
        self.answer(0, b"")

    def lead(self, place):
        self.send_response(302)
        self.send_header("Location", place)
        self.end_headers()

    def do_other_region(self):
        self.send_response(301)
        self.send_header("x-amz-bucket-region", "eu-west-3")
        self.end_headers()

    def do_circle(self):
        self.lead("/circle.csv")

    def do_to_disk(self):
        self.lead("file:///etc/passwd")

    def do_datasets(self):  # Hugging Face: to another name on the same host, or to where the bytes are
        self.lead(
            self.path.replace("/datasets/old/", "/api/resolved/") if "old" in self.path else self.server.elsewhere
        )

    def do_asks(self):
        self.send_error(401)


@pytest.fixture
def server():
    with serving(Odd, asked=[]) as second, serving(Odd, asked=[], second=second) as first:
        first.elsewhere = f"{second.place}/file.csv"
        yield first


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """fetched(link, **variables of config/jupyter.env) -> the bytes in data/."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(clouds, "PROJECT", tmp_path)
    monkeypatch.setattr(pacing, "TIMEOUT", 0.5)
    monkeypatch.setattr(download, "RESERVE", 0)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    (tmp_path / "config").mkdir()

    def fetch(link, **variables):
        lines = [f"{name}={value}\n" for name, value in variables.items()]
        (tmp_path / "config/jupyter.env").write_text("".join(lines))
        target = tmp_path / "data" / "x.csv"
        target.unlink(missing_ok=True)
        download.fetch([link], target)
        return target.read_bytes()

    return fetch


@pytest.mark.parametrize(
    "path, said",
    [
        ("stalls.csv", "nothing came for 0.5 s, after 8 bytes"),
        ("is-silent.csv", "nothing came for 0.5 s, after 0 bytes"),
        ("says-more.csv", "the connection ended after 8 of 108 bytes"),
        ("says-less.csv", "the server says that it is 4 bytes, and sends more"),
        ("no-http.csv", "the connection ended after 0 bytes"),
        ("empty.csv", "the file is empty"),
        ("circle.csv", "the server says 302, and leads round in a circle"),
        ("other-region.csv", "the server says that the bucket is in AWS_REGION=eu-west-3"),
        ("to-disk.csv", "Redirection to url 'file:///etc/passwd' is not allowed"),
        ("asks.csv", "the server says 401 Unauthorized"),
    ],
)
def test_what_a_server_does_wrong_is_one_true_line(server, fetched, tmp_path, path, said):
    with pytest.raises(Problem) as caught:
        fetched(f"{server.place}/{path}")
    assert "\n" not in caught.value.what and caught.value.what.endswith(said), caught.value.what
    assert not [each for each in (tmp_path / "data").iterdir() if not each.name.endswith(".part")]


def test_without_a_length_it_is_taken_to_its_end(server, fetched):
    assert fetched(f"{server.place}/says-nothing.csv") == ROWS


# --- pages -------------------------------------------------------------------------------------------------------------


SHEET = "https://docs.google.com/spreadsheets/d/1aB-c_9"


@pytest.mark.parametrize(
    "page, link",
    [
        (
            "https://github.com/ada/crops/blob/main/data/rye 1.csv",
            "https://github.com/ada/crops/raw/main/data/rye 1.csv",
        ),
        ("https://gitlab.com/a/b/c/-/blob/main/x.csv", "https://gitlab.com/a/b/c/-/raw/main/x.csv"),
        (f"{SHEET}/edit?usp=sharing#gid=42", f"{SHEET}/export?format=csv&gid=42"),
        (f"{SHEET}/edit#gid=0", f"{SHEET}/export?format=csv&gid=0"),
        (f"{SHEET}/edit?usp=sharing", f"{SHEET}/export?format=csv"),
        (SHEET, f"{SHEET}/export?format=csv"),
        (
            "https://drive.google.com/file/d/1x_Y/view?usp=sharing",
            "https://drive.google.com/uc?export=download&id=1x_Y",
        ),
        ("https://www.dropbox.com/scl/fi/k/a.csv?rlkey=z&dl=0", "https://www.dropbox.com/scl/fi/k/a.csv?rlkey=z&dl=1"),
        ("https://huggingface.co/datasets/a/b/blob/main/d/x.csv", "hf://datasets/a/b@main/d/x.csv"),
        (
            "https://huggingface.co/datasets/a/b/blob/refs%2Fconvert%2Fparquet/d/x%20y.csv",
            "hf://datasets/a/b@refs%2Fconvert%2Fparquet/d/x y.csv",
        ),
        ("https://www.kaggle.com/datasets/uciml/iris?select=d%2FMy+%20iris.csv", "kaggle://uciml/iris/d/My  iris.csv"),
        ("https://www.kaggle.com/datasets/uciml/iris", "kaggle://uciml/iris"),
        ("https://www.kaggle.com/datasets/uciml/iris/data?select=Iris.csv", "kaggle://uciml/iris/Iris.csv"),
        ("https://github.com/ada/crops/raw/main/x.csv", "https://github.com/ada/crops/raw/main/x.csv"),
        (f"{SHEET}/export?format=csv&gid=42", f"{SHEET}/export?format=csv&gid=42"),
        ("https://example.org/blob/x.zip#inner.csv", "https://example.org/blob/x.zip#inner.csv"),
    ],
)
def test_a_page_becomes_the_link_of_its_file(page, link):
    assert clouds.file_link(page) == link
    assert clouds.file_link(link) == link


@pytest.mark.parametrize(
    "link, table, file",
    [
        ("s3://bucket/a/Rye 2026.csv.gz", "rye_2026", "Rye_2026.csv.gz"),
        ("hf://datasets/a/b@main/d/x.csv", "x", "x.csv"),
        ("kaggle://uciml/iris", "iris", "iris"),
        ("kaggle://uciml/iris/Iris.csv", "iris", "Iris.csv"),
        (f"{SHEET}/export?format=csv&gid=0", "sheet", "sheet.csv"),
    ],
)
def test_names_of_what_a_link_gives(link, table, file):
    assert (names.table_name(link), names.file_name(link, table)) == (table, file)


# --- stores ------------------------------------------------------------------------------------------------------------


def test_each_store_is_asked_at_its_address_with_its_credentials(server, fetched):
    pair = base64.b64encode(b"ada:key").decode()
    place = {"HF_ENDPOINT": server.place, "STORAGE_EMULATOR_HOST": server.place, "KAGGLE_API_ENDPOINT": server.place}
    for link, variables, path, who in (
        ("gs://bucket/a b/x.csv", {}, "/bucket/a%20b/x.csv", None),
        ("gs://bucket/x.csv", {"GOOGLE_OAUTH_ACCESS_TOKEN": "t"}, "/bucket/x.csv", "Bearer t"),
        ("kaggle://ada/crops/x.csv", {}, "/api/v1/datasets/download/ada/crops/x.csv", None),
        ("kaggle://ada/crops", {"KAGGLE_USERNAME": "ada", "KAGGLE_KEY": "key"}, "/api/v1/datasets/download/ada/crops", f"Basic {pair}"),
        ("kaggle://ada/crops", {"KAGGLE_API_TOKEN": "t"}, "/api/v1/datasets/download/ada/crops", "Bearer t"),
    ):  # fmt: skip
        assert fetched(link, **place, **variables) == ROWS
        assert server.asked[-1] == (path, who)
    assert fetched("hf://datasets/ada/crops@~parquet/x.csv", **place, HF_TOKEN="t") == ROWS
    assert server.asked[-1] == ("/datasets/ada/crops/resolve/refs%2Fconvert%2Fparquet/x.csv", "Bearer t")


def test_credentials_go_to_the_host_that_is_asked_and_to_no_other(server, fetched):
    assert fetched("hf://datasets/ada/crops/x.csv", HF_ENDPOINT=server.place, HF_TOKEN="secret") == ROWS
    assert server.asked == [("/datasets/ada/crops/resolve/main/x.csv", "Bearer secret")]
    assert server.second.asked == [("/file.csv", None)]
    assert fetched("hf://datasets/old/crops/x.csv", HF_ENDPOINT=server.place, HF_TOKEN="secret") == ROWS
    assert server.asked[-1] == ("/api/resolved/crops/resolve/main/x.csv", "Bearer secret")


@pytest.mark.parametrize(
    "link, said",
    [
        ("s3://bucket", "s3://bucket: such a link looks like s3://bucket/folder/crops.csv"),
        ("hf://models/a/b/x.csv", "such a link looks like hf://datasets/owner/name/crops.csv"),
        ("hf://datasets/a/x.csv", "such a link looks like hf://datasets/owner/name/crops.csv"),
        ("gs://asks/x.csv", "gs://asks/x.csv: the server says 401 Unauthorized (who may read it: GOOGLE_OAUTH_ACCESS_TOKEN in config/jupyter.env)"),
    ],
)  # fmt: skip
def test_a_link_of_a_store_that_is_none(server, fetched, link, said):
    with pytest.raises(Problem) as caught:
        fetched(link, STORAGE_EMULATOR_HOST=server.place)
    assert caught.value.what.endswith(said) and "\n" not in caught.value.what


def test_amazons_addresses():
    known = {"AWS_REGION": "eu-central-1"}
    assert clouds.s3("crops", "a/b c.csv", {})[0] == "https://crops.s3.amazonaws.com/a/b%20c.csv"
    assert clouds.s3("crops", "x+y.csv", known) == ("https://crops.s3.eu-central-1.amazonaws.com/x%2By.csv", {})
    assert clouds.s3("my.crops", "x.csv", known)[0] == "https://s3.eu-central-1.amazonaws.com/my.crops/x.csv"


@pytest.fixture(scope="module")
def store():
    pytest.importorskip("moto")
    with s3.store(**{"a/crops é+1 %.csv": ROWS, "large.csv": b"1,2\n" * 500_000}) as variables:
        yield variables


def test_an_s3_store_that_checks_signatures(store, fetched):
    assert fetched("s3://crops/a/crops é+1 %.csv", **store) == ROWS
    assert len(fetched("s3://crops/large.csv", **store)) == 2_000_000


@pytest.mark.parametrize(
    "change, link, said",
    [
        ({}, "s3://crops/none.csv", "s3://crops/none.csv: the server says 404 The specified key does not exist."),
        ({}, "s3://none/x.csv", "the server says 404 The specified bucket does not exist"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://crops/large.csv", "the server says 403 The request signature we calculated"),
        ({"AWS_ACCESS_KEY_ID": "wrong"}, "s3://crops/large.csv", "the server says 403 The AWS Access Key Id you provided"),
        ({"AWS_ACCESS_KEY_ID": ""}, "s3://crops/large.csv", "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY in config/jupyter.env"),
    ],
)  # fmt: skip
def test_what_the_store_refuses_is_its_own_word(store, fetched, change, link, said):
    with pytest.raises(Problem) as caught:
        fetched(link, **store | change)
    assert said in caught.value.what and "\n" not in caught.value.what, caught.value.what
    assert store["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)


def test_without_a_network_one_line_says_so_for_all_links_of_a_host(tmp_path):
    links = ["https://nowhere.invalid/static/adult.zip#adult.data", "https://nowhere.invalid/adult.data"]
    with pytest.raises(Problem) as caught:
        download.fetch(links, tmp_path / "adult.data")
    assert caught.value.what == "nowhere.invalid: no such host is known (a slip in its name, or no network)"

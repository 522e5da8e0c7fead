"""The lines of the literature's chapter 10, as printed, in an IPython shell that has started as a kernel does."""

# What must differ is a table in docs/from-the-book.md: connect_to_redis() for a server that has a password now.

import os
import time
from pathlib import Path

import pytest
from dsproj.settings import PROJECT
from lib.postgres import read_frame

FIRST = 'cur.execute("SELECT _id, income_label FROM adult ORDER BY _id LIMIT 1")\n_id, income_label = cur.fetchone()'
WRITE = "cur.execute('UPDATE adult SET target = {} WHERE _id = {}'.format(income_label == '>50K', _id))\ncon.commit()"
QUEUE = """
from lib.cache import connect_to_redis
from lib.postgres import encode_target
from rq import Queue
REDIS = connect_to_redis()
queue = Queue(connection=REDIS)
for i in range(1, 101):
    queue.enqueue(encode_target, i)
"""


@pytest.fixture
def shell(shell):
    here = Path.cwd()
    yield shell
    os.chdir(here)


@pytest.fixture
def run(shell, capsys):
    def ran(cell):
        shell.run_cell(cell, store_history=True).raise_error()
        said = capsys.readouterr()
        return said.out + said.err

    return ran


def targets():
    return read_frame("SELECT _id, target FROM adult WHERE target IS NOT NULL ORDER BY _id")


@pytest.fixture
def unwritten(run):
    clear = "from lib.postgres import connect_to_postgres\ncon, cur = connect_to_postgres()\n"
    run(f"{clear}cur.execute('UPDATE adult SET target = NULL')\ncon.commit()")
    yield
    run(f"{clear}cur.execute('UPDATE adult SET target = NULL')\ncon.commit()")


def test_the_project_root_by_its_printed_path(run):
    printed = run("cd /home/jovyan/work")
    assert "Errno" not in printed and Path.cwd() == PROJECT
    run("from lib.postgres import connect_to_postgres")
    assert "Errno" in run("cd /home/jovyan/elsewhere")


@pytest.mark.parametrize(
    "connect",
    [
        "from lib.postgres import connect_to_postgres\ncon, cur = connect_to_postgres()",
        "import psycopg2 as pg2\n"
        "con = pg2.connect(host='this_postgres', user='postgres', database='postgres')\ncur = con.cursor()",
    ],
)
def test_a_row_is_unpacked_and_its_target_written(connect, run, shell, unwritten):
    if "this_postgres" in connect and os.environ["PGHOST"] != "this_postgres":
        connect = connect.replace("'this_postgres'", "None")  # the table's one line for a machine without Docker
    run(connect)
    run(FIRST)
    run(WRITE)
    frame = targets()
    assert frame["_id"].tolist() == [shell.user_ns["_id"]]
    assert frame["target"].tolist() == [int(shell.user_ns["income_label"] == ">50K")]
    run("con.close()" if "pg2" in connect else "pass")


def test_encode_target_for_many_through_rqs_plain_queue(run, unwritten):
    run(QUEUE)
    deadline = time.monotonic() + 60
    while len(targets()) < 100:
        assert time.monotonic() < deadline, targets()
        time.sleep(0.2)
    wrong = read_frame(
        "SELECT count(*) AS n FROM adult WHERE target <> (income_label = '>50K')::int OR _id > 100 AND target IS NOT NULL"
    )
    assert wrong["n"].item() == 0


def test_a_mistake_in_lib_is_said_in_one_line_and_what_was_there_goes_on(run):
    path = PROJECT / "lib" / "halves.py"
    path.write_text("def half(n):\n    return n / 2\n")
    try:
        assert "2.0" in run("from lib.halves import half\nprint(half(4))")
        for later, (text, said) in enumerate(
            [
                (
                    "def half(n):\n    return (n / 2\n",
                    "lib/halves.py, line 2: return (n / 2: SyntaxError: '(' was never closed",
                ),
                ("import nothere\n", "lib/halves.py, line 1, in <module>: import nothere: ModuleNotFoundError"),
            ],
            start=1,
        ):
            path.write_text(text)
            os.utime(path, (time.time() + later,) * 2)  # an edit in the same second as the last is none to autoreload
            lines = run("print(half(4))").splitlines()
            assert len(lines) == 2 and lines[0] == "2.0" and said in lines[1], lines
        path.write_text("def half(n):\n    return n // 2\n")
        os.utime(path, (time.time() + 9,) * 2)
        assert run("print(half(4))") == "2\n"
    finally:
        path.unlink()

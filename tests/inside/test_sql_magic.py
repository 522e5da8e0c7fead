"""`%%sql [NAME]`, in an IPython shell that has started as a kernel does."""

import contextlib

import numpy as np
import psycopg2
import pytest
from lib.postgres import connect_to_postgres


@pytest.fixture
def shell(shell):
    yield shell
    connect_to_postgres()[0].rollback()


@pytest.fixture
def run(shell, capsys):
    """run(cell) -> (what the cell shows, what was printed, has it failed?)."""

    def ran(cell):
        done = shell.run_cell(cell)
        said = capsys.readouterr()
        return done.result, (said.out + said.err).strip(), not done.success

    return ran


def test_a_query_is_shown_typed_and_kept_under_a_name(shell, run, table):
    shown, _, failed = run(
        f"%%sql people\n-- all of them;\nSELECT _id, label FROM {table}\nWHERE label LIKE '%e%' OR TRUE;\n"
    )
    assert not failed and shown is shell.user_ns["people"]
    assert shown["_id"].tolist() == [1, 2, 3, 10, 11] and str(shown["_id"].dtype) == "Int64"
    assert run(f"%%sql\nSELECT count(*) FROM {table};")[0].iloc[0, 0] == 5, "without a name too"
    assert run("%%sql none\nSELECT 1 AS one WHERE false")[0].empty and list(shell.user_ns["none"]) == ["one"]


def test_parameters_are_the_notebooks_variables_quoted_and_braces_are_text(shell, run, table):
    shell.push({"hostile": f"no'; DROP TABLE {table}; --", "keys": np.array([2, 3]), "nothing": None, "label": "yes"})
    query = "%%sql\nSELECT %(hostile)s AS a, '{label}' AS b, %(nothing)s::int AS c, 7 % 4 AS d, count(*) AS e"
    (row,) = run(f"{query}\nFROM {table} WHERE _id = ANY(%(keys)s)")[0].to_dict("records")
    assert row["a"] == shell.user_ns["hostile"] and row["b"] == "{label}" and (row["d"], row["e"]) == (3, 2)
    assert run(f"%%sql\nSELECT count(*) FROM {table} WHERE label = %(label)s")[0].iloc[0, 0] == 2


def test_statements_say_their_rows_and_are_committed_whole(run, table):
    with contextlib.closing(psycopg2.connect("")) as other:  # as a worker sees it
        other.autocommit = True

        def count():
            cur = other.cursor()
            cur.execute(f"SELECT count(*) FROM {table}")
            return cur.fetchone()[0]

        assert (
            run(f"%%sql\nDELETE FROM {table} WHERE _id = 1;\nUPDATE {table} SET target = 1 WHERE _id < 4")[1]
            == "UPDATE: 2 rows"
        )
        assert count() == 4
        assert run(f"%%sql\nINSERT INTO {table} VALUES (20, 'no')")[1] == "INSERT: 1 row" and count() == 5
        shown, said, _ = run(f"%%sql\nDELETE FROM {table} WHERE _id = 20 RETURNING _id, label")
        assert shown.to_dict("records") == [{"_id": 20, "label": "no"}] and count() == 4
        assert run(f"%%sql\nDELETE FROM {table};\nSELECT 1 / 0")[2] and count() == 4, "all of the cell, or nothing"
        assert run(f"%%sql\nALTER TABLE {table} ADD COLUMN more text")[1] == "ALTER TABLE"


def test_looking_does_not_commit_what_is_half_done(run, table):
    con, cur = connect_to_postgres()
    cur.execute(f"DELETE FROM {table}")
    assert run(f"%%sql\nSELECT count(*) FROM {table}")[0].iloc[0, 0] == 0
    con.rollback()
    assert run(f"%%sql\nSELECT count(*) FROM {table}")[0].iloc[0, 0] == 5


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%sql\nSELECT _id,\n  lable FROM {table}", "%%sql, line 3 of the cell, at 'lable FROM {table}': column \"lable\" does not exist (Perhaps you meant to reference the column \"{table}.label\".)"),
        ("%%sql\nSELEC 1", "%%sql, line 2 of the cell, at 'SELEC 1': syntax error at or near \"SELEC\""),
        ("%%sql\nSELECT 1 / 0", "%%sql: division by zero"),
        ("%%sql\nSELECT * FROM {table} WHERE _id = %(who)s", "%%sql: the notebook has no variable who, which %(who)s stands for"),
        ("%%sql\nSELECT %(shell)s", "%%sql: can't adapt type 'Thing'"),
        ("%%sql 2nd\nSELECT 1", "%%sql 2nd: no name for the result; write one, as in: %%sql people"),
        ("%%sql\nSELECT 'infinity'::timestamp AS t", "%%sql: column 't': Python has no such time"),
        ("%%sql\nSELECT 1 --", ""),
        ("%%sql\n\n", "%%sql: can't execute an empty query"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_its_place(shell, run, table, cell, message):
    shell.push({"shell": type("Thing", (), {})()})
    _, said, failed = run(cell.format(table=table) if "{table}" in cell else cell)
    assert failed == bool(message)
    if message:
        assert message.format(table=table) in said and len(said.splitlines()) == 1, said

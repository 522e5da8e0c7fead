import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import psycopg2
import pytest
from dsproj.kernel import connection
from dsproj.kernel.where import Unavailable
from dsproj.settings import PROJECT
from lib import postgres
from lib.postgres import (
    connect_to_postgres,
    encode_target,
    encode_targets,
    load_array,
    nearest,
    read_frame,
    store_array,
    write_frame,
)
from psycopg2 import sql

CODING = {"label": "label", "codes": {"no": 0, "yes": 1}}


def targets(table):
    return read_frame(f"SELECT target FROM {table} ORDER BY _id")["target"].tolist()


def test_one_connection_serves_all_callers():
    con, cur = connect_to_postgres()
    cur.execute("SELECT 1 AS one, 'two'")
    row = cur.fetchone()
    one, two = row
    assert (one, two, row["one"], row[1]) == (1, "two", 1, "two")
    assert connect_to_postgres()[0] is con


def test_an_error_does_not_spoil_the_connection_for_the_next_caller():
    _, cur = connect_to_postgres()
    with pytest.raises(psycopg2.Error):
        cur.execute("nonsense")
    _, cur = connect_to_postgres()
    cur.execute("SELECT 1")


def test_a_lost_connection_is_replaced():
    con, _ = connect_to_postgres()
    with psycopg2.connect("") as other, other.cursor() as cur:
        cur.execute("SELECT pg_terminate_backend(%s)", [con.info.backend_pid])
    assert read_frame("SELECT 1 AS one")["one"].tolist() == [1]


def test_a_forked_child_gets_a_connection_of_its_own():
    con, cur = connect_to_postgres()
    child = os.fork()
    if child == 0:
        os._exit(0 if connect_to_postgres()[0] is not con else 1)
    assert os.waitpid(child, 0)[1] == 0
    cur.execute("SELECT 1")  # the parent's still works


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_said_at_once(password, monkeypatch):
    monkeypatch.setattr(connection, "_connections", connection._Connections())
    monkeypatch.setattr(connection, "WAIT_SECONDS", 0)
    monkeypatch.setenv("PGPASSWORD", password)
    with pytest.raises(Unavailable, match="refused the connection: .*\nTo finish: make up, .* restart the kernel"):
        connect_to_postgres()


def test_a_missing_server_is_said_with_the_command_that_starts_it(monkeypatch):
    monkeypatch.setattr(connection, "_connections", connection._Connections())
    monkeypatch.setattr(connection, "WAIT_SECONDS", 1)
    monkeypatch.setenv("PGPORT", "1")
    with pytest.raises(Unavailable, match="make up"):
        connect_to_postgres()


def test_encode_one_row(table):
    assert encode_target(2, table=table, **CODING) == 1
    assert encode_target(10, table=table, **CODING) is None
    assert targets(table) == [pd.NA, 1, pd.NA, pd.NA, pd.NA]


def test_encode_says_what_is_wrong(table):
    with pytest.raises(KeyError, match="_id 99"):
        encode_target(99, table=table, **CODING)
    with pytest.raises(ValueError, match="'yes'"):
        encode_target(2, table=table, label="label", codes={"no": 0})
    if postgres.LABEL is None:
        with pytest.raises(ValueError, match="Set LABEL"):
            encode_targets(1, 2)


def test_encode_a_range_as_often_as_one_likes(table):
    for _ in range(2):
        assert encode_targets(2, 10, table=table, **CODING) == 3
        assert targets(table) == [pd.NA, 1, 0, pd.NA, pd.NA]


def test_a_frame_keeps_its_types_and_values(table):
    df = pd.DataFrame(
        {
            "whole": pd.array([2**53 + 1, None], dtype="Int64"),
            "flag": pd.array([True, None], dtype="boolean"),
            "fraction": [0.1, None],
            "exact": [Decimal("1.10"), None],
            "words": ['tab\t, "quotes"\r\nand lines', ""],
            "missing": ["NULL", None],
            "day": [date(2024, 2, 29), None],
            "moment": pd.Series([datetime(2024, 2, 29, 12), None], dtype="datetime64[us]"),
            "instant": pd.Series([datetime(2024, 2, 29, 12, tzinfo=UTC), None], dtype="datetime64[us, UTC]"),
            "list": [[1, None], None],
            "json": [{"a": [1.5, None]}, None],
            "bytes": [b"\x00\xff", None],
        }
    )
    assert write_frame(df, table, if_exists="replace") == 2
    pd.testing.assert_frame_equal(read_frame(f"SELECT * FROM {table}"), df)
    write_frame(df, table, if_exists="append")
    assert len(read_frame(f"SELECT * FROM {table}")) == 4


@pytest.mark.parametrize(
    ("df", "error", "message"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "repeated"),
        (pd.DataFrame([[1, 2]], columns=["a", 7]), TypeError, "7 is not text"),
        (pd.DataFrame([[1]], columns=["é" * 32]), ValueError, "63 bytes"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([1], name="key")), ValueError, "reset_index"),
        (pd.DataFrame({"a": [1, "one"]}, dtype=object), TypeError, "'a' mixes"),
        (pd.DataFrame({"a": [object()]}), TypeError, "'a' holds"),
        (pd.DataFrame({"a": [1j]}), TypeError, "complex"),
        (pd.DataFrame({"b": ["fine"], "a": ["x\x00y"]}), ValueError, "'a' holds a NUL"),
        (pd.DataFrame({"a": [["x\x00y"]]}), ValueError, "'a' holds a NUL"),
        (pd.DataFrame([[1]], columns=["a\x00b"]), ValueError, "holds a NUL"),
    ],
)
def test_what_a_table_cannot_hold_is_said(df, error, message, table):
    with pytest.raises(error, match=message):
        write_frame(df, table, if_exists="replace")
    assert len(targets(table)) == 5


def test_an_empty_table_gives_a_frame_with_its_types(table):
    empty = read_frame(f"SELECT * FROM {table} WHERE false")
    assert empty.empty and empty.dtypes.astype(str).tolist() == ["Int64", "str", "Int64"]
    assert write_frame(empty, table, if_exists="append") == 0


def test_a_value_longer_than_what_is_parsed_at_a_time(table):
    long = pd.DataFrame({"label": ["line\n" * 2_000_000, None], "_id": [20, 21]})
    write_frame(long, table, if_exists="append")
    found = read_frame(f"SELECT label, _id FROM {table} WHERE _id >= 20 ORDER BY _id")
    assert found["label"][0] == long["label"][0] and found["label"].isna()[1]


def test_a_frame_is_written_whole_or_not_at_all(table):
    df = pd.DataFrame({"_id": [20, 1], "label": ["new", "the key 1 is taken"]})
    with pytest.raises(psycopg2.IntegrityError):
        write_frame(df, table, if_exists="append")
    with pytest.raises(ValueError, match="exists"):
        write_frame(df, table)
    assert len(targets(table)) == 5


def test_parameters_are_values_and_never_sql(table):
    name = "yes'; DROP TABLE nothing; --"
    assert read_frame(f"SELECT * FROM {table} WHERE label = %s", [name]).empty
    assert len(read_frame(f"SELECT * FROM {table} WHERE label = %(label)s", {"label": "yes"})) == 2


def test_a_sample_is_a_share_of_a_table_and_the_same_at_every_call(table):
    assert read_frame(table)["_id"].tolist() == [1, 2, 3, 10, 11] == read_frame(table, sample=1)["_id"].tolist()
    write_frame(pd.DataFrame({"_id": range(100, 10_100)}), table, if_exists="append")
    one, same, other = (read_frame(table, sample=0.1, seed=seed)["_id"].tolist() for seed in (0, 0, 1))
    assert one == same != other and 800 < len(one) < 1200
    for share in (0, 10, -0.1):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            read_frame(table, sample=share)
    with pytest.raises(ValueError, match="in a query, write FROM t TABLESAMPLE"):
        read_frame(f"SELECT * FROM {table}", sample=0.1)


def test_reading_leaves_an_open_transaction_open(table):
    con, cur = connect_to_postgres()
    cur.execute(f"DELETE FROM {table}")
    assert read_frame(f"SELECT * FROM {table}").empty
    con.rollback()
    assert len(targets(table)) == 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float64(1.5), 1.5),
        (np.bool_(True), True),
        (np.str_("it's"), "it's"),
        (np.datetime64("2024-02-29"), date(2024, 2, 29)),
        (np.datetime64("2024-02-29T12:00:00.5", "ns"), datetime(2024, 2, 29, 12, 0, 0, 500000)),
        (np.datetime64("NaT"), None),
        (np.timedelta64(5, "s"), timedelta(seconds=5)),
        (np.longdouble(1.5), 1.5),
        (np.array([1, 2]), [1, 2]),
        (np.array([[1.5], [2.5]]), [[1.5], [2.5]]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(["2024-02-29", "NaT"], dtype="datetime64[ns]"), [datetime(2024, 2, 29), None]),
        ([np.int64(1), 2], [1, 2]),
    ],
)
def test_numpy_values_are_parameters(value, expected):
    _, cur = connect_to_postgres()
    cur.execute("SELECT %s", [value])
    assert cur.fetchone()[0] == expected


FLOATS = [
    np.array([0.1, np.nan, np.inf, -np.inf, 1e-300]),
    np.arange(6.0).reshape(2, 3),
    np.array([[np.nan]]),
    np.array([]),
    np.float32([0.1, 2**24]),
]


@pytest.mark.parametrize("array", FLOATS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_of_fractions_are_double_precision(array, table):
    con, cur = connect_to_postgres()
    cur.execute(f"ALTER TABLE {table} ADD v double precision[]")
    cur.execute(f"UPDATE {table} SET v = %s", [array])
    con.commit()
    cur.execute(f"SELECT v, pg_typeof(%s)::text FROM {table} WHERE v = %s LIMIT 1", [array, array])
    found, kind = cur.fetchone()
    assert kind == "double precision[]"
    np.testing.assert_array_equal(np.array(found, dtype=float), array)
    column = read_frame(f"SELECT v FROM {table}")["v"]
    np.testing.assert_array_equal(np.array(column.tolist(), dtype=float)[2], array)


def test_a_frame_of_vectors_and_empty_arrays_of_other_types(table):
    vectors = np.random.default_rng(0).random((50, 4))
    write_frame(pd.DataFrame({"_id": range(50), "v": list(vectors)}), table, if_exists="replace")
    np.testing.assert_array_equal(np.array(read_frame(table)["v"].tolist()), vectors)
    _, cur = connect_to_postgres()
    cur.execute(f"SELECT count(*) FROM {table} WHERE _id = ANY(%s)", [np.zeros((0, 2), dtype=int)])
    assert cur.fetchone()[0] == 0


@pytest.mark.parametrize(
    "array",
    [
        *FLOATS,
        np.zeros((0, 3, 2), dtype="i2"),
        np.array(7),
        np.asfortranarray(np.random.default_rng(0).random((300, 400))),
        np.array(["ä", ""]),
        np.array(["2024-02-29", "NaT"], dtype="datetime64[D]"),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.zeros(3, dtype=[("a", "i4"), ("b", "f8")]),
        np.zeros(9000, dtype=[("größe in €", "f8")]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_any_array_is_stored_with_its_dtype_and_shape(name, array):
    store_array(name, np.arange(3))
    store_array(name, array)
    back = load_array(name)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)
    _, cur = connect_to_postgres()
    cur.execute("SELECT dtype, shape FROM dsproj_arrays WHERE name = %s", [name])
    assert list(cur.fetchone()) == [str(array.dtype), str(array.shape)]


def test_an_array_of_64_mb_is_stored_whole(name):
    array = np.random.default_rng(0).random(2**23)
    store_array(name, array)
    np.testing.assert_array_equal(load_array(name), array)


def test_what_is_no_array_or_not_there_is_said(name):
    for value, said in [([1], "a list is no array"), (np.array([{}]), "Python objects"), (pd.Series([1]), "a Series")]:
        with pytest.raises(TypeError, match=f"^store_array..{name}., ….: .*{said}"):
            store_array(name, value)
    with pytest.raises(LookupError, match=f"^no array is stored as '{name}'; there is: "):
        load_array(name)


def test_the_nearest_vectors(table):
    vectors = np.random.default_rng(0).random((500, 6))
    df = pd.DataFrame({"_id": range(500), "v": [*vectors[:-1], None]})
    write_frame(df, table, if_exists="replace")
    found = nearest(table, "v", vectors[7], n=4)
    distances = np.sqrt(((vectors[:-1] - vectors[7]) ** 2).sum(axis=1))
    assert found["_id"].tolist() == np.argsort(distances)[:4].tolist() and list(found) == ["_id", "v", "distance"]
    np.testing.assert_allclose(found["distance"], np.sort(distances)[:4])
    with pytest.raises(ValueError, match=f"{table}.v has vectors of 6 numbers, and this one has 5"):
        nearest(table, "v", vectors[7][:5])
    with pytest.raises(TypeError, match="_id is no array"):
        nearest(table, "_id", [1.0])


def test_arrays_and_numbers_find_rows(table):
    ids = np.array([2, 3])
    assert len(read_frame(f"SELECT * FROM {table} WHERE _id = ANY(%s)", [ids])) == 2
    assert encode_target(ids[0], table=table, **CODING) == 1
    _, cur = connect_to_postgres()
    cur.executemany(f"UPDATE {table} SET target = %s WHERE _id = %s", [(np.int64(7), _id) for _id in ids])
    cur.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE target = {}").format(sql.Identifier(table), sql.Literal(np.int8(7)))
    )
    assert cur.fetchone()["count"] == 2


# What a Python that has not the stack's variables sees: an editor, a script.
OUTSIDE = """
import os, sys
for name in [name for name in os.environ if name.startswith("PG") or name in ("REDIS_URL", "MONGO_URL", "PYTHONPATH")]:
    del os.environ[name]
os.environ["ENGINE"] = sys.argv[1]
sys.path[:] = [sys.argv[2], *(place for place in sys.path if ".dsproj" not in place)]
from lib.cache import connect_to_redis
from lib.postgres import connect_to_postgres
con, cur = connect_to_postgres()
cur.execute("SELECT 'found'")
print(cur.fetchone()[0], connect_to_redis().ping())
"""


@pytest.mark.parametrize("engine", ["local", "docker"])
def test_outside_the_stack_the_addresses_come_from_the_env_file(engine):
    done = subprocess.run([sys.executable, "-c", OUTSIDE, engine, PROJECT], capture_output=True, text=True)
    if engine == "docker":
        assert "Compose publishes no ports" in done.stderr and "make shell" in done.stderr
    elif os.environ["PGHOST"] == "127.0.0.1":  # in a container, 127.0.0.1 is the container
        assert done.stdout == "found True\n", done.stderr


def test_a_job_without_pandas_does_not_load_it():
    code = "import sys, lib.jobs, lib.cache, lib.postgres; sys.exit('pandas' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0

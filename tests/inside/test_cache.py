import io
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID, uuid4

import numpy as np
import pandas as pd
import pytest
import redis
from dsproj.kernel import redis_client, values
from dsproj.kernel.where import Unavailable
from lib.cache import connect_to_redis, get, put
from lib.jobs import queue


@pytest.fixture
def key():
    name = f"test_{uuid4().hex[:12]}"
    yield name
    connect_to_redis().delete(name)


@pytest.mark.parametrize("value", [None, 0, 1.5, "text", [1, [None]], {"a": {"b": True}}])
def test_json_values(key, value):
    put(key, value)
    assert get(key) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"n": np.int64(3), "share": np.float32(0.5), "ok": np.bool_(True)}, {"n": 3, "share": 0.5, "ok": True}),
        ([np.uint8(7), (np.float64(1.5), np.str_("a"))], [7, [1.5, "a"]]),
        (np.int32(-1), -1),
        ({np.int64(1): {2: np.int8(3)}}, {"1": {"2": 3}}),
    ],
)
def test_numpys_scalars_are_json_values(key, value, expected):
    put(key, value)
    assert get(key) == expected


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1, {2}]}, r"a set, at ['a'][1],"),
        ({"a": np.zeros(3)}, "a ndarray, at ['a'],"),
        ([{"a": pd.Series([1])}], "a Series, at [0]['a'],"),
        ({1, 2}, "a set is none of what can be stored: JSON values"),
        (1j, "a complex is none"),
        ({"t": np.datetime64("2024-01-01")}, "a datetime64, at ['t'],"),
        ({"b": {("x", 1): 1}}, "a tuple is a key at ['b']"),
        (b"bytes", "a bytes is none"),
        (np.array([{}]), "objects"),
        (np.zeros(9, dtype=[(f"column number {n}", "f4") for n in range(900)]), "900 fields"),
        (np.ma.masked_array([1, 2], [True, False]), "mask"),
    ],
)
def test_what_cannot_be_stored_is_one_error_with_its_key_type_and_place(key, value, said):
    with pytest.raises(TypeError) as failure:
        put(key, value)
    assert str(failure.value).startswith(f"put('{key}', …): ") and said in str(failure.value)
    assert "\n" not in str(failure.value) and not connect_to_redis().exists(key)


def test_a_count_of_redis_and_what_is_no_value(key):
    client = connect_to_redis()
    assert client.incr(key) == 1 and client.incr(key, 41) == 42 and get(key) == 42
    client.set(key, b"\x80\x04K\x01.")  # a pickle
    with pytest.raises(ValueError, match=f"^'{key}' holds something that put did not write$"):
        get(key)
    client.delete(key)
    client.lpush(key, "a")
    with pytest.raises(ValueError, match=f"^'{key}' holds something that put did not write$"):
        get(key)
    put(key, 1)
    assert get(key) == 1, "the connection goes on"


LONG = np.random.default_rng(0).random((300, 400))


@pytest.mark.parametrize(
    "array",
    [
        LONG,
        np.asfortranarray(LONG),
        LONG[::2, ::3],
        LONG.T[5],
        LONG[:, :, None],
        LONG.astype(">f4"),
        np.array(["a", "long text"] * 9000),
        np.arange(20000).astype("datetime64[ms]"),
        np.full(30000, np.nan),
        np.zeros(20000, dtype=[("n", "i4"), ("x", "f8", 2)]),
        np.zeros(900, dtype=[(f"column number {n}", "f4") for n in range(200)]),
        np.zeros(9000, dtype=[("größe in €", "f8")]),
        np.zeros((0, 5)),
        np.array(7.5),
        np.zeros(30000, dtype=bool),
        np.zeros(10**5, dtype=complex),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}"[-60:],
)
def test_long_arrays_come_back_as_they_were_and_can_be_written_to(key, array):
    put(key, array)
    back = get(key)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(np.load(io.BytesIO(connect_to_redis().get(key)), allow_pickle=False), array)
    assert back.flags.writeable
    if array.dtype == np.float64 and back.size:
        back.reshape(-1)[-1] = 42
        np.testing.assert_array_equal(get(key), array)


def test_a_lost_connection_is_made_anew_while_a_long_value_is_read(key):
    client = connect_to_redis()
    put(key, LONG)
    with redis.from_url(os.environ["REDIS_URL"]) as other:
        for each in client.client_list():
            other.client_kill_filter(_id=each["id"], skipme=True)
    np.testing.assert_array_equal(get(key), LONG)


def test_threads_read_long_values_at_one_time(key):
    for number in range(4):
        put(f"{key}_{number}", LONG + number)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: (get(f"{key}_{n % 4}") - LONG).mean().round(), range(40)))
    assert found == [n % 4 for n in range(40)]
    connect_to_redis().delete(*(f"{key}_{number}" for number in range(4)))


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.array(["a", "bc"]), np.array(["2024-02-29"], dtype="datetime64[D]")]
)
def test_arrays(key, array):
    put(key, array)
    assert get(key).dtype == array.dtype
    np.testing.assert_array_equal(get(key), array)


def test_frames_keep_types_and_index(key):
    df = pd.DataFrame(
        {
            "whole": pd.array([2**53 + 1, None], dtype="Int64"),
            "flag": pd.array([True, None], dtype="boolean"),
            "words": ["", None],
            "kind": pd.Categorical(["b", None], categories=["b", "a"], ordered=True),
            "instant": pd.date_range("2024-02-29", periods=2, tz="Europe/Berlin"),
            "exact": [Decimal("1.10"), None],
            "day": [date(2024, 2, 29), None],
        },
        index=pd.Index(["x", "y"], name="row"),
    )
    put(key, df)
    pd.testing.assert_frame_equal(get(key), df)


def test_a_missing_key_is_a_key_error(key):
    with pytest.raises(KeyError, match=f"nothing is kept under '{key}'"):
        get(key)


def test_a_server_that_went_away_is_said_with_the_command_that_starts_it(key, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    gone = redis.Redis(port=1, retry=None)
    monkeypatch.setattr(redis_client, "_clients", {os.getpid(): gone})
    for action in (lambda: get(key), lambda: put(key, LONG)):
        with pytest.raises(Unavailable, match="make up") as failure:
            action()
        assert "secret" not in str(failure.value) and "127.0.0.1:1 does not answer" in str(failure.value)


def test_a_value_lives_as_long_as_asked(key):
    put(key, 1, ttl=0.2)
    assert get(key) == 1
    time.sleep(0.4)
    with pytest.raises(KeyError):
        get(key)


def test_a_value_over_the_limit_is_refused(key, monkeypatch):
    monkeypatch.setattr(values, "LIMIT", 1000)
    with pytest.raises(ValueError, match="MB"):
        put(key, np.zeros(1000))


def test_a_missing_server_is_said_with_the_command_that_starts_it(monkeypatch):
    monkeypatch.setattr(redis_client, "_clients", {})
    monkeypatch.setattr(redis_client, "WAIT_SECONDS", 0)
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    with pytest.raises(Unavailable, match="make up") as failure:
        connect_to_redis()
    assert "secret" not in str(failure.value)


def test_a_wrong_password_is_said_with_its_cure(monkeypatch):
    head, _, tail = os.environ["REDIS_URL"].partition("@")
    monkeypatch.setattr(redis_client, "_clients", {})
    monkeypatch.setenv("REDIS_URL", f"{head[:-4]}zzzz@{tail}")
    with pytest.raises(
        Unavailable, match="refused the connection: .*\nTo finish: make up, .* restart the kernel"
    ) as failure:
        connect_to_redis()
    assert "zzzz" not in str(failure.value)


ODD_FRAMES = {
    "no columns": pd.DataFrame(index=pd.Index([3, 4], name="row")),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="Int64")}),
    "groups": pd.DataFrame({"k": ["a", "b"], "v": [1.0, 2.0]}).groupby("k").agg(["sum", "mean"]),
    "numbers as names": pd.DataFrame([[1, 2]], columns=[1990, 2000]),
    "a name twice": pd.DataFrame([[1, "x"]], columns=["a", "a"]),
    "intervals": pd.DataFrame({"a": pd.cut([1, 5, 9], 3)}),
    "periods": pd.DataFrame({"a": [1, 2]}, index=pd.period_range("2024-01", periods=2, freq="M")),
    "frequency": pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024", periods=2, freq="B", tz="Europe/Berlin")),
    "levels": pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", date(2024, 1, 1)), ("y", None)], names=["k", None])
    ),
    "lists": pd.DataFrame({"a": [[1, None], None, []]}),
    "objects": pd.DataFrame({"a": [UUID(int=1), None], "b": [timedelta(1), None], "c": [b"\x00", None]}),
    "missing of other kinds": pd.DataFrame(
        {"a": pd.Series(["x", np.nan], dtype=object), "b": [date(2024, 1, 1), pd.NaT]}
    ),
    "units": pd.DataFrame({"a": pd.Series(["2024-01-01", None], dtype="datetime64[s]")}),
}


@pytest.mark.parametrize("name", ODD_FRAMES)
def test_odd_frames_come_back_equal(key, name):
    put(key, ODD_FRAMES[name])
    pd.testing.assert_frame_equal(get(key), ODD_FRAMES[name])


def test_a_frame_from_the_cache_can_be_changed(key):
    put(key, pd.DataFrame({"a": [1.5, 2.5]}))
    df = get(key)
    df.loc[0, "a"] = 7
    assert df["a"].tolist() == [7, 2.5]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([{"a": 1}, {"a": 2}], "dict"),
        ([{1, 2}, None], "set"),
        ([(1, 2), None], "tuple"),
        ([1, "one"], "int, str"),
        ([1, 1.5], "int"),
        ([[1, 2.5], None], "list"),
        ([None, float("nan"), "a"], "missing"),
        ([1j], "complex"),
        ([2**70], "int"),
        ([datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9)))], "datetime"),  # UTC: the year 0
    ],
)
def test_what_arrow_would_change_is_refused_with_its_key_and_column(key, column, message):
    values = pd.Series(column, dtype=None if message == "complex" else object)
    with pytest.raises(TypeError, match=f"{key}.*'odd'.*{message}"):
        put(key, pd.DataFrame({"fine": 1, "odd": values}))
    with pytest.raises(KeyError):
        get(key)


def test_a_frame_of_an_earlier_version_is_no_longer_there(key):
    connect_to_redis().set(key, b"PK\x03\x04 a zip file")
    with pytest.raises(KeyError, match="put it anew"):
        get(key)


def test_a_full_server_tells_who_writes_and_lives_on(key):
    """Three quarters of its limit, which is 1 GiB where .env says nothing, are for data."""
    client = connect_to_redis()
    limit, policy = (client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy"))
    assert (int(limit), policy) == (3 * 2**28, "noeviction")
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 2**20)
    try:
        with pytest.raises(redis.OutOfMemoryError, match="REDIS_MEMORY in .env .*make up"):
            for number in range(3):
                put(f"{key}_{number}", np.zeros(2**18))
        with pytest.raises(redis.OutOfMemoryError, match="REDIS_MEMORY in .env .*make up"):
            queue().enqueue("lib.probes.add", 1, 2)  # through a pipeline
    finally:
        client.config_set("maxmemory", limit)
        client.delete(*(f"{key}_{number}" for number in range(3)))
    put(key, 1)
    assert get(key) == 1

import time
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import numpy as np
import pandas as pd
import pytest
import redis
from dsproj.kernel import redis_client
from dsproj.kernel.where import Unavailable
from lib import cache
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
    with pytest.raises(KeyError):
        get(key)


def test_a_value_lives_as_long_as_asked(key):
    put(key, 1, ttl=0.2)
    assert get(key) == 1
    time.sleep(0.4)
    with pytest.raises(KeyError):
        get(key)


def test_what_cannot_be_stored_is_said(key, monkeypatch):
    with pytest.raises(TypeError, match="JSON"):
        put(key, {1, 2})
    with pytest.raises(TypeError, match="objects"):
        put(key, np.array([object()]))
    monkeypatch.setattr(cache, "LIMIT", 1000)
    with pytest.raises(ValueError, match="MB"):
        put(key, np.zeros(1000))


def test_a_missing_server_is_said_with_the_command_that_starts_it(monkeypatch):
    monkeypatch.setattr(redis_client, "_clients", {})
    monkeypatch.setattr(redis_client, "WAIT_SECONDS", 0)
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    with pytest.raises(Unavailable, match="make up") as failure:
        connect_to_redis()
    assert "secret" not in str(failure.value)


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

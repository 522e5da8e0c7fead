import time
from datetime import date
from decimal import Decimal
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest

from lib import cache
from lib.cache import connect_to_redis, get, put


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
    monkeypatch.setattr(cache, "_clients", {})
    monkeypatch.setattr(cache, "WAIT_SECONDS", 0)
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    with pytest.raises(cache.RedisUnavailable, match="make up") as failure:
        connect_to_redis()
    assert "secret" not in str(failure.value)

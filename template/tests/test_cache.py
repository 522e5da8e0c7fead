from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from lib.cache import connect_to_redis, get, put


@pytest.fixture
def key(name: str) -> Iterator[str]:
    yield name
    connect_to_redis().delete(name)


def test_values_arrays_and_frames_come_back(key: str) -> None:
    put(key, {"a": [1, None]}, ttl=60)
    assert get(key) == {"a": [1, None]}
    put(key, np.arange(3))
    np.testing.assert_array_equal(get(key), np.arange(3))
    df = pd.DataFrame({"kind": pd.Categorical(["a", None])}, index=pd.date_range("2024-01-01", periods=2))
    put(key, df)
    pd.testing.assert_frame_equal(get(key), df)


def test_a_missing_key_is_a_key_error(key: str) -> None:
    with pytest.raises(KeyError):
        get(key)

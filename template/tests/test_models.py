from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lib import models
from lib.postgres import transaction


@pytest.fixture
def saved(name: str) -> Iterator[str]:
    yield name
    with transaction() as cur:
        cur.execute("DELETE FROM dsproj_models WHERE name = %s", [name])


def test_a_model_comes_back(saved: str) -> None:
    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    assert models.save(saved, LogisticRegression().fit(X, y), score=1.0) == 1
    assert models.load(saved).predict(X).tolist() == y.tolist()
    assert models.list(saved)["score"].tolist() == [1.0]

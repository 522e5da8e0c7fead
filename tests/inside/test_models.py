import subprocess
import sys

import numpy as np
import pandas as pd
import psycopg2
import pytest
from dsproj.kernel import bytea
from dsproj.settings import PROJECT
from lib import fitting, models
from lib.jobs import enqueue_each, wait
from lib.postgres import transaction
from sklearn import calibration, ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    SplineTransformer,
    StandardScaler,
)

X, y = make_classification(200, 6, random_state=0)


KINDS = [
    linear_model.LogisticRegression(),
    linear_model.SGDClassifier(),
    tree.DecisionTreeClassifier(),
    ensemble.RandomForestClassifier(20),
    ensemble.GradientBoostingClassifier(),
    ensemble.HistGradientBoostingClassifier(),
    neighbors.KNeighborsClassifier(),
    neural_network.MLPClassifier(max_iter=20),
    svm.SVC(),
    naive_bayes.GaussianNB(),
    GaussianProcessClassifier(),
    calibration.CalibratedClassifierCV(),
    make_pipeline(SimpleImputer(), StandardScaler(), SelectKBest(k=3), linear_model.RidgeClassifier()),
    make_pipeline(KBinsDiscretizer(4), linear_model.LogisticRegression()),
    make_pipeline(SplineTransformer(), linear_model.LogisticRegression()),
    GridSearchCV(linear_model.LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", KINDS, ids=lambda model: type(model).__name__)
def test_scikit_learns_models_come_back_and_answer_the_same(name, model):
    model.fit(X, y)
    assert models.save(name, model) == 1
    np.testing.assert_array_equal(models.load(name).predict(X), model.predict(X))


def test_a_pipeline_over_a_frame_with_text_and_missing_values(name):
    df = pd.DataFrame({"a": [1.0, None, 3.0, 4.0], "b": ["x", "y", "x", "z"]})
    columns = make_column_transformer((SimpleImputer(), ["a"]), (OneHotEncoder(handle_unknown="ignore"), ["b"]))
    model = make_pipeline(columns, linear_model.LogisticRegression()).fit(df, ["no", "no", "yes", "yes"])
    models.save(name, model)
    assert models.load(name).predict(df).tolist() == model.predict(df).tolist()


def test_versions_with_what_one_wants_to_know_of_them(name):
    for C in (0.1, 2.0):
        models.save(name, linear_model.LogisticRegression(C=C).fit(X, y), score=np.float32(C))
    assert models.load(name).C == 2.0 and models.load(name, version=1).C == 0.1
    saved = models.list(name)
    assert saved["version"].tolist() == [2, 1] and saved["score"].tolist() == [2.0, pytest.approx(0.1)]
    newest = saved.iloc[0]
    assert newest["parameters"]["C"] == 2.0 and newest["model"].startswith("LogisticRegression(")
    assert {"python", "scikit-learn", "numpy", "skops"} <= newest["packages"].keys() and newest["size"] > 100
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True).stdout
    assert newest["git_commit"].removesuffix("-dirty") == head[:12]


def test_two_at_a_time_get_two_versions(name):
    code = (
        "import sys; from lib import models; from sklearn.linear_model import LinearRegression\n"
        "for _ in range(5): models.save(sys.argv[1], LinearRegression())"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, name], cwd=PROJECT) for _ in range(2)]
    assert [each.wait() for each in both] == [0, 0]
    assert sorted(models.list(name)["version"]) == list(range(1, 11))


def test_what_is_not_there_is_said_with_what_there_is(name):
    with pytest.raises(LookupError, match=f"^no model is saved as '{name}'; there is: "):
        models.load(name)
    models.save(name, linear_model.LinearRegression())
    with pytest.raises(LookupError, match=f"^'{name}' has no version 3; there is: 1$"):
        models.load(name, version=3)


def test_a_type_that_nobody_trusts_is_refused_with_its_name(name):
    from lib.probes import add

    stranger = FunctionTransformer(add)
    with pytest.raises(TypeError, match=r"not saved as .*: it holds lib\.probes\.add, .* pass trusted=\["):
        models.save(name, stranger)
    models.save(name, stranger, trusted=["lib.probes.add"])
    with pytest.raises(TypeError, match=r"version 1, is not loaded: it holds lib\.probes\.add, .* pass trusted=\["):
        models.load(name)
    assert models.load(name, trusted=["lib.probes.add"]).func is add


@pytest.mark.parametrize(
    ("model", "error", "said"),
    [
        (object(), TypeError, "^<object .*> is no model"),
        (linear_model.LinearRegression, TypeError, "LinearRegression.*is no model"),
        (FunctionTransformer(lambda x: x), TypeError, "lambda"),
    ],
)
def test_what_cannot_be_saved_is_one_error(name, model, error, said):
    with pytest.raises(error, match=said) as failure:
        models.save(name, model)
    assert "\n" not in str(failure.value)
    with pytest.raises(LookupError):
        models.load(name)


def test_a_model_that_these_packages_cannot_read_says_with_which_it_was_saved(name, monkeypatch):
    models.save(name, linear_model.LinearRegression())
    with transaction() as cur:
        cur.execute(
            """UPDATE dsproj_models SET packages = packages || '{"scikit-learn": "0.9"}' WHERE name = %s""", [name]
        )
    with pytest.warns(UserWarning, match="version 1, may answer otherwise.* saved with scikit-learn 0.9; here is"):
        models.load(name)
    with transaction() as cur:
        cur.execute("UPDATE dsproj_models SET content = substr(content, 1, 50) WHERE name = %s", [name])
    with pytest.raises(ValueError, match="cannot be read here: .* It was saved with scikit-learn 0.9; here is"):
        models.load(name)
    monkeypatch.setattr(bytea, "LIMIT", 100)
    with pytest.raises(ValueError, match="MB"):
        models.save(name, linear_model.LinearRegression())


def test_a_job_fits_what_is_in_a_table(table):
    with transaction() as cur:
        cur.execute(f"ALTER TABLE {table} ADD x real, ADD kind text")
        cur.execute(
            f"INSERT INTO {table} SELECT n, (ARRAY['no', 'yes'])[1 + n %% 2], NULL, n %% 2 + random(), 'a' "
            "FROM generate_series(100, 300) AS n",
            [],
        )
    frame, labels = fitting.features(table, "label")
    assert list(frame) == ["x", "kind"] and len(frame) == len(labels) == 205
    assert frame["kind"].iloc[0] == "missing" and frame["x"].dtype == "float64"
    with transaction() as cur:
        cur.execute(f"UPDATE {table} SET kind = kind WHERE _id < 150")  # where rows lie tells nothing of their order
    pd.testing.assert_frame_equal(fitting.features(table, "label")[0], frame)
    (found,) = wait(
        enqueue_each(fitting.evaluate, [{"model": "logistic", "C": 1.0}], kwargs={"table": table, "label": "label"}),
        timeout=120,
    )
    assert found["score"] > 0.9 and found["seconds"] > 0
    with pytest.raises(psycopg2.Error, match="no_such_table"):
        fitting.features("no_such_table", "label")

"""Models on a table, fitted as jobs and yours to edit: `wait(enqueue_each(evaluate, [{"model": "logistic", "C": 1.0}, …]))`."""

from time import perf_counter
from typing import TYPE_CHECKING, Any

from lib.postgres import LABEL, TABLE, TARGET, read_frame

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

# scikit-learn is imported when one of these is called: a job that only runs SQL goes without.


def features(table: str | None = None, label: str | None = None) -> tuple["pd.DataFrame", "pd.Series"]:
    """Return (X, y): all columns but key, label and target, and the label. Rows without a label are left out.

    Numbers and truth values are float64, NULL is NaN; all else is text, NULL is "missing".
    """
    table, label = table or TABLE, label or LABEL
    if not label:
        raise ValueError("Which column is the label? Set LABEL at the top of lib/postgres.py, or pass label=")
    df = read_frame(table).dropna(subset=[label])
    if "_id" in df:
        df = df.sort_values("_id", ignore_index=True)  # else in any order, and other rows for the test each time
    X = df.drop(columns=[label, "_id", TARGET], errors="ignore")
    for column in X:
        number = X[column].dtype.kind in "iufb"
        X[column] = X[column].astype("float64") if number else X[column].astype(object).fillna("missing").astype(str)
    return X, df[label]


def fit(parameters: dict[str, Any], X: "pd.DataFrame", y: "pd.Series") -> "Pipeline":
    """Fit a model: `parameters["model"]` is "logistic" or "boosting", the others are that model's own.

    In one thread: jobs share the cores, and threads that wait for a busy core cost more than they bring.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from threadpoolctl import threadpool_limits

    numbers = [column for column in X if X[column].dtype.kind == "f"]
    texts = [column for column in X if column not in numbers]
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=20, sparse_output=False), texts),
    )
    kinds = {"logistic": LogisticRegression(max_iter=500), "boosting": HistGradientBoostingClassifier(random_state=0)}
    own = {name: value for name, value in parameters.items() if name != "model"}
    model = make_pipeline(columns, kinds[parameters["model"]].set_params(**own))
    with threadpool_limits(1):
        return model.fit(X, y.to_numpy())


def evaluate(parameters: dict[str, Any], table: str | None = None, label: str | None = None) -> dict[str, float]:
    """A job: fit on three quarters of the rows; how many of the rest (the share) it names rightly, and how long it took."""
    from sklearn.model_selection import train_test_split

    X, y = features(table, label)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    start = perf_counter()
    model = fit(parameters, X_train, y_train)
    return {"score": float(model.score(X_test, y_test.to_numpy())), "seconds": perf_counter() - start}

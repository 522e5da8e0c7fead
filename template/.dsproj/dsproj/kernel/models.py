"""Fitted models in PostgreSQL, by name and version; read without running anything that their writer put in."""

# skops writes a model as a zip file of JSON and .npy. To read one it imports the types that are named in it, and it refuses
# those that nobody trusts. https://skops.readthedocs.io/en/stable/persistence.html

import importlib.metadata
import json
import platform
import shutil
import subprocess
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dsproj.kernel import bytea
from dsproj.kernel.connection import Cursor, exists, transaction
from dsproj.settings import PROJECT

if TYPE_CHECKING:
    import pandas as pd

TABLE = """
SELECT pg_advisory_xact_lock(hashtext('dsproj_models'));
DO $$ BEGIN IF to_regclass('dsproj_models') IS NULL THEN
    CREATE TABLE dsproj_models (
        name text NOT NULL, version integer NOT NULL, saved_at timestamptz NOT NULL DEFAULT now(), score double precision,
        model text NOT NULL, parameters jsonb NOT NULL, git_commit text, packages jsonb NOT NULL, content bytea NOT NULL,
        PRIMARY KEY (name, version)
    );
    ALTER TABLE dsproj_models ALTER content SET STORAGE EXTERNAL;
END IF; END $$;
SELECT coalesce(max(version), 0) + 1 FROM dsproj_models WHERE name = %s
"""
COLUMNS = "name, version, saved_at, score, model, parameters, git_commit, packages"
PACKAGES = "scikit-learn", "numpy", "scipy", "pandas", "skops"

# What scikit-learn's own models are made of beside estimators, which skops trusts by itself: classes and functions that do
# nothing but compute. By name, and not by package: a module also has what it imports.
METRICS = "Euclidean SEuclidean Manhattan Chebyshev Minkowski Mahalanobis Hamming Canberra BrayCurtis Jaccard Haversine"
TRUSTED = {
    "numpy": "dtype mean",
    "scipy._lib.array_api_compat.numpy._aliases": "asarray",
    "scipy.interpolate._bsplines": "BSpline",
    "scipy.sparse._csr": "csr_matrix csr_array",
    "scipy.sparse._csc": "csc_matrix csc_array",
    "sklearn._loss.loss": "HalfTweedieLoss HalfTweedieLossIdentity",
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration",
    "sklearn.cluster._bisect_k_means": "_BisectingTree",
    "sklearn.cluster._kmeans": "_kmeans_single_lloyd _kmeans_single_elkan",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.feature_selection._mutual_info": "mutual_info_classif mutual_info_regression",
    "sklearn.feature_selection._univariate_selection": "chi2 f_classif f_oneway f_regression r_regression",
    "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels": "CompoundKernel ConstantKernel DotProduct Exponentiation ExpSineSquared Matern PairwiseKernel "
    "Product RBF RationalQuadratic Sum WhiteKernel",
    "sklearn.metrics._classification": "accuracy_score balanced_accuracy_score f1_score log_loss precision_score recall_score",
    "sklearn.metrics._dist_metrics": " ".join(f"{name}Distance{bits}" for name in METRICS.split() for bits in ("32", "64")),
    "sklearn.metrics._regression": "mean_absolute_error mean_squared_error r2_score",
    "sklearn.metrics._scorer": "_CurveScorer _PassthroughScorer _Scorer",
    "sklearn.model_selection._split": "GroupKFold KFold LeaveOneOut RepeatedKFold RepeatedStratifiedKFold ShuffleSplit StratifiedKFold "
    "StratifiedShuffleSplit TimeSeriesSplit",
    "sklearn.multiclass": "_ConstantPredictor",
    "sklearn.neighbors._ball_tree": "BallTree BallTree32 BallTree64",
    "sklearn.neighbors._kd_tree": "KDTree KDTree32 KDTree64",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.tree._tree": "Tree",
    "sklearn.utils._bunch": "Bunch",
    "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
}  # fmt: skip
OURS = {f"{module}.{name}" for module, names in TRUSTED.items() for name in names.split()}


def save(name: str, model: Any, score: float | None = None, *, trusted: Sequence[str] = ()) -> int:
    """Keep a fitted scikit-learn estimator or pipeline as the next version of `name`; returns that version, 1 for the first.

    With it are kept the score (a number of your choice, the larger the better), the parameters, the git commit, and the
    versions of the packages. Never overwrites; what is pending on the connection is committed with it.

    `trusted` names types and functions in the model beside those that scikit-learn's own models have: "lib.features.log_of_gain".
    Raises TypeError, which names them, for others, and for a model that skops cannot write; ValueError over 512 MB.
    """
    from skops import io

    if not name or not isinstance(name, str):
        raise ValueError(f"a model's name is a text such as 'income', not {name!r}")
    if isinstance(model, type) or not hasattr(model, "get_params"):
        raise TypeError(f"{model!r:.60} is no model: save keeps estimators and pipelines of scikit-learn")
    try:
        content = io.dumps(model, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
    except Exception as error:  # of whatever kind: skops looks into every object
        raise TypeError(f"{type(model).__name__} cannot be saved as {name!r}: {error}") from None
    found, refused = io.get_untrusted_types(data=content), f"{type(model).__name__} is not saved as {name!r}"
    if local := sorted(each for each in found if each.startswith("__main__.")):
        raise TypeError(f"{refused}: {', '.join(local)} is in this notebook alone; move it to lib/, with %%lib")
    if said := _strangers(found, trusted):
        raise TypeError(f"{refused}: {said}")
    values = {
        "name": name,
        "score": None if score is None else float(score),
        "model": _words(model),
        "parameters": _parameters(model),
        "git_commit": _commit(),
        "packages": {"python": platform.python_version()} | _versions(PACKAGES),
        "content": [content],
    }
    with transaction() as cur:
        cur.execute(TABLE, [name])
        (version,) = cur.fetchone() or (1,)
        bytea.insert(cur, "dsproj_models", {**values, "version": version})
    return version


def load(name: str, version: int | None = None, *, trusted: Sequence[str] = ()) -> Any:
    """Return the model that was saved as `name`: its newest version, or the one asked for.

    Raises LookupError for a name or version that is not there, TypeError, which names them, for types in it that
    scikit-learn's own models do not have and `trusted` does not name, ValueError for one that today's packages cannot read.
    """
    from skops import io

    with transaction(reading=True) as cur:
        number, packages = _find(cur, name, version)
        query = "SELECT content FROM dsproj_models WHERE name = %s AND version = %s"
        content = bytes(bytea.fetch(cur, query, [name, number]) or b"")
    what, here = f"{name!r}, version {number},", _versions(PACKAGES)
    try:
        found = io.get_untrusted_types(data=content)
        said = _strangers(found, trusted)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what scikit-learn says of other versions is said below, once
            model = None if said else io.loads(content, trusted=found)
    except Exception as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{what} cannot be read here: {why} {_difference(packages, here)}".rstrip()) from None
    if said:
        raise TypeError(f"{what} is not loaded: {said}")
    if packages.get("scikit-learn") != here["scikit-learn"]:
        said = _difference({**here, "scikit-learn": packages.get("scikit-learn", "")}, here)
        warnings.warn(f"{what} may answer otherwise, so fit and save it anew: {said}", stacklevel=2)
    return model


def list_models(name: str | None = None) -> "pd.DataFrame":
    """What is saved, the newest first, or all versions of `name`: version, time, score, parameters, git commit, packages, size (bytes)."""
    import pandas as pd

    from dsproj.kernel import frames_read

    where = "name = coalesce(%s, name) ORDER BY saved_at DESC, name, version DESC"
    query = f"SELECT {COLUMNS}, length(content) AS size FROM dsproj_models WHERE {where}"
    with transaction(reading=True) as cur:
        if not exists(cur, "dsproj_models"):
            return pd.DataFrame(columns=[*COLUMNS.split(", "), "size"])
        return frames_read.read(cur, frames_read.text(cur, query, [name], None, 0))


def _find(cur: Cursor, name: str, version: int | None) -> tuple[int, dict[str, str]]:
    """The version, and the packages that it was saved with. Raises LookupError, which says what there is."""
    known: dict[str, dict[int, dict[str, str]]] = {}
    if exists(cur, "dsproj_models"):
        cur.execute("SELECT name, version, packages FROM dsproj_models ORDER BY name, version")
        for row in cur:
            known.setdefault(row["name"], {})[row["version"]] = row["packages"]
    if name not in known:
        names = ", ".join(map(repr, known)) or "none yet"
        raise LookupError(f"no model is saved as {name!r}; there is: {names}")
    versions = known[name]
    found = max(versions) if version is None else version
    if found not in versions:
        raise LookupError(f"{name!r} has no version {version!r}; there is: {', '.join(map(str, versions))}")
    return found, versions[found]


def _strangers(found: Sequence[str], trusted: Sequence[str]) -> str:
    """What is said of the types in a model that nobody trusts, by name; "" where there is none."""
    if not (strangers := sorted(set(found) - OURS - set(trusted))):
        return ""
    cure = "where you know what that does, and who could write this model, pass trusted=" + json.dumps(strangers)
    return f"it holds {', '.join(strangers)}, which is not known to be harmless; {cure}"


def _parameters(model: Any) -> dict[str, Any]:
    """The parameters that are JSON, the others in their own words."""
    return {name: _plain(value) for name, value in model.get_params().items()}


def _plain(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
        return value
    except (TypeError, ValueError):
        return _words(value)


def _words(value: Any) -> str:
    return " ".join(repr(value).split()).replace("\x00", "")


def _commit() -> str | None:
    """What git says this project is at, and whether files differ from it; None where there is no commit, or no git."""
    git = shutil.which("git")
    if not git:
        return None
    words = [git, "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True)
    return done.stdout.strip() or None


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _difference(then: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Which packages it was saved with, where they are others now."""
    others = [name for name in here if then.get(name) != here[name]]
    pairs = [", ".join(f"{name} {versions.get(name) or '?'}" for name in others) for versions in (then, here)]
    return "It was saved with {}; here is {}".format(*pairs) if others else ""

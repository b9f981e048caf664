"""Estimators as skops files: no type comes to life that nobody vouches for.

Besides the types it is given skops trusts a list of its own. For that list it imports all of
scikit-learn and looks for SciPy's functions in every loaded module, two seconds in each process. So
a copy of skops is loaded that trusts of it what the pool's own candidates hold; skops itself reads
a file that holds more. The copy writes JSON without indentation, which Python's encoder in C does:
a forest in half the time.
"""

import io
import json
import sys
import zipfile
from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

from crypto_pool.errors import UntrustedModel

SKOPS, ITS_LISTS, ITS_WRITER = "skops.io", "skops.io._trusted_types", "skops.io._persist"
# fmt: off
TRUSTED_BY_SKOPS = {
    "PRIMITIVE_TYPE_NAMES": ["builtins.bool", "builtins.float", "builtins.int", "builtins.str"],
    "NUMPY_DTYPE_TYPE_NAMES": ["numpy.float64", "numpy.int64", "numpy.uint64"],
    "NUMPY_RANDOM_BIT_GENERATOR_TYPE_NAMES": ["numpy.random.PCG64"],
    "SKLEARN_INTERNAL_TYPE_NAMES": [
        "sklearn._loss.link.Interval", "sklearn._loss.link.LogitLink",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    ],
    "SKLEARN_ESTIMATOR_TYPE_NAMES": [
        "sklearn.linear_model._logistic.LogisticRegression", "sklearn.pipeline.Pipeline",
        "sklearn.linear_model._ridge.RidgeClassifier", "sklearn.preprocessing._data.StandardScaler",
        "sklearn.neighbors._classification.KNeighborsClassifier",
        "sklearn.preprocessing._label.LabelBinarizer", "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.tree._classes.DecisionTreeClassifier",
    ],
}
# fmt: on


def dumps(estimator: Any) -> bytes:
    """Return an estimator as a skops file."""
    return bytes(sparing_skops().dumps(estimator))


def loads(data: bytes, trusted: Sequence[str]) -> Any:
    """Return the estimator of a skops file; raises UntrustedModel for what is none."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise UntrustedModel(
            "The stored estimator is not a skops archive; train and log the model again."
        )
    return require_trusted(data, trusted).loads(data, trusted=list(trusted))


def require_trusted(data: bytes, trusted: Sequence[str]) -> ModuleType:
    """Return the skops that trusts what a file holds, with the given types; sparing if it can be.

    Raises:
        UntrustedModel: it holds a type nobody vouches for.
    """
    for load in (sparing_skops, partial(import_module, SKOPS)):
        skops = load()
        foreign = sorted(set(skops.get_untrusted_types(data=data)) - set(trusted))
        if not foreign:
            return skops
    raise UntrustedModel(
        f"The stored estimator contains types nobody vouches for: {', '.join(foreign)}; train "
        "and log the model again, an extension with them among its trusted_types."
    )


@cache
def sparing_skops() -> ModuleType:
    """Return `skops.io` with short lists, or as it is where it is loaded already."""
    if SKOPS not in sys.modules:
        sys.modules[ITS_LISTS] = lists = ModuleType(ITS_LISTS)
        vars(lists).update(TRUSTED_BY_SKOPS, __getattr__=lambda _: [])
        try:
            sparing = import_module(SKOPS)
            compact = SimpleNamespace(dumps=lambda state, indent: json.dumps(state))
            vars(sys.modules[ITS_WRITER])["json"] = compact
            return sparing
        finally:  # whoever else imports skops gets it whole
            for name in [name for name in sys.modules if name.partition(".")[0] == "skops"]:
                del sys.modules[name]
    return import_module(SKOPS)

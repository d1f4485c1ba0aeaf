"""Fitted estimators on disk, as skops writes them: a zip of JSON and arrays, without pickle.

A file only names classes; it is loaded where each of them is of scikit-learn, is what skops itself takes for harmless of NumPy
and SciPy, or is of a package that the study names. Nothing else is imported, let alone run.

Source: skops.io, its documentation on secure persistence.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tamesu.errors import StoreError
from tamesu.texts import say

FILE = "estimator.skops"
HARMLESS = ("collections.OrderedDict",)
CALLED = (
    "sklearn.metrics.",
    "sklearn.feature_selection.",
)  # functions that estimators hold, such as f_classif: they only compute
NEVER = ("datasets", "externals", "tests", "_testing")  # parts of scikit-learn that write, fetch, or start something


def packed(estimator: Any, names: Collection[str]) -> bytes:
    """An estimator as the content of a file.

    Args:
        names: Dotted names that the study names it by.

    Raises:
        StoreError: It holds what cannot be written, or could not be loaded again.
    """
    import skops.io

    name = type(estimator).__name__
    try:
        content = skops.io.dumps(estimator)
    except Exception as error:  # a lambda, an open file
        raise StoreError(say("{name} cannot be saved: {error}.", name=name, error=str(error).rstrip("."))) from error
    strange = _strange(skops.io.get_untrusted_types(data=content), names)
    if strange:
        text = say(
            "{name} cannot be saved: it holds {found}, of a package that the study does not name. Name it in sklearn.params.",
            name=name,
            found=strange[0],
        )
        raise StoreError(text)
    return content


def save_estimator(estimator: Any, folder: Path, names: Collection[str]) -> None:
    """Writes it into a folder; see `packed`."""
    (Path(folder) / FILE).write_bytes(packed(estimator, names))


def load_estimator(folder: Path, names: Collection[str]) -> Any:
    """What `save_estimator` wrote.

    Raises:
        StoreError: There is no such file, or it holds something that is not trusted.
    """
    import skops.io

    path = Path(folder) / FILE
    try:
        found = skops.io.get_untrusted_types(file=path)
        strange = _strange(found, names)
        if strange:
            text = say("{where}: must hold what the study names, and nothing else; got {found}.", where=path, found=strange[0])
            raise StoreError(text)
        return skops.io.load(path, trusted=found)
    except StoreError:
        raise
    except Exception as error:  # a damaged zip, a class that a newer library has no more
        raise StoreError(say("{where}: must be a saved model; {error}.", where=path, error=error)) from error


def is_trusted(name: str, names: Collection[str]) -> bool:
    """Whether a file may name this: nothing is imported that is not of scikit-learn or of a package among `names`."""
    module, _, what = name.rpartition(".")
    package = module.partition(".")[0]
    own = package in {one.partition(".")[0] for one in names} - {"sklearn"}
    if name in HARMLESS:
        return True
    if not (package == "sklearn" or own) or any(part in NEVER for part in module.split(".")):
        return False
    try:
        found = getattr(importlib.import_module(module), what, None)
    except ImportError:
        return False
    if (getattr(found, "__module__", None) or "").partition(".")[0] != package:  # imported there from elsewhere
        return False
    if inspect.isroutine(found):
        return name.startswith(CALLED) or (own and module in {one.rpartition(".")[0] for one in names})
    return inspect.isclass(found)


def _strange(found: Collection[str], names: Collection[str]) -> list[str]:
    return [one for one in found if not is_trusted(one, names)]

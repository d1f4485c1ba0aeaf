"""Finished trials by key, in a folder or behind a URL: nothing is computed twice, nothing half-written is read.

`<key>/predictions.npz`, perhaps `<key>/model/`, and last `<key>/result.json`. Many processes and machines may fill one store.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.errors import StoreError
from tamesu.folders import KEY, MODEL, RESULT, explain, explained, open_folder
from tamesu.lock import RunLock
from tamesu.texts import say
from tamesu.trial import TrialResult

if TYPE_CHECKING:
    from tamesu.learners.base import Fitted
    from tamesu.trial import Trial

__all__ = ["RunLock", "Store"]

SCHEMA = "tamesu/trial/1"
PREDICTIONS = "predictions.npz"


class Store:
    """Finished trials at `where`: a folder, or an fsspec URL such as `s3://bucket/study`."""

    def __init__(self, where: str | os.PathLike[str]):
        self._folder = open_folder(where)
        self._fetched: tempfile.TemporaryDirectory[str] | None = None

    @property
    def where(self) -> str:
        """The path or URL; another process opens the same store by it."""
        return self._folder.where

    @property
    def is_shared(self) -> bool:
        """Whether other processes see this store (not so for `memory://`)."""
        return self._folder.is_shared

    def check_writable(self) -> None:
        """Prove that results can be written, before anything is trained, and clear away what dead writers left.

        Raises:
            StoreError: No permission, no room, not a folder, not reachable.
        """
        with explained(self.where):
            self._folder.open_for_writing()

    def keys(self) -> list[str]:
        """Keys of all finished trials, sorted."""
        with explained(self.where):
            return self._folder.keys()

    def __contains__(self, key: str) -> bool:
        """Whether the trial is finished and whole."""
        return self.get(key) is not None

    def holds(self, trial: Trial) -> bool:
        """Whether the trial is finished, with its model where that is to be kept."""
        return trial.key in self and (not trial.keep_model or self.has_model(trial.key))

    def get(self, key: str) -> TrialResult | None:
        """The trial's result; None where it is not finished, or where its files are damaged (with a warning)."""
        if not KEY.fullmatch(key):
            return None
        with explained(self.where):
            try:
                text = self._folder.read(key, RESULT)
            except (FileNotFoundError, NotADirectoryError):
                return None
            try:
                document = json.loads(text)
                content = self._folder.read(key, document["part"] + PREDICTIONS)
                if _digest(content) != document["digest"]:
                    raise ValueError("the digest differs")
                return _make_result(document, content)
            except (FileNotFoundError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
                warnings.warn(
                    say(
                        "{where}: the stored training {key} is damaged ({reason}); it counts as not done and is trained again.",
                        where=self.where,
                        key=key,
                        reason=str(error) or type(error).__name__,
                    ),
                    stacklevel=3,
                )
                return None

    def read(self, key: str) -> TrialResult:
        """The trial's result.

        Raises:
            StoreError: It is not finished, or damaged.
        """
        result = self.get(key)
        if result is None:
            raise StoreError(
                say(
                    "{where}: training {key} must be finished to be read; got none. Run the study again.",
                    where=self.where,
                    key=key,
                )
            )
        return result

    def read_all(self) -> Iterator[TrialResult]:
        """Every finished trial, by key."""
        return (result for result in map(self.get, self.keys()) if result is not None)

    def write(self, result: TrialResult, fitted: Fitted | None = None) -> None:
        """Keep a result, and the fitted model where one is given; a trial that is there already stays as it is.

        Raises:
            StoreError: It cannot be written; what was finished before is untouched.
        """

        def fill(folder: Path, part: str) -> None:
            content = _pack_arrays(result)
            (folder / PREDICTIONS).write_bytes(content)
            if fitted is not None:
                self._save_model(fitted, folder / MODEL, result)
            document = _make_document(result, part, _digest(content), has_model=fitted is not None)
            (folder / RESULT).write_text(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1), encoding="utf-8")

        with explained(self.where):
            self._folder.publish(result.key, fill, is_finished=lambda: self.get(result.key) is not None)

    def has_model(self, key: str) -> bool:
        """Whether the finished trial's model is stored."""
        part = self._part(key)
        with explained(self.where):
            return part is not None and self._folder.has_model(key, part)

    def model_path(self, key: str) -> Path:
        """A local folder with the trial's model, for `load_fitted`; a copy where the store is behind a URL.

        Raises:
            StoreError: No model was kept for this trial.
        """
        if self._fetched is None:
            self._fetched = tempfile.TemporaryDirectory(prefix="tamesu-models-")
        part = self._part(key)
        with explained(self.where):
            path = None if part is None else self._folder.fetch_model(key, part, Path(self._fetched.name))
        if path is None:
            raise StoreError(
                say(
                    "{where}: training {key} must have kept its model; got none. Run `tamesu fit`.",
                    where=self.where,
                    key=key,
                )
            )
        return path

    def _part(self, key: str) -> str | None:
        """Where inside the entry its files are; None where the trial is not finished."""
        with explained(self.where):
            try:
                return str(json.loads(self._folder.read(key, RESULT))["part"])
            except (FileNotFoundError, NotADirectoryError, KeyError, TypeError, ValueError):
                return None

    def _save_model(self, fitted: Fitted, folder: Path, result: TrialResult) -> None:
        folder.mkdir()
        try:
            fitted.save(folder)
        except OSError:
            raise
        except Exception as error:  # writers of models wrap a full disk in errors of their own
            cause = _disk_error(folder)
            if cause is not None:
                raise StoreError(explain(self.where, cause)) from error
            error.add_note(
                say("while saving the model of repeat {repeat}, fold {fold}", repeat=result.repeat, fold=result.fold)
            )
            raise


def _disk_error(folder: Path) -> OSError | None:
    """What the file system says when asked to write a little."""
    try:
        (folder / "probe").write_bytes(bytes(1 << 16))
        (folder / "probe").unlink()
    except OSError as error:
        return error
    return None


def _pack_arrays(result: TrialResult) -> bytes:
    """Ids and predictions as one npz; arrays are numbered, since a field's name may be no file name."""
    arrays: dict[str, NDArray[Any]] = {"ids": np.array([str(one) for one in result.ids], dtype=np.str_)}
    arrays |= {f"prediction_{i}": array for i, array in enumerate(result.predictions.values())}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _make_document(result: TrialResult, part: str, digest: str, has_model: bool) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "key": result.key,
        "part": part,
        "digest": digest,
        "targets": list(result.predictions),
        "has_model": has_model,
        "repeat": result.repeat,
        "fold": result.fold,
        "seed": result.seed,
        "n_train": result.n_train,
        "n_test": len(result.ids),
        "data_digest": result.data_digest,
        "device": result.device,
        "threads": result.threads,
        "fit_time_s": result.fit_time_s,
        "predict_time_s": result.predict_time_s,
        "versions": result.versions,
        "recipe": result.recipe,
        "log": result.log,
        "weights": list(result.weights),
    }


def _make_result(document: dict[str, Any], content: bytes) -> TrialResult:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        ids = arrays["ids"].astype(object)
        predictions = {name: arrays[f"prediction_{i}"] for i, name in enumerate(document["targets"])}
    names = ("key", "repeat", "fold", "seed", "log", "fit_time_s", "predict_time_s", "device", "threads", "versions", "recipe")
    return TrialResult(
        ids=ids,
        predictions=predictions,
        data_digest=document["data_digest"],
        n_train=document["n_train"],
        weights=tuple(document.get("weights", ())),  # older entries have none
        **{name: document[name] for name in names},
    )


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()

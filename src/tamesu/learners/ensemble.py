"""What an ensemble leaves: the models of its members, and how their predictions are joined."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tamesu.joining import Joining
from tamesu.learners.base import NAME_FILE, Fitted, load_fitted
from tamesu.learners.names import ENSEMBLE

if TYPE_CHECKING:
    from tamesu.dataset import Dataset


class KeptModel:
    """A model that lies in a folder: read when it is to predict, copied without an engine being loaded."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.log: list[dict[str, Any]] = []

    def predict(self, rows: Dataset) -> dict[str, NDArray[Any]]:
        """As the model that was kept."""
        return self._model.predict(rows)

    def save(self, folder: Path) -> None:
        """Copies its files there."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)

    @functools.cached_property
    def _model(self) -> Fitted:
        return load_fitted(self.folder)


class FittedEnsemble:
    """Trained members, joined.

    Args:
        members: By member and seed.
        joining: How their predictions become one.
    """

    def __init__(self, members: Sequence[Sequence[Fitted]], joining: Joining):
        self.members, self.joining = members, joining
        self.log: list[dict[str, Any]] = []

    def predict(self, rows: Dataset) -> dict[str, NDArray[Any]]:
        """The joined prediction of the target."""
        name = self.joining.target.name
        return {name: self.joining.join([[model.predict(rows)[name] for model in seeds] for seeds in self.members])}

    def save(self, folder: Path) -> None:
        """Writes the models into `<member>/<seed>`, and how they are joined.

        Raises:
            OSError: The folder cannot be written.
        """
        folder = Path(folder)
        for i, seeds in enumerate(self.members):
            for j, model in enumerate(seeds):
                place = folder / str(i) / str(j)
                place.mkdir(parents=True)
                model.save(place)
        self.joining.save(folder)
        named = {"learner": ENSEMBLE, "seeds": [len(seeds) for seeds in self.members]}
        (folder / NAME_FILE).write_text(json.dumps(named), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> FittedEnsemble:
        """What `save` wrote."""
        n_seeds = json.loads((folder / NAME_FILE).read_text(encoding="utf-8"))["seeds"]
        members = [[KeptModel(folder / str(i) / str(j)) for j in range(n)] for i, n in enumerate(n_seeds)]
        return cls(members, Joining.load(folder))

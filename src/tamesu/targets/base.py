"""What every target can do: from values to what is trained, from raw outputs to a prediction, and both through maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tamesu.maps import Maps
    from tamesu.pictures import Pictures
    from tamesu.series_inputs import FittedSeries


@dataclass(frozen=True, eq=False)
class Target(ABC):
    """What is predicted for one field.

    Maps go from the pixels of the original picture to the frame that a network sees. What is encoded, and what is
    predicted, is true of the original; `move` gives what is true of the frame, `move_back` is its opposite.

    Attributes:
        name: The field's name.
        field: What the study says about it.
        classes: Sorted names of the classes; empty where there are none.
    """

    name: str
    field: Any
    classes: tuple[str, ...] = ()
    learned: ClassVar[tuple[str, ...]] = ()  # attributes that `fit` sets
    spread: ClassVar[Literal["row", "steps", "pixels"]] = "row"  # one value a row, one at every step, one at every pixel

    @property
    def kind(self) -> str:
        """The kind of its field."""
        return str(self.field.kind)

    @property
    def n_outputs(self) -> int:
        """Raw outputs a network has for it; of each step or pixel, where it is spread over those."""
        return len(self.classes)

    @property
    def along(self) -> str:
        """The series or picture it lies in, where it is spread over one."""
        return str(getattr(self.field, "of", None) or "")

    def encode_seen(self, seen: NDArray[Any]) -> NDArray[Any]:
        """Of a target spread over pixels: its picture as it is seen, as what is trained.  (b, h, w, c) to (b, h', w')"""
        raise TypeError(f"targets of kind {self.kind!r} are no pictures")

    @property
    def prediction_shape(self) -> tuple[int, ...]:
        """Of one row's prediction."""
        return (len(self.classes),)

    @abstractmethod
    def encode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values as their field reads them, as what is trained.

        Raises:
            DataError: A class that is not known, or a value that is missing.
        """

    @abstractmethod
    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """Raw outputs (n, n_outputs) as a prediction, true of what the network saw.

        Args:
            given: Values of the inputs that `needs` names, in their own units; None where it names none.  (n, len(needs))
        """

    @property
    def needs(self) -> tuple[str, ...]:
        """Number inputs whose values a prediction is made with, such as those of a conservation law."""
        return ()

    def trained(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """Raw outputs as what the loss compares with what is encoded: through the constraint, where there is one."""
        return raw

    def as_raw(self, encoded: NDArray[Any]) -> NDArray[np.float64]:
        """Of a target that is numbers: raw outputs that `decode` makes what is encoded of, or the nearest that may be."""
        return encoded if encoded.ndim > 1 else encoded[:, None]

    def penalty(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """What is added to each row's loss beside it, such as for breaking a law; 0 for nothing.  (n,)"""
        return 0.0

    def known(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """The rows that hold a value; beside a target, others are left out of the loss.  (n,)"""
        if values.dtype.kind == "f":
            return np.isfinite(values).reshape(len(values), -1).all(axis=1)
        return np.array([one is not None for one in values], dtype=bool)

    def truth(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values as their field reads them, as what predictions are scored against."""
        return self.encode(values)

    def fit(self, values: NDArray[Any]) -> Target:
        """The target as the training rows' values make it."""
        return self

    def fit_pictures(self, pictures: Pictures) -> Target:
        """Of a target spread over pixels: the target as the training rows' pictures make it."""
        return self

    def on_grid(self, series: FittedSeries) -> Target:
        """Of a target spread over steps: the target on the steps that its series is given on."""
        return self

    def as_trained(self, encoded: NDArray[Any]) -> NDArray[Any]:
        """What the loss is given, once values are encoded and moved."""
        return encoded

    def allows(self, encoded: NDArray[Any], maps: Maps) -> NDArray[np.bool_]:
        """The rows for which it is known what the map makes of them.  (b,)"""
        return np.ones(len(maps), dtype=bool)

    @abstractmethod
    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:
        """What is trained once pictures are seen through the maps: the encoding of what the field's `act` gives."""

    @abstractmethod
    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:
        """A prediction made from pictures seen through the maps, as one of the originals; NaN where it says nothing of them.

        Args:
            prediction: (b, *prediction_shape)
        """

    def speaks(self, maps: Maps) -> NDArray[np.bool_]:
        """The maps through which a prediction says anything of the original, whatever its class.  (b,)"""
        nothing = np.ones((len(maps), *self.prediction_shape))
        return np.isfinite(self.move_back(nothing, maps)).reshape(len(maps), -1).any(axis=1)

    def join(self, predictions: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Several predictions of the same rows as one.

        Args:
            predictions: NaN where one says nothing.  (v, n, *prediction_shape)
            weights: How much each counts; None: all the same.  (v,)

        Returns:
            NaN where none says anything.  (n, *prediction_shape)
        """
        return mean_known(predictions, weights)

    @property
    def centre(self) -> float | None:
        """The training mean of what is any number, however large; None where a prediction has something to obey."""
        return None

    def as_numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Truths or predictions as numbers whose squared distance says how far off one is; NaN where unknown.  (n, m)"""
        return np.asarray(values, dtype=np.float64).reshape(len(values), -1)

    def encode_at(self, values: NDArray[Any], times: Sequence[NDArray[np.float64]]) -> NDArray[Any]:
        """Of a target spread over steps: `encode`, for those that need to know when the rows' own steps are."""
        return self.encode(values)

    def at_times(self, prediction: NDArray[Any], times: Sequence[NDArray[np.float64]]) -> NDArray[Any]:
        """Of a target spread over steps: a prediction at the steps that a network sees, at the rows' own times."""
        return prediction

    def to_json(self) -> dict[str, Any]:
        """What `target_from_json` makes the same target of."""
        kept = {"name": self.name, "field": self.field.model_dump(mode="json"), "classes": list(self.classes)}
        return kept | {one: getattr(self, one) for one in self.learned}


def mean_known(values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Mean over the first axis of what is not NaN, by weight where there are weights; NaN where nothing is known."""
    known = ~np.isnan(values)
    parts = known if weights is None else known * weights.reshape(-1, *(1,) * (values.ndim - 1))
    total, whole = (np.where(known, values, 0) * parts).sum(axis=0), parts.sum(axis=0)
    return np.divide(total, whole, out=np.full(total.shape, np.nan), where=whole > 0)


def unless(wrong: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[np.float64]:
    """The values of each row, NaN for rows that are `wrong`.  (b, …)"""
    return np.where(wrong.reshape(-1, *(1,) * (values.ndim - 1)), np.nan, values)

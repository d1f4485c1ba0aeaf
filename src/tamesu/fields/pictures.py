"""Kinds that are pixels: image, mask, depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, NonNegativeFloat, NonNegativeInt, PositiveFloat
from pydantic import Field as Setting

from tamesu.fields.base import FieldBase, Name, Part, SwapWith
from tamesu.symmetry import Symmetry

if TYPE_CHECKING:
    from tamesu.maps import Maps

# An id in the settings: keys of a mapping are texts there.
Id = Annotated[NonNegativeInt, BeforeValidator(lambda key: int(key) if isinstance(key, str) and key.isdecimal() else key)]
Camera = Annotated[tuple[PositiveFloat, PositiveFloat, float, float], Setting()]  # fx, fy, cx, cy in pixels of the original


class ImageField(FieldBase):
    """A picture: a file name relative to `data.root`, or an array (h, w) or (h, w, c) from Python."""

    kind: Literal["image"] = "image"
    is_input: ClassVar[bool] = True
    is_picture: ClassVar[bool] = True
    channels: Literal["auto", "gray", "rgb", "rgba"] = "auto"
    mirror: SwapWith | None = None  # {swap_with: the picture of the other side}, as of a left and a right camera
    camera: Camera | None = None


class MaskField(FieldBase):
    """An id for every pixel of a picture: a grey or palette file of the same height and width.

    Resampled to the nearest pixel: ids are never averaged. Beyond the border it is `outside`.
    """

    kind: Literal["mask"] = "mask"
    can_be_aux: ClassVar[bool] = True
    is_picture: ClassVar[bool] = True
    input: bool = False  # given to the learner as a picture of ids
    of: str | None = None  # the picture it belongs to; the only one where not named
    names: dict[Id, Name] = Setting(default_factory=dict)  # id: what it is
    mirror: Literal["same", "never"] | dict[Name, Name] | None = None  # by names: {left_ventricle: right_ventricle}
    outside: NonNegativeInt = 0  # the id where the picture does not reach

    @property
    def is_input(self) -> bool:  # type: ignore[override]  # here it is the user who says so
        """A learner can be given it."""
        return self.input

    @property
    def channels(self) -> str:
        """Ids are one number a pixel."""
        return "gray"

    @property
    def ids_in_mirror(self) -> dict[int, int]:
        """Which id stands for which in a mirror, of those that change."""
        if not isinstance(self.mirror, dict):
            return {}
        place = {name: number for number, name in self.names.items()}
        images = Symmetry(self.mirror).mirror_images
        return {place[one]: place[other] for one, other in images.items() if other is not None and {one, other} <= set(place)}

    def act(self, values: NDArray[Any], maps: Maps) -> NDArray[Any]:
        """Ids of masks already seen through the maps: those of a left and a right change places where they are mirrored.

        Args:
            values: (b, h, w, c)
            maps: One a mask.
        """
        swaps = self.ids_in_mirror
        if not swaps or not maps.mirrored.any():
            return values
        image = np.arange(max(int(values.max(initial=0)), *swaps) + 1).astype(values.dtype)
        image[list(swaps)] = list(swaps.values())
        out = values.copy()
        out[maps.mirrored] = image[values[maps.mirrored]]
        return out

    def allows(self, values: NDArray[Any] | None, maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        imageless = None in Symmetry(self.mirror).mirror_images.values()  # which ids a mask holds is known too late
        return ~maps.mirrored if self.mirror == "never" or imageless else np.ones(len(maps), dtype=bool)


class Encoding(Part):
    """How the whole numbers of a depth file are packed, where they are not simply distances in some unit."""

    swap_bytes: bool = False  # the two bytes of a number are the other way round, as in raw dumps of Kinect
    rotate_bits: Annotated[int, Setting(ge=0, le=15)] = 0  # to the right, after that: 3 for SUN RGB-D


class DepthField(FieldBase):
    """Distances: a 16-bit or float picture; a pixel without a reading stays one, whatever is done to the picture.

    A learner is given metres, 0 where there is no reading.
    """

    kind: Literal["depth"] = "depth"
    is_input: ClassVar[bool] = True
    can_be_aux: ClassVar[bool] = True
    is_picture: ClassVar[bool] = True
    of: str | None = None  # the picture it lies on, if any; then sizes must be equal
    unit_m: PositiveFloat = 0.001  # metres of one step
    missing: float = 0.0  # the stored value that means "no reading", its bits in order
    encoding: Encoding | None = None  # of 16-bit numbers
    clip_m: tuple[NonNegativeFloat, PositiveFloat] | None = None  # nearest and farthest that matter, for the channel clipped
    resample: Literal["nearest", "linear"] = "nearest"  # linear never crosses a hole, but blurs edges of depth
    camera: Camera | None = None  # fx, fy, cx, cy in pixels of the original
    mirror: SwapWith | None = None

    @property
    def channels(self) -> str:
        """One distance a pixel."""
        return "gray"

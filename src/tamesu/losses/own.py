"""Losses of your own: a function by dotted name, `my_module:my_loss`."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from tamesu.errors import ConfigError, suggest
from tamesu.losses.known import Array
from tamesu.texts import say

DOTTED_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
N_GIVEN = 4  # raw, encoded, weight, xp


class OwnLoss:
    """A function (raw, encoded, weight, xp, **options) -> (n,) of your own, whose result is looked at when it first comes.

    Rows whose weight is 0 cost nothing, whether or not the function says so.

    Args:
        name: `my_module:my_loss`.
        options: Keyword arguments it is called with.
        where: The setting that names it, for the sentence that tells what is wrong.

    Raises:
        ConfigError: There is no such function.
    """

    def __init__(self, name: str, options: Mapping[str, Any], where: str):
        self.function = load_loss(name)
        self.name, self.options, self.where = name, dict(options), where
        self._is_checked = False

    def __call__(self, raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
        """One value a row.  (n,)

        Raises:
            ConfigError: At the first call, the function returns anything but one number a row.
        """
        each = self.function(raw, encoded, weight, xp, **self.options)
        if not self._is_checked:
            self._check(each, n=weight.shape[0])
            self._is_checked = True
        return xp.where(weight > 0, each, 0.0)

    def _check(self, each: Any, n: int) -> None:
        shape = getattr(each, "shape", None)
        if shape is not None and tuple(shape) == (n,):
            return
        found = type(each).__name__ if shape is None else say("the shape {shape}", shape=tuple(shape))
        text = say(
            "{name} must return one number for each of the {n} rows, of shape ({n},); got {found}. "
            "Take the mean over every other axis.",
            name=self.name,
            n=n,
            found=found,
        )
        raise ConfigError(f"{self.where}: {text}")


def load_loss(name: str) -> Callable[..., Any]:
    """The function that `my_module:my_loss` names.

    Raises:
        ConfigError: There is no such module, or no such function in it.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        text = say(
            "{name} must be in a module that Python finds. Put {module}.py beside the study.", name=name, module=module_name
        )
        raise ConfigError(text) from None
    found = getattr(module, attribute, None)
    if not callable(found):
        public = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        hint = suggest(attribute, public)
        raise ConfigError(
            say("{module} must have {attribute!r}; it has none.{hint}", module=module_name, attribute=attribute, hint=hint)
        )
    return found  # type: ignore[no-any-return]


def own_mistakes(name: str, options: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a loss of your own and what it is to be called with, one sentence each."""
    try:
        function = load_loss(name)
    except ConfigError as error:
        yield from error.mistakes
        return
    try:
        inspect.signature(function).bind(*[None] * N_GIVEN, **options)
    except TypeError as error:
        given = "".join(f", {one}" for one in options)
        text = say(
            "{name} must be a function that can be called with (raw, encoded, weight, xp{given}): {reason}.",
            name=name,
            given=given,
            reason=error,
        )
        yield text
    except ValueError:  # a callable without a signature, such as one written in C: the first call tells
        return

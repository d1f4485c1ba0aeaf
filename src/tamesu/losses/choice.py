"""Which loss a target is trained with: by the name its field says, with the options it says."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamesu.errors import ConfigError, suggest
from tamesu.fields.base import as_text
from tamesu.losses import arrows, classes, maps, numbers, shares
from tamesu.losses.known import Array
from tamesu.losses.own import DOTTED_NAME, OwnLoss, own_mistakes
from tamesu.texts import say

Loss = Callable[..., Array]  # (raw, encoded, weight, xp, **options) -> (n,)

_OF_CLASSES: dict[str, Loss] = {"cross_entropy": classes.cross_entropy, "focal": classes.focal}
_OF_REGIONS: dict[str, Loss] = {"dice": classes.dice, "cross_entropy_dice": classes.cross_entropy_dice}
_OF_SETS: dict[str, Loss] = {
    "cross_entropy": classes.binary_cross_entropy,
    "focal": classes.binary_focal,
    "dice": classes.binary_dice,
}
_OF_NUMBERS: dict[str, Loss] = {"l2": numbers.squared_error, "l1": numbers.absolute_error, "huber": numbers.huber}
_OF_ARROWS: dict[str, Loss] = {"l2": arrows.squared_distance, "l1": arrows.distance, "huber": arrows.huber_distance}

# By kind of target and name; the first is the kind's own.
LOSSES: dict[str, dict[str, Loss]] = {
    "label": _OF_CLASSES,
    "labels": _OF_SETS,
    "direction": _OF_CLASSES,
    "number": {**_OF_NUMBERS, "quantile": numbers.quantile_error, "crps": numbers.crps},
    "numbers": {**_OF_NUMBERS, "quantile": numbers.quantile_error},
    "shares": {
        "kl": shares.divergence,
        "l1": shares.shares_absolute_error,
        "l2": shares.shares_squared_error,
    },
    "angle": _OF_ARROWS,
    "vector": _OF_ARROWS,
    "points": {
        "l2": arrows.squared_point_distance,
        "l1": arrows.point_distance,
        "huber": arrows.huber_point_distance,
    },
    "steps": {**_OF_CLASSES, **_OF_REGIONS},
    "events": _OF_SETS,
    "mask": {"cross_entropy_dice": classes.cross_entropy_dice, **_OF_CLASSES, "dice": classes.dice},
    "depth": {"l1_smooth": maps.smooth_absolute_error, **_OF_NUMBERS},
    "derived": _OF_NUMBERS,
    "boxes": _OF_NUMBERS,
}
BALANCED = ("label", "labels", "direction", "steps")  # kinds whose training rows or steps are counted
_LIMITS: dict[str, tuple[float, float, bool]] = {  # lowest, below which, and whether the lowest itself is one
    "label_smoothing": (0, 1, True),
    "gamma": (0, math.inf, True),
    "delta": (0, math.inf, False),
    "quantile": (0, 1, False),
    "smooth": (0, math.inf, True),
}


def loss_of(target: Any, train: Any, counts: ArrayLike | None = None) -> Loss:
    """The loss a target is trained with: (raw, encoded, weight, xp) to one value a row.

    Args:
        target: What is predicted, fitted; its field says the loss.
        train: The study's `train` section, for `label_smoothing` where the field says none.
        counts: See `count_classes`, for `class_weights: balanced`; None: the target's own.

    Raises:
        ConfigError: There is no such loss for the kind of target, or its options cannot be.
    """
    where = f"fields.{target.name}.loss"
    mistakes = loss_mistakes(target.name, target.field)
    if mistakes:
        raise ConfigError([f"{where}: {text}" for text in mistakes])
    name, options = said_loss(target.field)
    if ":" in name:
        return OwnLoss(name, options, where)
    kind = loss_kind(target.field)
    function = LOSSES[kind][name]
    known = _options_of(function)
    if "label_smoothing" in known:
        options.setdefault("label_smoothing", train.label_smoothing)
    if options.get("class_weights") is not None:
        options["class_weights"] = class_weights_of(target, counts)
    return functools.partial(function, **options)


def class_weights_of(target: Any, counts: ArrayLike | None = None) -> Any:
    """What each class counts in the loss that a target's field says: one number a class; None where all count alike.

    Args:
        target: Fitted.
        counts: As of `loss_of`.
    """
    said = said_loss(target.field)[1].get("class_weights")
    if said is None:
        return None
    found = getattr(target, "counts", ()) if counts is None else counts
    return _class_weights(said, target, np.asarray(found, dtype=np.float64))


def loss_mistakes(name: str, field: Any) -> list[str]:
    """What cannot be of the loss a field says, one sentence each; without the setting's name.

    Args:
        name: The field's.
        field: What the study says about it; one that is not predicted has no loss.
    """
    if field.loss is None:
        return []
    if isinstance(field.loss, Mapping) and not isinstance(field.loss.get("name"), str):
        return [say("must be a name, or a mapping such as {{name: huber, delta: 0.5}}; got {value!r}.", value=dict(field.loss))]
    said, options = said_loss(field)
    if DOTTED_NAME.fullmatch(said):
        return list(own_mistakes(said, options))
    known = LOSSES.get(loss_kind(field))
    if known is None:
        return [say("must be my_module:my_loss for {name!r}, a target of kind {kind}.", name=name, kind=field.kind)]
    if said not in known:
        rule = say("a loss for a target of kind {kind}: {names}, or my_module:my_loss", kind=field.kind, names=", ".join(known))
        close = difflib.get_close_matches(said, known, n=1)
        hint = suggest(said, known) if close else ""
        return [say("must be {rule}; got {value}.{hint}", rule=rule, value=repr(said), hint=hint)]
    return list(_option_mistakes(said, known[said], options, field))


def class_weight_mistakes(field: Any, classes: Iterable[str]) -> list[str]:
    """Names in `class_weights` that are no class of the data, one sentence each; without the setting's name."""
    weights = field.loss.get("class_weights") if isinstance(field.loss, Mapping) else None
    known = tuple(classes)
    unknown = [as_text(name) for name in weights if as_text(name) not in known] if isinstance(weights, Mapping) else []
    return [
        say("must name classes of the training rows; got {name!r}.{hint}", name=name, hint=suggest(name, known))
        for name in unknown
    ]


def wants_counts(field: Any) -> bool:
    """Whether the loss a field says needs to know how many training rows hold each class."""
    return isinstance(field.loss, Mapping) and field.loss.get("class_weights") == "balanced"


def count_classes(encoded: NDArray[Any], n_classes: int) -> NDArray[np.int64]:
    """How many training rows hold each class, and how many are known not to.

    Args:
        encoded: Codes, -1 where unknown, (n, …) integer; or 0 and 1 of each class, NaN where unknown, (n, …, k).

    Returns:
        (2, k)
    """
    if encoded.dtype.kind in "iu":
        held = np.bincount(encoded[encoded >= 0].ravel(), minlength=n_classes)
        return np.stack([held, held.sum() - held])
    rows = encoded.reshape(-1, n_classes)
    return np.stack([(rows > 0).sum(axis=0), (rows == 0).sum(axis=0)])


def n_outputs_of(field: Any) -> int:
    """Raw outputs a number needs for the loss its field says: of crps the mean and the log of the spread."""
    return 2 if field.loss is not None and said_loss(field)[0] == "crps" else 1


def loss_kind(field: Any) -> str:
    """The kind under which a field's losses stand: its own, unless it says otherwise (`loss_kind`)."""
    return str(getattr(field, "loss_kind", None) or field.kind)


def said_loss(field: Any) -> tuple[str, dict[str, Any]]:
    """The name of the loss a field says, the kind's own where it says none, and its options."""
    if field.loss is None:
        return next(iter(LOSSES[loss_kind(field)])), {}
    if isinstance(field.loss, str):
        return field.loss, {}
    return field.loss["name"], {key: value for key, value in field.loss.items() if key != "name"}


def _options_of(function: Loss) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters.values()
    return tuple(one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY)


def _option_mistakes(said: str, function: Loss, options: Mapping[str, Any], field: Any) -> Iterator[str]:
    known = _options_of(function)
    for option, value in options.items():
        if option not in known:
            hint = suggest(option, known)
            yield say("{name} has no option {option!r}.{hint}", name=said, option=option, hint=hint)
        elif option == "class_weights":
            yield from _weight_mistakes(value, field)
        elif option in _LIMITS and not _is_within(value, *_LIMITS[option]):
            yield say("{option} must be {rule}; got {value!r}.", option=option, rule=_rule(*_LIMITS[option]), value=value)


def _is_within(value: Any, low: float, high: float, is_low_one: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return False
    return (low < value or (is_low_one and value == low)) and value < high


def _rule(low: float, high: float, is_low_one: bool) -> str:
    if math.isinf(high):
        return say("a number of at least {low}", low=low) if is_low_one else say("a number above {low}", low=low)
    if is_low_one:
        return say("a number of at least {low} and below {high}", low=low, high=high)
    return say("a number above {low} and below {high}", low=low, high=high)


def _weight_mistakes(value: Any, field: Any) -> Iterator[str]:
    if value == "balanced":
        if loss_kind(field) not in BALANCED:
            text = say(
                "class_weights: balanced is for {kinds}; got a target of kind {kind}. Write a number for each class.",
                kinds=", ".join(BALANCED),
                kind=field.kind,
            )
            yield text
        return
    if not isinstance(value, Mapping):
        yield say("class_weights must be balanced, or a number by class such as {{rare: 5}}; got {value!r}.", value=value)
        return
    merged = getattr(field, "merge", {})
    for name, one in value.items():
        if not _is_within(one, 0, math.inf, False):
            rule = _rule(0, math.inf, False)
            yield say("{option} must be {rule}; got {value!r}.", option=f"class_weights.{name}", rule=rule, value=one)
        elif as_text(name) in merged:
            into = merged[as_text(name)]
            yield say("class_weights must name {into!r}, as which {name!r} is trained.", into=into, name=as_text(name))


def _class_weights(said: Any, target: Any, counts: NDArray[np.float64]) -> Any:
    """What each class counts: one number a class; of classes that may be there together, where it is and where it is not.

    Args:
        said: `class_weights` of the field's loss: balanced, or a number by class.
        target: Fitted on the training rows.
        counts: See `count_classes`.

    Raises:
        ConfigError: A class that the training rows do not have.
    """
    k, kind = len(target.classes), loss_kind(target.field)
    both = LOSSES[kind]["cross_entropy"] is classes.binary_cross_entropy
    if said == "balanced":
        if not counts.size:
            raise ValueError("class_weights: balanced needs the training rows of each class (see count_classes)")
        return _balanced_sets(counts) if both else _balanced(_as_trained(target, counts.reshape(-1, k)[0]))
    given = {as_text(name): float(value) for name, value in said.items()}
    unknown = class_weight_mistakes(target.field, target.classes)
    if unknown:
        raise ConfigError([f"fields.{target.name}.loss: {text}" for text in unknown])
    weights = tuple(given.get(name, 1.0) for name in target.classes)
    return (weights, (1.0,) * k) if both else weights


def _as_trained(target: Any, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of each class once merged classes are one."""
    trained = target.as_trained(np.arange(len(counts)))
    return np.bincount(trained, weights=counts, minlength=len(counts)).astype(np.float64)


def _balanced(counts: NDArray[np.float64]) -> tuple[float, ...]:
    """Every class that is there counts alike, and a row 1 on the mean, as in scikit-learn's class_weight="balanced"."""
    there = counts > 0
    share = counts.sum() / max(1, there.sum())
    return tuple(float(one) for one in np.where(there, share / np.where(there, counts, 1), 1.0))


def _balanced_sets(counts: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of each class, the rows with it and those without count alike."""
    both = (counts > 0).all(axis=0)
    weights = np.where(both, counts.sum(axis=0) / 2 / np.where(both, counts, 1), 1.0)
    return tuple(map(float, weights[0])), tuple(map(float, weights[1]))

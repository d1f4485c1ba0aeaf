"""Functions of your own and photometric transforms of Albumentations and torchvision, by dotted name.

    functions:
      - my_module:my_function                                                 # called as my_function(picture, rng)
      - {name: "my_module:my_function", p: 0.5, amount: 3}                    # ... with amount=3, in half of the pictures
      - {name: "albumentations:GaussianBlur", p: 0.3, blur_limit: [3, 5]}
      - {name: "torchvision.transforms.v2:RandomSolarize", threshold: 128}

Each gets a seed drawn for the row, so that a row looks the same whatever batch or thread it is made in. Labels do not see
what such a function does, so one that moves pixels is refused: mirror, rotate, scale and crop do that with the labels.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tamesu.amounts import Strength, hit
from tamesu.augment.step import Levels, Pixels, Step
from tamesu.config import AugmentConfig
from tamesu.draws import Draws
from tamesu.errors import ConfigError, suggest
from tamesu.texts import say

INSTALL = {"albumentations": "albumentations==2.0.8", "torchvision": "torchvision"}
PHOTOMETRIC = frozenset(  # of torchvision.transforms.v2: what changes the pixels' values and leaves them where they are
    {
        *("ColorJitter", "GaussianBlur", "GaussianNoise", "Grayscale", "JPEG", "RandomAdjustSharpness", "RandomAutocontrast"),
        *("RandomChannelPermutation", "RandomEqualize", "RandomErasing", "RandomGrayscale", "RandomInvert"),
        *("RandomPhotometricDistort", "RandomPosterize", "RandomSolarize"),
    }
)
TRIAL_SIZE = 48  # pixels of the picture that `check_functions` tries a library's transform on
Kind = Literal["own", "albumentations", "torchvision"]
_found: dict[str, Outside] = {}  # by what the study says
_instances = threading.local()  # transforms keep state while they run, so each thread has its own


@dataclass(frozen=True)
class Outside:
    """A function as the study names it, found and understood.

    Attributes:
        make: Gives a callable of its own to each thread.
        chance: How often it is applied.
    """

    name: str
    kind: Kind
    make: Callable[[], Callable[..., Any]]
    chance: float


def check_functions(functions: Sequence[str | Mapping[str, Any]]) -> list[str]:
    """What is wrong with `augment.functions`: names that lead nowhere, transforms that move pixels, settings they do not have.

    Transforms of libraries are tried on a small picture; functions of your own are not called.
    """
    mistakes = []
    for k, given in enumerate(functions):
        where = f"augment.functions[{k}]"
        try:
            found = find(given)
            if found.kind != "own":
                _try(found)
        except ConfigError as error:
            mistakes += [f"{where}: {text}" for text in error.mistakes]
        except Exception as error:  # a user's module, or a library's transform, may raise anything
            reason = f"{type(error).__name__}: {error}"
            text = say("{name} must be importable and work on a picture; got {reason}.", name=_name(given), reason=reason)
            mistakes.append(f"{where}: {text}")
    return mistakes


def _try(found: Outside) -> None:
    levels = Levels(np.dtype(np.uint8), 0, 255)
    ramp = np.arange(TRIAL_SIZE * TRIAL_SIZE * 3, dtype=np.int64).reshape(TRIAL_SIZE, TRIAL_SIZE, 3) % 256
    picture = ramp.astype(np.uint8)
    _applied(found, picture, 0, levels, picture.copy())


def apply_functions(config: AugmentConfig, draws: Draws, levels: Levels, strength: Strength = None) -> list[Step]:
    """One step for each of `functions`, in the order they are listed.

    Raises:
        ConfigError: A name leads nowhere, or to what moves pixels.
    """
    steps: list[Step] = []
    for k, given in enumerate(config.functions):
        try:
            found = find(given)
        except ConfigError as error:
            raise ConfigError([f"augment.functions[{k}]: {text}" for text in error.mistakes]) from error
        n_before = sum(_name(one) == found.name for one in config.functions[:k])
        steps.append(_step(found, f"function {found.name} {n_before}", draws, levels, strength))
    return steps


def _step(found: Outside, label: str, draws: Draws, levels: Levels, strength: Strength) -> Step:
    there = hit(draws, label, found.chance, strength)
    seeds = (draws.bits(label) >> np.uint64(1)).tolist()

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        return _applied(found, source, seeds[i], levels, target) if there[i] else source

    return step


def _applied(found: Outside, source: Pixels, seed: int, levels: Levels, target: Pixels) -> Pixels:
    """What the function makes of a copy of the picture."""
    try:
        function = _instance(found)
        if found.kind == "own":
            result = np.asarray(function(np.array(source, order="C"), np.random.default_rng(seed)))
            _check_result(found, result, source)
            return _stored(result, levels, target)
        given = np.array(source, order="C") if levels.are_bytes else _to_unit(source, levels)
        run = _run_albumentations if found.kind == "albumentations" else _run_torchvision
        result = run(function, given, seed)
        if result.shape == given.shape[:2] and given.shape[2] == 1:
            result = result[:, :, None]
        _check_result(found, result, given)
        if levels.are_bytes:
            np.copyto(target, result)
            return target
        return levels.store(result * np.float32(levels.span) + np.float32(levels.low), target)
    except Exception as error:
        error.add_note(say("while applying {name} of augment.functions", name=found.name))
        raise


def _to_unit(source: Pixels, levels: Levels) -> Pixels:
    """From 0, black, to 1, white: what libraries take floats for."""
    values = source.astype(np.float32)
    values -= np.float32(levels.low)
    values /= np.float32(levels.span)
    return np.clip(values, 0, 1, out=values)


def _stored(result: Pixels, levels: Levels, target: Pixels) -> Pixels:
    np.clip(result, levels.low, levels.high, out=target, casting="unsafe")
    return target


def _run_albumentations(transform: Any, picture: Pixels, seed: int) -> Pixels:
    transform.set_random_seed(seed)
    return np.asarray(transform(image=picture, force_apply=True)["image"])


def _run_torchvision(transform: Any, picture: Pixels, seed: int) -> Pixels:
    import torch
    from torchvision.tv_tensors import Image

    from tamesu.augment.torch_random import RandomFrom

    planes = Image(torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))))
    with torch.no_grad(), RandomFrom(torch.Generator().manual_seed(seed)):
        result = transform(planes)
    return np.asarray(result.as_subclass(torch.Tensor).numpy()).transpose(1, 2, 0)


def _check_result(found: Outside, result: Pixels, given: Pixels) -> None:
    if result.shape == given.shape and result.dtype == given.dtype:
        return
    raise ConfigError(
        say(
            "{name} must return a picture of the shape and type it was given, {wanted}; got {got}.",
            name=found.name,
            wanted=f"{given.shape} {given.dtype}",
            got=f"{result.shape} {result.dtype}",
        )
    )


def _instance(found: Outside) -> Callable[..., Any]:
    """This thread's own callable."""
    kept: dict[int, tuple[Outside, Callable[..., Any]]] = _instances.__dict__.setdefault("kept", {})
    if id(found) not in kept:
        kept[id(found)] = (found, found.make())
    return kept[id(found)][1]


def find(given: str | Mapping[str, Any]) -> Outside:
    """The function a study names.

    Raises:
        ConfigError: It cannot be found, moves pixels, or does not have these settings.
    """
    key = repr(given)
    if key not in _found:
        _found[key] = _find(given)
    return _found[key]


def _find(given: str | Mapping[str, Any]) -> Outside:
    name = _name(given)
    settings = {} if isinstance(given, str) else {str(key): value for key, value in given.items() if key != "name"}
    target = _load(name)
    kind = _kind_of(name, target)
    asked = settings.pop("p", None)
    if asked is not None and (isinstance(asked, bool) or not isinstance(asked, (int, float)) or not 0 <= asked <= 1):
        raise ConfigError(say("p of {name} must be a number from 0 to 1; got {value!r}.", name=name, value=asked))
    if kind == "own":
        return Outside(name, kind, _own(name, target, settings), _chance(asked, 1.0))
    if not inspect.isclass(target):  # made in the user's module, with its settings
        if settings:
            raise ConfigError(say("{name} must be a class to take settings; got {names}.", name=name, names=sorted(settings)))
        return Outside(name, kind, lambda: copy.deepcopy(target), _chance(asked, getattr(target, "p", 1.0)))
    return _transform(name, kind, target, {key: _with_tuples(value) for key, value in settings.items()}, asked)


def _transform(name: str, kind: Kind, target: type, settings: dict[str, Any], asked: float | None) -> Outside:
    """A library's transform. Its chance is drawn from the row's seed, so it is itself made to be always applied."""
    known = inspect.signature(target).parameters
    _check_settings(name, settings, known)
    chance = _chance(asked, 1.0)
    if "p" in known:
        if kind == "albumentations" or any(base.__name__ == "_RandomApplyTransform" for base in target.__mro__):
            chance, settings = _chance(asked, known["p"].default), settings | {"p": 1.0}
        elif asked is not None:  # the chance of something within, as of the parts of RandomPhotometricDistort
            chance, settings = 1.0, settings | {"p": asked}
    try:
        target(**settings)
    except Exception as error:  # a library's own check of its settings
        text = say("{name} must accept its settings; got {settings}: {error}.", name=name, settings=settings, error=error)
        raise ConfigError(text) from error
    return Outside(name, kind, lambda: target(**settings), chance)


def _chance(asked: float | None, usual: Any) -> float:
    return float(asked if asked is not None else usual)


def _own(name: str, target: Any, settings: dict[str, Any]) -> Callable[[], Callable[..., Any]]:
    """How to make a user's function: a function with its settings, or an object of a class made with them."""
    if not callable(target):
        raise ConfigError(say("{name} must be a function that is called with a picture and a generator.", name=name))
    if inspect.isclass(target):
        _check_settings(name, settings, inspect.signature(target).parameters)
        made: Callable[..., Any] = target
        return lambda: made(**settings)
    try:
        inspect.signature(target).bind(None, None, **settings)
    except TypeError as error:
        text = say("{name} must take a picture, a generator and its settings; got {error}.", name=name, error=error)
        raise ConfigError(text) from None
    except ValueError:  # written in C without a signature: the first call will tell
        pass
    return lambda: functools.partial(target, **settings)


def _check_settings(name: str, settings: Mapping[str, Any], known: Mapping[str, inspect.Parameter]) -> None:
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values()):
        return
    wrong = [key for key in settings if key not in known]
    if wrong:
        raise ConfigError(
            say(
                "{name} must be given settings it has; got {key!r}.{hint}",
                name=name,
                key=wrong[0],
                hint=suggest(wrong[0], known),
            )
        )


def _kind_of(name: str, target: Any) -> Kind:
    """Whose it is.

    Raises:
        ConfigError: A library's transform that moves pixels, or holds others.
    """
    bases = (target if inspect.isclass(target) else type(target)).__mro__
    names = {(base.__module__.partition(".")[0], base.__name__) for base in bases}
    if ("albumentations", "ImageOnlyTransform") in names:
        return "albumentations"
    if ("albumentations", "BasicTransform") in names or ("albumentations", "BaseCompose") in names:
        raise ConfigError(_refusal(name, names, "BaseCompose"))
    if any(base.__module__ == "torchvision.transforms.v2._transform" and base.__name__ == "Transform" for base in bases):
        if any(module == "torchvision" and one in PHOTOMETRIC for module, one in names) or _is_users(bases[0]):
            return "torchvision"
        raise ConfigError(_refusal(name, names, "Compose", "RandomApply", "RandomChoice", "RandomOrder"))
    if name.startswith("torchvision"):
        raise ConfigError(
            say(
                "{name} must be a transform of torchvision.transforms.v2, such as torchvision.transforms.v2:ColorJitter.",
                name=name,
            )
        )
    return "own"


def _is_users(one: type) -> bool:
    """A transform written by the user, not one of the library's that moves pixels or a child of it."""
    parents = [base for base in one.__mro__ if base.__module__.startswith("torchvision.")]
    return all(base.__name__.lstrip("_") in ("Transform", "RandomApplyTransform") for base in parents)


def _refusal(name: str, names: set[tuple[str, str]], *containers: str) -> str:
    if any(one in containers for _, one in names):
        return say("{name} must be one transform, not several. List them in augment.functions one by one.", name=name)
    return say(
        "{name} must leave every pixel where it is and need one picture alone: labels, masks and points would not follow it. "
        "Use mirror, flip, turn, rotate_deg, scale, shear_deg, crop, dropout or mixup of augment, which they do follow.",
        name=name,
    )


def _load(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    package = module_name.partition(".")[0]
    if not attribute or not module_name:
        rule = say("my_module:my_function, albumentations:GaussianBlur or torchvision.transforms.v2:ColorJitter")
        raise ConfigError(say("must be {rule}; got {value}.{hint}", rule=rule, value=repr(name), hint=""))
    if package == "albumentations":  # it would ask the network for a newer version of itself
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        if package in INSTALL:
            text = say(
                "{name} needs {package}. Run: pip install '{wanted}'", name=name, package=package, wanted=INSTALL[package]
            )
        else:
            text = say(
                "{name} must be in a module that Python finds. Put {module}.py beside the study.", name=name, module=module_name
            )
        raise ConfigError(text) from None
    if not hasattr(module, attribute):
        public = list(_public(module))
        raise ConfigError(
            say(
                "{module} must have {attribute!r}; it has none.{hint}",
                module=module_name,
                attribute=attribute,
                hint=suggest(attribute, public),
            )
        )
    return getattr(module, attribute)


def _public(module: Any) -> Iterator[str]:
    return (one for one in vars(module) if not one.startswith("_") and callable(getattr(module, one)))


def _name(given: str | Mapping[str, Any]) -> str:
    return given if isinstance(given, str) else str(given.get("name", ""))


def _with_tuples(value: Any) -> Any:
    """Lists of a YAML file as the tuples that libraries take for ranges."""
    return tuple(_with_tuples(one) for one in value) if isinstance(value, (list, tuple)) else value

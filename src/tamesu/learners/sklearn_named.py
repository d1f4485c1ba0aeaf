"""Estimators of scikit-learn's kind by dotted name: found, made from the study's parameters, and what is wrong with those.

A parameter that is an estimator itself is written `estimator: {learner: sklearn.svm.LinearSVC, params: {C: 2}}`, also inside a
list, as the steps of a pipeline are.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
from collections.abc import Iterator, Mapping
from typing import Any

from tamesu.errors import ConfigError, suggest
from tamesu.learners.names import ESTIMATOR
from tamesu.mistakes import Mistake, Path, did_you_mean, must_be
from tamesu.texts import say

NAME, PARAMS = "learner", "params"  # keys of a parameter that is an estimator
SEEDS, THREADS = ("random_state",), ("n_jobs", "thread_count")
FIXED = (*SEEDS, *THREADS)  # by the trial's seed and the engine


def find_object(name: str) -> Any:
    """The class or function that a dotted name means.

    Raises:
        ConfigError: It cannot be imported, or the module has no such thing.
    """
    module, attributes = _module_of(name)
    found: Any = module
    for attribute in attributes:
        if not hasattr(found, attribute):
            hint = suggest(attribute, [one for one in dir(found) if not one.startswith("_")])
            raise ConfigError(say("{module} has no {name!r}.{hint}", module=_called(found), name=attribute, hint=hint))
        found = getattr(found, attribute)
    return found


def make_estimator(name: str, params: Mapping[str, Any]) -> Any:
    """A fresh estimator, or what else a class or function of that name gives with these parameters.

    Raises:
        ConfigError: There is no such class or function.
    """
    factory = find_object(name)
    defaults = {key: one.default for key, one in _parameters(factory).items()}
    return factory(**{key: _made(value, defaults.get(key)) for key, value in params.items()})


def names_in(name: str, params: Any) -> Iterator[str]:
    """Every dotted name of a learner and its parameters."""
    yield name
    for one in _estimators_in(params):
        yield from names_in(one[NAME], one.get(PARAMS, {}))


def plain_mistakes(value: Any, path: Path) -> Iterator[Mistake]:
    """What no parameter can be, whatever estimator it is for."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from plain_mistakes(one, (*path, key))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from plain_mistakes(one, path)
    elif not isinstance(value, bool | int | float | str | None) or (isinstance(value, float) and not math.isfinite(value)):
        yield must_be(path, say("a finite number, a text, true, false, nothing, a list, a mapping or an estimator"), value)


def estimator_mistakes(
    name: str, params: Mapping[str, Any], at: Path = ("learner",), below: Path = ("sklearn", PARAMS)
) -> Iterator[Mistake]:
    """What is wrong with an estimator's name and parameters, whatever it is for.

    Args:
        name: As the study has it.
        params: The same.
        at: Where the study says the name.
        below: Where it says the parameters.
    """
    try:
        factory = find_object(name)
    except ConfigError as error:
        yield from (Mistake(at, text) for text in error.mistakes)
        return
    if not callable(factory):
        yield must_be(at, say("a class or a function that makes an estimator"), name)
        return
    wrong = [one for key, value in params.items() for one in _param_mistakes(name, factory, key, value, (*below, key))]
    yield from wrong
    if not wrong:
        yield from _refused(name, params, at, below)


def _param_mistakes(name: str, factory: Any, key: str, value: Any, path: Path) -> Iterator[Mistake]:
    known = _parameters(factory)
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values())
    if key in FIXED:
        yield Mistake(path, say("is set by tamesu: by the seed, or by the threads that a training has."))
    elif key not in known and not takes_any:
        yield Mistake(path, say("is no parameter of {name}.{hint}", name=name, hint=suggest(key, known)))
    elif isinstance(value, list | tuple) and key in known and not _takes_lists(known[key].default):
        rule = say("one value; a list of values to try belongs in an idea")
        yield must_be(path, rule, value, wrong_type=True)
    else:
        yield from _value_mistakes(value, path)


def _value_mistakes(value: Any, path: Path) -> Iterator[Mistake]:
    """What is wrong with estimators inside."""
    if isinstance(value, Mapping) and NAME in value:
        inner, params = value[NAME], value.get(PARAMS, {})
        unknown = [key for key in value if key not in (NAME, PARAMS)]
        if unknown:
            hint = did_you_mean(unknown[0], (NAME, PARAMS))
            yield must_be(path, say("an estimator, {{learner: …, params: {{…}}}}"), dict(value), hint)
        elif not isinstance(inner, str) or not ESTIMATOR.fullmatch(inner):
            yield must_be((*path, NAME), say("a dotted name such as sklearn.svm.LinearSVC"), inner)
        elif not isinstance(params, Mapping):
            yield must_be((*path, PARAMS), say("parameters by name"), params)
        else:
            yield from estimator_mistakes(inner, params, (*path, NAME), (*path, PARAMS))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _value_mistakes(one, (*path, key))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _value_mistakes(one, path)


def _refused(name: str, params: Mapping[str, Any], at: Path, below: Path) -> Iterator[Mistake]:
    """What the class itself says of these parameters: on being made, and by scikit-learn's own rules for their values."""
    try:
        made = make_estimator(name, params)
        if hasattr(made, "_parameter_constraints"):  # XGBoost inherits the method, without any rules
            made._validate_params()
    except Exception as error:
        named = next((key for key in params if f"'{key}'" in str(error)), None)
        path = at if named is None else (*below, named)
        yield Mistake(path, say("{name} does not take it: {error}", name=name, error=_shortened(error)))


def _module_of(name: str) -> tuple[Any, list[str]]:
    """The innermost module of a dotted name, and the names that follow inside it."""
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:n])
        try:
            return importlib.import_module(module), parts[n:]
        except ModuleNotFoundError as error:
            if error.name is not None and f"{module}.".startswith(f"{error.name}."):
                continue
            raise ConfigError(say("{name!r} must be importable; {error}.", name=name, error=error)) from error
        except Exception as error:  # whatever a module of the user's own does
            raise ConfigError(say("{name!r} must be importable; {error}.", name=name, error=_shortened(error))) from error
    text = say("{name!r} must be importable; there is no module {module!r}. Install its package.", name=name, module=parts[0])
    raise ConfigError(text)


def _parameters(factory: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):  # made in C, and says nothing
        return {"": inspect.Parameter("params", inspect.Parameter.VAR_KEYWORD)}


def _takes_lists(default: Any) -> bool:
    """Lists stand where a parameter's own value is one, or where it has none of its own: steps, estimators, transformers."""
    return default is inspect.Parameter.empty or isinstance(default, list | tuple)


def _made(value: Any, default: Any = None) -> Any:
    if isinstance(value, Mapping):
        if NAME in value:
            return make_estimator(value[NAME], value.get(PARAMS, {}))
        return {key: _made(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        made = [_made(one) for one in value]
        return tuple(made) if isinstance(default, tuple) else made
    return value


def _estimators_in(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if NAME in value:
            yield value
            return
        value = value.values()
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        for one in value:
            yield from _estimators_in(one)


def _called(found: Any) -> str:
    return str(getattr(found, "__name__", found))


def _shortened(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".") + "."

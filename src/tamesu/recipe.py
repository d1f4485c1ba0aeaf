"""What is trained: the study without its ideas, patched, expanded into arms, and hashed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field as Setting
from pydantic import NonNegativeInt, field_validator

from tamesu.config import (
    AugmentConfig,
    ChannelsConfig,
    DecidedTrainConfig,
    EnsembleConfig,
    FeaturesConfig,
    FoldsConfig,
    ModelConfig,
    Section,
    SklearnConfig,
    StudyConfig,
    TreesConfig,
    TtaConfig,
)
from tamesu.fields import Field
from tamesu.fields.derived import with_sources
from tamesu.influence import declared, influential
from tamesu.learners.names import NETWORKS, SKLEARN, TREES, kind_of
from tamesu.maps import Resize
from tamesu.unused import SECTIONS, used_settings, users_of

NOT_TRAINED_ON = ("group", "id", "ignore")


class Recipe(Section):
    """Everything a training is made from, apart from the rows and the seed of its split.

    Fields are in alphabetical order, so that neither a training nor its hash depends on how the study is sorted.

    An ensemble is a recipe too: what is trained are then its members, in an order that does not depend on their names.
    """

    fields: dict[str, Field]
    upright: bool
    despite: str | None
    size: tuple[NonNegativeInt, NonNegativeInt]  # (h, w); (0, 0) without a picture
    resize: Resize = "stretch"
    channels: ChannelsConfig = ChannelsConfig()
    augment: AugmentConfig
    tta: TtaConfig = TtaConfig()
    learner: str
    model: ModelConfig
    train: DecidedTrainConfig
    trees: TreesConfig = TreesConfig()
    sklearn: SklearnConfig = SklearnConfig()
    features: FeaturesConfig = FeaturesConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    members: dict[str, Recipe] = Setting(default_factory=dict)  # of an ensemble
    folds: FoldsConfig = FoldsConfig()  # of an ensemble: the study's, for those inside its training rows

    @field_validator("fields")
    @classmethod
    def _sorted(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return dict(sorted(with_sources(fields).items()))

    @property
    def trained(self) -> tuple[Recipe, ...]:
        """The recipes that a learner trains: an ensemble's members, or this one."""
        return tuple(self.members.values()) or (self,)

    @property
    def leading(self) -> Recipe:
        """Of an ensemble the member that the study names first, where one has to stand for all; else this one."""
        return next((self.members[name] for name in self.ensemble.members if name in self.members), self)

    @property
    def targets(self) -> dict[str, Field]:
        """The fields to predict, by name."""
        return {name: field for name, field in self.fields.items() if field.target}

    @property
    def target(self) -> tuple[str, Field]:
        """Name and declaration of the one field to predict."""
        ((name, field),) = self.targets.items()
        return name, field

    @property
    def auxiliaries(self) -> dict[str, Field]:
        """The fields predicted beside the target in training, by name; no prediction is asked of them."""
        return {name: field for name, field in self.fields.items() if field.auxiliary is not None and field.auxiliary.weight}

    @property
    def inputs(self) -> dict[str, Field]:
        """The fields the learner is given, by name; of an ensemble, those that any member is given."""
        if self.members:
            return {name: field for member in self.trained for name, field in member.inputs.items()}
        return {name: field for name, field in self.fields.items() if field.is_given}

    @property
    def read(self) -> dict[str, Field]:
        """Every field a training reads, by name."""
        return {**self.inputs, **self.companions, **self.auxiliaries, **self.targets}

    @property
    def users(self) -> frozenset[str]:
        """Who makes use of the settings: the learner, and the network that makes numbers for it."""
        return users_of(self.learner, self.features.network)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Fields that rows to be predicted come without, whatever their tables hold."""
        hidden = [{**one.targets, **one.auxiliaries, **one.companions} for one in self.trained]
        return tuple(name for name in {name: None for one in hidden for name in one} if name not in self.inputs)

    @property
    def group(self) -> str | None:
        """The field whose rows stay together wherever the training rows are split once more; None where none is named."""
        return next((name for name, field in self.fields.items() if field.kind == "group"), None)

    @property
    def splits_inside(self) -> bool:
        """Whether the training rows are split once more: to fix the rounds of trees, or to cross-fit networks for them."""
        kind = kind_of(self.learner)
        return (kind in TREES and self.trees.rounds == "auto") or (
            kind in (*TREES, SKLEARN) and self.features.network == "trained"
        )

    @property
    def companions(self) -> dict[str, Field]:
        """Fields that training reads though no learner is given them.

        They are what targets change places with, objects to paste, and the group where training rows are split once more.
        """
        partners = {field.swap_with for field in self.targets.values()} if self.augment.mirror or self.augment.flip else set()
        partners |= {self.group} if self.splits_inside else set()
        pasted = {"mask", "boxes"} if self.augment.paste else set()
        beside = {*self.inputs, *self.targets, *self.auxiliaries}
        return {
            name: field
            for name, field in self.fields.items()
            if name not in beside and (name in partners or field.kind in pasted)
        }

    def training_json(self) -> str:
        """What has an influence on the training, and nothing else, as one canonical text: the same for the same training.

        Left out: fields that no learner reads, the columns' names (their content counts, with the data), and what the
        built-in learner makes no use of here (see `influence`). Of an ensemble: what members train, and how that is joined.
        """
        settings: dict[str, Any]
        if self.members:
            settings = self.ensemble.model_dump(exclude={"members"})
            settings["members"] = [json.loads(one.training_json()) for one in self.members.values()]
        elif self.learner in NETWORKS:
            settings = influential(self)
            settings |= used_settings(self.users, {name: settings[name] for name in ("model", "train")})
        else:
            fields = {
                name: field
                for name, field in self.fields.items()
                if field.kind not in NOT_TRAINED_ON or name in self.companions
            }
            settings = self.model_dump(exclude={"fields", "upright", "despite", "ensemble", "members", "folds"})
            if kind_of(self.learner):
                sections = {name: settings.pop(name) for name in SECTIONS}
                settings |= used_settings(self.users, sections)
            settings["fields"] = {name: declared(field, {"column"}) for name, field in fields.items()}
        return json.dumps(_canonical(settings), sort_keys=True, separators=(",", ":"), allow_nan=False)


def make_recipe(config: StudyConfig, size: tuple[int, int]) -> Recipe:
    """The recipe of the study's baseline.

    Args:
        config: The study.
        size: What `size: auto` stands for, (h, w).
    """
    seen = any(field.is_given and (field.is_picture or field.kind == "series") for field in config.fields.values())
    return Recipe(
        fields=config.fields,
        upright=config.upright,
        despite=config.despite,
        size=_size(config, size),
        resize=config.resize,
        channels=config.channels,
        augment=config.augment,
        tta=config.tta,
        learner=config.learner,
        model=_model(config),
        train=config.train.decided(table_only=not seen, pretrained=config.model.weights != "none"),
        trees=config.trees,
        sklearn=config.sklearn,
        features=config.features,
    )


def _model(config: StudyConfig) -> ModelConfig:
    """With the backend of Keras that `auto` stands for here."""
    if config.learner != "keras" or config.model.backend != "auto":
        return config.model
    from tamesu.learners.keras_backend import default_backend

    return config.model.model_copy(update={"backend": default_backend()})


def make_ensemble(study: Recipe, members: Mapping[str, Recipe], config: StudyConfig) -> Recipe:
    """Members as one recipe; those that train the same count once, and a single training is no ensemble.

    Args:
        study: The recipe without its ensemble.
        members: By name.
        config: The study, with its ensemble.
    """
    distinct: dict[str, tuple[str, Recipe]] = {}
    for name, recipe in members.items():
        distinct.setdefault(recipe.training_json(), (name, recipe))
    ordered = dict(one for _, one in sorted(distinct.items()))
    ensemble = config.ensemble
    if len(ordered) == 1:
        (only,) = ordered.values()
        if ensemble.seeds == 1:
            return only
        ensemble = ensemble.model_copy(update={"method": "mean"})
    return study.model_copy(update={"ensemble": ensemble, "members": ordered, "folds": config.folds})


def _size(config: StudyConfig, auto_size: tuple[int, int]) -> tuple[int, int]:
    if not any(field.is_picture for field in config.fields.values()):
        return 0, 0
    if isinstance(config.size, tuple):
        return config.size
    return auto_size if config.size == "auto" else (config.size, config.size)


def _canonical(value: Any) -> Any:
    """The same for equal settings: tuples as lists, -0.0 as 0.0."""
    if isinstance(value, Mapping):
        return {key: _canonical(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(one) for one in value]
    return value + 0.0 if isinstance(value, float) else value

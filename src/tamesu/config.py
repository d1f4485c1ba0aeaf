"""The study as declared: every setting and every default, once.

`StudyConfig` is what study.yaml says. `tamesu.document` turns a file or a mapping into one and reports all mistakes
together; `tamesu.mistakes` puts the limits stated here into sentences.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic import Field as Setting

from tamesu.fields import Field

Fraction = Annotated[float, Setting(ge=0, le=1)]
Range = float | tuple[float, float]  # one number x means -x..x (rotation, shifts) or 1-x..1+x (factors)


class Section(BaseModel):
    """A part of the study: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SqlSource(Section):
    """A table behind a database URL, as SQLAlchemy writes them."""

    sql: str
    url: str


class DataConfig(Section):
    """Where the rows are."""

    train: str | SqlSource | None = None  # csv, parquet, a folder of one folder per class, or SQL; None: given from Python
    test: str | SqlSource | None = None  # the same without the target
    root: str = "."  # where relative file names in the table start; relative to the study file
    id: str | None = None  # the column that names a row; None: the row's number, or the file's name in a folder
    sample_submission: str | None = None  # csv whose ids, order and columns `predict` follows


class FoldsConfig(Section):
    """How rows are split into folds; the same for every arm."""

    scheme: Literal["k_fold", "leave_one_out", "leave_one_group_out"] = "k_fold"
    n_splits: Annotated[int, Setting(ge=2, le=10)] = 5
    max_repeats: Annotated[int, Setting(ge=1, le=20)] = 5
    stratify: str | Literal["auto", "none"] = "auto"  # a label field; auto: the target, if it is a label
    group: str | None = None  # a field of kind group
    lockbox: Annotated[float, Setting(ge=0, le=0.5)] = 0.0  # share of rows set aside for `tamesu lockbox`
    seed: NonNegativeInt = 0


class AugmentConfig(Section):
    """How training pictures are varied; scored pictures never are."""

    mirror: Fraction = 0.0  # chance of a left-right mirror
    rotate_deg: Range = 0.0
    scale: Range = 0.0
    translate: Fraction = 0.08  # share of the side, each way
    brightness: NonNegativeFloat = 0.0  # share of the full range, each way
    contrast: NonNegativeFloat = 0.0  # factor 1-x..1+x
    noise: NonNegativeFloat = 0.0  # standard deviation as a share of the full range
    erase: Fraction = 0.0  # chance that one random rectangle is greyed out
    border: Literal["reflect", "edge", "constant"] = "reflect"


class ModelConfig(Section):
    """The PyTorch learner's network."""

    backbone: str = "tiny"  # tiny | timm:<name> | your_module:build_backbone
    width: PositiveInt = 32  # tiny: channels of the first stage
    depth: PositiveInt = 1  # tiny: blocks a stage
    activation: str = "relu"
    weights: str = "none"  # timm: none | hub | a file (.safetensors, or a checkpoint readable with weights_only)
    dropout: Fraction = 0.1  # before the heads
    hidden: NonNegativeInt = 64  # table branch: units of its hidden layers


class TrainConfig(Section):
    """How the network is trained: fixed epochs, no early stopping."""

    epochs: PositiveInt = 20
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 0.005
    weight_decay: NonNegativeFloat = 0.05
    warmup_fraction: Fraction = 0.1
    label_smoothing: Annotated[float, Setting(ge=0, lt=1)] = 0.0
    ema: Annotated[float, Setting(ge=0, lt=1)] = 0.0  # decay of the averaged weights; 0: off
    clip_norm: NonNegativeFloat = 1.0  # 0: off
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on a GPU that has it, else float32
    channels_last: bool = True
    compile: bool = False
    seed: NonNegativeInt = 0


class VerdictConfig(Section):
    """How ideas are judged."""

    alpha: Annotated[float, Setting(gt=0, lt=0.5)] = 0.05
    margin: PositiveFloat | Literal["auto"] = "auto"  # the smallest gain that matters, in the judged loss
    budget: PositiveInt = 20  # ideas planned for this data
    judge: Literal["auto", "metric"] = "auto"  # auto: the proper loss behind the metric, unless the metric is a mean over rows
    strict: bool = False  # variance factor 1.7, for kNN, Gaussian processes, unpruned trees


class StudyConfig(Section):
    """All of study.yaml."""

    name: str = "study"
    lang: Literal["auto", "en", "ja"] = "auto"
    data: DataConfig = DataConfig()
    fields: dict[str, Field]
    upright: bool = False
    despite: str | None = None
    metric: str | None = None  # None: log_loss for a label or labels, rmse for a number
    folds: FoldsConfig = FoldsConfig()
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | Literal["auto"] = "auto"  # pixels, or [h, w]
    augment: AugmentConfig = AugmentConfig()
    learner: str = "torch"
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    verdict: VerdictConfig = VerdictConfig()
    draft: bool = False  # three folds: quicker and coarser
    ideas: dict[str, dict[str, Any]] = {}

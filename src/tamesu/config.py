"""The study as declared: every setting and every default, once.

`StudyConfig` is what study.yaml says. `tamesu.document` turns a file or a mapping into one and reports all mistakes
together; `tamesu.mistakes` puts the limits stated here into sentences.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator
from pydantic import Field as Setting

from tamesu.fields import Field
from tamesu.fields.derived import with_kinds, with_sources

Fraction = Annotated[float, Setting(ge=0, le=1)]


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


class Sometimes(Section):
    """A magnitude that is not always there."""

    range: float | tuple[float, float]
    chance: Fraction


# x: from -x to x (a factor: 1-x to 1+x; where there is no less than none: 0 to x); [a, b]: a range, fixed where a = b;
# {range: …, chance: …}: not in every picture
Amount = float | tuple[float, float] | Sometimes


class AugmentConfig(Section):
    """How training pictures are varied; scored pictures never are."""

    # one map a sample
    mirror: Fraction = 0.0  # chance that left and right change places
    flip: Fraction = 0.0  # chance that up and down change places
    turn: Fraction = 0.0  # chance of one, two or three quarter turns
    rotate_deg: Amount = 0.0  # anticlockwise as seen
    scale: Amount = 0.0  # factor 1-x..1+x
    aspect: Amount = 0.0  # width over height, factor 1-x..1+x
    shear_deg: Amount = 0.0
    crop: Amount = 0.0  # share of the area that is cut away, 0..x; the rest fills the frame
    translate: Fraction = 0.08  # share of the side, each way
    border: Literal["reflect", "edge", "wrap", "constant"] | None = (
        None  # constant: black; None: reflect, or black with resize: pad
    )
    # light
    brightness: Amount = 0.0  # added, as a share of the full range
    contrast: Amount = 0.0  # factor 1-x..1+x about the picture's mean
    gamma: Amount = 0.0  # exponent 1-x..1+x
    saturation: Amount = 0.0  # factor 1-x..1+x
    hue_deg: Amount = 0.0  # turn of the colour circle
    # optics and sensor
    blur: Amount = 0.0  # standard deviation in pixels, 0..x
    noise: Amount = 0.0  # standard deviation as a share of the full range, 0..x
    shot_noise: Amount = 0.0  # standard deviation at white, as a share of the full range; falls with the root of the light
    row_noise: Amount = 0.0  # standard deviation of whole rows, as of a rolling shutter's amplifiers
    jpeg: Amount = 0.0  # quality lost, 0..x of 100
    # patches
    shadow: Fraction = 0.0  # chance of a soft polygon in which it is darker
    erase: Fraction = 0.0  # chance that one random rectangle is greyed out
    dropout: Fraction = 0.0  # share of the picture's squares that are greyed out
    # depth
    holes: Fraction = 0.0  # share of a depth map's readings that are lost, in blobs and along edges
    depth_step: NonNegativeFloat = 0.0  # readings rounded to multiples of this; metres
    # between samples
    mixup: NonNegativeFloat = 0.0  # alpha of the Beta distribution the shares are drawn from; 0: off
    cutmix: NonNegativeFloat = 0.0  # the same
    paste: Fraction = 0.0  # chance that objects of another sample are pasted in
    balance: Fraction = 0.0  # 0: classes as often as they are; 1: all equally often, and rare ones varied more
    functions: tuple[
        str | dict[str, Any], ...
    ] = ()  # my_module:my_function, or a photometric transform of torchvision or Albumentations


class TtaConfig(Section):
    """Test-time augmentation: scored pictures seen through several maps, predictions mapped back and averaged."""

    mirror: bool = False  # also mirrored
    turns: bool = False  # also turned by quarter turns
    draws: NonNegativeInt = 0  # also through so many maps drawn from `augment`


DepthChannel = Literal["metres", "valid", "log", "inverse", "clipped", "xyz", "normals", "gradient"]
SeriesChannel = Literal["values", "derivative", "second", "spectrum"]


class ChannelsConfig(Section):
    """What is computed from a picture or a series as it is seen, and given to the network as further channels."""

    coords: Literal["none", "frame", "crop"] = "none"  # x and y, -1 to 1: of the original picture, or of what is seen of it
    fourier: Annotated[int, Setting(ge=0, le=8)] = 0  # octaves of sines and cosines of the original's x and y
    border: bool = False  # distance to the original picture's border
    depth: tuple[DepthChannel, ...] = ()  # of every depth picture, in place of metres with 0 for no reading
    series: tuple[SeriesChannel, ...] = ()  # of every series, in place of its values

    @field_validator("coords", mode="before")
    @classmethod
    def _in_short(cls, coords: Any) -> Any:
        return {True: "frame", False: "none"}[coords] if isinstance(coords, bool) else coords

    @property
    def places(self) -> bool:
        """Whether pictures come with channels of where each pixel is."""
        return self.coords != "none" or self.fourier > 0 or self.border


class InputGroup(Section):
    """Fields that are one source, such as the fifty channels of one sensor."""

    fields: tuple[str, ...]
    weight: PositiveFloat = 1.0  # of its share, when others have 1


class ModelConfig(Section):
    """A network: of the PyTorch learner, or of Keras."""

    # tiny | timm:<name> (torch) | applications:<name> (keras) | your_module:build_backbone
    backbone: str = "tiny"
    backend: Literal["auto", "tensorflow", "jax", "torch"] = "auto"  # of keras; auto: the first of these that is installed
    width: PositiveInt = 32  # tiny: channels of the first stage
    depth: PositiveInt = 1  # tiny: blocks a stage
    activation: str = "relu"
    weights: str = "none"  # timm: none | hub | a file (.safetensors, or a checkpoint readable with weights_only)
    dropout: Fraction = 0.1  # before the heads
    hidden: NonNegativeInt = 64  # table branch: units of its hidden layers
    fusion: Literal["late", "early"] = (
        "late"  # early: a picture `of` another goes through that one's backbone, as channels of it
    )
    stem: Literal["plain", "balanced"] = "plain"  # balanced: each group of inputs has its share, however many channels it has
    groups: dict[str, InputGroup] = {}  # by name; a field that none names is a group of its own
    new_channels: Literal["repeat", "mean", "zero"] = "repeat"  # how pretrained weights see channels beside red, green, blue


class TrainConfig(Section):
    """How the network is trained: fixed epochs, no early stopping."""

    epochs: PositiveInt = 20
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat | Literal["auto"] = "auto"  # auto: see `TrainConfig.decided`
    weight_decay: NonNegativeFloat = 0.05
    warmup_fraction: Fraction = 0.1
    label_smoothing: Annotated[float, Setting(ge=0, lt=1)] = 0.0
    ema: Annotated[float, Setting(ge=0, lt=1)] = 0.0  # decay of the averaged weights; 0: off
    clip_norm: NonNegativeFloat = 1.0  # 0: off
    report: bool = False  # look into the network: dead units, saturation, gradients, what each auxiliary does to the target
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on a GPU that has it, else float32
    channels_last: bool = True
    compile: bool = False
    seed: NonNegativeInt = 0

    def decided(self, *, table_only: bool, pretrained: bool) -> DecidedTrainConfig:
        """The same with nothing left open.

        Args:
            table_only: No input is a picture or a series: a few steps at a low rate learn a table, more learn it by heart.
            pretrained: The network starts from weights that are not to be forgotten.
        """
        rate = 0.001 if table_only else 0.0005 if pretrained else 0.005
        said = {"learning_rate": rate} if self.learning_rate == "auto" else {}
        return DecidedTrainConfig(**self.model_dump() | said)


class DecidedTrainConfig(TrainConfig):
    """What a network is trained with."""

    learning_rate: PositiveFloat = 0.005


class TreesConfig(Section):
    """Gradient boosting (xgboost, lightgbm, catboost): what the libraries have in common, and the rest as they call it."""

    rounds: PositiveInt | Literal["auto"] = "auto"  # auto: by an inner split of the training rows
    learning_rate: PositiveFloat = 0.1
    params: dict[str, bool | int | float | str] = {}  # parameters of the library, by its own names


class SklearnConfig(Section):
    """An estimator of scikit-learn's kind (`learner: sklearn.ensemble.RandomForestClassifier`)."""

    params: dict[str, Any] = {}  # of the estimator, by its own names; one that is an estimator: {learner: …, params: {…}}


class FeaturesConfig(Section):
    """What trees and scikit-learn's estimators, which take tables alone, are given of pictures and series."""

    pictures: tuple[Literal["size", "colour", "texture"], ...] = ("size", "colour", "texture")
    series: tuple[Literal["statistics", "spectrum"], ...] = ("statistics", "spectrum")
    # none | pretrained: what the network of `model` with its weights makes of a picture | trained: what networks of `model` and
    # `train`, cross-fitted inside the training rows, predict
    network: Literal["none", "pretrained", "trained"] = "none"


class EnsembleConfig(Section):
    """Several arms of the study joined into one."""

    members: tuple[str, ...] = ()  # baseline, and ideas or arms by name; (): no ensemble
    method: Literal["mean", "rank_mean", "stack"] = "mean"  # stack: non-negative least squares, cross-fitted
    seeds: PositiveInt = 1  # trainings of each member, with seeds of their own


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
    resize: Literal["stretch", "pad", "crop"] = "stretch"  # how a whole picture comes to `size`
    channels: ChannelsConfig = ChannelsConfig()
    augment: AugmentConfig = AugmentConfig()
    tta: TtaConfig = TtaConfig()
    learner: str = "torch"
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    trees: TreesConfig = TreesConfig()
    sklearn: SklearnConfig = SklearnConfig()
    features: FeaturesConfig = FeaturesConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    device: Literal["auto", "cpu", "gpu", "tpu"] = "auto"  # where trainings run; auto: all GPUs there are, else the CPU
    verdict: VerdictConfig = VerdictConfig()
    draft: bool = False  # three folds: quicker and coarser
    ideas: dict[str, dict[str, Any]] = {}

    @field_validator("fields", mode="before")
    @classmethod
    def _kinds(cls, fields: Any) -> Any:
        return with_kinds(fields)

    @field_validator("fields")
    @classmethod
    def _sources(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return with_sources(fields)

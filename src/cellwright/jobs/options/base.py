"""Options of jobs: each written once, with its type, bounds, meaning and default.

From here the estimators get their arguments, the command line its flags, and the
configuration file of a run its entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from cellwright.cells.cell import Cell
from cellwright.errors import SettingError, in_words

__all__ = [
    "NETWORK",
    "CellName",
    "EncoderOptions",
    "Epochs",
    "Fraction",
    "Layers",
    "LearningRate",
    "NetworkOptions",
    "Rate",
    "RecurrentOptions",
    "Several",
    "TrainingOptions",
    "Units",
    "WeightDecay",
    "option_types",
    "validated",
]

# No machine has more, and a process that starts a hundred thousand of them dies of it.
_MOST_THREADS = 4096

Rate = Annotated[float, Field(ge=0, lt=1)]
Units = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


def _several(given: Any) -> Any:
    """One number as several, so that there is one form of it once it is checked."""
    if isinstance(given, (list, tuple)):
        if not given:
            raise ValueError("give one number at least")
        return tuple(given)
    return (given,) if isinstance(given, Integral) else given


Several = Annotated[Units | Sequence[Units], BeforeValidator(_several)]
# Options whose default is another one from job to job.
Epochs = Annotated[int, Field(ge=1, description="Passes over the training data.")]
LearningRate = Annotated[float, Field(gt=0, description="Highest learning rate.")]
WeightDecay = Annotated[float, Field(ge=0, description="Decay of weights, not biases.")]
CellName = Annotated[str | Cell, Field(description="A cell's name; see `cellwright cells`.")]
Layers = Annotated[Several, Field(description="Units of each layer: 128, or 64,32.")]


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingOptions:
    """How any network is trained."""

    epochs: Epochs = 30
    samples: Annotated[
        int | None, Field(ge=1, description="Stop after this many samples, within an epoch too.")
    ] = None
    batch_size: Annotated[int, Field(ge=1, description="Sequences in a step.")] = 32
    optimizer: Annotated[
        Literal["adamw", "adam", "sgd", "rmsprop"], Field(description="Update rule.")
    ] = "adamw"
    learning_rate: LearningRate = 3e-3
    schedule: Annotated[
        Literal["constant", "cosine", "one_cycle"],
        Field(description="Course of the learning rate over the whole training."),
    ] = "one_cycle"
    weight_decay: WeightDecay = 0.01
    gradient_clip: Annotated[
        float | None, Field(gt=0, description="Greatest norm of the gradient.")
    ] = 1.0
    validation_fraction: Annotated[
        Rate, Field(description="Part of the training data kept to watch progress.")
    ] = 0.1
    patience: Annotated[
        int | None,
        Field(ge=1, description="Stop after so many epochs without a better validation loss."),
    ] = None
    random_state: Annotated[int, Field(ge=0, le=2**32 - 1, description="Seed.")] = 0
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], Field(description="What computes.")
    ] = "auto"
    threads: Annotated[
        int | None,
        Field(
            ge=1,
            le=_MOST_THREADS,
            description="CPU threads; without it one for small networks, else all.",
        ),
    ] = None
    precision: Annotated[
        Literal["32-true", "64-true", "bf16-mixed"],
        Field(description="Numbers in which the network computes."),
    ] = "32-true"


@dataclass(kw_only=True, eq=False, repr=False)
class RecurrentOptions:
    """What the recurrent layers of a network look like."""

    cell: CellName = "lstm"
    layers: Layers = (128,)
    dropout: Annotated[Rate, Field(description="Between layers and before the readout.")] = 0.2
    recurrent_dropout: Annotated[
        Rate, Field(description="On states where they enter a matrix (Gal and Ghahramani).")
    ] = 0.0
    zoneout: Annotated[Rate, Field(description="Chance that a unit keeps its state.")] = 0.0
    weight_drop: Annotated[
        Rate, Field(description="On single weights of the matrices on a state's way.")
    ] = 0.0
    connections: Annotated[
        Literal["none", "residual", "skip"],
        Field(description="Add a layer's input to its output, or let every layer see the input."),
    ] = "none"
    sizes: Annotated[dict[str, int] | None, Field(description="The cell's own sizes: proj=32.")] = (
        None
    )
    initialization: Annotated[
        str | dict[str, str | int],
        Field(description="standard, torch or identity; chrono=100 to remember up to 100 steps."),
    ] = "standard"
    backend: Annotated[str, Field(description="What runs the cell.")] = "auto"


@dataclass(kw_only=True, eq=False, repr=False)
class EncoderOptions(RecurrentOptions):
    """What a network looks like that reads sequences."""

    projection: Annotated[
        int | None, Field(ge=1, description="Units of a linear map before the layers.")
    ] = None
    bidirectional: Annotated[bool, Field(description="Also read from the end.")] = False
    learn_initial_state: Annotated[
        bool, Field(description="Learn the states before the first step.")
    ] = False


@dataclass(kw_only=True, eq=False, repr=False)
class NetworkOptions(EncoderOptions):
    """What a network looks like that reads sequences of numbers, and how it is given them."""

    scaling: Annotated[
        Literal["standard", "global", "none"],
        Field(description="Of numbers: mean 0 and spread 1 for each feature, for all, or not."),
    ] = "standard"


NETWORK = tuple(each.name for each in fields(EncoderOptions))
"""The options that describe a network itself, and not what it is given."""


@cache  # a command line asks for every flag, and hints are read from text anew each time
def option_types(cls: type) -> Mapping[str, Any]:
    """Option name -> its annotated type, base classes first."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: hints[name] for name in getattr(cls, "__dataclass_fields__", {})}


@cache
def _adapters(cls: type) -> dict[str, TypeAdapter[Any]]:
    config = ConfigDict(arbitrary_types_allowed=True)
    return {name: TypeAdapter(hint, config=config) for name, hint in option_types(cls).items()}


def validated(options: Any) -> dict[str, Any]:
    """The options of an instance, checked and converted.

    Raises
    ------
    SettingError
        Naming the option, what it got and what is allowed.
    """
    checked = {}
    for name, adapter in _adapters(options.__class__).items():
        value = getattr(options, name)
        try:
            checked[name] = adapter.validate_python(value)
        except ValidationError as error:
            # Where there are alternatives, the one that got furthest is the one that was meant.
            problem = max(error.errors(), key=lambda error: len(error["loc"]))
            reason = in_words(problem)
            if problem["type"] == "dict_type" and isinstance(value, str):
                reason = (
                    f"a size wants its number: write {value}=32, or in Python {{{value!r}: 32}}"
                )
            raise SettingError(f"{name}={value!r}: {reason}") from error
    return checked

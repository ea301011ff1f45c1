"""What all estimators have in common: training, prediction in batches, files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypedDict, TypeVar

import torch
from pydantic import BaseModel, ConfigDict
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from typing_extensions import Self

from cellwright import cells
from cellwright.errors import SettingError
from cellwright.ir import to_json
from cellwright.jobs import model_file
from cellwright.jobs.options import validated
from cellwright.jobs.training.devices import make_fabric, on_device
from cellwright.jobs.training.engine import train
from cellwright.jobs.training.examples import Epoch, Measurement, Objective, Source
from cellwright.jobs.training.rate_finder import RateCurve, rate_of_estimator
from cellwright.jobs.training.reporting import Reporter
from cellwright.jobs.training.threads import cpu_threads

__all__ = ["Estimator", "Facts", "Hooks", "digest"]

AnyBatch = TypeVar("AnyBatch")


class Hooks(TypedDict, total=False):
    """What `fit` takes beside data, of every estimator.

    checkpoint
        Where to keep the state of the training after each epoch, and when Ctrl-C ends it.
    resume
        Go on from the checkpoint, if there is one.
    reporter
        Is told of progress.
    on_start
        Is called when data and options are checked, before the first step.
    on_epoch
        Is given the history after each epoch.
    """

    checkpoint: Path | None
    resume: bool
    reporter: Reporter | None
    on_start: Callable[[], None] | None
    on_epoch: Callable[[list[dict[str, Any]]], None] | None


class Facts(BaseModel):
    """What a trained estimator knows beside its weights: plain data, checked when it is read."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Estimator(BaseEstimator):  # type: ignore[misc]
    """A network with the options it is made and trained by.

    A subclass is a dataclass of options, names its job and its facts, says in `build_network`
    what it is made of, and writes `fit`, `predict` and `score`.

    Attributes
    ----------
    facts_
        What was learned beside weights.
    network_
        The trained network.
    history_
        A row of measures for each epoch.
    """

    job: ClassVar[str]
    facts_type: ClassVar[type[Facts]]
    prediction_batch: ClassVar[int] = 256

    facts_: Any
    network_: Any
    history_: list[dict[str, Any]]

    @staticmethod
    def build_network(options: Mapping[str, Any], facts: Any) -> nn.Module:
        """The untrained network that validated options and facts describe."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """The options, checked and converted; a `SettingError` names the one that is wrong."""
        return validated(self)

    def reading_options(self) -> dict[str, Any]:
        """What new data are read by: the options, with what the training has settled of them."""
        return self.options()

    def new_network(self, options: Mapping[str, Any], facts: Any) -> Any:
        """An untrained network whose weights follow from the seed alone.

        Raises
        ------
        SettingError
            It does not fit into the memory.
        """
        with torch.random.fork_rng():
            torch.manual_seed(options["random_state"])
            try:
                return self.build_network(options, facts)
            except (MemoryError, RuntimeError) as error:
                # torch has no error of its own for the memory of the CPU.
                if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
                    raise
                raise SettingError(
                    f"layers={options.get('layers')!r}: a network of these options does not fit "
                    f"into the memory; give fewer units"
                ) from error

    def learn(
        self,
        objective: Objective,
        training: Source,
        validation: Epoch | Measurement | None,
        *,
        identity: str,
        hooks: Hooks,
    ) -> None:
        """Train `network_` in place, and keep the history."""
        self.history_ = train(
            self.network_,
            objective,
            training,
            validation,
            self.options(),
            identity=identity,
            **hooks,
        )

    def find_learning_rate(self, *data: Any, **settings: Any) -> RateCurve:
        """Try growing learning rates on data, as for `fit`, and suggest one; nothing is learned.

        Parameters
        ----------
        *data
            As for `fit`.
        **settings
            ``least``, ``greatest`` and ``steps``, as for
            `cellwright.jobs.training.rate_finder.find_learning_rate`.
        """
        return rate_of_estimator(self, *data, **settings)

    def answers(
        self, source: Iterable[AnyBatch], answer: Callable[[Any, AnyBatch], Any]
    ) -> list[Any]:
        """What the network, called by `answer(network, batch)`, has to say to each batch.

        Runs where and in the precision that the options say, without a gradient.
        """
        check_is_fitted(self, "network_")
        options = self.options()
        fabric = make_fabric(options)
        fabric.setup_module(self.network_)  # moves it in place
        network = self.network_.eval()
        threads = cpu_threads(network, self.prediction_batch, options["threads"])
        with torch.inference_mode(), threads, fabric.autocast():
            return [answer(network, on_device(fabric, batch)) for batch in source]

    def save(self, path: str | Path) -> None:
        """Write everything that prediction needs to one file; `cellwright.load` reads it."""
        check_is_fitted(self, "network_")
        facts = self.facts_.model_dump(exclude_none=True)
        model_file.write(Path(path), self.job, self.options(), facts, self.network_)

    @classmethod
    def restore(cls, description: model_file.Description, tensors: Mapping[str, Tensor]) -> Self:
        """Make a trained estimator of what a model file holds."""
        model = cls(**model_file.options_of(cls, description))
        options = validated(model)
        facts = cls.facts_type.model_validate(description.facts)
        model_file.check_bounds(options, tensors)
        cls.check_facts(options, facts, tensors)
        with torch.device("meta"):
            network = cls.build_network(options, facts)
        network.to(torch.float64 if options.get("precision") == "64-true" else torch.float32)
        model_file.fill(network, tensors)
        model.network_, model.history_ = network.eval(), []
        model.knows(facts)
        return model

    @classmethod
    def check_facts(
        cls, options: Mapping[str, Any], facts: Any, tensors: Mapping[str, Tensor]
    ) -> None:
        """Raise `ModelFileError` if facts of a file contradict themselves or its tensors.

        Called before anything is built: sizes of giants are refused here.
        """

    def knows(self, facts: Any) -> None:
        """Take over facts, learned or read; a subclass sets its own attributes here too."""
        self.facts_ = facts


def digest(options: Mapping[str, Any], *parts: object) -> str:
    """A digest of all that the course of a training depends on: options, and data as given.

    Parts are told apart by their `repr`; give fingerprints, lists and numbers, not arrays,
    whose `repr` leaves numbers out.
    """
    shown = dict(options)
    if "cell" in shown:
        shown["cell"] = to_json(cells.get(shown["cell"]).graph)
    text = repr((*parts, sorted(shown.items())))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

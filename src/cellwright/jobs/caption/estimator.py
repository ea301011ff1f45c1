"""Learning to say what is in a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from typing_extensions import Unpack

from cellwright.data.captioned import as_captions
from cellwright.data.pictures import Pictures, as_pictures
from cellwright.errors import ModelFileError
from cellwright.jobs.caption.examples import (
    CaptionExamples,
    PictureBatch,
    picture_batches,
)
from cellwright.jobs.caption.measures import bleu, exact
from cellwright.jobs.estimator import Estimator, Facts, Hooks, digest
from cellwright.jobs.options.caption import CaptionerOptions
from cellwright.jobs.training.dividing import divide
from cellwright.jobs.training.objectives import TokenLoss
from cellwright.models.beam import Hypothesis, greedy_search
from cellwright.models.captioner import CaptionerNetwork
from cellwright.models.image_encoder import make_image_encoder
from cellwright.models.streaming import for_streaming
from cellwright.text import Vocabulary
from cellwright.text.pieces import pieces

__all__ = ["Caption", "Captioner", "CaptionerFacts"]

_MOST_PIXELS = 2**14


class CaptionerFacts(Facts):
    """What a trained captioner knows beside its weights.

    Attributes
    ----------
    height, width, channels
        Of a picture.
    vocabulary
        As `Vocabulary.text` has it.
    longest
        Tokens of the longest caption that was learned from, the end counted.
    """

    height: Annotated[int, Field(ge=1, le=_MOST_PIXELS)]
    width: Annotated[int, Field(ge=1, le=_MOST_PIXELS)]
    channels: Annotated[int, Field(ge=1, le=3)]
    vocabulary: str
    longest: Annotated[int, Field(ge=1, le=2**24)]


class Caption(NamedTuple):
    """What is said of a picture.

    Attributes
    ----------
    text
        The caption.
    tokens
        What it consists of.
    score
        Its log probability, divided by the length penalty.
    attention
        How much each part of the picture counted at each token, (token, row, column), from
        the upper left; None without attention.
    """

    text: str
    tokens: list[str]
    score: float
    attention: npt.NDArray[np.float32] | None


@dataclass(kw_only=True, eq=False, repr=False)
class Captioner(CaptionerOptions, Estimator):
    """Say what is in a picture, with scikit-learn's habits.

    Pictures are an array (sample, height, width) or (sample, height, width, channels), whole
    numbers 0 to 255 or other numbers 0 to 1, or a list of paths; those are brought to
    96 by 96 pixels. Captions are a text for each, or a list of texts. Every option is a keyword
    argument.

    Attributes
    ----------
    vocabulary_
        The words that it knows, a `cellwright.text.Vocabulary`.
    network_
        The trained `CaptionerNetwork`.
    history_
        A row of measures for each epoch.

    Examples
    --------
    >>> import cellwright as cw, numpy as np
    >>> left = np.repeat([[1.0, 0.0]], 8, axis=0).repeat(4, axis=1)
    >>> X, y = [left, left.T] * 20, ["light to the left", "light above"] * 20
    >>> captioner = cw.Captioner(filters=[4], layers=[8], embedding=8, dropout=0, batch_size=4)
    >>> captioner = captioner.set_params(epochs=20, learning_rate=0.02).fit(X, y)
    >>> captioner.predict([left, left.T])
    array(['light to the left', 'light above'], dtype='<U17')

    References
    ----------
    Vinyals et al., "Show and Tell", CVPR (2015).
    Xu et al., "Show, Attend and Tell", ICML (2015).
    """

    job = "caption"
    facts_type = CaptionerFacts
    prediction_batch = 64

    def fit(self, X: Any, y: Any, **hooks: Unpack[Hooks]) -> Captioner:  # noqa: N803
        """Learn from pictures and what is said of them.

        Parameters
        ----------
        X
            Pictures, as the class describes them.
        y
            A caption for each, or a list of several.
        **hooks
            Checkpoints, resuming and reports, see `Hooks`.

        Raises
        ------
        DataError, ShapeError, SettingError, TrainingError
            Data or options cannot be used; the message says which and why.
        """
        options = self.options()
        pictures = as_pictures(X)
        captions = as_captions(y, len(pictures))
        learned, watched = divide(len(pictures), options)
        texts = [text for row in learned for text in captions[row]]
        vocabulary = Vocabulary.learn(
            texts,
            options["vocabulary"],
            options["vocabulary_size"],
            options["least"],
            options["lowercase"],
        )

        def examples(rows: npt.NDArray[np.int64]) -> CaptionExamples:
            chosen = [captions[row] for row in rows]
            return CaptionExamples.of(pictures.take(rows), chosen, vocabulary)

        training = examples(learned)
        height, width, channels = pictures.shape
        self.knows(
            CaptionerFacts(
                height=height,
                width=width,
                channels=channels,
                vocabulary=vocabulary.text,
                longest=int(training.lengths.max()),
            )
        )
        self.network_ = self.new_network(options, self.facts_)
        self.network_.encoder.use_trained_weights()
        self.learn(
            TokenLoss(options["label_smoothing"], options["scheduled_sampling"]),
            training,
            None if watched is None else examples(watched),
            identity=digest(options, pictures.fingerprint, captions),
            hooks=hooks,
        )
        return self

    def predict(self, X: Any) -> npt.NDArray[np.str_]:  # noqa: N803
        """The best caption of each picture, (sample,)."""
        return np.array([caption.text for caption in self.describe(X)], dtype=np.str_)

    def describe(self, X: Any) -> list[Caption]:  # noqa: N803
        """The best caption of each picture, with its score and where the decoder looked."""
        check_is_fitted(self, "network_")
        options, facts = self.options(), self.facts_
        pictures = as_pictures(X, shape=(facts.height, facts.width, facts.channels))
        search = self._search(options)
        search |= {"width": options["beam"], "length_penalty": options["length_penalty"]}

        def best(network: CaptionerNetwork, batch: PictureBatch) -> list[Hypothesis]:
            return network.describe(batch.pixels, **search)

        batches = picture_batches(pictures, self.prediction_batch)
        return [self._said(one) for found in self.answers(batches, best) for one in found]

    def stream(self, picture: Any) -> Iterator[str]:
        """Describe a picture piece by piece: what `predict` says with a beam of 1, as it is found.

        The network runs on the CPU, with the weights that it has now.

        Examples
        --------
        ``for piece in model.stream("picture.png"): print(piece, end="", flush=True)``

        Raises
        ------
        DataError, ShapeError
            It is no picture such as those that were learned from.
        """
        check_is_fitted(self, "network_")
        facts, vocabulary = self.facts_, self.vocabulary_
        given = as_pictures([picture], shape=(facts.height, facts.width, facts.channels))
        network: CaptionerNetwork = for_streaming(self.network_)
        (batch,) = picture_batches(given, 1)
        with torch.no_grad():
            memory, state = network.see(batch.pixels)
        found = greedy_search(network.decoder, state, memory, **self._search(self.options()))
        return pieces(vocabulary, (token for token, _ in found), vocabulary.begin)

    def _search(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What every search is told."""
        vocabulary = self.vocabulary_
        return {
            "begin": vocabulary.begin,
            "end": vocabulary.end,
            "forbidden": (vocabulary.padding, vocabulary.begin, vocabulary.unknown),
            "longest": options["longest"] or self.facts_.longest,
        }

    def _said(self, found: Hypothesis) -> Caption:
        vocabulary = self.vocabulary_
        return Caption(
            text=vocabulary.decode(found.tokens),
            tokens=[vocabulary.decode([token]) for token in found.tokens],
            score=found.score,
            attention=None if found.weights is None else found.weights.float().numpy(),
        )

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Share of pictures whose caption is word for word one of those given."""
        pictures, captions = self._pairs(X, y)
        return float(exact(self.predict(pictures).tolist(), captions, self.vocabulary_).mean())

    def bleu(self, X: Any, y: Any) -> float:  # noqa: N803
        """BLEU of the captions against those given, 0 to 100, by sacrebleu."""
        pictures, captions = self._pairs(X, y)
        return bleu(self.predict(pictures).tolist(), captions, self.vocabulary_)

    def _pairs(self, X: Any, y: Any) -> tuple[Pictures, list[list[str]]]:  # noqa: N803
        check_is_fitted(self, "network_")
        facts = self.facts_
        pictures = as_pictures(X, shape=(facts.height, facts.width, facts.channels))
        return pictures, as_captions(y, len(pictures))

    def knows(self, facts: CaptionerFacts) -> None:
        """Take over what was learned beside weights."""
        super().knows(facts)
        self.vocabulary_ = Vocabulary.read(facts.vocabulary)

    @classmethod
    def check_facts(
        cls, options: Mapping[str, Any], facts: CaptionerFacts, tensors: Mapping[str, Tensor]
    ) -> None:
        """The vocabulary must be that of the weights."""
        embedding = tensors.get("decoder.embedding.weight")
        known = len(Vocabulary.read(facts.vocabulary))
        if embedding is None or len(embedding) != known:
            raise ModelFileError(f"a vocabulary of {known} tokens is not that of its weights")

    @staticmethod
    def build_network(options: Mapping[str, Any], facts: CaptionerFacts) -> CaptionerNetwork:
        """The untrained network that validated options and facts describe."""
        encoder = make_image_encoder(
            options["encoder"], facts.channels, options["filters"], fine_tune=options["fine_tune"]
        )
        names = (
            *("embedding", "attention", "feeding", "tied", "dropout", "cell", "layers"),
            *("recurrent_dropout", "zoneout", "weight_drop", "connections", "sizes"),
            *("initialization", "backend"),
        )
        return CaptionerNetwork(
            encoder,
            facts.height,
            facts.width,
            len(Vocabulary.read(facts.vocabulary)),
            features=options["image_features"],
            **{name: options[name] for name in names},
        )

"""Two networks that learn from each other: one makes sequences, one tells them from real ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from cellwright.models.classifier import ClassifierNetwork
from cellwright.models.stepwise import StepwiseNetwork
from cellwright.models.trunk import ScaledNetwork

__all__ = ["GANNetwork"]


class GANNetwork(ScaledNetwork):
    r"""A recurrent generator and a recurrent discriminator of real-valued sequences.

    $$\hat x_t = W_G\,\mathrm{layers}_G(z_0, z_1 \dots z_t, c) + b_G, \qquad
      D(x) = W_D \operatorname{mean}_t \mathrm{layers}_D(x, c)_t + b_D$$

    with noise $z_0$ that stands at every step, noise $z_t$ of a step's own, both standard
    normal, and an embedding $c$ of the class where there are classes (a recurrent conditional
    GAN: Esteban, Hyland and Rätsch 2017; the noise that stays is what makes one sequence slow
    or high as a whole). Both networks see features brought to mean 0 and spread 1.

    Parameters
    ----------
    features
        Features at each step.
    classes
        Number of classes to be conditioned on; 0 for none.
    noise
        Numbers of noise at each step, and as many that stay.
    condition
        Units of the embedding of a class.
    layers, discriminator_layers
        Units of the layers of each network.
    bidirectional
        Whether the discriminator also reads from the end.
    spectral
        Divide every matrix of the discriminator by its greatest singular value (Miyato et al.
        2018).
    **options
        Of both networks' recurrent layers: as for `ClassifierNetwork`.

    Attributes
    ----------
    generator, discriminator
        The networks.
    averaged
        A generator whose weights are a running mean over the training; it is the one that
        samples are drawn from, because a generator goes round its goal (Yazıcı et al. 2019).
    """

    averages: Tensor

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        noise: int,
        condition: int,
        layers: Sequence[int],
        discriminator_layers: Sequence[int],
        bidirectional: bool = True,
        spectral: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(features)
        self.features, self.classes, self.noise = features, classes, noise
        extra = condition if classes else 0
        self.generator = _Conditioned(
            StepwiseNetwork(2 * noise + extra, features, layers=layers, **options), classes, extra
        )
        self.discriminator = _Conditioned(
            ClassifierNetwork(
                features + extra,
                1,
                layers=discriminator_layers,
                bidirectional=bidirectional,
                pooling="mean",
                **options,
            ),
            classes,
            extra,
        )
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        self.register_buffer("averages", torch.zeros((), dtype=torch.int64))
        if spectral:
            _normalize(self.discriminator)

    def draw_noise(self, rows: int, steps: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise for sequences, (row, time, 2 noise): what stays, then what a step has alone."""
        like = next(self.parameters())
        drawn = torch.randn(
            (rows, steps + 1, self.noise),
            generator=generator,
            dtype=like.dtype,
            device=like.device if generator is None else "cpu",
        ).to(like.device)
        stays = drawn[:, :1].expand(-1, steps, -1)
        return torch.cat([stays, drawn[:, 1:]], -1)

    def generate(
        self, noise: Tensor, lengths: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Sequences from the mean generator, in the data's own units.

        Parameters
        ----------
        noise
            (batch, time, 2 noise), see `draw_noise`.
        lengths
            Steps of each row, (batch,).
        labels
            Class of each row, (batch,), where there are classes.

        Returns
        -------
        Tensor
            (batch, time, features), double precision, on the CPU; what stands behind the end
            of a row means nothing.
        """
        made: Tensor = self.averaged(noise, lengths, labels)
        return made.cpu().double() * self.spread + self.shift

    def scaled(self, x: Tensor) -> Tensor:
        """Sequences as both networks see them, in the precision of the weights."""
        return self.standardized(x).to(next(self.parameters()).dtype)

    @torch.no_grad()
    def average(self, keep: float) -> None:
        """Move the running mean towards the generator; it keeps `keep` of itself, less at first."""
        # Else it would remember for long the weights that nothing was learned by.
        keep = min(keep, float((self.averages + 1) / (self.averages + 10)))
        self.averages += 1
        pairs = zip(self.averaged.parameters(), self.generator.parameters(), strict=True)
        for mean, weight in pairs:
            mean.lerp_(weight, 1 - keep)


class _Conditioned(nn.Module):
    """A network that is told the class at every step."""

    def __init__(self, network: ClassifierNetwork, classes: int, units: int) -> None:
        super().__init__()
        self.network = network
        self.embedding = nn.Embedding(classes, units) if classes else None

    def forward(
        self, x: Tensor, lengths: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        if self.embedding is not None:
            told = self.embedding(labels).unsqueeze(1).expand(-1, x.shape[1], -1)
            x = torch.cat([x, told], -1)
        scores: Tensor = self.network(x, lengths)
        return scores


def _normalize(module: nn.Module) -> None:
    """Bring every matrix of a module to a greatest singular value of 1."""
    for part in list(module.modules()):
        matrices = [name for name, w in part.named_parameters(recurse=False) if w.dim() == 2]
        for name in matrices:
            spectral_norm(part, name)

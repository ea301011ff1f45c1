"""What generator and discriminator play for, and how well the generator does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from cellwright.data import Batch
from cellwright.jobs.training.devices import on_device
from cellwright.jobs.training.examples import Examples
from cellwright.models import GANNetwork

__all__ = ["Adversarial", "Distance", "sliced_distance"]

# What the distance looks at: not more steps than these at a time, from so many sides.
_PIECE, _DIRECTIONS = 24, 128


class Adversarial:
    r"""Both networks' losses in one, of which each network's weights get its own gradient.

    With scores $r = D(x)$ of real sequences and $f = D(G(z))$ of made ones:

    * relativistic (Jolicoeur-Martineau 2019): $L_D = \mathrm{softplus}(f - r)$,
      $L_G = \mathrm{softplus}(r - f)$, real and made in pairs of equal length and class;
    * logistic (Goodfellow et al. 2014): $L_D = \mathrm{softplus}(-r) + \mathrm{softplus}(f)$,
      $L_G = \mathrm{softplus}(-f)$;
    * hinge (Lim and Ye 2017): $L_D = \max(0, 1 - r) + \max(0, 1 + f)$, $L_G = -f$.

    The slope of the discriminator is held down on real and on made sequences (R1 and R2:
    Mescheder, Geiger and Nowozin 2018; with the relativistic loss this is what Huang et al.
    2024 show to settle), measured by a difference, not by a second derivative:

    $$\frac{\gamma}{2}\,\mathrm{E}_{\epsilon \sim N(0, I)}
      \Big(\frac{D(x + \sigma \epsilon) - D(x)}{\sigma}\Big)^2
      \to \frac{\gamma}{2}\,\lVert \nabla_x D(x) \rVert^2 \quad (\sigma \to 0)$$

    In the discriminator's loss what was made is a constant, in the generator's loss the
    discriminator's weights are; so one backward pass of the sum gives both gradients.

    Parameters
    ----------
    loss
        One of the above.
    penalty
        $\gamma$; 0 for none.
    width
        $\sigma$, in spreads of the features.
    averaging
        Share that the mean generator keeps of itself at each step.
    """

    def __init__(self, loss: str, penalty: float, width: float, averaging: float) -> None:
        self.loss, self.penalty, self.width, self.averaging = loss, penalty, width, averaging

    def __call__(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean of both losses together, and sums over the batch of each."""
        assert isinstance(network, GANNetwork)
        real, lengths, labels = network.scaled(batch.x), batch.lengths, batch.targets
        noise = network.draw_noise(len(real), real.shape[1])
        made = network.generator(noise, lengths, labels)
        r, f, penalty = self._judged(network, real, made.detach(), lengths, labels)
        fixed = {name: weight.detach() for name, weight in network.discriminator.named_parameters()}
        judged = torch.func.functional_call(network.discriminator, fixed, (made, lengths, labels))
        mine, theirs = self._losses(r, f, judged)
        if network.training:
            network.average(self.averaging)
        count, slope = len(batch.rows), self.penalty / 2 * penalty
        total = mine + theirs + slope
        return total, {
            "loss": total.detach() * count,
            "discriminator": (mine + slope).detach() * count,
            "generator": theirs.detach() * count,
        }

    def _judged(
        self,
        network: GANNetwork,
        real: Tensor,
        made: Tensor,
        lengths: Tensor,
        labels: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of real and made sequences, and the mean square of the slope, in one pass."""
        shown = torch.cat([real, made])
        if self.penalty:
            shown = torch.cat([shown, shown + self.width * torch.randn_like(shown)])
        times = len(shown) // len(real)
        told = None if labels is None else labels.repeat(times)
        scores = network.discriminator(shown, lengths.repeat(times), told)
        if not self.penalty:
            r, f = scores.chunk(2)
            return r, f, scores.new_zeros(())
        here, there = scores.chunk(2)
        r, f = here.chunk(2)
        # Of real sequences and of made ones: the sum of two means.
        return r, f, 2 * ((there - here) / self.width).square().mean()

    def _losses(self, r: Tensor, f: Tensor, judged: Tensor) -> tuple[Tensor, Tensor]:
        """The discriminator's loss, and the generator's."""
        if self.loss == "relativistic":
            return softplus(f - r).mean(), softplus(r.detach() - judged).mean()
        if self.loss == "logistic":
            return softplus(-r).mean() + softplus(f).mean(), softplus(-judged).mean()
        return relu(1 - r).mean() + relu(1 + f).mean(), -judged.mean()


class Distance:
    """How far what the mean generator makes is from sequences that it did not learn from.

    Called after each epoch, always with the same noise: ``{"loss": distance}``.

    Parameters
    ----------
    examples
        Real sequences, with the classes to make.
    batch_size
        Sequences at a time.
    seed
        Of the noise, and of the directions that are looked from.
    """

    def __init__(self, examples: Examples, batch_size: int, seed: int) -> None:
        self.examples, self.batch_size, self.seed = examples, batch_size, seed

    @torch.no_grad()
    def __call__(self, fabric: Fabric, network: nn.Module) -> dict[str, float]:
        """Make as many sequences, of the same lengths and classes, and compare."""
        assert isinstance(network, GANNetwork)
        network.eval()
        random = torch.Generator().manual_seed(self.seed)
        length = min(int(self.examples.lengths.min()), _PIECE)
        draw = np.random.default_rng(self.seed)
        pieces: list[list[npt.NDArray[np.float64]]] = [[], []]
        for batch in self.examples.batches(self.batch_size):
            start = draw.integers(batch.lengths.numpy() - length + 1)
            places = start[:, None] + np.arange(length)
            moved = on_device(fabric, batch)
            noise = network.draw_noise(len(batch.rows), moved.x.shape[1], random)
            with fabric.autocast():
                made = network.averaged(noise, moved.lengths, moved.targets)
            for found, values in zip(pieces, (network.scaled(moved.x), made), strict=True):
                array = values.double().cpu().numpy()
                found.append(array[np.arange(len(start))[:, None], places].reshape(len(start), -1))
        real, made_up = (np.concatenate(found) for found in pieces)
        return {"loss": sliced_distance(real, made_up, self.seed)}


def sliced_distance(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], seed: int = 0
) -> float:
    r"""How far two clouds of as many points are from each other, seen from many sides.

    $$\frac{1}{K} \sum_k \frac{1}{n} \sum_i
      \big| \mathrm{sort}(A u_k)_i - \mathrm{sort}(B u_k)_i \big|, \quad \lVert u_k \rVert = 1$$

    the sliced Wasserstein distance (Bonneel et al. 2015), directions $u_k$ at random.

    Parameters
    ----------
    first, second
        (point, number) each.
    seed
        Of the directions.

    Examples
    --------
    >>> points = np.random.default_rng(0).normal(size=(500, 3))
    >>> sliced_distance(points, points[::-1]), round(sliced_distance(points, points + 2), 1)
    (0.0, 1.8)
    """
    directions = np.random.default_rng(seed).normal(size=(first.shape[1], _DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    seen = [np.sort(points @ directions, axis=0) for points in (first, second)]
    return float(np.abs(seen[0] - seen[1]).mean())

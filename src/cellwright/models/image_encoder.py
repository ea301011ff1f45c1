"""From a picture to a grid of features: a small network of ours, or one of torchvision's."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from cellwright.errors import SettingError, require_extra

__all__ = [
    "FrameEncoder",
    "ImageEncoder",
    "SmallImageEncoder",
    "TorchvisionEncoder",
    "make_image_encoder",
]

SMALL = "small"


class ImageEncoder(nn.Module):
    """What turns pictures into a grid of features.

    Attributes
    ----------
    features
        Features at each place of the grid.
    """

    shift: Tensor
    spread: Tensor
    features: int

    def __init__(self, shift: Sequence[float], spread: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(shift).view(-1, 1, 1))
        self.register_buffer("spread", torch.tensor(spread).view(-1, 1, 1))

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the grid for pictures of that many pixels."""
        pixels = torch.zeros(1, height, width, len(self.shift), device="meta")
        with torch.no_grad():  # shapes alone: nothing is computed
            found = copy.deepcopy(self).to("meta").eval()(pixels)
        return int(found.shape[2]), int(found.shape[3])

    def use_trained_weights(self) -> None:
        """Start from weights that were trained elsewhere, where there are such weights."""

    def scaled(self, pixels: Tensor) -> Tensor:
        """Colours brought to mean 0 and spread 1, from whole numbers 0 to 255.

        Parameters
        ----------
        pixels
            (batch, height, width, channels).

        Returns
        -------
        Tensor
            (batch, channels, height, width).
        """
        values = pixels.permute(0, 3, 1, 2).to(self.shift.dtype) / 255
        return (values - self.shift) / self.spread


class SmallImageEncoder(ImageEncoder):
    r"""Stages of a 3 by 3 convolution, 2 by 2 maxima, normalisation by group, and ReLU.

    $$x_{k+1} = \mathrm{relu}(\mathrm{norm}(\mathrm{pool}(K_k * x_k)))$$

    At most eight groups of two channels or more are normalised within each picture (Wu and He
    2018), so that what a picture gives does not depend on what else is in its batch.

    Parameters
    ----------
    channels
        Of the pictures: 1 or 3.
    filters
        Filters of each stage; a stage halves height and width.
    """

    def __init__(self, channels: int, filters: Sequence[int]) -> None:
        super().__init__([0.0] * channels, [1.0] * channels)
        if not filters:
            raise SettingError("filters: an image encoder needs at least one stage")
        stages: list[nn.Module] = []
        for before, after in zip((channels, *filters), filters, strict=False):
            # One channel a group would leave nothing of a picture that has become one place.
            groups = math.gcd(min(8, max(1, after // 2)), after)
            stages += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                # Before the norm, so that a fourth is left to normalise.
                nn.MaxPool2d(2, ceil_mode=True),
                nn.GroupNorm(groups, after),
                nn.ReLU(),
            ]
        self.stages = nn.Sequential(*stages)
        self.filters, self.features = tuple(filters), filters[-1]

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the grid for pictures of that many pixels.

        Raises
        ------
        SettingError
            A stage leaves a single number, which normalised is zero whatever was seen.
        """
        for number, filters in enumerate(self.filters, 1):
            height, width = (height + 1) // 2, (width + 1) // 2
            if filters * height * width == 1:
                raise SettingError(
                    f"filters {list(self.filters)}: stage {number} leaves a single number of a "
                    f"picture; use fewer stages or more filters"
                )
        return height, width

    def forward(self, pixels: Tensor) -> Tensor:
        """Features at each place.

        Parameters
        ----------
        pixels
            (batch, height, width, channels), 0 to 255.

        Returns
        -------
        Tensor
            (batch, features, rows, columns).
        """
        features: Tensor = self.stages(self.scaled(pixels))
        return features


class FrameEncoder(nn.Module):
    """The stages of a `SmallImageEncoder` on each step of a sequence of pictures.

    Parameters
    ----------
    pixels
        Numbers at each step: rows times columns times colours.
    size
        Rows and columns of each picture.
    filters
        Of each stage; a stage halves rows and columns.

    Attributes
    ----------
    features
        Numbers that it makes of each picture.

    Raises
    ------
    SettingError
        That many numbers are no pictures of that size.
    """

    def __init__(self, pixels: int, size: tuple[int, int], filters: Sequence[int]) -> None:
        super().__init__()
        rows, columns = size
        if pixels % (rows * columns):
            raise SettingError(
                f"picture_size={rows},{columns}: a step has {pixels} numbers, which are not "
                f"pictures of {rows} by {columns} pixels"
            )
        self.size, self.colours = size, pixels // (rows * columns)
        encoder = SmallImageEncoder(self.colours, filters)
        self.stages = encoder.stages
        self.features = encoder.features * math.prod(encoder.grid(rows, columns))

    def forward(self, x: Tensor) -> Tensor:
        """Features of each picture.

        Parameters
        ----------
        x
            (batch, time, pixels), a picture's colours innermost; already scaled.

        Returns
        -------
        Tensor
            (batch, time, features).
        """
        batch, time = x.shape[:2]
        pictures = x.reshape(batch * time, *self.size, self.colours).permute(0, 3, 1, 2)
        found: Tensor = self.stages(pictures)
        return found.reshape(batch, time, self.features)


class TorchvisionEncoder(ImageEncoder):
    """A network of torchvision's that was trained on ImageNet, without its classifier.

    Parameters
    ----------
    name
        Such as ``"resnet18"`` or ``"mobilenet_v3_small"``.
    fine_tune
        Train these weights too; otherwise they stay as they are.

    Raises
    ------
    MissingExtraError
        torchvision is not installed.
    SettingError
        It has no such network, or one that gives no grid of features.
    """

    def __init__(self, name: str, *, fine_tune: bool) -> None:
        require_extra("vision", "torchvision")
        models: Any = import_module("torchvision.models")
        try:
            weights = models.get_model_weights(name).DEFAULT
            preset = weights.transforms()
            mean, spread = list(preset.mean), list(preset.std)
        except (ValueError, AttributeError) as error:
            raise SettingError(
                f"encoder={name!r}: torchvision has no such network for pictures; small is "
                f"always there"
            ) from error
        super().__init__(mean, spread)
        self.name, self.weights, self.fine_tune = name, weights, fine_tune
        self.body = _without_classifier(name, models.get_model(name, weights=None))
        self.body.requires_grad_(fine_tune)
        self.features = _features(self.body)

    def use_trained_weights(self) -> None:
        """Read the weights from the folder where torchvision keeps them.

        They are never downloaded: fetch them beforehand, with
        ``torchvision.models.get_model(name, weights="DEFAULT")``.

        Raises
        ------
        SettingError
            They are not there, or damaged.
        """
        tensors = _read_weights(self.name, self.weights)
        models: Any = import_module("torchvision.models")
        whole = models.get_model(self.name, weights=None)
        try:
            whole.load_state_dict(tensors)
        except RuntimeError as error:
            raise SettingError(f"encoder={self.name!r}: its weights do not fit: {error}") from error
        self.body.load_state_dict(_without_classifier(self.name, whole).state_dict())

    def train(self, mode: bool = True) -> TorchvisionEncoder:
        """Training mode, which means nothing to weights and statistics that stay as they are."""
        super().train(mode)
        if not self.fine_tune:
            self.body.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Features at each place, (batch, features, rows, columns)."""
        # A grey picture gets three colours by being scaled: one mean and spread for each.
        with torch.set_grad_enabled(self.fine_tune and torch.is_grad_enabled()):
            features: Tensor = self.body(self.scaled(pixels))
        return features


def make_image_encoder(
    name: str, channels: int, filters: Sequence[int], *, fine_tune: bool = False
) -> ImageEncoder:
    """The image encoder of that name: ``"small"``, or one of torchvision's.

    Parameters
    ----------
    name
        Which.
    channels
        Of the pictures.
    filters
        Stages of the small one.
    fine_tune
        As for `TorchvisionEncoder`.
    """
    if name == SMALL:
        return SmallImageEncoder(channels, filters)
    return TorchvisionEncoder(name, fine_tune=fine_tune)


def _read_weights(name: str, weights: Any) -> Any:
    """Tensors from torchvision's folder, held against the digest in the file's name.

    torchvision reads its own file, from which tensors alone are taken: nothing in it is run.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    if not path.is_file():
        raise SettingError(
            f"encoder={name!r}: its weights are not at {path}; fetch them once with "
            f"torchvision.models.get_model({name!r}, weights='DEFAULT'), or use encoder='small'"
        )
    wanted = path.stem.rpartition("-")[2]
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(wanted):
        raise SettingError(f"encoder={name!r}: the weights at {path} are damaged; fetch them anew")
    try:
        return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # whatever the damaged bytes lead it to
        raise SettingError(f"encoder={name!r}: {path} cannot be read: {error}") from error


def _without_classifier(name: str, whole: nn.Module) -> nn.Module:
    if isinstance(getattr(whole, "features", None), nn.Module):
        return whole.features  # type: ignore[return-value]
    layers = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    if all(hasattr(whole, layer) for layer in layers):
        return nn.Sequential(*(getattr(whole, layer) for layer in layers))
    raise SettingError(
        f"encoder={name!r}: gives no grid of features; take a ResNet, or a network with a part "
        f"that is called features, such as mobilenet_v3_small"
    )


def _features(body: nn.Module) -> int:
    """Features that it gives at each place."""
    with torch.no_grad():  # shapes alone: nothing is computed
        found = copy.deepcopy(body).to("meta").eval()(torch.zeros(1, 3, 224, 224, device="meta"))
    return int(found.shape[1])

"""Image encoders: ours, and torchvision's on a stand-in for it."""

import hashlib
import importlib.machinery
import io
import sys
import types

import pytest
import torch
from torch import nn

from cellwright.errors import MissingExtraError, SettingError
from cellwright.models import ClassifierNetwork, StepwiseNetwork
from cellwright.models.image_encoder import (
    FrameEncoder,
    SmallImageEncoder,
    TorchvisionEncoder,
    make_image_encoder,
)

MEAN, SPREAD = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)


def pixels(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width", "grid"), [(16, 24, (4, 6)), (13, 9, (4, 3))])
def test_the_grid_is_what_comes_out(channels, height, width, grid):
    encoder = SmallImageEncoder(channels, [4, 6])
    assert encoder(pixels(2, height, width, channels)).shape == (2, 6, *grid)
    assert encoder.grid(height, width) == grid
    assert encoder.features == 6


def test_a_picture_gives_the_same_whatever_is_in_its_batch():
    encoder = SmallImageEncoder(1, [4, 8])
    batch = pixels(5, 16, 16, 1)
    together = encoder(batch)
    for number in range(5):
        torch.testing.assert_close(encoder(batch[number : number + 1])[0], together[number])


def test_it_is_the_formula_of_its_documentation():
    torch.manual_seed(0)
    encoder = SmallImageEncoder(1, [2]).double()
    nn.init.normal_(encoder.stages[2].weight)
    given = pixels(1, 4, 4, 1)
    found = encoder(given)
    image = torch.zeros(6, 6, dtype=torch.float64)
    image[1:5, 1:5] = given[0, :, :, 0].double() / 255
    kernel = encoder.stages[0].weight
    # Both channels are one group.
    windows = image.unfold(0, 3, 1).unfold(1, 3, 1)
    seen = torch.einsum("rchw,khw->krc", windows, kernel[:, 0])
    largest = seen.view(2, 2, 2, 2, 2).amax((2, 4))
    mean, spread = largest.mean(), (largest.var(unbiased=False) + 1e-5).sqrt()
    scaled = (largest - mean) / spread * encoder.stages[2].weight[:, None, None]
    torch.testing.assert_close(found[0], scaled.clamp(min=0))


@pytest.mark.parametrize("filters", [[8, 8, 8], [4, 4, 4, 4, 4], [2, 2, 2], [12, 6, 3]])
def test_a_picture_that_becomes_a_single_place_still_tells_something(filters):
    torch.manual_seed(0)
    encoder = SmallImageEncoder(1, filters)
    assert encoder.grid(8, 8) == (1, 1)
    found = encoder(pixels(3, 8, 8, 1))
    assert found.shape == (3, filters[-1], 1, 1)
    assert found.flatten(1).amax(1).min() > 0


def test_a_single_number_is_refused():
    assert SmallImageEncoder(1, [1]).grid(8, 8) == (4, 4)
    with pytest.raises(SettingError, match=r"filters \[2, 1\]: stage 2 leaves a single number"):
        SmallImageEncoder(1, [2, 1]).grid(4, 3)


def test_without_a_stage_there_is_no_encoder():
    with pytest.raises(SettingError, match="at least one stage"):
        SmallImageEncoder(1, [])


@pytest.mark.parametrize("colours", [1, 3])
def test_frames_are_seen_as_single_pictures_are(colours):
    torch.manual_seed(0)
    frames = FrameEncoder(7 * 5 * colours, (7, 5), [8, 16])
    alone = SmallImageEncoder(colours, [8, 16])
    alone.stages.load_state_dict(frames.stages.state_dict())
    film = pixels(2, 3, 7, 5, colours)
    found = frames(film.flatten(2) / 255)
    assert found.shape == (2, 3, frames.features)
    for clip in range(2):
        torch.testing.assert_close(found[clip], alone(film[clip]).flatten(1))


def test_rows_that_are_no_pictures_are_refused():
    with pytest.raises(SettingError, match="a step has 30 numbers.* 7 by 5"):
        FrameEncoder(30, (7, 5), [4])


@pytest.mark.parametrize("projection", [None, 6])
def test_a_film_can_be_streamed(projection):
    torch.manual_seed(0)
    options = {"cell": "gru", "layers": [5], "picture_size": (6, 4), "picture_filters": [8]}
    network = StepwiseNetwork(24, 3, projection=projection, **options).eval()
    film = torch.randn(2, 4, 24)
    whole, stream = network(film), network.stream(2)
    for step in range(4):
        torch.testing.assert_close(stream.step(film[:, step]), whole[:, step])


def test_padding_behind_a_film_changes_nothing():
    torch.manual_seed(0)
    options = {"cell": "lstm", "layers": [5], "picture_size": (6, 4), "picture_filters": [8]}
    network = ClassifierNetwork(24, 3, bidirectional=True, **options).eval()
    film = torch.randn(2, 4, 24)
    padded = torch.cat([film, torch.full((2, 3, 24), 9.0)], 1)
    torch.testing.assert_close(network(padded, torch.tensor([4, 4])), network(film))


def test_without_torchvision_it_is_said_what_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="torchvision"):
        make_image_encoder("resnet18", 3, [4])


class Residual(nn.Module):
    """Laid out as torchvision's ResNets are."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for number in range(1, 5):
            setattr(self, f"layer{number}", nn.Conv2d(4, 4, 3, 2 if number > 1 else 1, 1))
        self.fc = nn.Linear(4, 10)


class Featured(nn.Module):
    """Laid out as its MobileNets are."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.BatchNorm2d(5))
        self.classifier = nn.Linear(5, 10)


NETWORKS = {"resnet18": Residual, "mobilenet_v3_small": Featured, "vit": lambda: nn.Linear(3, 3)}


@pytest.fixture
def torchvision(monkeypatch, tmp_path):
    """A stand-in with the three functions that are used, and weights where it keeps them."""

    def get_model_weights(name):
        if name not in NETWORKS:
            raise ValueError(f"Unknown model {name}")
        preset = types.SimpleNamespace(mean=list(MEAN), std=list(SPREAD))
        file = f"{name}-{digests.get(name, '00000000')}.pth"

        def get_state_dict(progress, check_hash, weights_only):
            assert check_hash
            assert weights_only
            return torch.load(folder / file, weights_only=weights_only)

        weights = types.SimpleNamespace(
            url=f"https://example.org/models/{file}",
            transforms=lambda: preset,
            get_state_dict=get_state_dict,
        )
        return types.SimpleNamespace(DEFAULT=weights)

    def get_model(name, weights):
        assert weights is None  # nothing may be downloaded
        return NETWORKS[name]()

    module = types.ModuleType("torchvision")
    module.__spec__ = importlib.machinery.ModuleSpec("torchvision", None)
    module.models = types.ModuleType("torchvision.models")
    module.models.get_model_weights = get_model_weights
    module.models.get_model = get_model
    monkeypatch.setitem(sys.modules, "torchvision", module)
    monkeypatch.setitem(sys.modules, "torchvision.models", module.models)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    digests = {}

    def keep(name, content=None):
        buffer = io.BytesIO()
        torch.save(NETWORKS[name]().state_dict() if content is None else content, buffer)
        digests[name] = hashlib.sha256(buffer.getvalue()).hexdigest()[:8]
        path = folder / f"{name}-{digests[name]}.pth"
        path.write_bytes(buffer.getvalue())
        return path

    return keep


@pytest.mark.parametrize(("name", "grid"), [("resnet18", (2, 3)), ("mobilenet_v3_small", (32, 48))])
def test_weights_that_are_there_are_used(torchvision, name, grid):
    path = torchvision(name)
    encoder = make_image_encoder(name, 3, [4])
    assert isinstance(encoder, TorchvisionEncoder)
    encoder.use_trained_weights()
    whole = NETWORKS[name]()
    whole.load_state_dict(torch.load(path, weights_only=True))
    given = pixels(2, 64, 96, 3)
    scaled = (given.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(
        SPREAD
    ).view(-1, 1, 1)
    whole.eval()
    wanted = scaled
    parts = [p for p in vars(whole)["_modules"] if p not in ("fc", "classifier")]
    for part in parts:
        wanted = getattr(whole, part)(wanted)
    found = encoder.train()(given)  # it stays in evaluation mode
    torch.testing.assert_close(found, wanted)
    assert encoder.grid(64, 96) == grid == tuple(found.shape[2:])
    assert encoder.features == found.shape[1]
    assert not found.requires_grad
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_fine_tuning_trains_the_weights(torchvision):
    torchvision("resnet18")
    encoder = make_image_encoder("resnet18", 3, [4], fine_tune=True)
    encoder.use_trained_weights()
    encoder.train()(pixels(2, 64, 64, 3)).sum().backward()
    assert encoder.body[0].weight.grad is not None
    assert encoder.body[1].training


def test_a_grey_picture_is_seen_in_three_equal_colours(torchvision):
    encoder = make_image_encoder("mobilenet_v3_small", 1, [4]).eval()
    grey = pixels(2, 8, 8, 1)
    torch.testing.assert_close(encoder(grey), encoder(grey.expand(-1, -1, -1, 3)))


def test_what_cannot_be_used_is_refused(torchvision):
    with pytest.raises(SettingError, match="'nothing': torchvision has no such network"):
        make_image_encoder("nothing", 3, [4])
    with pytest.raises(SettingError, match="'vit': gives no grid of features"):
        make_image_encoder("vit", 3, [4])
    encoder = make_image_encoder("resnet18", 3, [4])
    with pytest.raises(SettingError, match=r"its weights are not at .*resnet18-00000000.pth"):
        encoder.use_trained_weights()


def test_damaged_weights_are_refused(torchvision):
    path = torchvision("resnet18")
    encoder = make_image_encoder("resnet18", 3, [4])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(SettingError, match="are damaged"):
        encoder.use_trained_weights()
    torchvision("resnet18", {"other": torch.zeros(2)})
    with pytest.raises(SettingError, match="its weights do not fit"):
        make_image_encoder("resnet18", 3, [4]).use_trained_weights()


class Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('it ran')",))


def test_nothing_in_a_weights_file_is_run(torchvision):
    torchvision("resnet18", {"conv1.weight": Harmful()})
    with pytest.raises(SettingError, match="cannot be read"):
        make_image_encoder("resnet18", 3, [4]).use_trained_weights()

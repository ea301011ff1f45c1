import pytest
import torch

from cellwright.models.forecaster import ForecasterNetwork, WindowNetwork, naive_weights

OPTIONS = {
    "patch": 2,
    "outputs": 3,
    "start": [-1.0, 0.0, 1.0],
    "anchors": [0, 1, 2],
    "known": 2,
    "features": 3,
    "static": 1,
    "categories": [3],
    "decoder": "linear",
    "autoregression": True,
    "naive_seasons": 1,
    "dropout": 0.0,
    "projection": None,
    "cell": "gru",
    "layers": [5],
    "bidirectional": False,
}


def inputs(batch=4, seed=0):
    torch.manual_seed(seed)
    return {
        "values": torch.randn(batch, 8),
        "observed": torch.ones(batch, 8),
        "features": torch.randn(batch, 8, 3),
        "ahead": torch.randn(batch, 6, 2),
        "static": torch.randn(batch, 1),
        "categories": torch.randint(3, (batch, 1)),
    }


def test_naive_weights_repeat_the_last_season():
    z = torch.arange(8.0)
    assert (naive_weights(8, 6, 4, 1) @ z).tolist() == [4, 5, 6, 7, 4, 5]


def test_naive_weights_of_several_seasons_average_shapes_on_the_last_level():
    first, second = torch.tensor([1.0, 2, 3, 6]), torch.tensor([14.0, 12, 16, 18])
    found = naive_weights(8, 4, 4, 2) @ torch.cat([first, second])
    torch.testing.assert_close(found, 15 + (first - 3 + second - 15) / 2)


@pytest.mark.parametrize("decoder", ["linear", "recurrent"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_starts_near_the_naive_forecast_in_its_interval(decoder, bidirectional):
    torch.manual_seed(0)
    changed = {**OPTIONS, "decoder": decoder, "bidirectional": bidirectional}
    network = WindowNetwork(8, 6, 4, **changed)
    given = inputs()
    told = network(**given)
    assert told.shape == (4, 6, 3)
    naive = given["values"] @ naive_weights(8, 6, 4, 1).T
    expected = naive.unsqueeze(2) + torch.tensor([-1.0, 0.0, 1.0])
    assert (told - expected).abs().mean() < 0.2


@pytest.mark.parametrize("decoder", ["linear", "recurrent"])
@pytest.mark.parametrize(
    "name", ["values", "observed", "features", "ahead", "static", "categories"]
)
def test_everything_that_is_known_is_read(decoder, name):
    torch.manual_seed(0)
    network = WindowNetwork(8, 6, 4, **{**OPTIONS, "decoder": decoder})
    given = inputs()
    changed = (given[name] + 1) % 3 if name == "categories" else given[name] + 1
    assert not torch.allclose(network(**given), network(**given | {name: changed}))


def test_what_is_known_of_a_step_ahead_moves_that_step_alone():
    torch.manual_seed(0)
    network = WindowNetwork(8, 6, 4, **OPTIONS)
    given = inputs()
    later = given["ahead"].clone()
    later[:, 3] += 1
    moved = (network(**given) - network(**given | {"ahead": later})).abs().amax((0, 2))
    assert (moved > 0).tolist() == [False, False, False, True, False, False]


def test_members_differ_and_every_weight_learns():
    torch.manual_seed(0)
    network = ForecasterNetwork(2, 8, 6, 4, **OPTIONS)
    told = network(inputs())
    assert told.shape == (2, 4, 6, 3)
    assert not torch.allclose(told[0], told[1])
    told.square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name

"""The captioner's network: what is seen, and what is said of it."""

import pytest
import torch

from cellwright.models.captioner import CaptionerNetwork
from cellwright.models.image_encoder import SmallImageEncoder


def network(channels=1, **options):
    torch.manual_seed(0)
    defaults = {"features": 5, "embedding": 6, "layers": [7], "cell": "lstm"}
    encoder = SmallImageEncoder(channels, [3, 4])
    return CaptionerNetwork(encoder, 12, 16, 9, **{**defaults, **options})


def pixels(batch=3, channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, 12, 16, channels), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("attention", ["none", "general", "bahdanau", "concat"])
@pytest.mark.parametrize("feeding", ["none", "output", "context"])
def test_every_kind_learns_from_pictures(attention, feeding):
    if attention == "none" and feeding == "context":
        return
    net = network(attention=attention, feeding=feeding)
    scores = net(pixels(), torch.tensor([[2, 5, 6]] * 3))
    assert scores.shape == (3, 3, 9)
    scores.square().sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())
    assert net.encoder.stages[0].weight.grad.abs().max() > 0


def test_the_formula_of_its_documentation():
    net = network().double().eval()
    given = pixels()
    memory, state = net.see(given)
    found = net.encoder(given)
    for row in range(3):
        for column in range(4):
            place = found[:, :, row, column] @ net.project.weight.T + net.project.bias
            mean, spread = place.mean(1, keepdim=True), place.var(1, unbiased=False, keepdim=True)
            wanted = (place - mean) / (spread + 1e-5).sqrt()
            wanted = wanted + net.rows[row, 0] + net.columns[0, column]
            torch.testing.assert_close(memory.values[:, row * 4 + column], wanted)
    # Three rows stay three, four columns four: nothing is lost from so small a grid.
    summary = memory.values.transpose(1, 2).flatten(1)
    h = net.decoder.bridge["0_h"](summary).tanh()
    torch.testing.assert_close(state.recurrent[0]["h"], h)


def test_a_large_grid_is_summed_up_by_its_parts():
    encoder = SmallImageEncoder(1, [3])
    net = CaptionerNetwork(
        encoder, 16, 16, 9, features=5, embedding=6, layers=[7], attention="none"
    ).eval()
    given = pixels(1).new_zeros(1, 16, 16, 1)
    given[:, :4, :4] = 200
    places = net.norm(net.project(net.encoder(given).permute(0, 2, 3, 1)))
    places = (places + net.rows + net.columns).permute(0, 3, 1, 2)
    means = places.reshape(1, 5, 4, 2, 4, 2).mean((3, 5)).flatten(1)
    wanted = net.decoder.bridge["0_h"](means).tanh()
    torch.testing.assert_close(net.see(given).state.recurrent[0]["h"], wanted)
    assert net.see(given).memory is None


def test_what_is_said_of_a_picture_does_not_depend_on_the_others():
    net = network().eval()
    search = {"begin": 1, "end": 2, "longest": 6, "width": 3, "forbidden": (0, 1)}
    together = net.describe(pixels(4), **search)
    for number, found in enumerate(together):
        (alone,) = net.describe(pixels(4)[number : number + 1], **search)
        assert alone.tokens == found.tokens
        assert alone.weights.shape == (len(found.tokens), 3, 4)
        torch.testing.assert_close(alone.weights.sum((1, 2)), torch.ones(len(found.tokens)))


def test_weights_of_the_attention_lie_where_they_were_looked_at():
    net = network(attention="general").eval()
    with torch.no_grad():  # everything is the same everywhere, but for one place that is sought
        for weight in (net.norm.weight, net.norm.bias, net.rows, net.columns):
            weight.zero_()
        net.rows[2] = 4
        net.columns[:, 1] = 4
        net.decoder.attention.key.weight.fill_(1)
        query = net.decoder.attention.forward
    seen = net.see(pixels(1))
    _, weights, _ = query(torch.ones(1, 7), seen.memory)
    assert weights.view(3, 4).argmax() == 2 * 4 + 1


def test_weights_of_a_caption_are_those_of_its_decoding():
    net = network().eval()
    (found,) = net.describe(pixels(1), begin=1, end=2, longest=5, forbidden=(2,))
    memory, state = net.see(pixels(1))
    decoded = net.decoder.decode(torch.tensor([[1, *found.tokens[:-1]]]), state, memory)
    torch.testing.assert_close(found.weights, decoded.attended.weights[0].view(5, 3, 4))


def test_without_attention_there_are_no_weights():
    net = network(attention="none").eval()
    (found, _) = net.describe(pixels(2), begin=1, end=2, longest=4)
    assert found.weights is None

"""How weights start."""

import math

import pytest
import torch

import cellwright as cw
from cellwright.nn import SCHEMES


def weights(cell="lstm", units=64, features=32, **options):
    net = cw.Recurrent(cell, features, units, **options)
    return {k.removeprefix("layer0."): p.detach() for k, p in net.named_parameters()}


def test_the_standard_scheme():
    w = weights()
    for gate in "ifgo":
        recurrent = w[f"{gate}_h"]
        torch.testing.assert_close(recurrent @ recurrent.T, torch.eye(64), rtol=0, atol=1e-5)
        bound = math.sqrt(6 / (64 + 32))
        assert bound * 0.95 < float(w[f"{gate}_x"].abs().max()) <= bound
        assert bool((w[f"{gate}_bias"] == (1.0 if gate == "f" else 0.0)).all())


def test_what_comes_of_a_state_counts_as_recurrent():
    w = weights("gru_reset_before", initialization={"recurrent": "zeros"})
    zero = {name for name, weight in w.items() if bool((weight == 0).all())}
    assert zero == {"r_h", "z_h", "n_rh", "r_bias", "z_bias", "n_bias"}


def test_peepholes_start_as_written_or_as_in_torch():
    assert bool((weights("peephole_lstm")["i_peep"] == 0).all())
    assert bool((weights("peephole_lstm", initialization="torch")["i_peep"] != 0).any())


def test_the_torch_scheme_is_uniform_in_the_hidden_size():
    for weight in weights(initialization="torch").values():
        assert 0.1 < float(weight.abs().max()) <= 1 / 8


def test_the_identity_scheme():
    w = weights("elman_relu", initialization="identity")
    assert torch.equal(w["h_h"], torch.eye(64))


@pytest.mark.parametrize("method", ["glorot_normal", "lecun_normal", "glorot_uniform", "uniform"])
def test_spreads_are_as_documented(method):
    w = weights("elman", 400, 200, initialization={"input": method})["h_x"]
    expected = {
        "glorot_normal": math.sqrt(2 / 600),
        "glorot_uniform": math.sqrt(2 / 600),
        "lecun_normal": math.sqrt(1 / 200),
        "uniform": 1 / math.sqrt(400 * 3),
    }[method]
    assert abs(float(w.std()) / expected - 1) < 0.02


def test_half_precision_starts_orthogonal_too():
    w = weights(dtype=torch.bfloat16)["i_h"].float()
    torch.testing.assert_close(w @ w.T, torch.eye(64), rtol=0, atol=0.05)


def test_a_seed_gives_the_same_weights_again():
    torch.manual_seed(4)
    first = weights()
    torch.manual_seed(4)
    second = weights()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", cw.cells.names())
def test_every_scheme_fills_every_weight(name, scheme):
    sizes = {"proj": 8} if cw.cells.get(name).graph.symbols else None
    for weight in weights(name, sizes=sizes, initialization=scheme).values():
        assert bool(weight.isfinite().all())


@pytest.mark.parametrize("kind", ["block_diagonal", "block_lower", "block_upper"])
def test_only_the_blocks_in_use_count(kind):
    @cw.cell(state="h")
    def heads(x, h):
        """Four groups of units."""
        h = cw.tanh(cw.affine("h", h, bias=None, mask=(kind, 4)))
        return h

    w = cw.Recurrent(heads, 1, 32).layer0.get_parameter("h_h").detach()
    for block in range(4):
        first, last = {"block_diagonal": (block, block), "block_lower": (0, block)}.get(
            kind, (block, 3)
        )
        part = w[8 * block : 8 * block + 8, 8 * first : 8 * last + 8]
        torch.testing.assert_close(part @ part.T, torch.eye(8), rtol=0, atol=1e-5)

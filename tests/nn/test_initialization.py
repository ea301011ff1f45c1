"""How weights start."""

import math

import pytest
import torch

import cellwright as cw
from cellwright.errors import SettingError
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
    sizes = dict.fromkeys(cw.cells.get(name).graph.symbols, 8)
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


def test_chrono_spreads_how_long_units_remember():
    w = weights(units=4000, features=1, initialization={"chrono": 784, "recurrent": "zeros"})
    forget, write = w["f_bias"], w["i_bias"]
    assert torch.equal(forget, -write)
    spans = forget.exp()
    assert 1 <= float(spans.min()) < 5
    assert 775 < float(spans.max()) <= 783
    # Uniform between 1 and 783.
    assert abs(float(spans.mean()) / 392 - 1) < 0.05
    assert abs(float(spans.std()) / (782 / math.sqrt(12)) - 1) < 0.05
    assert not w["g_bias"].any()
    assert not w["o_bias"].any()


def test_chrono_touches_no_other_weight_and_no_other_draw():
    torch.manual_seed(4)
    plain = weights()
    torch.manual_seed(4)
    chrono = weights(initialization={"chrono": 100})
    changed = {name for name in plain if not torch.equal(plain[name], chrono[name])}
    assert changed == {"f_bias", "i_bias"}


def test_a_unit_that_starts_with_a_span_keeps_for_about_so_many_steps():
    torch.manual_seed(0)
    net = cw.Recurrent("lstm", 1, 50, initialization={"chrono": 200}, dtype=torch.float64)
    with torch.no_grad():
        for weight in net.parameters():
            if weight.dim() == 2:
                weight.zero_()
        spans = net.layer0.f_bias.exp()
        start = [{"h": torch.zeros(1, 50).double(), "c": torch.ones(1, 50).double()}]
        for steps in (1, 10, 60):
            _, (state,) = net(torch.zeros(1, steps, 1).double(), start)
            expected = (spans / (1 + spans)) ** steps
            torch.testing.assert_close(state["c"][0], expected)


def test_a_gate_that_writes_when_it_opens_starts_shut():
    keeps = weights("gru", initialization={"chrono": 50})["z_bias"]
    writes = weights("mgu", initialization={"chrono": 50})["f_bias"]
    assert 0 <= float(keeps.min()) < float(keeps.max()) <= math.log(49)
    assert -math.log(49) <= float(writes.min()) < float(writes.max()) <= 0


def test_chrono_goes_with_other_kinds_and_with_half_precision():
    w = weights(initialization={"chrono": 9, "bias": "uniform"}, dtype=torch.bfloat16)
    assert bool(w["o_bias"].any())
    assert torch.equal(w["f_bias"], -w["i_bias"])
    fixed = weights(initialization={"chrono": 2})
    assert not fixed["f_bias"].any()


@pytest.mark.parametrize("cell", ["elman", "lstm_1997", "clockwork"])
def test_chrono_is_refused_where_nothing_decides_what_is_kept(cell):
    with pytest.raises(SettingError, match=f"chrono is for gates.*cell '{cell}' has none"):
        weights(cell, initialization={"chrono": 100})


@pytest.mark.parametrize("span", [1, 0, -5, 2.5, "long", True])
def test_a_span_is_a_whole_number_of_steps(span):
    with pytest.raises(SettingError, match="is no number of steps"):
        weights(initialization={"chrono": span})


def test_chrono_alone_asks_for_its_span():
    with pytest.raises(SettingError, match="write chrono=100, or in Python"):
        weights(initialization="chrono")
    with pytest.raises(SettingError, match="no kind 'crono'.*Did you mean 'chrono'"):
        weights(initialization={"crono": 100})


@pytest.mark.parametrize("kind", ["block_diagonal", "block_lower", "block_upper"])
def test_the_identity_of_a_masked_matrix_is_the_identity(kind):
    @cw.cell(state="h")
    def heads(x, h):
        h = cw.affine("h", h, bias=None, mask=(kind, 4))
        return h

    assert torch.equal(weights(heads, 32, 1, initialization="identity")["h_h"], torch.eye(32))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_a_mask_leaves_out_is_zero_after_a_new_start(scheme):
    @cw.cell(state="h")
    def heads(x, h):
        h = cw.affine("h", h, bias=None, mask=("block_lower", 4))
        return h

    net = cw.Recurrent(heads, 1, 32, initialization=scheme)
    with torch.no_grad():
        net.layer0.h_h.fill_(9.0)
    net.reset_parameters()
    assert not net.layer0.h_h[:8, 8:].any()
    assert net.layer0.h_h[:8, :8].any()

"""Each network gets the gradient of its own loss, and of nothing else."""

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from cellwright.data import Batch
from cellwright.jobs.gan.objective import Adversarial
from cellwright.models import GANNetwork


def networks(classes=0, **options):
    torch.manual_seed(0)
    chosen = {"noise": 3, "condition": 2, "layers": [5], "discriminator_layers": [4], "cell": "gru"}
    return GANNetwork(2, classes, **{**chosen, **options})


def batch(classes=0, dtype=torch.float32):
    draw = torch.Generator().manual_seed(1)
    return Batch(
        x=torch.randn(6, 7, 2, generator=draw, dtype=dtype),
        lengths=torch.tensor([7, 3, 7, 5, 1, 7]),
        rows=np.arange(6),
        targets=torch.arange(6) % max(classes, 1),
    )


def gradients(module):
    return {n: w.grad.clone() for n, w in module.named_parameters() if w.grad is not None}


@pytest.mark.parametrize("loss", ["relativistic", "logistic", "hinge"])
@pytest.mark.parametrize(("classes", "spectral"), [(0, False), (3, True)])
def test_one_backward_gives_each_network_its_own_gradient(loss, classes, spectral):
    network = networks(classes, spectral=spectral, cell="gru").eval()  # power iterations rest
    data = batch(classes)
    torch.manual_seed(2)
    total, measured = Adversarial(loss, 0.0, 0.1, 0.9)(network, data)
    total.backward()
    found = {"generator": gradients(network.generator), "judge": gradients(network.discriminator)}
    assert not gradients(network.averaged)
    network.zero_grad()
    torch.manual_seed(2)
    made = network.generator(network.draw_noise(6, 7), data.lengths, data.targets)
    r = network.discriminator(network.scaled(data.x), data.lengths, data.targets)
    f = network.discriminator(made, data.lengths, data.targets)
    judge, maker = {
        "relativistic": (softplus(f - r), softplus(r - f)),
        "logistic": (softplus(-r) + softplus(f), softplus(-f)),
        "hinge": ((1 - r).relu() + (1 + f).relu(), -f),
    }[loss]
    assert measured["discriminator"].item() == pytest.approx(judge.sum().item(), rel=1e-4)
    assert measured["generator"].item() == pytest.approx(maker.sum().item(), rel=1e-4, abs=1e-5)
    for name, module, value in (
        ("judge", network.discriminator, judge),
        ("generator", network.generator, maker),
    ):
        weights = dict(module.named_parameters())
        wanted = torch.autograd.grad(value.mean(), list(weights.values()), retain_graph=True)
        assert found[name].keys() == weights.keys()
        for weight, gradient in zip(weights, wanted, strict=True):
            torch.testing.assert_close(found[name][weight], gradient, rtol=1e-3, atol=1e-6)


def test_the_penalty_is_the_square_of_the_slope():
    network = networks(backend="reference").double().eval()
    data = batch(dtype=torch.float64)
    objective = Adversarial("relativistic", 1.0, 1e-5, 0.9)
    made = torch.randn(6, 7, 2, dtype=torch.float64)
    torch.manual_seed(3)
    _, _, penalty = objective._judged(network, data.x, made, data.lengths, None)
    torch.manual_seed(3)
    both = torch.cat([data.x, made]).requires_grad_()
    direction = torch.randn_like(both)
    scores = network.discriminator(both, data.lengths.repeat(2), None)
    (slope,) = torch.autograd.grad(scores.sum(), both)
    squares = (slope * direction).sum((1, 2)).square()
    wanted = squares[:6].mean() + squares[6:].mean()
    assert penalty.item() == pytest.approx(wanted.item(), rel=1e-3)


def test_the_penalty_reaches_the_discriminator_alone():
    network, data = networks(), batch()
    plain, held = {}, {}
    for strength, found in ((0.0, plain), (5.0, held)):
        network.zero_grad()
        torch.manual_seed(2)
        Adversarial("logistic", strength, 0.1, 0.9)(network, data)[0].backward()
        found["generator"] = gradients(network.generator)
        found["judge"] = gradients(network.discriminator)
    for name, gradient in plain["generator"].items():
        torch.testing.assert_close(held["generator"][name], gradient)
    assert any(not torch.allclose(held["judge"][n], g) for n, g in plain["judge"].items())


def test_every_backend_gives_the_same_gradients():
    found = []
    for backend in ("reference", "auto"):
        network = networks(backend=backend)
        torch.manual_seed(2)
        Adversarial("relativistic", 0.5, 0.1, 0.9)(network, batch())[0].backward()
        found.append(gradients(network))
    assert found[0].keys() == found[1].keys()
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-3, atol=1e-5)


def test_spectral_norm_holds_every_matrix_of_the_discriminator_at_one():
    network = networks(spectral=True)
    with torch.no_grad():
        for weight in network.discriminator.parameters():
            weight.mul_(7)
    for _ in range(60):
        network.discriminator(torch.zeros(1, 1, 2))
    network.eval()
    matrices = 0
    for module in network.discriminator.modules():
        for name in getattr(module, "parametrizations", {}):
            greatest = torch.linalg.matrix_norm(getattr(module, name), 2)
            assert greatest.item() == pytest.approx(1, abs=0.02)
            matrices += 1
    assert matrices == len([n for n, w in network.discriminator.named_parameters() if w.dim() > 1])
    assert matrices > 6


def test_the_mean_generator_follows_the_generator():
    network = networks()
    weights = [next(iter(m.parameters())) for m in (network.averaged, network.generator)]
    first = weights[0].clone()
    with torch.no_grad():
        weights[1].add_(1)
    network.average(0.9)
    torch.testing.assert_close(weights[0], first + 0.9)  # at first it keeps a tenth
    for _ in range(200):
        network.average(0.9)
    before = weights[0].clone()
    with torch.no_grad():
        weights[1].add_(10)
    network.average(0.9)
    torch.testing.assert_close(weights[0], before + 1)


def test_what_is_made_has_the_units_of_the_data_and_comes_from_the_mean_generator():
    network = networks().eval()
    noise = network.draw_noise(2, 4, torch.Generator().manual_seed(0))
    plain = network.generate(noise)
    network.shift.fill_(1e9)
    network.spread.fill_(2)
    torch.testing.assert_close(network.generate(noise), 2 * plain + 1e9, rtol=0, atol=1e-6)
    torch.testing.assert_close(network.scaled(network.generate(noise)), plain.float())
    with torch.no_grad():
        for weight in network.generator.parameters():
            weight.zero_()
    torch.testing.assert_close(network.generate(noise), 2 * plain + 1e9, rtol=0, atol=1e-6)


def test_a_part_of_the_noise_stays_and_a_part_is_new_at_each_step():
    noise = networks().draw_noise(2, 4, torch.Generator().manual_seed(0))
    assert noise.shape == (2, 4, 6)
    assert (noise[:, 1:, :3] == noise[:, :-1, :3]).all()
    assert len(torch.unique(noise[:, :, 3:])) == 2 * 4 * 3

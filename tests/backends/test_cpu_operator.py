"""The compiled cell as an operator: what looks on at a program finds an ordinary operation."""

import subprocess
import sys

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import cellwright as cw
from cellwright.backends import contract
from cellwright.backends.cpu.engine import Engine
from cellwright.backends.cpu.spec import Spec
from cellwright.errors import BackendError, CellwrightWarning
from cellwright.nn import LSTM

close = torch.testing.assert_close
# What torch itself warns of while it compiles is not ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(autouse=True)
def unannounced(monkeypatch):
    monkeypatch.setattr(contract, "announced", set())


@pytest.fixture
def compiled_afresh():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    # Without it torch refuses to look into anything that is an nn.LSTM.
    with torch._dynamo.config.patch(allow_rnn=True):
        yield torch._dynamo.utils.counters
    torch._dynamo.reset()


NETS = {
    "drop-in": lambda: cw.LSTM(3, 4, batch_first=True),
    "stack": lambda: cw.Recurrent("lstm", 3, [4, 5], bidirectional=True, learn_initial_state=True),
}
RAGGED = {
    "dense": lambda x: {},
    "lengths": lambda x: {"lengths": torch.arange(len(x)) % (x.shape[1] + 1)},
    "mask": lambda x: {"mask": torch.arange(x.shape[1]) <= torch.arange(len(x))[:, None]},
}


def outcome(network, weights, x, **options):
    for weight in weights:
        weight.grad = None
    x = x.clone().requires_grad_()
    y, _ = network(x, **options)
    (torch.cos(torch.arange(y.numel())).view_as(y) * y).sum().backward()
    return [y.detach(), x.grad, *(weight.grad for weight in weights)]


@pytest.mark.parametrize("ragged", RAGGED)
@pytest.mark.parametrize("name", NETS)
def test_one_program_trains_on_every_shape(name, ragged, compiled_afresh):
    if name == "drop-in" and ragged != "dense":
        pytest.skip("torch.nn.LSTM has no lengths")
    net = NETS[name]()
    weights = list(net.parameters())
    program = torch.compile(net, fullgraph=True, backend="aot_eager")
    for shape in ((4, 6, 3), (4, 5, 3), (3, 5, 3), (8, 6, 3), (5, 9, 3), (2, 4, 3)):
        x = torch.randn(shape)
        options = RAGGED[ragged](x)
        for found, expected in zip(
            outcome(program, weights, x, **options),
            outcome(net, weights, x, **options),
            strict=True,
        ):
            close(found, expected)
    # One for the first shape, then one for any time, then one for any batch too.
    assert compiled_afresh["stats"]["unique_graphs"] <= 3
    assert not compiled_afresh["graph_break"]


def test_the_default_compiler_takes_it_too(compiled_afresh):
    net = NETS["stack"]()
    weights = list(net.parameters())
    program = torch.compile(net, fullgraph=True, dynamic=True)
    x = torch.randn(3, 5, 3)
    for found, expected in zip(outcome(program, weights, x), outcome(net, weights, x), strict=True):
        close(found, expected)


def test_a_length_that_lies_outside_is_found_by_the_program_itself(compiled_afresh):
    net = NETS["stack"]()
    program = torch.compile(net, fullgraph=True, backend="aot_eager")
    program(torch.randn(2, 4, 3), lengths=torch.tensor([4, 2]))
    with pytest.raises(RuntimeError, match="lengths"):
        program(torch.randn(2, 4, 3), lengths=torch.tensor([5, 2]))


def test_without_allow_rnn_the_drop_in_runs_between_two_programs():
    torch._dynamo.reset()
    net = torch.nn.ModuleList([cw.LSTM(3, 4, 2), torch.nn.Linear(4, 2)])

    def both(x):
        return net[1](net[0](x * 2)[0])

    program = torch.compile(both, backend="aot_eager")
    for steps in range(3, 8):
        x = torch.randn(steps, 2, 3)
        close(program(x), both(x))
        program(x).sum().backward()
    torch._dynamo.reset()


class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent = cw.Recurrent("lstm", 3, [4], bidirectional=True)
        self.last = torch.nn.Linear(8, 2)

    def forward(self, x, lengths):
        return self.last(self.recurrent(x, lengths=lengths)[0])


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_program_runs_in_another_process(tmp_path, strict):
    net = Tagger().eval()
    x, lengths = torch.randn(4, 6, 3), torch.tensor([6, 0, 3, 1])
    batch, steps = torch.export.Dim("batch", min=2), torch.export.Dim("steps", min=2)
    program = torch.export.export(
        net,
        (x, lengths),
        dynamic_shapes={"x": {0: batch, 1: steps}, "lengths": {0: batch}},
        strict=strict,
    )
    assert any("cellwright.run" in str(n.target) for n in program.graph.nodes)
    torch.export.save(program, tmp_path / "tagger.pt2")
    x, lengths = torch.randn(5, 9, 3), torch.tensor([9, 2, 0, 1, 5])
    torch.save({"x": x, "lengths": lengths}, tmp_path / "data.pt")
    code = (
        "import sys, torch, cellwright.nn\n"
        "program = torch.export.load(sys.argv[1] + '/tagger.pt2').module()\n"
        "data = torch.load(sys.argv[1] + '/data.pt')\n"
        "torch.save(program(data['x'], data['lengths']), sys.argv[1] + '/y.pt')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    close(torch.load(tmp_path / "y.pt"), net(x, lengths))


def arguments(*, training, ragged):
    net = cw.Recurrent("lstm", 3, 4, dtype=torch.float64)
    layer = net.layer0
    names = tuple((name,) for name in layer.graph.weights)
    spec = Spec(layer.graph, tuple(sorted(layer.sizes.items())), names, ())
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    states = [torch.randn(2, 4, dtype=torch.float64) for _ in "hc"]
    weights = [layer.get_parameter(name).detach().clone() for (name,) in names]
    for value in (x, *states, *weights):
        value.requires_grad_(training)
    active = torch.tensor([[1, 1], [1, 1], [0, 1], [0, 1], [0, 1]], dtype=torch.bool)
    given = active if ragged else None
    return spec.text, [x], states, weights, given, None, False, training


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_torch_finds_nothing_wrong_with_the_operator(training, ragged):
    given = arguments(training=training, ragged=ragged)
    torch.library.opcheck(torch.ops.cellwright.run.default, given)


def test_torch_finds_nothing_wrong_with_its_gradient():
    text, inputs, states, weights, _, _, reverse, _ = arguments(training=False, ragged=False)
    seen, _, c, *saved = torch.ops.cellwright.run(
        text, inputs, states, weights, None, None, reverse, True
    )
    wanted = [True] * (len(inputs) + len(states) + len(weights))
    coming, there = [torch.randn_like(seen), torch.randn_like(c)], [True, False, True]
    data = (inputs, states, weights, [seen], saved, [])
    given = (text, coming, there, *data, None, reverse, wanted)
    torch.library.opcheck(torch.ops.cellwright.run_backward.default, given)


def test_a_program_of_another_version_is_refused():
    text, *rest = arguments(training=False, ragged=False)
    older = text.replace('"form": ', '"form": 1')
    assert older != text
    with pytest.raises(BackendError, match="export it again"):
        torch.ops.cellwright.run(older, *rest)


def test_the_operator_and_the_short_way_give_the_same_bits():
    net, x = NETS["stack"](), torch.randn(4, 6, 3)
    lengths = torch.tensor([6, 2, 0, 3])
    expected = outcome(net, list(net.parameters()), x, lengths=lengths)

    class Look(torch.utils._python_dispatch.TorchDispatchMode):
        seen = frozenset()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen |= {str(func)}
            return func(*args, **(kwargs or {}))

    with Look() as look:
        found = outcome(net, list(net.parameters()), x, lengths=lengths)
    assert {"cellwright.run.default", "cellwright.run_backward.default"} <= look.seen
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_only_the_gradients_that_are_wanted_are_computed():
    net = cw.Recurrent("lstm", 3, 4)
    net.layer0.get_parameter("i_x").requires_grad_(False)
    x = torch.randn(2, 5, 3)
    net(x)[0].sum().backward()
    assert x.grad is None
    assert net.layer0.get_parameter("i_x").grad is None
    assert net.layer0.get_parameter("i_h").grad is not None
    net.requires_grad_(False)
    y, state = net(x)
    assert not y.requires_grad
    assert not state[0]["c"].requires_grad
    leaf = x.clone().requires_grad_()
    net(leaf)[0].sum().backward()
    assert leaf.grad is not None


def test_the_kernel_is_told_which_gradients_are_wanted(monkeypatch):
    asked = []
    backward = Engine.backward

    def look(self, run, gradients, seen, saved, wanted):
        asked.append((len(run.inputs), list(wanted), [g is not None for g in gradients]))
        return backward(self, run, gradients, seen, saved, wanted)

    monkeypatch.setattr(Engine, "backward", look)
    net = cw.LSTM(3, 4)
    net.weight_hh_l0.requires_grad_(False)
    net(torch.randn(5, 2, 3))[0].sum().backward()
    # x, two states, W_ih, W_hh and the biases; the output's gradient and those of two states
    assert asked == [(1, [False, False, False, True, False, True], [True, False, False])]


def test_what_nothing_flows_to_has_a_gradient_of_zeros():
    @cw.cell(state="h", inputs={"unused": 2})
    def idle(x, h, unused):
        """Looks at what it never uses."""
        glance = cw.affine("glance", unused)  # noqa: F841 a signal, which is recorded
        h = cw.tanh(cw.affine("h", x, h))
        return h

    net = cw.Recurrent(idle, 3, 4)
    x, unused = torch.randn(2, 5, 3), torch.full((2, 5, 2), 7.0, requires_grad=True)
    # Memory that held something else before must not come out.
    _ = [torch.full((n, n), 9.0) for n in range(1, 9)]
    net(x, unused=unused)[0].sum().backward()
    for tensor in (unused, net.layer0.get_parameter("glance_unused")):
        assert tensor.grad is None or not bool(tensor.grad.any())


@pytest.mark.parametrize("change", ["y", "weight", "x"])
def test_a_change_in_place_is_found(change):
    net = cw.Recurrent("lstm", 3, 4, batch_first=False)
    x = torch.randn(5, 2, 3)
    y, _ = net(x.requires_grad_(change != "x"))
    with torch.no_grad():
        {"y": y, "x": x, "weight": net.layer0.get_parameter("i_h")}[change].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(reentrant):
    net, x = NETS["stack"](), torch.randn(4, 6, 3)
    expected = outcome(net, list(net.parameters()), x)
    found = outcome(
        lambda x: checkpoint(net, x, use_reentrant=reentrant), list(net.parameters()), x
    )
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_inference_mode():
    net, x = NETS["stack"](), torch.randn(4, 6, 3)
    with torch.inference_mode():
        y, _ = net(x)
    assert torch.equal(y, net(x)[0])
    assert y.is_inference()


@pytest.mark.parametrize("name", NETS)
def test_in_autocast_the_weights_decide(name):
    net, x = NETS[name](), torch.randn(4, 6, 3)
    expected = net(x.bfloat16().float())[0]
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = net(x.bfloat16())
        assert y.dtype == torch.float32
        y.sum().backward()
    close(y, expected)


def test_vmap_over_weights_runs_the_kernel_for_each():
    net, x = cw.Recurrent("lstm", 3, 4), torch.randn(3, 5, 3)
    lengths = torch.tensor([5, 0, 2])
    weights = {name: torch.stack([p, 2 * p]) for name, p in net.named_parameters()}

    def run(weights):
        return torch.func.functional_call(net, weights, (x,), {"lengths": lengths})[0]

    both = torch.vmap(run)(weights)
    each = [run({name: w[number] for name, w in weights.items()}) for number in range(2)]
    close(both, torch.stack(each))
    parameters = list(net.parameters())
    found = torch.autograd.grad(both.pow(2).sum(), parameters, retain_graph=True)
    for one, other in zip(
        found, torch.autograd.grad(torch.stack(each).pow(2).sum(), parameters), strict=True
    ):
        close(one, other)


@pytest.mark.filterwarnings("ignore::cellwright.errors.CellwrightWarning")
def test_gradients_of_each_row():
    net, x = cw.Recurrent("lstm", 3, 4), torch.randn(3, 5, 3)
    weights = dict(net.named_parameters())

    def loss(weights, row):
        return torch.func.functional_call(net, weights, (row[None],))[0].pow(2).sum()

    each = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
    for number, row in enumerate(x):
        net.zero_grad()
        loss(weights, row).backward()
        for name, weight in weights.items():
            close(each[name][number], weight.grad)


def second_derivative(net, x, **options):
    x = x.clone().requires_grad_()
    y, _ = net(x, **options)
    weights = list(net.parameters())
    first = torch.autograd.grad(y.pow(2).sum(), [x, *weights], create_graph=True)
    return torch.autograd.grad(sum(g.pow(2).sum() for g in first), [x, *weights], allow_unused=True)


@pytest.mark.parametrize("lengths", [None, [5, 0, 2]])
def test_gradients_of_gradients_come_from_the_reference_which_is_announced_once(lengths):
    net = cw.Recurrent("lstm", 3, 4, dtype=torch.float64)
    x = torch.randn(3, 5, 3, dtype=torch.float64)
    with pytest.warns(CellwrightWarning, match="cell 'lstm': gradients of gradients") as warned:
        found = second_derivative(net, x, lengths=lengths)
    second_derivative(net, x, lengths=lengths)  # a second warning were an error
    assert len(warned) == 1
    net.backend = "reference"
    for one, other in zip(found, second_derivative(net, x, lengths=lengths), strict=True):
        close(one, other)


def test_a_first_state_made_of_the_same_weights_is_not_counted_twice():
    def result(backend):
        net = cw.Recurrent("elman", 3, 3, dtype=torch.float64, backend=backend)
        net.load_state_dict(weights)
        weight = net.layer0.get_parameter("h_h")
        first, state = net(x)
        y, _ = net(first, state)
        (g,) = torch.autograd.grad(y.pow(3).sum(), weight, create_graph=True)
        return torch.autograd.grad(g.pow(2).sum(), weight)[0]

    weights = cw.Recurrent("elman", 3, 3, dtype=torch.float64).state_dict()
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    with pytest.warns(CellwrightWarning, match="gradients of gradients"):
        close(result("cpu"), result("reference"))


def test_gradcheck_goes_all_the_way():
    net = cw.Recurrent("elman", 2, 2, dtype=torch.float64)
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    with pytest.warns(CellwrightWarning, match="gradients of gradients"):
        assert torch.autograd.gradgradcheck(lambda x: net(x)[0], (x,))


def test_forward_mode_and_tracing_are_the_reference_s_and_announced():
    net = cw.Recurrent("elman", 2, 3, dtype=torch.float64)
    x, along = torch.randn(2, 2, 4, 2, dtype=torch.float64)
    with pytest.warns(CellwrightWarning, match="forward mode"):
        _, found = torch.func.jvp(lambda x: net(x)[0], (x,), (along,))
    step = 1e-6
    close(found, (net(x + step * along)[0] - net(x - step * along)[0]) / (2 * step))


def test_a_drop_in_may_be_pickled_whole(tmp_path):
    net, x = LSTM(3, 4), torch.randn(5, 2, 3)
    torch.save(net, tmp_path / "net.pt")
    again = torch.load(tmp_path / "net.pt", weights_only=False)
    assert torch.equal(again(x)[0], net(x)[0])

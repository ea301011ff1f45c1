"""Where nothing is computed, only shapes: torch's meta device and its fake tensors."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import cellwright as cw
from cellwright.errors import SettingError

MASK = torch.ones(2, 5, dtype=torch.bool)


@pytest.mark.parametrize("cell", ["lstm", "clockwork"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"lengths": [5, 2]},
        {"lengths": torch.tensor([5, 2], device="meta")},
        {"mask": MASK},
        {"mask": MASK.to("meta")},
    ],
    ids=["whole", "lengths", "lengths there", "mask", "mask there"],
)
def test_shapes_of_a_stack_without_numbers(cell, given):
    net = cw.Recurrent(cell, 3, 4, device="meta")
    y, state = net(torch.randn(2, 5, 3, device="meta"), **given)
    assert y.is_meta
    assert y.shape == (2, 5, 4)
    assert state[0]["h"].shape == (2, 4)


def test_shapes_of_a_drop_in_without_numbers():
    x = torch.randn(5, 2, 3, device="meta")
    found = cw.LSTM(3, 4, device="meta")(x)
    expected = torch.nn.LSTM(3, 4, device="meta")(x)
    assert found[0].shape == expected[0].shape
    assert [s.shape for s in found[1]] == [s.shape for s in expected[1]]


@pytest.mark.parametrize("cell", ["lstm", "clockwork"])
def test_weights_are_made_where_they_belong(cell):
    with torch.device("meta"):
        net = cw.Recurrent(cell, 3, 8, device="cpu", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in net.parameters()} == {("cpu", torch.float64)}
    assert all(weight.any() for weight in net.parameters() if weight.dim() == 2)

    @cw.cell(state="m")
    def average(x, m):
        m = 0.5 * m + 0.5 * x
        return m

    with torch.device("meta"):
        bare = cw.Recurrent(average, 3, 3, device="cpu", dtype=torch.float64)
    assert bare.stream().step(torch.ones(1, 3).double()).tolist() == [[0.5] * 3]


def test_fake_tensors_leave_nothing_behind():
    with FakeTensorMode():
        net = cw.Recurrent("clockwork", 3, 20)
        assert net(torch.randn(2, 5, 3))[0].shape == (2, 5, 20)
    net, plain = (cw.Recurrent("clockwork", 3, 20, backend=b) for b in ("cpu", "reference"))
    plain.load_state_dict(net.state_dict())
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(net(x)[0], plain(x)[0])


@pytest.mark.parametrize("dtype", [torch.int32, torch.complex64, "float64"])
def test_weights_are_floating_point_numbers(dtype):
    for made in (lambda: cw.Recurrent("lstm", 3, 4, dtype=dtype), lambda: attention(dtype)):
        with pytest.raises(SettingError, match=r"dtype must be one of torch\.float16.*not "):
            made()


def attention(dtype):
    return cw.Attention(3, 3, dtype=dtype)

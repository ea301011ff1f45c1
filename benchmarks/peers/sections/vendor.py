"""The drop-ins beside torch.nn's modules and ONNX Runtime, over the shapes of the project."""

from __future__ import annotations

import torch
from torch import nn

import cellwright
from peers import onnx_nodes
from peers.claims import OURS, Claim, Row, Section, geometric, ratio
from peers.machine import installed
from peers.setting import SHAPES, Setting, Shape
from peers.steps import forward_pass, training_step
from peers.timing import Candidate, check_agreement, measure

__all__ = ["entries", "inference", "training"]

# Asked of each shape and of the geometric mean.
TRAINING = {"LSTM": (1.0, 1.3), "GRU": (1.3, 2.0), "RNN": (None, None)}
INFERENCE = (0.95, 1.15)
BEST = "against the better of torch and ONNX Runtime"


def entries(net: nn.Module) -> int:
    """Entries of the matrices: two floating-point operations each, a row and step."""
    return sum(weight.numel() for weight in net.parameters() if weight.dim() == 2)


def pair(kind: str, shape: Shape) -> tuple[nn.RNNBase, nn.RNNBase]:
    """Ours and torch's with the same weights."""
    _, _, input, hidden = shape
    torch.manual_seed(0)
    theirs = getattr(nn, kind)(input, hidden)
    ours = getattr(cellwright, kind)(input, hidden)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def training(kind: str, setting: Setting) -> Section:
    """A training step against torch.nn."""
    least, mean = TRAINING[kind]
    peer = f"torch.nn.{kind}"
    section = Section(f"{kind.lower()}-training", f"{kind}, training step")
    # Nothing is asked of RNN, so a quick run has a look at two shapes.
    shapes = SHAPES[1:3] if setting.quick and kind == "RNN" else SHAPES
    for shape in setting.shapes(*shapes):
        batch, steps, input, hidden = shape
        x, grad = setting.random(steps, batch, input), setting.random(steps, batch, hidden)
        candidates = {}
        for name, net in zip((OURS, peer), pair(kind, shape), strict=True):
            weights = dict(net.named_parameters())
            candidates[name] = training_step(lambda x, net=net: net(x)[0], x, weights, grad)
        check_agreement(f"{kind} training {shape}", candidates)
        timed = measure(candidates, setting.budget)
        flops = 3.0 * 2 * batch * steps * entries(net)
        row = Row(str(shape), timed.samples, flops=flops, meanwhile=timed.meanwhile)
        row.claims.append(ratio(row, peer, at_least=least))
        section.rows.append(row)
    if section.rows:
        section.claims.append(geometric(section.rows, f"against {peer}", at_least=mean))
    return section


@torch.inference_mode()
def inference(kind: str, setting: Setting) -> Section:
    """A forward pass against the better of torch.nn and ONNX Runtime."""
    section = Section(f"{kind.lower()}-inference", f"{kind}, inference")
    with_onnx = installed("onnxruntime") and installed("onnx")
    if not with_onnx:
        section.notes.append("ONNX Runtime (onnxruntime, onnx): not installed")
    best = BEST if with_onnx else f"against torch.nn.{kind}"
    for shape in setting.shapes(*SHAPES):
        batch, steps, input, _ = shape
        x = setting.random(steps, batch, input)
        candidates: dict[str, Candidate] = {}
        for name, net in zip((OURS, f"torch.nn.{kind}"), pair(kind, shape), strict=True):
            candidates[name] = forward_pass(lambda x, net=net: net(x)[0], x)
        if with_onnx:
            candidates["ONNX Runtime"] = onnx_nodes.inference(net, x)
        check_agreement(f"{kind} inference {shape}", candidates)
        timed = measure(candidates, setting.budget)
        flops = 2.0 * batch * steps * entries(net)
        row = Row(str(shape), timed.samples, flops=flops, meanwhile=timed.meanwhile)
        least = min(ratio(row, peer).value for peer in candidates if peer != OURS)
        row.claims.append(Claim(best, least, at_least=INFERENCE[0]))
        section.rows.append(row)
    if section.rows:
        section.claims.append(geometric(section.rows, best, at_least=INFERENCE[1]))
    return section

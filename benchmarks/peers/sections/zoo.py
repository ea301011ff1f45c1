"""Every cell of the zoo beside our own LSTM: what an operation costs, whatever the equations."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from cellwright import Recurrent, cells
from cellwright.ir import Graph
from cellwright.look.cost import work
from cellwright.nn.weight_drop import recurrent_matrices
from cellwright.pipeline import lower
from cellwright.plan import plan
from peers.claims import OURS, Claim, Row, Section
from peers.fma_peak import fma_peak
from peers.setting import Setting, Shape
from peers.steps import training_step
from peers.timing import Candidate, measure

__all__ = ["section"]

SHAPE: Shape = (32, 100, 128, 256)
LSTM, ELMAN = "cellwright's lstm", "cellwright's elman"
OWN_SIZES = ("proj", "output")
PER_OPERATION = 1.25
# Of the time that its products take at the processor's peak and its numbers on their way to
# memory and back, for cells whose loop has no product.
SHARE_OF_FLOOR = 0.6
CLOCKWORK = 0.65


def section(setting: Setting) -> Section:
    """A training step of each cell."""
    result = Section("zoo", f"The zoo, training step at {setting.short(SHAPE)}")
    peak, bandwidth = fma_peak(torch.get_num_threads())["gflops"], _bandwidth()
    result.notes.append(f"memory: {bandwidth:.1f} GB/s, of a copy; peak: {peak:.0f} GFLOP/s")
    result.notes.append(
        "operations are those that the equations ask for, of units that tick; where products with "
        "units that rest are kept, as in clockwork, fewer are done"
    )
    for name in cells.names():
        if setting.wants(name):
            result.rows.append(_row(name, setting, peak, bandwidth))
    return result


def _row(name: str, setting: Setting, peak: float, bandwidth: float) -> Row:
    batch, steps, input, _ = setting.short(SHAPE)
    x = setting.random(steps, batch, input)
    nets = {OURS: _net(name, setting), LSTM: _net("lstm", setting)}
    if name == "clockwork":
        nets[ELMAN] = _net("elman", setting)
    candidates = {key: _candidate(net, x) for key, net in nets.items()}
    for candidate in candidates.values():
        candidate.call()  # compiles
    timed = measure(candidates, setting.budget)
    flops = {
        key: 2.0 * batch * steps * work(net.graph, net.layer0.sizes, steps).training_multiply_adds
        for key, net in nets.items()
    }
    row = Row(name, timed.samples, flops=flops[OURS], meanwhile=timed.meanwhile)
    graph = lower(cells.get(name).graph)
    if recurrent_matrices(graph):
        each = row.samples[OURS].over(row.samples[LSTM]) * flops[LSTM] / flops[OURS]
        row.claims.append(Claim(f"time per operation / {LSTM}", each, at_most=PER_OPERATION))
    else:
        numbers = batch * steps * _numbers(graph, nets[OURS])
        floor = flops[OURS] / (peak * 1e9) + 4 * numbers / (bandwidth * 1e9)
        share = floor / row.samples[OURS].median
        row.claims.append(Claim("share of the floor", share, at_least=SHARE_OF_FLOOR))
    if ELMAN in nets:
        part = row.samples[OURS].over(row.samples[ELMAN])
        row.claims.append(Claim(f"time / {ELMAN}", part, at_most=CLOCKWORK))
    return row


def _net(name: str, setting: Setting) -> Recurrent:
    _, _, input, hidden = setting.short(SHAPE)
    torch.manual_seed(0)
    sizes = {size: hidden // 2 for size in OWN_SIZES if size in cells.get(name).graph.symbols}
    return Recurrent(name, input, hidden, batch_first=False, sizes=sizes)


def _candidate(net: Recurrent, x: Tensor) -> Candidate:
    grad = Setting.random(*x.shape[:2], net.output_size)
    weights = dict(net.layer0.named_parameters())
    return training_step(lambda x: net(x)[0], x, weights, grad)


def _numbers(graph: Graph, net: Recurrent) -> float:
    """Numbers of a step of a row that have to be read or written, forward and backward."""
    found = plan(graph, training=True)
    saved = sum(net.layer0.units(array.size) for array in found.saved)
    output = net.output_size
    # The input is read twice and its gradient written; the output is written, and read with
    # its gradient; what is saved is written and read.
    return 3 * net.input_size + 3 * output + 2 * saved


def _bandwidth() -> float:
    """Bytes read and written a second, in 10^9."""
    source = torch.ones(1 << 26)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(6):
        start = time.perf_counter()
        target.copy_(source)
        best = max(best, 2 * source.nbytes / (time.perf_counter() - start) / 1e9)
    return best

"""What benchmarks/cpu.py claims is worth what its parts are worth."""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peers import fma_peak, machine, onnx_nodes, scans, timing
from peers.cells import CELLS, pack, randomize
from peers.claims import OURS, Claim, Row, Samples, Section, geometric, ratio, shown
from peers.loops import LOOPS
from peers.report import asked, summary, table, write
from peers.sections import SECTIONS, vendor
from peers.setting import SHAPES, Setting
from peers.steps import forward_pass, training_step
from peers.timing import Budget, Candidate, DisagreementError, check_agreement, measure

import cellwright as cw

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cpu.py"


def row(case="(1, 2, 3, 4)", ours=2.0, theirs=3.0):
    return Row(case, {OURS: Samples([ours]), "peer": Samples([theirs])}, flops=4e9)


def test_a_ratio_is_the_peers_time_over_ours():
    claim = ratio(row(), "peer", at_least=1.5)
    assert (claim.value, claim.verdict, claim.asked) == (1.5, "pass", "≥ 1.50 ×")
    assert ratio(row(theirs=2.9), "peer", at_least=1.5).verdict == "falls short"
    assert ratio(row(), "peer").verdict == ""


@pytest.mark.parametrize(("value", "verdict"), [(3.0, "pass"), (3.1, "falls short")])
def test_some_numbers_must_be_small(value, verdict):
    assert Claim("slower", value, at_most=3.0).verdict == verdict


def test_what_is_not_a_number_falls_short():
    assert Claim("x", float("nan"), at_least=1.0).verdict == "falls short"
    assert Claim("x", float("nan"), at_most=1.0).verdict == "falls short"


def test_what_just_falls_short_does_not_look_like_what_was_asked():
    assert Claim("x", 0.9996, at_least=1.0).number == "0.9996 ×"
    assert Claim("x", 1.2, at_least=1.0).number == "1.20 ×"


def test_medians_spread_and_geometric_mean():
    assert Samples([1.0, 2.0, 3.0, 4.0, 5.0]).median == 3.0
    assert Samples([1.0, 2.0, 3.0, 4.0, 5.0]).spread == pytest.approx(2 / 3)
    rows = [row(ours=1.0, theirs=2.0), row(ours=1.0, theirs=8.0)]
    for one in rows:
        one.claims.append(ratio(one, "peer"))
    assert geometric(rows, "against peer", at_least=4.0).value == pytest.approx(4.0)


def test_what_makes_a_round_slow_is_not_in_the_ratio():
    ours, theirs = Samples([1.0, 4.0, 1.0, 4.0, 4.0]), Samples([1.5, 6.0, 1.5, 6.0, 1.5])
    assert theirs.over(ours) == 1.5
    assert theirs.median / ours.median == 0.375
    first_counts = Samples([9.0, *ours.rounds])
    assert theirs.over(first_counts) == 1.5
    assert first_counts.over(theirs) == 1 / 1.5


def test_numbers_carry_their_unit():
    assert [shown(v, "s") for v in (2e-6, 45e-6, 0.0123, 0.844, 2.5)] == [
        *("2.00 µs", "45.0 µs", "12.3 ms", "844 ms", "2.50 s"),
    ]
    assert shown(12.4, "MiB") == "12 MiB"


def test_the_summary_tells_the_worst_row():
    section = Section("s", "Section")
    for case, theirs in (("good", 9.0), ("bad", 1.0), ("fair", 3.0)):
        section.rows.append(row(case, theirs=theirs))
        section.rows[-1].claims.append(ratio(section.rows[-1], "peer", at_least=1.0))
    lines = summary([section], peak=10.0)
    assert "| Section: against peer, worst of 3: bad | 0.50 × | ≥ 1.00 × | falls short" in lines
    assert "| good | 2.00 s ±0% | 9.00 s ±0% | 2 (20%) | 4.50 × ≥ 1.00 × pass |" in table(
        section, 10
    )


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        # Ours does 2 GFLOP/s.
        (Claim("against peer", 1.5, at_least=3.0), "falls short, would take 40% of the peak"),
        (Claim("slower", 6.0, at_most=1.0), "falls short, would take 120% of the peak"),
        (Claim("against peer", 3.0, at_least=3.0), "pass"),
    ],
)
def test_what_falls_short_tells_how_fast_it_would_have_to_be(claim, verdict):
    section = Section("s", "Section", [row()])
    section.rows[0].claims.append(claim)
    assert asked([section], peak=10.0)[0]["verdict"] == verdict
    section.rows[0].flops = None
    assert asked([section], peak=10.0)[0]["verdict"] == claim.verdict


def looks(monkeypatch, answers):
    """At whether the cores are at full speed: what they find, one after the other."""
    answers = iter(answers)
    monkeypatch.setattr(timing, "at_full_speed", lambda threads: next(answers))


def test_candidates_take_turns_and_the_first_calls_of_groups_are_left_out(monkeypatch):
    looks(monkeypatch, itertools.repeat(True))
    calls = []

    def named(name, seconds):
        return Candidate(lambda: (calls.append(name), time.sleep(seconds)))

    timed = measure({"a": named("a", 0.004), "b": named("b", 0.008)}, Budget(0.0, 5, 0.0))
    order = [name for name, _ in itertools.groupby(calls)]
    # Once to see how long they take, then five rounds, each starting with the other one.
    assert order == list("abababab")
    assert {len(samples.rounds) for samples in timed.samples.values()} == {5}
    assert timed.samples["a"].median >= 0.004
    assert timed.samples["b"].median >= 0.008


def test_a_first_call_that_counts_for_one_alone_is_no_round(monkeypatch):
    looks(monkeypatch, itertools.repeat(True))
    monkeypatch.setattr(timing, "SLOW", 0.01)
    slow = iter([0.02])  # as on a core that is taken away for a moment
    candidates = {
        "a": Candidate(lambda: time.sleep(next(slow, 0.001))),
        "b": Candidate(lambda: time.sleep(0.001)),
    }
    timed = measure(candidates, Budget(0.0, 3, 0.0))
    assert [len(samples.rounds) for samples in timed.samples.values()] == [3, 3]


def test_what_is_timed_while_the_cores_are_slow_is_timed_again(monkeypatch):
    # Before all, after the first call and after a group as it should be; then the cores are slow
    # after a group, and are looked at again.
    looks(monkeypatch, itertools.chain([True] * 3 + [False, True], itertools.repeat(True)))
    calls = itertools.count()
    slow = {5}  # a call goes before each group, and one before all

    def call():
        time.sleep(0.1 if next(calls) in slow else 0.012)

    timed = measure({"a": Candidate(call)}, Budget(0.5, 3, 1.0))
    assert timed.meanwhile.timed_again == 1
    assert timed.meanwhile.not_at_full_speed == 0
    assert max(timed.samples["a"].rounds) < 0.1


def test_cores_that_stay_slow_are_not_waited_for(monkeypatch):
    looks(monkeypatch, itertools.repeat(False))
    timed = measure({"a": Candidate(lambda: time.sleep(0.012))}, Budget(0.1, 4, 0.2))
    assert timed.meanwhile.not_at_full_speed >= 4
    section = Section("s", "Section", [Row("case", timed.samples, meanwhile=timed.meanwhile)])
    assert "not to be relied on" in table(section, 10)
    assert section.as_json()["rows"][0]["timed_again"] == timed.meanwhile.timed_again


@pytest.mark.parametrize(("long", "rounds"), [(0.01, 2), (1.0, 3)])
def test_of_long_rounds_there_is_one_less(monkeypatch, long, rounds):
    looks(monkeypatch, itertools.repeat(True))
    candidates = {name: Candidate(lambda: time.sleep(0.012)) for name in "ab"}
    timed = measure(candidates, Budget(0.0, 3, long=long))
    assert {len(samples.rounds) for samples in timed.samples.values()} == {rounds}


def test_beside_others_nobody_waits_for_full_speed(monkeypatch):
    looks(monkeypatch, [])
    timed = measure({"a": Candidate(lambda: None)}, Budget(0.0, 2, 0.0), busy=True)
    assert len(timed.samples["a"].rounds) == 2


@pytest.mark.parametrize(("rate", "full"), [(86.0, True), (84.0, False), (50.0, False)])
def test_full_speed_is_nearly_the_peak(monkeypatch, rate, full):
    library = SimpleNamespace(fma_rate=lambda threads, steps: rate)
    monkeypatch.setattr(fma_peak, "_library", lambda: library)
    monkeypatch.setattr(fma_peak, "fma_peak", lambda threads: {"gflops": 100.0})
    assert fma_peak.at_full_speed(2) is full


def test_calls_of_microseconds_are_timed_many_at_once():
    count = itertools.count()
    timed = measure({"a": Candidate(lambda: next(count), inner=100)}, Budget(0.0, 5, 0.0))
    assert timed.samples["a"].median < 1e-5
    assert next(count) % 100 == 0


def test_nothing_is_timed_that_does_not_agree():
    x = torch.randn(5, 4)
    same = forward_pass(lambda x: x * 2, x)
    check_agreement("case", {"a": same, "b": forward_pass(lambda x: x * (2 + 1e-6), x)})
    for other in (lambda x: x * 2.001, lambda x: x[:3], lambda x: x * float("nan")):
        with pytest.raises(DisagreementError, match="case: output of b and a"):
            check_agreement("case", {"a": same, "b": forward_pass(other, x)})


def test_a_gradient_that_is_wrong_or_missing_is_found():
    x, weights, grad = torch.randn(5, 4), {"w": torch.randn(4, requires_grad=True)}, torch.ones(5)
    good = training_step(lambda x: x @ weights["w"], x, weights, grad)
    bad = training_step(lambda x: x @ weights["w"], x, weights, grad, lambda g: {"w": -g["w"]})
    none = training_step(lambda x: x @ weights["w"], x, weights, grad, lambda g: {})
    with pytest.raises(DisagreementError, match="gradient of w of bad and good differ by 2"):
        check_agreement("case", {"good": good, "bad": bad})
    with pytest.raises(DisagreementError, match="only one of good and none gives gradient of w"):
        check_agreement("case", {"good": good, "none": none})


def test_weights_count_as_changed_before_every_training_step():
    weight = torch.randn(4, requires_grad=True)
    step = training_step(lambda x: x @ weight, torch.randn(5, 4), {"w": weight}, torch.ones(5))
    before, values = weight._version, weight.detach().clone()
    step.before()
    assert weight._version > before
    assert torch.equal(weight, values)


@pytest.mark.parametrize("name", CELLS)
def test_the_peers_compute_our_cells(name):
    x, grad = torch.randn(6, 3, 4), torch.randn(6, 3, 5)
    net = cw.Recurrent(CELLS[name], 4, 5, batch_first=False)
    randomize(net)
    weights = dict(net.layer0.named_parameters())
    ours = training_step(lambda x: net(x)[0], x, weights, grad, lambda g: pack(name, g))
    packed = pack(name, {n: w.detach() for n, w in weights.items()})
    leaves = {n: w.clone().requires_grad_() for n, w in packed.items()}
    loop = training_step(lambda x: LOOPS[name](x, leaves), x, leaves, grad)
    peers = {OURS: ours, "loop": loop}
    if machine.installed("jax"):
        peers["scan"] = scans.training_step(name, x, packed, grad)
    check_agreement(name, peers)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_onnx_node_is_torchs_module(kind):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    net = getattr(torch.nn, kind)(3, 5)
    x = torch.randn(6, 2, 3)
    check_agreement(
        kind,
        {
            "torch": forward_pass(lambda x: net(x)[0], x),
            "onnx": onnx_nodes.inference(net, x),
        },
    )


def test_operations_are_counted_from_the_matrices():
    assert vendor.entries(cw.LSTM(3, 5)) == 4 * 5 * (3 + 5)
    assert vendor.entries(cw.Recurrent("gru", 3, 5)) == 3 * 5 * (3 + 5)


def test_shapes_can_be_chosen_and_shortened():
    assert len(SHAPES) == 8
    assert Setting(case="(1,100").shapes(*SHAPES) == [(1, 100, 64, 128)]
    assert max(steps for _, steps, _, _ in Setting(max_steps=3).shapes(*SHAPES)) == 3


def test_the_peak_is_found_with_and_without_a_compiler(monkeypatch):
    if machine.compiler():
        assert fma_peak.fma_peak(1)["gflops"] > 1
    monkeypatch.setattr(fma_peak, "compiler", lambda: None)
    try:
        forget_the_peak()
        found = fma_peak.fma_peak(1)
        assert found["gflops"] > 1
        assert "matrix products" in found["how"]
        assert fma_peak.at_full_speed(1)
    finally:
        forget_the_peak()


def forget_the_peak():
    for found in (fma_peak.fma_peak, fma_peak._library):
        found.cache_clear()


def test_the_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "cpu.json"
    write(path, {"a": 1})
    with pytest.raises(TypeError):
        write(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_busy_machine_is_refused(monkeypatch):
    import cpu

    monkeypatch.setattr(cpu, "others_now", lambda: 0.5)
    monkeypatch.setattr(sys, "argv", ["cpu.py"])
    with pytest.raises(SystemExit, match=r"other processes use 0\.5 cores; wait"):
        cpu.main()


@pytest.mark.slow
def test_every_section_runs(tmp_path):
    out = tmp_path / "cpu.json"
    command = [sys.executable, str(SCRIPT), "--quick", "--busy-anyway", "--max-steps", "2"]
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
    content = json.loads(out.read_text("utf-8"))
    assert [section["name"] for section in content["sections"]] == list(SECTIONS)
    assert all(section["rows"] for section in content["sections"])
    assert content["summary"]
    assert content["options"]["busy_anyway"] is True

"""Breaking the heart of the library, one line at a time, and seeing the tests fail.

A test that was never seen failing proves nothing. Each mutant is a copy of the sources with
one line changed; the tests that guard that line must notice. Run it with
``make mutation``; it prints each mutant and what happened to it.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Mutant:
    """A line, what it becomes, and the tests that must notice."""

    what: str
    file: str
    line: str
    becomes: str
    tests: str


MUTANTS = (
    Mutant(
        "a gradient is cut: tanh passes none on",
        "backends/reference.py",
        '"tanh": torch.tanh,',
        '"tanh": lambda value: torch.tanh(value).detach(),',
        "tests/conformance/test_cells.py -k float64-full",
    ),
    Mutant(
        "a gradient is wrong: sigmoid passes on twice as much",
        "backends/reference.py",
        '"sigmoid": torch.sigmoid,',
        '"sigmoid": lambda value: 2 * torch.sigmoid(value) - torch.sigmoid(value).detach(),',
        "tests/conformance/test_cells.py -k reference-torch.float64-full",
    ),
    Mutant(
        "the gradient of the initial state is lost",
        "nn/stack.py",
        "states=states[number][position],",
        "states={k: v.detach() for k, v in states[number][position].items()},",
        "tests/conformance/test_drop_in.py -k float64-batch",
    ),
    Mutant(
        "a gate is wrong: the forget gate is the input gate",
        "cells/zoo/lstm.py",
        "c = f * c + i * g",
        "c = i * c + i * g",
        "tests/conformance -k 'lstm and float64-full or LSTM and float64-batch'",
    ),
    Mutant(
        "a gate is wrong: the GRU keeps what it should replace",
        "cells/zoo/gru.py",
        "h = (1 - z) * n + z * h",
        "h = z * n + (1 - z) * h",
        "tests/conformance -k 'gru and float64-full or GRU and float64-batch'",
    ),
    Mutant(
        "a peephole looks at the candidate, not at the memory",
        "cells/zoo/lstm.py",
        'o = sigmoid(affine("o", x, h) + scale("o_peep", c, init=0.0))',
        'o = sigmoid(affine("o", x, h) + scale("o_peep", g, init=0.0))',
        "tests/conformance/test_cells.py -k depth_gated_lstm-reference-torch.float64-ragged",
    ),
    Mutant(
        "the drop-in swaps two gates of torch's weights",
        "nn/drop_in.py",
        'gates = (("i", "i"), ("f", "f"), ("g", "g"), ("o", "o"))',
        'gates = (("f", "f"), ("i", "i"), ("g", "g"), ("o", "o"))',
        "tests/conformance/test_drop_in.py -k float64-batch",
    ),
    Mutant(
        "a row goes on after its end",
        "backends/reference.py",
        "return rows if len(rows) < call.active.shape[1] else None",
        "return None",
        "tests/conformance/test_cells.py -k float64-ragged",
    ),
    Mutant(
        "a sequence in pieces starts its clock anew",
        "backends/reference.py",
        "count = count if call.start is None else call.start",
        "pass",
        "tests/backends/test_reference.py tests/conformance/test_compiled.py -k start",
    ),
    Mutant(
        "the simplifier drops what it must keep",
        "ir/simplify.py",
        'if value.op == "neg" and',
        'if value.op == "mul" and _is(inputs[1], 0.0):\n        return inputs[1]\n'
        '    if value.op == "neg" and',
        "tests/ir",
    ),
    Mutant(
        "the simplifier takes a difference apart wrongly",
        "ir/simplify.py",
        'if value.op == "sub" and _is(inputs[1], 0.0):',
        'if value.op == "sub" and _is(inputs[1], 1.0):',
        "tests/conformance/test_random_cells.py",
    ),
    Mutant(
        "a resumed training forgets the optimizer",
        "jobs/training/checkpoint.py",
        'optimizer.load_state_dict({"state": state, "param_groups": groups})',
        "pass",
        "tests/jobs -k resume",
    ),
    Mutant(
        "a resumed training starts its random numbers anew",
        "jobs/training/engine.py",
        'np.random.SeedSequence([self.options["random_state"], number])',
        'np.random.SeedSequence([self.options["random_state"]]) if number == 0 else '
        "np.random.SeedSequence()",
        "tests/jobs -k resume",
    ),
    Mutant(
        "a model file is believed without a look at its tensors",
        "jobs/model_file.py",
        "if tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype:",
        "if False:",
        "tests/jobs -k model",
    ),
    Mutant(
        "gradient table: at a tie the greater takes all",
        "autodiff/table.py",
        "return where(equal(a, b), mul(g, 0.5), where(less(a, b), 0.0, g))",
        "return where(equal(a, b), g, where(less(a, b), 0.0, g))",
        "tests/autodiff",
    ),
    Mutant(
        "gradient table: relu lets a gradient through at 0",
        "autodiff/table.py",
        "where(less_equal(y, 0.0), 0.0, g)",
        "where(less(y, 0.0), 0.0, g)",
        "tests/autodiff",
    ),
    Mutant(
        "gradient table: the slope of tanh is taken at its input",
        "autodiff/table.py",
        "sub(1.0, mul(y, y))",
        "sub(1.0, mul(a, a))",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "autodiff: what comes from the steps after it is left out",
        "autodiff/derivative.py",
        "for leaves in (later, outside) if name in leaves]",
        "for leaves in (outside, later) if name in leaves][:1]",
        "tests/autodiff/test_derivative.py",
    ),
    Mutant(
        "planner: every product is hoisted, known or not",
        "plan/sweeps.py",
        "known = given or value in self.known",
        "known = True",
        "tests/plan tests/conformance/test_compiled.py -k 'hoisted or spread and elman'",
    ),
    Mutant(
        "planner: what is recorded is not looked at by anybody",
        "plan/clocks.py",
        "self._chosen |= dict.fromkeys(stores)",
        "pass",
        "tests/plan/test_clocks.py tests/conformance/test_compiled.py -k 'clock'",
    ),
    Mutant(
        "planner: a sum rests with its first term",
        "plan/clocks.py",
        'value.op in ("add", "sub") and resting[0] is resting[1]',
        'value.op in ("add", "sub")',
        "tests/plan/test_clocks.py",
    ),
    Mutant(
        "native: the last unit that ticks is taken for resting",
        "backends/cpu/native/program.hpp",
        "found.end = left < LANES ? units : unit + LANES;",
        "found.end = unit;",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and clockwork'",
    ),
    Mutant(
        "native: the first panel that ticks is taken for resting",
        "backends/cpu/native/run.hpp",
        "Pointwise pointwise = rests(w.clock, f, p) ?",
        "Pointwise pointwise = rests(w.clock, f, p + 1) ?",
        "tests/conformance/test_compiled.py -k many",
    ),
    Mutant(
        "native: what is known of the first units' time holds for all",
        "backends/cpu/equations.py",
        "[(unit - {name}_from) / LANES]",
        "[0]",
        "tests/conformance/test_compiled.py -k many",
    ),
    Mutant(
        "planner: what rests by any clock rests by that of its pass",
        "plan/sweeps.py",
        "frozenset(resting[clock])",
        "frozenset().union(*resting.values())",
        "tests/conformance/test_compiled.py -k many",
    ),
    Mutant(
        "planner: a zero times what is not finite is zero",
        "plan/clocks.py",
        'in ("mul", "neg") and self.gradient',
        'in ("mul", "neg")',
        "tests/plan/test_clocks.py",
    ),
    Mutant(
        "planner: nobody looks at what is summed for the gradient of a vector",
        "plan/step.py",
        " + [v for _, v in self.sums]",
        "",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and looked_at'",
    ),
    Mutant(
        "planner: nobody looks at the right sides of gradients of matrices",
        "plan/step.py",
        "for v in (left, right)]",
        "for v in (left,)]",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and looked_at'",
    ),
    Mutant(
        "planner: a root may be zero where its unit rests",
        "plan/clocks.py",
        "None if value.op in _DIVISORS else set()",
        "set()",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and looked_at'",
    ),
    Mutant(
        "native: rows of different times tick together",
        "backends/cpu/native/layout.hpp",
        "if (call.start[row] != call.start[0]) return false;",
        "if (call.start[row] < 0) return false;",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and clockwork'",
    ),
    Mutant(
        "planner: a product comes a pass too early",
        "plan/sweeps.py",
        "return self.level[source] + 1",
        "return self.level[source]",
        "tests/plan tests/conformance/test_compiled.py -k 'plan or reference and gru'",
    ),
    Mutant(
        "planner: what is recomputed is taken to be there",
        "plan/saving.py",
        "            self.saved.append(value)",
        "            self.saved[1:] = [value]",
        "tests/plan",
    ),
    Mutant(
        "planner: what a sweep computes is taken for loaded, since a later one has it written down",
        "plan/sweeps.py",
        "elif home == key or (value not in self.loads",
        "elif home != home or (value not in self.loads",
        "tests/conformance/test_compiled.py -k 'reference and waiting'",
    ),
    Mutant(
        "planner: the bias is dropped from a sum of products",
        "plan/sweeps.py",
        "self.groups[value] = (products, [t for t in terms if t not in products])",
        "self.groups[value] = (products, [t for t in terms if t.kind == 'pointwise'])",
        "tests/plan",
    ),
    Mutant(
        "planner: a state is handed its own gradient, not the one before the step",
        "plan/cell_plan.py",
        "stores.append((derivative.states[name], after))",
        "stores.append((leaf, after))",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-elman'",
    ),
    Mutant(
        "renderer: what fills up the last vector is summed as well",
        "backends/cpu/equations.py",
        'text = f"only<WHOLE>({text}, left, {neutral})"',
        "pass",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and normed'",
    ),
    Mutant(
        "native: what a step leaves is written over what it reads",
        "backends/cpu/native/layout.hpp",
        "from = base[array.other] + (1 - turn) * call.batch * stride[a]",
        "from = base[array.other] + turn * call.batch * stride[a]",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "renderer: a difference is turned round",
        "backends/cpu/spelling.py",
        '"sub": "{} - {}"',
        '"sub": "{1} - {0}"',
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-gru'",
    ),
    Mutant(
        "native: what a mask leaves out is multiplied with",
        "backends/cpu/native/products.hpp",
        "if (mask == (transposed ? 2 : 3)) kept.end = depth;",
        "kept.end = depth;",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and normed'",
    ),
    Mutant(
        "native: the lower rows of a tile are taken a row too late",
        "backends/cpu/native/multiply.hpp",
        "*lower = rows + SIDE * stride;",
        "*lower = rows + (SIDE + 1) * stride;",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "native: what is to go past the caches is not written",
        "backends/cpu/native/vectors.hpp",
        "if (WHOLE && far && (uintptr_t)to % VECTOR_BYTES == 0) {",
        "if (WHOLE && far && (uintptr_t)to % VECTOR_BYTES == 0) {\n    return;",
        "tests/backends/test_cpu_numbers.py -k beyond_all_caches",
    ),
    Mutant(
        "native: of a batch of many rows the first block is left out",
        "backends/cpu/native/run.hpp",
        "sweep(w, f, first, first + BLOCK_ROWS, first_panel, end_panel);",
        "(void)0;",
        "tests/backends/test_cpu_numbers.py -k beyond_all_caches",
    ),
    Mutant(
        "native: the initial state is not read",
        "backends/cpu/native/layout.hpp",
        "if (given) memcpy(to, given + row * n, n * sizeof(Real));",
        "if (false) memcpy(to, given + row * n, n * sizeof(Real));",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "native: one piece of a vector's gradient is lost",
        "backends/cpu/native/chunk.hpp",
        "left = n * (piece + 1) / pieces - unit",
        "left = piece ? 0 : n * (piece + 1) / pieces",
        "tests/conformance/test_compiled.py -k 'spread and lstm'",
    ),
    Mutant(
        "native: what is ahead of the loop is done for the first chunk again and again",
        "backends/cpu/native/run.hpp",
        "f.at[a] = base[a] + chunk_row * stride[a];",
        "f.at[a] = base[a];",
        "tests/conformance/test_compiled.py -k 'spread and embedded'",
    ),
    Mutant(
        "native: who is alone cuts a call in another way",
        "backends/cpu/native/run.hpp",
        "Int threads = call.threads;\n    team.share(",
        "Int threads = team.threads;\n    team.share(",
        "tests/backends/test_cpu_numbers.py -k who_works",
    ),
    Mutant(
        "native: who waits for others does not try it alone",
        "backends/cpu/native/team.hpp",
        "alone_until = now + FOR_A_WHILE;",
        "alone_until = now;",
        "tests/backends/test_cpu_numbers.py -k soon_done",
    ),
    Mutant(
        "native: two parts of a gradient are added to it at the same time",
        "backends/cpu/native/gradients.hpp",
        "if (again || x.right",
        "if (x.right",
        "tests/conformance/test_compiled.py -k 'spread and turned_twice'",
    ),
    Mutant(
        "native: a piece of a right side is packed over the one before",
        "backends/cpu/native/gradients.hpp",
        "packed + (before + row - block.from) * PANEL, block.depth * PANEL",
        "packed + row * PANEL, block.depth * PANEL",
        "tests/conformance/test_compiled.py -k 'spread and lstm'",
    ),
    Mutant(
        "native: a short sequence goes on",
        "backends/cpu/native/layout.hpp",
        "call.lengths && !program.backward ? call.lengths[row] : call.steps",
        "call.steps",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "native: tanh is a little off",
        "backends/cpu/native/vectors.hpp",
        "constexpr Real most = REAL_IS_DOUBLE ? 22 : 10;",
        "constexpr Real most = REAL_IS_DOUBLE ? 15 : 7;",
        "tests/backends/test_vectors.py",
    ),
    Mutant(
        "native: behind the loop all steps tick like the last",
        "backends/cpu/native/chunk.hpp",
        "steps->ticking + (step - steps->first) * program.clock_count;",
        "steps->ticking + (steps->end - 1 - steps->first) * program.clock_count;",
        "tests/conformance/test_compiled.py -k 'spread and resting'",
    ),
    Mutant(
        "derivative: a number is taken out of a sum and lost",
        "autodiff/totals.py",
        "return units, build(value.op, number or 1.0, right)",
        "return units, number or right",
        "tests/autodiff/test_derivative.py",
    ),
    Mutant(
        "renderer: where units have no product, the greatest is the sum",
        "backends/cpu/equations.py",
        'result}) = {word}_of_lanes({so_far});"',
        'result}) = sum_of_lanes({so_far});"',
        "tests/conformance/test_random_compiled.py",
    ),
    Mutant(
        "native: rows behind the last that are added at once are lost",
        "backends/cpu/native/chunk.hpp",
        "for (; row < rows; row++) add_rows<1>",
        "for (; row + AT_ONCE < rows; row++) add_rows<1>",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "native: what a mask keeps of one panel it keeps of all",
        "backends/cpu/native/chunk.hpp",
        "kept_of[m][panel]",
        "kept_of[m][0]",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and clockwork'",
    ),
    Mutant(
        "native: rows that are added at once are one and the same",
        "backends/cpu/native/chunk.hpp",
        "from + r * wide + unit",
        "from + unit",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "packing: rows stay in the order of their lengths",
        "backends/cpu/packing.py",
        "return torch.empty_like(rows).index_copy_(0, self.order, rows)",
        "return rows",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "native: what a ragged batch does not have is left as memory held it",
        "backends/cpu/native/ragged.hpp",
        "else memset(x.to + places[row] * x.units, 0, bytes);",
        "else continue;",
        "tests/backends/test_cpu_packing.py",
    ),
    Mutant(
        "native: rows of one length stand in any order",
        "backends/cpu/native/ragged.hpp",
        "places[next[done[row]++] + sorted[row]] = at;",
        "places[next[done[row]++] + row] = at;",
        "tests/backends/test_cpu_packing.py",
    ),
    Mutant(
        "planner: what is recorded is there before the loop",
        "plan/sweeps.py",
        "given = self.step.leaves.get(value) is source and is_given(value, source)",
        "given = is_given(value, source)",
        "tests/conformance/test_compiled.py -k 'recorded and told'",
    ),
    Mutant(
        "planner: a product of one number joins a sum of many units",
        "plan/sweeps.py",
        'return term.kind == "product" and term.size == total.size',
        'return term.kind == "product"',
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and one_number'",
    ),
    Mutant(
        "renderer: what is done ahead of the loop reads what the loop reads",
        "backends/cpu/render.py",
        "loads = [program.ahead_loads] * len(program.ahead)",
        "loads = [{**program.ahead_loads, **program.loads}] * len(program.ahead)",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and one_number'",
    ),
    Mutant(
        "backend: a draw that is left out is one number",
        "backends/cpu/backend.py",
        'return node("per_unit", values=(probability,), size=value.size)',
        'return node("constant", value=probability)',
        "tests/conformance/test_compiled.py -k 'left_out'",
    ),
    Mutant(
        "planner: a clock behind what is kept is not looked for",
        "plan/cell_plan.py",
        "if v in reached or v in beforehand}",
        "if v in reached}",
        "tests/conformance/test_compiled.py -k behind",
    ),
    Mutant(
        "shortcut: gradients of the last states are not passed on",
        "backends/cpu/direct.py",
        "coming = [None if g is None else readable(g) for g in gradients]",
        "coming = [None if n else g.contiguous() for n, g in enumerate(gradients)]",
        "tests/nn/test_shortcut.py",
    ),
    Mutant(
        "native: late times are no more exact than early ones",
        "backends/cpu/native/times.hpp",
        "if (__builtin_expect(count_of(f, row) >= LATE, 0)) return body(Time());",
        "",
        "tests/nn/test_stream.py -k further",
    ),
    Mutant(
        "native: bits of weights are summed where they stand",
        "backends/cpu/native/kept.hpp",
        "((bits << 16 | bits >> 16) * 0x85ebca77u)",
        "bits",
        "tests/backends/test_cpu_kept.py",
    ),
    Mutant(
        "gradient: what hooks of saved tensors give back is read as it lies",
        "backends/cpu/gradient.py",
        "return [readable(tensor) for tensor in found]",
        "return found",
        "tests/nn/test_users_ways.py -k come_back",
    ),
    Mutant(
        "stream: autograd is not told of what is written over without a gradient",
        "nn/stream.py",
        "torch._C._increment_version(self._written)",
        "torch.is_grad_enabled() and torch._C._increment_version(self._written)",
        "tests/nn/test_stream.py -k head",
    ),
    Mutant(
        "native: of a square of weights only half is turned",
        "backends/cpu/native/vectors.hpp",
        "if constexpr (2 * BLOCK < sizeof...(LANE)) turn<2 * BLOCK>(rows);",
        "",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "native: of a gradient's right side the units behind the last whole vector are zero",
        "backends/cpu/native/products.hpp",
        "if (units) *(Vector*)to = load<false>(row, units);",
        "if (units) *(Vector*)to = Vector{};",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "native: the gradient of the first states is left out where it is asked for",
        "backends/cpu/native/run.hpp",
        "!program.backward || wants_states() || !program",
        "!program.backward || !program",
        "tests/conformance/test_compiled.py -k 'equals_the_reference and not less and cpu-lstm'",
    ),
    Mutant(
        "planner: a state that decays stays as it is",
        "plan/lasting.py",
        'after.op == "where" and after.inputs[2] is state and',
        'after.op == "where" and',
        "tests/conformance/test_lasting.py -k only_what_may_last",
    ),
    Mutant(
        "planner: a sum that another clock asks for is made whenever the state ticks",
        "plan/lasting.py",
        "if not step.backward and group.clock in (None, clock):",
        "if not step.backward:",
        "tests/conformance/test_lasting.py -k somebody_else",
    ),
    Mutant(
        "planner: gradients that somebody else adds to wait, too",
        "plan/lasting.py",
        "if part.transposed and part.clock is clock]",
        "if part.transposed]",
        "tests/conformance/test_lasting.py -k somebody_else",
    ),
    Mutant(
        "native: only what changed last has changed since a sum",
        "backends/cpu/native/lasting.hpp",
        "end = here > end ? here : end;",
        "end = here;",
        "tests/conformance/test_lasting.py -k 'equals or bit'",
    ),
    Mutant(
        "native: the last block that has changed is left out of a sum",
        "backends/cpu/native/lasting.hpp",
        "block > own; block--)",
        "block > own + 1; block--)",
        "tests/conformance/test_lasting.py -k equals",
    ),
    Mutant(
        "native: gradients that wait at the end of a chunk are lost",
        "backends/cpu/native/lasting.hpp",
        "return step == steps.first || ticks(",
        "return step == 0 || ticks(",
        "tests/conformance/test_lasting.py -k equals",
    ),
    Mutant(
        "native: a row that begins where others wait adds to what memory held",
        "backends/cpu/native/lasting.hpp",
        "since == f.step ? 0 : rows_at(f.step + 1);",
        "since == f.step ? 0 : end;",
        "tests/conformance/test_lasting.py -k equals",
    ),
    Mutant(
        "native: of gradients that wait only the first are summed",
        "backends/cpu/native/lasting.hpp",
        "*(Anywhere*)(to + unit) += *(const Anywhere*)(given + unit);",
        "break;",
        "tests/conformance/test_lasting.py -k equals",
    ),
    Mutant(
        "native: blocks that tick later are not packed",
        "backends/cpu/native/lasting.hpp",
        "ticking(steps, step - 1).end;\n    return",
        "ticking(steps, step).end;\n    return",
        "tests/conformance/test_lasting.py -k equals",
    ),
    Mutant(
        "native: rows that waited for a block are those of its last step",
        "backends/cpu/native/lasting.hpp",
        "if (since == step) {\n        Range",
        "if (true) {\n        Range",
        "tests/conformance/test_lasting.py -k equals",
    ),
    Mutant(
        "shortcut: rows of any length count as full",
        "nn/shortened.py",
        "return len(known) == rows == known.count(steps)",
        "return len(known) == rows",
        "tests/nn/test_shortcut.py -k lengths",
    ),
    Mutant(
        "shortcut: what one thread computes of a weight, others take for theirs",
        "nn/once.py",
        "class _Known(threading.local):",
        "class _Known:",
        "tests/nn/test_once.py",
    ),
)


def source_of(mutant, sources):
    path = sources / "cellwright" / mutant.file
    text = path.read_text()
    assert mutant.line in text, f"{mutant.file} has no line to change: {mutant.line}"
    return path, text


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_there_is_a_line_to_change(mutant):
    # Known at once, and not when mutants are made the next time.
    source_of(mutant, ROOT / "src")


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_the_tests_notice(mutant, tmp_path):
    sources = tmp_path / "src"
    shutil.copytree(ROOT / "src", sources, ignore=shutil.ignore_patterns("__pycache__"))
    path, text = source_of(mutant, sources)
    path.write_text(text.replace(mutant.line, mutant.becomes))
    found = run_tests(mutant.tests, sources, tmp_path / "kernels")
    # 1 is pytest's word for failed tests; a mutant that cannot even start proves nothing.
    assert found.returncode == 1, found.stdout[-3_000:]
    noticed = re.search(r"^FAILED (\S+)", found.stdout, re.MULTILINE)
    assert noticed, found.stdout[-3_000:]
    print(f"{mutant.what}: noticed by {noticed[1]}")


def run_tests(tests, sources, kernels):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *shlex.split(tests)],
        cwd=ROOT,
        env=os.environ
        | {
            "PYTHONPATH": str(sources),
            "PYTHONDONTWRITEBYTECODE": "1",
            # Kernels of a mutant are of no use to anyone; they need not be fast either.
            "CELLWRIGHT_CACHE_DIR": str(kernels),
            "CELLWRIGHT_CXXFLAGS": "-O1",
        },
        capture_output=True,
        text=True,
        timeout=280,
    )

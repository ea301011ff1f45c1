"""Memory that is used again: it comes back with the last view, and only so much of it waits."""

import gc
import os
import subprocess
import sys
import threading

import pytest
import torch

from cellwright.backends.cpu import memory

LARGE = memory._ROUND // 4  # float32 numbers in one large page


@pytest.fixture(autouse=True)
def _nothing_waits():
    gc.collect()
    memory._free.clear()
    yield
    gc.collect()
    memory._free.clear()


def waiting():
    return sum(map(len, memory._free))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("rows", "units"), [(0, 5), (5, 0), (3, 7), (1000, 700), (70_001, 13)])
def test_it_is_a_tensor_like_any_other(rows, units, dtype):
    tensor = memory.empty(rows, units, dtype)
    assert tensor.shape == (rows, units)
    assert tensor.dtype is dtype
    assert tensor.is_contiguous()
    tensor.fill_(3)
    assert bool((tensor == 3).all())


def test_small_ones_come_out_of_the_heap():
    memory.empty(memory._SMALLEST // 4 - 1, 1, torch.float32)
    assert waiting() == 0
    memory.empty(memory._SMALLEST // 4, 1, torch.float32)
    assert waiting() == memory._ROUND


def test_a_block_comes_back_and_is_used_again():
    first = memory.empty(LARGE, 3, torch.float32)
    place = first.data_ptr()
    assert waiting() == 0
    del first
    assert waiting() == 3 * memory._ROUND
    second = memory.empty(2 * LARGE + 1, 1, torch.float32)  # another shape, as many pages
    assert second.data_ptr() == place
    assert waiting() == 0


def test_the_last_view_keeps_it():
    tensor = memory.empty(LARGE, 3, torch.float32).fill_(1)
    view = tensor[5:7].flatten()
    numbers = tensor.numpy()[3]
    storage = tensor.untyped_storage()
    del tensor
    assert waiting() == 0
    other = memory.empty(LARGE, 3, torch.float32).zero_()
    assert view.sum() == 6
    assert numbers.sum() == 3
    del view
    assert waiting() == 0
    del storage
    assert waiting() == 0
    del numbers
    assert waiting() == 3 * memory._ROUND
    del other


def test_a_graph_of_autograd_keeps_it_and_its_end_gives_it_back():
    weight = torch.ones(3, requires_grad=True)
    result = (memory.empty(LARGE, 3, torch.float32).fill_(2) * weight).sum()
    assert waiting() == 0
    result.backward()
    assert weight.grad.tolist() == [2.0 * LARGE] * 3
    assert waiting() == 3 * memory._ROUND


def test_blocks_in_a_cycle_come_back_with_the_collector():
    cycle = [memory.empty(LARGE, 1, torch.float32)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert waiting() == memory._ROUND


def test_one_that_is_much_too_large_is_left_for_others():
    del (whole := [memory.empty(LARGE, 8, torch.float32)])[:]
    assert not whole
    small = memory.empty(LARGE, 2, torch.float32)
    assert waiting() == 8 * memory._ROUND
    nearly = memory.empty(LARGE, 7, torch.float32)
    assert waiting() == 0
    del small, nearly


def test_no_more_waits_than_the_limit(monkeypatch):
    monkeypatch.setattr(memory, "_KEPT", 4 * memory._ROUND)
    blocks = [memory.empty(LARGE, 1, torch.float32) for _ in range(7)]
    places = [block.data_ptr() for block in blocks]
    while blocks:
        blocks.pop(0)
    assert waiting() == 4 * memory._ROUND
    again = [memory.empty(LARGE, 1, torch.float32) for _ in range(4)]
    assert [block.data_ptr() for block in again] == places[3:]
    del again
    memory.empty(LARGE, 5, torch.float32)  # which alone is more than may wait
    assert waiting() == 0


def test_no_two_threads_have_the_same_block():
    wrong = []

    def work(number):
        for turn in range(60):
            mark = number * 1000 + turn
            blocks = [memory.empty(LARGE, 1 + turn % 3, torch.float32) for _ in range(2)]
            for place, block in enumerate(blocks):
                block[:: LARGE // 8] = mark + place / 2
            for place, block in enumerate(blocks):
                if not bool((block[:: LARGE // 8] == mark + place / 2).all()):
                    wrong.append(mark)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(set(map(id, memory._free))) == len(memory._free)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_a_forked_child_has_its_own():
    program = f"""
import os
import torch
from cellwright.backends.cpu import memory

kept = memory.empty({LARGE}, 2, torch.float32).fill_(1)
memory.empty({LARGE}, 1, torch.float32)
assert len(memory._free) == 1
child = os.fork()
if not child:
    assert not memory._free
    kept.fill_(2)
    memory.empty({LARGE}, 1, torch.float32).fill_(3)
    del kept
    assert sorted(map(len, memory._free)) == [{memory._ROUND}, {2 * memory._ROUND}]
    print("child", flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert bool((kept == 1).all())
assert len(memory._free) == 1
print("parent")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    # kept dies after the modules of the process: nothing may be said of it.
    assert (done.stdout, done.stderr) == ("child\nparent\n", "")
    assert done.returncode == 0

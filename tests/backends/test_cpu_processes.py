"""Threads and processes: the same numbers from each, and nobody waits for ever."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from in_a_child import answer, make, train
from torch.utils.data import DataLoader, Dataset

import cellwright as cw

# What libraries say about fork in a process with threads is true, and what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def same(found, expected):
    # To the last bit, also where OpenMP gives a call fewer threads than it asks for.
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_many_threads_train_nets_of_their_own():
    expected = [train(*make(seed)) for seed in range(4)]
    found = {}

    def work(seed):
        found[seed] = train(*make_quietly[seed])

    make_quietly = [make(seed) for seed in range(4)]
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for seed in range(4):
        same(found[seed], expected[seed])


def test_many_threads_use_one_net_at_once():
    net, _ = make()
    batches = [torch.randn(8, 10 + n, 24) for n in range(6)]
    weights = list(net.parameters())

    def gradients(x):
        return torch.autograd.grad(net(x)[0].pow(2).sum(), weights)

    expected = [gradients(x) for x in batches]
    found = {}

    def work(number):
        for _ in range(5):
            found[number] = gradients(batches[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for number, wanted in enumerate(expected):
        same(found[number], wanted)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_computes_what_its_parent_does(method):
    expected = train(*make())  # with as many threads as there are, so that they exist
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=answer, args=(queue, torch.get_num_threads()))
    child.start()
    try:
        found = [torch.from_numpy(value) for value in queue.get(timeout=100)]
    finally:
        child.join(5)
        child.kill()
    same(found, expected)


def test_a_bare_fork_does_not_wait_for_threads_that_are_gone():
    net, x = make()
    with torch.no_grad():
        expected = net(x)[0]
    with torch.no_grad():
        in_a_fork(lambda: torch.allclose(net(x)[0], expected, atol=1e-6))
        assert torch.equal(net(x)[0], expected)


def in_a_fork(is_right):
    child = os.fork()
    if not child:
        os._exit(0 if is_right() else 3)
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 0


def large_stream():
    torch.manual_seed(0)
    net = cw.Recurrent("lstm", 40, [150, 300])  # the second layer is shared among threads
    x = torch.randn(1, 60, 40)
    torch.set_num_threads(1)
    alone = net.stream().steps(x)
    torch.set_num_threads(2)
    return net, x, alone


def test_a_large_stream_is_shared_and_gives_the_same_bits():
    net, x, alone = large_stream()
    stream = net.stream()
    assert stream._chain.numbers[3] == 2
    in_steps = torch.stack([stream.step(x[:, n]).clone() for n in range(60)], 1)
    assert torch.equal(in_steps, alone)
    stream.reset()
    in_chunks = torch.cat([stream.steps(part) for part in x.split([30, 3, 27], dim=1)], 1)
    assert torch.equal(in_chunks, alone)


def test_a_large_stream_goes_on_in_a_fork():
    net, x, alone = large_stream()
    stream = net.stream()
    torch.testing.assert_close(stream.steps(x[:, :20]), alone[:, :20])
    in_a_fork(lambda: torch.equal(stream.steps(x[:, 20:]), alone[:, 20:]))
    assert torch.equal(stream.steps(x[:, 20:]), alone[:, 20:])


def test_large_streams_run_side_by_side():
    net, x, alone = large_stream()
    found = {}

    def listen(number):
        stream = net.stream()
        found[number] = [stream.steps(x), *(stream.reset() or stream.steps(x) for _ in range(20))]

    threads = [threading.Thread(target=listen, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(found) == [0, 1, 2, 3]
    assert all(torch.equal(each, alone) for all_of_one in found.values() for each in all_of_one)


class Encoded(Dataset):
    """Items that a compiled cell has a hand in."""

    def __init__(self, net, x):
        self.net, self.x = net, x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        with torch.no_grad():
            return self.net(self.x[index : index + 1])[0][0]


def test_workers_that_load_data_may_run_cells():
    net, x = make()
    with torch.no_grad():
        expected = net(x)[0]
    loader = DataLoader(Encoded(net, x), 8, num_workers=2, timeout=100)
    torch.testing.assert_close(torch.cat(list(loader)), expected)


TWO_CELLS = """
import torch, cellwright as cw
for name in ("elman", "coupled_lstm"):
    cw.Recurrent(name, 3, [5], backend="cpu")(torch.randn(2, 4, 3))
"""


def test_what_runs_cells_is_compiled_once(tmp_path):
    environment = os.environ | {"CELLWRIGHT_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", TWO_CELLS], check=True, env=environment)
    names = sorted(path.name.partition("-")[0] for path in tmp_path.glob("*.so"))
    assert names == ["coupled_lstm", "elman", "runner_float", "tiles_float"]

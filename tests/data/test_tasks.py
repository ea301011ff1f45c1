"""Tasks of the literature: every rule is checked again, slowly and in other words."""

import inspect
import re

import numpy as np
import pytest
from task_sequences import letters, sequences

from cellwright.data import tasks
from cellwright.errors import SettingError

NAMES = list(tasks.TASKS)


def lengths(data):
    return [len(x) for x in data.x]


# -- every task


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_draws_the_same(name):
    task = tasks.get(name)
    first, again, other = task.draw(50, 3), task.draw(50, 3), task.draw(50, 4)
    assert first.x.fingerprint == again.x.fingerprint != other.x.fingerprint
    assert np.array_equal(first.targets, again.targets)
    assert task.draw(5, (3, 1)).x.fingerprint != task.draw(5, (3, 2)).x.fingerprint


def test_no_seed_of_one_number_draws_what_several_draw():
    # `learn` draws with several, such as (1, seed, epoch): who asks for other sequences with
    # a number of his own must not get those that were learned from.
    task = tasks.adding(5)
    drawn = {}
    for seed in range(4):
        for several in [(seed,), (seed, 0), (seed, 0, 0)]:
            drawn.setdefault(task.draw(9, several).x.fingerprint, several)
    assert list(drawn.values()) == [(0,), (1,), (2,), (3,)]  # numpy fills up with zeros
    drawn[task.draw(9, (0, 1)).x.fingerprint] = (0, 1)
    for seed in [0, 1, 2, 3, 2**32, 2**32 + 1, 2**64 + 3]:
        assert drawn.setdefault(task.draw(9, seed).x.fingerprint, seed) == seed


@pytest.mark.parametrize("seed", [np.int64(7), np.uint8(7)])
def test_a_seed_of_numpy_is_a_number(seed):
    task = tasks.adding(5)
    assert task.draw(3, np.array([1, 7])).x.fingerprint == task.draw(3, (1, 7)).x.fingerprint
    assert task.draw(3, np.array(7)).x.fingerprint == task.draw(3, 7).x.fingerprint
    assert task.draw(3, seed).x.fingerprint == task.draw(3, 7).x.fingerprint
    assert task.draw(3, (1, seed)).x.fingerprint == task.draw(3, [1, 7]).x.fingerprint
    assert task.draw(np.int64(3), 7).x.fingerprint == task.draw(3, 7).x.fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_a_draw_is_what_the_task_says(name):
    task = tasks.get(name)
    data = task.draw(300, 0)
    assert len(data) == len(data.targets) == 300
    assert data.x.features == task.features
    if task.steps is not None:
        assert max(lengths(data)) == task.steps
    if data.counted is None:
        assert data.answers == 300
        assert data.targets.shape == ((300, task.outputs) if task.target == "number" else (300,))
    else:
        wanted = [[step < length for step in range(max(lengths(data)))] for length in lengths(data)]
        assert data.counted.tolist() == wanted
        assert data.answers == sum(lengths(data))
        assert data.targets.shape[:2] == data.counted.shape
        assert not data.targets[~data.counted].any()
    if task.target != "number":
        assert set(np.unique(data.targets)) == set(range(task.outputs))
    assert task.name.startswith(name)


OTHER_OPTIONS = {
    "adding": {"steps": 30},
    "adding_1997": {"steps": 30},
    "multiplication": {"steps": 30, "wrong_of_2000": 13},
    "temporal_order": {"relevant": 3, "steps": 30},
    "copy_memory": {"delay": 30, "length": 3, "symbols": 3},
    "embedded_reber": {},
    "parity": {"steps": (3, 9), "noise": 0.2, "every_step": True},
    "delayed_recall": {"steps": (3, 9), "symbols": 3, "distractors": 3},
}


@pytest.mark.parametrize("name", OTHER_OPTIONS)
def test_every_option_is_in_the_name(name):
    # A training that is resumed knows its task by the name.
    make, others = getattr(tasks, name), OTHER_OPTIONS[name]
    assert set(others) == set(inspect.signature(make).parameters)
    names = [make().name, *(make(**{option: others[option]}).name for option in others)]
    assert len(set(names)) == len(names)


def test_the_names_of_the_usual_tasks_are_those_of_the_results():
    assert [tasks.get(name).name for name in NAMES] == [
        "adding(steps=200)",
        "adding_1997(steps=100)",
        "multiplication(steps=100)",
        "temporal_order_6a",
        "temporal_order_6b",
        "copy_memory(delay=100, length=10, symbols=8)",
        "embedded_reber",
        "parity(steps=25 to 50)",
        "delayed_recall(steps=100 to 110, symbols=2)",
    ]
    assert tasks.parity(every_step=True).name == "parity(steps=25 to 50, every_step=True)"
    assert tasks.parity(9, noise=0.2, every_step=True).name == (
        "parity(steps=9, noise=0.2, every_step=True)"
    )


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_taken_with_all_that_belongs_to_them(name):
    data = tasks.get(name).draw(20, 0)
    part = data.take(np.array([7, 2]))
    assert len(part) == 2
    assert np.array_equal(part.x.values[0], data.x.values[7])
    assert np.array_equal(part.targets, data.targets[[7, 2]])
    for field in ("counted", "possible"):
        whole = getattr(data, field)
        assert (getattr(part, field) is None) is (whole is None)
        if whole is not None:
            assert np.array_equal(getattr(part, field), whole[[7, 2]])


def uninformed(task, data):
    """Answers that do not look at the sequences, as good as they can be."""
    if task.target == "number":
        return np.full((len(data), 1), data.targets.mean())
    if task.target == "class":
        shares = np.bincount(data.targets, minlength=task.outputs)
        return np.tile(np.log(shares / len(data)), (len(data), 1))
    seen = np.eye(task.outputs)[data.targets] * data.counted[..., None]
    shares = seen.sum(0) / data.counted.sum(0)[:, None]  # one may know the time
    return np.tile(np.log(np.maximum(shares, 1e-30)), (len(data), 1, 1))


@pytest.mark.parametrize("name", NAMES)
def test_the_baseline_is_what_who_knows_only_the_step_gets(name):
    task = tasks.get(name)
    # Shares at each of many steps want many strings, or they fit the strings that were drawn.
    many = task.target == "number" or task.steps is None
    data = task.draw(20_000 if many else 4000, 1)
    measured = task.score(uninformed(task, data), data)["loss"]
    # The variance of numbers varies from draw to draw, and more than the share of a class.
    assert measured == pytest.approx(task.baseline, rel=0.02 if task.target == "number" else 2e-3)


# -- single tasks


@pytest.mark.parametrize("steps", [2, 3, 51])
def test_adding(steps):
    data = tasks.adding(steps).draw(400, 0)
    places = set()
    for x, target in zip(sequences(data), data.targets, strict=True):
        marked = [step for step in range(steps) if x[step, 1]]
        assert x[marked, 1].tolist() == [1, 1]
        assert marked[0] < steps // 2 <= marked[1]
        assert target[0] == pytest.approx(sum(x[step, 0] for step in marked), abs=1e-6)
        assert x[:, 0].min() >= 0
        assert x[:, 0].max() < 1
        places |= set(marked)
    assert places == set(range(steps))


@pytest.mark.parametrize(("make", "least"), [(tasks.adding_1997, -1), (tasks.multiplication, 0)])
def test_marked_numbers_of_1997(make, least):
    data = make(40).draw(3000, 0)
    firsts, seconds, without = set(), set(), 0
    for x, target in zip(sequences(data), data.targets, strict=True):
        assert x[0, 1] == x[-1, 1] == -1
        marked = [step for step in range(len(x)) if x[step, 1] == 1]
        assert set(x[1:-1, 1]) <= {0, 1}
        values = [x[step, 0] for step in marked]
        if len(marked) == 1:  # the other would have stood at the first step
            without += 1
            values.append(0 if least == -1 else 1)
        else:
            firsts.add(marked[0])
        seconds.add(marked[-1])
        assert len(values) == 2
        assert marked[0] < 10 or len(marked) == 1
        wanted = 0.5 + sum(values) / 4 if least == -1 else values[0] * values[1]
        assert target[0] == pytest.approx(wanted, abs=1e-6)
        assert least <= x[:, 0].min() < x[:, 0].max() <= 1
    assert set(lengths(data)) == set(range(40, 45))
    assert firsts == set(range(1, 10))
    assert seconds == set(range(1, 20)) - ({1} & (firsts - seconds))
    assert 0.08 < without / 3000 < 0.12


ORDERS = {
    2: (["XX", "XY", "YX", "YY"], [(10, 20), (50, 60)]),
    3: (
        ["XXX", "XXY", "XYX", "XYY", "YXX", "YXY", "YYX", "YYY"],
        [(10, 20), (33, 43), (66, 76)],
    ),
}


@pytest.mark.parametrize("relevant", ORDERS)
def test_temporal_order(relevant):
    classes, windows = ORDERS[relevant]
    data = tasks.temporal_order(relevant).draw(3000, 0)
    seen, others = [set() for _ in windows], set()
    for x, target in zip(sequences(data), data.targets, strict=True):
        text = letters(x, "EBabcdXY")
        assert re.fullmatch("E[abcdXY]*B", text)
        places = [at for at, letter in enumerate(text) if letter in "XY"]
        assert "".join(text[at] for at in places) == classes[target]
        for window, at in zip(seen, places, strict=True):
            window.add(at)
        others |= set(text) - set("EBXY")
    assert set(lengths(data)) == set(range(100, 111))
    assert others == set("abcd")
    assert seen == [set(range(low, high + 1)) for low, high in windows]
    assert np.bincount(data.targets).min() > 0.8 * 3000 / len(classes)


def test_temporal_order_of_other_lengths():
    text = [
        letters(x, "EBabcdXY") for x in sequences(tasks.temporal_order(2, steps=20).draw(99, 0))
    ]
    assert {len(t) for t in text} == {20, 21, 22}
    places = [[at for at, letter in enumerate(t) if letter in "XY"] for t in text]
    assert {a for a, _ in places} == {2, 3, 4}
    assert {b for _, b in places} == {10, 11, 12}


def test_copy_memory_asks_for_what_stood_there_as_long_ago_as_it_says():
    task = tasks.copy_memory(7, length=3, symbols=4)
    lag = int(re.search(r"(\d+) steps after", task.question)[1])
    for x, targets in zip(sequences(data := task.draw(50, 0)), data.targets, strict=True):
        shown = [int(symbol) for symbol in x.argmax(1)]
        assert shown[:3] == targets[lag : lag + 3].tolist()


def test_copy_memory():
    task = tasks.copy_memory(7, length=3, symbols=4)
    data = task.draw(200, 0)
    assert (task.features, task.outputs, task.steps) == (6, 5, 13)
    for x, targets in zip(sequences(data), data.targets, strict=True):
        text = letters(x, "abcd_!")
        assert re.fullmatch("[abcd]{3}_{6}!___", text)
        assert "".join("abcd_"[target] for target in targets) == "_" * 10 + text[:3]


@pytest.mark.parametrize("every_step", [False, True])
def test_parity(every_step):
    data = tasks.parity((3, 9), noise=0.3, every_step=every_step).draw(300, 0)
    assert set(lengths(data)) == set(range(3, 10))
    for number, x in enumerate(sequences(data)):
        assert 0.6 < np.abs(x).min() < np.abs(x).max() < 1.4
        odd, so_far = False, []
        for value in x[:, 0]:
            odd = not odd if value > 0 else odd
            so_far.append(int(odd))
        if every_step:
            assert data.targets[number, : len(x)].tolist() == so_far
        else:
            assert data.targets[number] == so_far[-1]
    assert set(np.unique(tasks.parity(8).draw(20, 0).x.values)) == {-1, 1}


def test_parity_says_that_its_sequences_repeat():
    task = tasks.parity(8, every_step=True)
    learned = {x.tobytes() for epoch in range(6) for x in task.draw(1000, (1, 0, epoch)).x}
    assert len(learned) == 2**8  # all there are, those of the test too
    assert "never seen" not in task.criterion.text
    assert "drawn anew" in task.criterion.text


def test_delayed_recall():
    data = tasks.delayed_recall((2, 6), symbols=3, distractors=2).draw(500, 0)
    assert set(lengths(data)) == set(range(2, 7))
    texts = [letters(x, "ABCxy?") for x in sequences(data)]
    for text, target in zip(texts, data.targets, strict=True):
        assert re.fullmatch(r"[ABC][xy]*\?", text)
        assert text[0] == "ABC"[target]
    assert set("".join(texts)) == set("ABCxy?")


# -- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tasks.adding(1), r"steps=1: must be a whole number from 2; two steps are marked"),
        (lambda: tasks.adding(2.5), r"steps=2.5: must be a whole number"),
        (lambda: tasks.adding(True), r"steps=True: must be a whole number"),
        (lambda: tasks.adding_1997(23), r"steps=23: must be a whole number from 24"),
        (lambda: tasks.multiplication(100, wrong_of_2000=0), r"wrong_of_2000=0: must be"),
        (lambda: tasks.temporal_order(4), r"relevant=4: must be 2 .*or 3"),
        (lambda: tasks.temporal_order(2.0), r"relevant=2.0: must be 2 .*or 3"),
        (lambda: tasks.temporal_order([2]), r"relevant=\[2\]: must be 2 .*or 3"),
        (lambda: tasks.temporal_order(2, steps=9), r"steps=9: must be a whole number from 10"),
        (lambda: tasks.copy_memory(0), r"delay=0: must be a whole number from 1"),
        (lambda: tasks.copy_memory(symbols=1), r"symbols=1: .* nothing to remember"),
        (lambda: tasks.parity((5, 3)), r"steps=\(5, 3\): the least stands before the greatest"),
        (lambda: tasks.parity((1, 2, 3)), r"steps=\(1, 2, 3\): must be one number, or"),
        (lambda: tasks.parity("ab"), r"steps='ab': must be a whole number from 1"),
        (lambda: tasks.parity(noise=1), r"noise=1: must be from 0 to below 1"),
        *(
            (lambda noise=noise: tasks.parity(noise=noise), f"noise={noise!r}: must be from 0 to")
            for noise in ("a", None, True, float("nan"), -0.1)
        ),
        (lambda: tasks.delayed_recall(1), r"steps=1: must be a whole number from 2"),
        (lambda: tasks.delayed_recall(distractors=0), r"distractors=0: must be"),
        (lambda: tasks.adding().draw(0, 0), r"count=0: draw at least one sequence"),
        (lambda: tasks.adding().draw(True, 0), r"count=True: draw at least one sequence"),
        (lambda: tasks.get("ading"), r"no task 'ading'. Did you mean 'adding'\?"),
        (lambda: tasks.get(["adding"]), r"no task \['adding'\]. .*There are adding, "),
        (lambda: tasks.get(None), r"no task None"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises(SettingError, match=message):
        make()


@pytest.mark.parametrize(
    "seed",
    [None, True, -1, 0.5, "1", b"1", [], [[1]], (1, -2), (1, None), np.random.default_rng(0)],
)
def test_what_is_no_seed_is_named(seed):
    with pytest.raises(SettingError, match=re.escape(f"seed={seed!r}: must be a whole number")):
        tasks.adding().draw(1, seed)

"""Matched sizes, held against counting every size there is."""

import pytest

import cellwright as cw
from cellwright.errors import SettingError
from cellwright.jobs.comparing.catalogue import find_job
from cellwright.jobs.comparing.matching import matched_layers


@pytest.mark.parametrize("target", [100, 799, 4242, 20_000])
@pytest.mark.parametrize(
    "allowed",
    [lambda n: True, lambda n: n % 7 == 0, lambda n: n % 10 < 3],
    ids=["all", "sevens", "odd"],
)
def test_no_size_comes_closer(target, allowed):
    def count(layers):
        (units,) = layers
        if not allowed(units):
            raise SettingError("the groups do not divide it")
        return 3 * units**2 + 5 * units + 2

    (found,) = matched_layers(count, [128], target)
    every = filter(allowed, range(1, 200))
    assert allowed(found)
    assert abs(count([found]) - target) == min(abs(count([units]) - target) for units in every)


def test_layers_keep_their_proportions():
    found = matched_layers(lambda layers: sum(u * u for u in layers), [64, 32, 16], 21 * 25)
    assert found == (20, 10, 5)


def test_a_number_that_cannot_be_reached_is_refused():
    with pytest.raises(SettingError, match="the smallest network has 1000"):
        matched_layers(lambda layers: 1000 * layers[0], [8], 30)
    with pytest.raises(SettingError, match="have fewer still"):
        matched_layers(lambda layers: 7, [8], 30)
    with pytest.raises(SettingError, match="odd sizes only"):
        matched_layers(_never, [8], 30)


def _never(layers):
    raise SettingError("odd sizes only")


def test_parameters_are_those_of_the_trained_network():
    job = find_job("classify", {"data": "digits", "epochs": 1, "samples": 32, "projection": 5})
    counted = job.parameters(cw.cells.peephole_lstm, (6, 4))
    clf = cw.SequenceClassifier(
        cell="peephole_lstm", layers=[6, 4], projection=5, epochs=1, samples=32, backend="reference"
    )
    dataset = cw.data.read("digits")
    clf.fit(dataset.train.x.take(range(100)), dataset.train.y[:100])
    assert counted == sum(weight.numel() for weight in clf.network_.parameters())
    task = find_job("parity", {"layers": 5})
    assert task.parameters(cw.cells.elman, (5,)) == 5 + 25 + 5 + 2 * 5 + 2


def test_texts_are_compared_with_the_vocabulary_that_is_learned(here):
    lines = [f"{label}\t{label}wards word{n}" for n in range(10) for label in ("up", "down")]
    (here / "texts.txt").write_text("\n".join(lines))
    options = {"data": "texts.txt", "layers": 4, "epochs": 1, "backend": "reference"}
    found = cw.compare(cells="elman,gru", seeds=1, match="parameters", **options)
    counts = [outcomes[0].parameters for outcomes in found.outcomes.values()]
    assert counts == [contender.parameters for contender in found.contenders]
    assert counts[1] == pytest.approx(counts[0], rel=0.1)

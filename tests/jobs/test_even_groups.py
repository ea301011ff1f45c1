"""Cells whose groups of units must be equal: refused in every way to ask for another number."""

import re
import sys
from unittest import mock

import numpy as np
import pytest

import cellwright as cw
from cellwright.cli import main
from cellwright.errors import GraphError
from cellwright.jobs.comparing.matching import matched_layers
from cellwright.jobs.training.tensor_file import read_tensors, write_tensors

X, Y = np.random.default_rng(0).normal(size=(40, 4, 2)), np.arange(40) % 2
REFUSED = (
    "cell 'clockwork': 10 units cannot be cut into 4 equal groups, one for each of [1, 2, 4, 8]; "
    "take 8 or 12"
)
SMALL = {"epochs": 1, "backend": "reference"}


@cw.cell(state="h")
def own_clockwork(x, h, t, *, periods=(1, 2, 4, 8)):
    """Clocks for any number of units, the groups as equal as can be."""
    n = cw.tanh(cw.affine("h", x, h))
    h = cw.where(t % cw.per_unit(periods) == 0, n, h)
    return h


@pytest.fixture
def command(capfd, tmp_path, monkeypatch):
    """Run a command beside some data; gives exit code, errors and the files that are there."""
    np.savez(tmp_path / "data.npz", X=X, y=Y)
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["cellwright", *words, "--data", "data.npz"])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capfd.readouterr().err, [path.name for path in tmp_path.iterdir()]

    return call


@pytest.mark.parametrize(
    ("periods", "units", "words"),
    [
        ((1, 2, 4, 8), 10, "10 units cannot be cut into 4 equal groups"),
        ((1, 2, 4, 8), 10, "one for each of [1, 2, 4, 8]; take 8 or 12"),
        ((1, 2, 4, 8), 3, "one for each of [1, 2, 4, 8]; take 4"),
        ((1, 3, 7), 128, "128 units cannot be cut into 3 equal groups"),
        (tuple(range(1, 10)), 17, "one for each of [1, 2, 3, 4, 5, 6, 7, 8, …]; take 9 or 18"),
    ],
)
def test_a_network_with_uneven_groups_is_not_built(periods, units, words):
    cell = cw.cells.clockwork(periods=periods)
    with pytest.raises(GraphError, match=f"cell 'clockwork': .*{re.escape(words)}"):
        cw.Recurrent(cell, 5, [len(periods), units])
    own = own_clockwork(periods=periods)
    assert cw.Recurrent(own, 5, max(units, len(periods))).cell.options["periods"] == periods


@pytest.mark.parametrize(("periods", "units"), [((1, 2, 4, 8), 12), ((1, 3, 7), 9), ((1,), 1)])
def test_numbers_of_units_that_the_periods_divide_are_taken(periods, units):
    net = cw.Recurrent(cw.cells.clockwork(periods=periods), 5, units, zoneout=0.1)
    assert tuple(net.hidden_sizes) == (units,)
    assert cw.Recurrent("clockwork", 5, [4, 8, 128], bidirectional=True).output_size == 256


def test_other_sizes_than_the_hidden_one_are_named():
    @cw.cell(state="h")
    def tabled(x, h):
        """A table for units of a size of its own."""
        m = cw.affine("m", x, h, size="proj") * cw.per_unit([1, 2], "proj", even=True)
        h = cw.tanh(cw.affine("h", m))
        return h

    with pytest.raises(GraphError, match="'tabled': 3 units of 'proj' cannot.*; take 2 or 4"):
        cw.Recurrent(tabled, 5, 3, sizes={"proj": 3})
    assert cw.Recurrent(tabled, 5, 3, sizes={"proj": 4})


def test_an_estimator_refuses_before_it_starts():
    started = mock.Mock()
    model = cw.SequenceClassifier(cell="clockwork", layers=[8, 10], **SMALL)
    with pytest.raises(GraphError, match=re.escape(REFUSED)):
        model.fit(X, Y, on_start=started)
    assert not started.called


@pytest.mark.parametrize("cell", ["clockwork", "clockwork:periods=[1,3,5,7]"])
def test_fit_writes_no_run_folder(command, cell):
    code, errors, files = command("fit", "classify", "--cell", cell, "--layers", "10")
    assert (code, files) == (1, ["data.npz"])
    assert errors.startswith("cellwright: cell 'clockwork': 10 units cannot be cut into 4 equal")
    assert errors.endswith("; take 8 or 12\n")


def test_a_comparison_writes_no_folder(command):
    words = ["compare", "classify", "--cells", "elman,clockwork", "--layers", "10"]
    assert command(*words) == (1, f"cellwright: {REFUSED}\n", ["data.npz"])
    with pytest.raises(GraphError, match=re.escape(REFUSED)):
        cw.compare("parity", cells="clockwork", layers=10)


def test_layers_of_matched_parameters_are_cut_evenly():
    def count(layers):
        return sum(weight.numel() for weight in cw.Recurrent("clockwork", 3, layers).parameters())

    assert matched_layers(count, [10], count([20]) + 9) == (20,)
    assert matched_layers(count, [10], count([24]) - 9) == (24,)


def test_a_model_of_uneven_groups_from_before_they_were_refused_still_loads(tmp_path):
    path = tmp_path / "model.cw"
    model = cw.SequenceClassifier(cell=own_clockwork, layers=[10], **SMALL).fit(X, Y)
    model.save(path)
    tensors, document = read_tensors(path)
    assert not [entry for entry in document["cell"]["nodes"] if "even" in entry]
    # As the zoo's own cell was written then: its name, and no word on how units are cut.
    document["cell"]["name"] = "clockwork"
    write_tensors(path, tensors, document)
    loaded = cw.load(path)
    assert loaded.cell.name == "clockwork"
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_a_model_of_even_groups_goes_by_the_name_of_its_cell_again(tmp_path):
    model = cw.SequenceClassifier(cell="clockwork", layers=[8], **SMALL).fit(X, Y)
    model.save(tmp_path / "model.cw")
    loaded = cw.load(tmp_path / "model.cw")
    assert loaded.cell == "clockwork"
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert "even" in str(read_tensors(tmp_path / "model.cw")[1]["cell"])

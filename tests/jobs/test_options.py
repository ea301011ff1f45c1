import dataclasses

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.errors import CellwrightError, SettingError
from cellwright.jobs.options import ClassifierOptions, option_types, validated


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("layers", [0], "at least 1"),
        ("layers", "wide", "must be a whole number"),
        ("layers", [], None),
        ("epochs", 0, "at least 1"),
        ("samples", 0, "at least 1"),
        ("batch_size", 2.5, "must be a whole number"),
        ("learning_rate", 0, "must be greater than 0"),
        ("learning_rate", float("nan"), "greater than 0"),
        ("dropout", 1.0, "less than 1"),
        ("zoneout", -0.1, "at least 0"),
        ("gradient_clip", -1, "greater than 0"),
        ("optimizer", "adams", "'adamw', 'adam', 'sgd' or 'rmsprop'"),
        ("pooling", "sum", "'last', 'mean' or 'max'"),
        ("device", "gpu7", "'auto', 'cpu', 'cuda' or 'mps'"),
        ("precision", "8-bit", "'32-true'"),
        ("random_state", -1, "at least 0"),
        ("cell", 5, "must be text"),
        ("cell", "lstn", "Did you mean 'lstm'"),
        ("initialization", "sparse", "known: standard"),
        ("initialization", {"chrono": 1}, "chrono=1 is no number of steps"),
        ("weight_drop", 1.0, "less than 1"),
        ("connections", "dense", "'none', 'residual' or 'skip'"),
        ("backend", "abacus", "no backend 'abacus'"),
        ("sizes", {"proj": 3}, "no size 'proj'"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(waves, name, value, words):
    with pytest.raises(CellwrightError, match=words) as caught:
        cw.SequenceClassifier(**{name: value}).fit(*waves)
    told_by_network = "known" in (words or "") or "chrono" in (words or "")
    if isinstance(caught.value, SettingError) and words and not told_by_network:
        assert str(caught.value).startswith(f"{name}=")


def test_a_device_that_is_not_there_is_a_setting_error(waves):
    if torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(SettingError, match="device='mps'"):
        cw.SequenceClassifier(device="mps").fit(*waves)


def test_numbers_of_numpy_are_numbers():
    model = cw.SequenceClassifier(layers=np.int64(4), dropout=np.float32(0.5), epochs=np.int8(2))
    checked = validated(model)
    assert checked["layers"] == (4,)
    assert (type(checked["dropout"]), type(checked["epochs"])) == (float, int)


def test_every_option_has_a_description_and_a_default_that_is_allowed():
    assert set(validated(ClassifierOptions())) == {
        field.name for field in dataclasses.fields(cw.SequenceClassifier)
    }
    for name, hint in option_types(ClassifierOptions).items():
        described = [getattr(extra, "description", None) for extra in hint.__metadata__]
        assert any(described), name


def test_what_regularises_and_connects_is_stored_with_the_model(waves, tmp_path):
    options = {
        "initialization": {"chrono": 12, "recurrent": "glorot_normal"},
        "connections": "residual",
        "weight_drop": 0.25,
        "learn_initial_state": True,
    }
    model = cw.SequenceClassifier(layers=[3, 3], epochs=1, **options).fit(*waves)
    network = model.network_.recurrent
    assert network.weight_drop == 0.25
    assert network.initialization.chrono == 12
    assert "initial_c" in dict(network.layer0.named_parameters())
    model.save(tmp_path / "model.cw")
    again = cw.load(tmp_path / "model.cw")
    assert {name: getattr(again, name) for name in options} == options
    assert np.array_equal(again.predict_proba(waves[0]), model.predict_proba(waves[0]))


def test_a_cell_without_gates_is_refused_before_any_training(waves):
    model = cw.SequenceClassifier(cell="elman", initialization={"chrono": 12})
    with pytest.raises(SettingError, match="chrono is for gates.*'elman' has none"):
        model.fit(*waves)

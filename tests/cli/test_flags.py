import pytest

from cellwright.cli.flags import option_parameters, parsed
from cellwright.jobs.options import ClassifierOptions, option_types


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("layers", "128", 128),
        ("layers", "64,32", [64, 32]),
        ("layers", "64,", [64]),
        ("layers", "wide", "wide"),
        ("samples", "none", None),
        ("samples", "5", 5),
        ("gradient_clip", "None", None),
        ("gradient_clip", "0.5", 0.5),
        ("sizes", "proj=32", {"proj": 32}),
        ("sizes", "proj=32, other=2", {"proj": 32, "other": 2}),
        ("initialization", "recurrent=identity", {"recurrent": "identity"}),
        ("initialization", "torch", "torch"),
        ("cell", "gru", "gru"),
        ("device", "cpu", "cpu"),
        ("epochs", 3, 3),
    ],
)
def test_a_flag_stands_for_a_value(name, text, value):
    assert parsed(ClassifierOptions, name, text) == value


def test_every_option_has_a_flag_whose_default_is_the_options_own():
    parameters = {p.name: p for p in option_parameters(ClassifierOptions)}
    assert list(parameters) == list(option_types(ClassifierOptions))
    for name, parameter in parameters.items():
        own = getattr(ClassifierOptions(), name)
        value = parsed(ClassifierOptions, name, parameter.default)
        assert value == own or [value] == list(own), name

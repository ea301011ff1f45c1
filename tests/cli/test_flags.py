import pytest

from cellwright.cli.app import app
from cellwright.cli.flags import in_flags, option_parameters, parsed
from cellwright.jobs.options import ClassifierOptions, option_types
from cellwright.jobs.options.base import validated
from cellwright.jobs.registry import ENTRIES


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


@pytest.mark.parametrize(
    ("job", "name", "text", "value"),
    [
        ("label", "test", "a.csv,b.csv", ["a.csv", "b.csv"]),
        ("label", "test", "run=1/a.csv", "run=1/a.csv"),
        ("label", "labels", "1", "1"),
        ("regress", "group", "3", "3"),
        ("regress", "quantiles", "0.1,0.9", [0.1, 0.9]),
        ("classify", "test", "a,b.txt", "a,b.txt"),
        ("classify", "picture_size", "28,28", [28, 28]),
        ("forecast", "future", "price", "price"),
    ],
)
def test_what_a_text_stands_for_follows_from_the_option(job, name, text, value):
    entry = ENTRIES[job]
    assert parsed([entry.options, entry.reading], name, text) == value


def test_every_option_has_a_flag_whose_default_is_the_options_own():
    parameters = {p.name: p for p in option_parameters(ClassifierOptions)}
    assert list(parameters) == list(option_types(ClassifierOptions))
    for name, parameter in parameters.items():
        options = ClassifierOptions()
        own = validated(options)[name]
        setattr(options, name, parsed(ClassifierOptions, name, parameter.default))
        assert validated(options)[name] == own, name


@pytest.mark.parametrize(
    ("command", "message", "shown"),
    [
        ("fit classify", "random_state=-1: too small", "--seed=-1: too small"),
        ("fit classify", "batch_size=3, layers=(0,): no", "--batch-size=3, --layers=(0,): no"),
        ("fit forecast", "output='x' has no (transform=3)", "--output='x' has no (--transform=3)"),
        # Flags of another command, texts, and what stands in a path.
        ("fit classify", "transform='log': no", "transform='log': no"),
        ("fit classify", "sizes='proj': write proj=32", "--sizes='proj': write proj=32"),
        ("fit classify", "/a/data=3/b.csv: no", "/a/data=3/b.csv: no"),
        ("compare classify", "seeds=0: no", "--seeds=0: no"),
        ("doctor", "threads=0: no", "threads=0: no"),
        ("", "threads=0: no", "threads=0: no"),
    ],
)
def test_a_message_names_the_flags_of_the_command(command, message, shown):
    assert in_flags(message, app, [*command.split(), "--data", "fit"]) == shown

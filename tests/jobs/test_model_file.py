"""Model files: a faithful round trip, and nothing but a `ModelFileError` for anything else."""

import copy
import json
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone

import cellwright as cw
from cellwright.data import Sequences
from cellwright.errors import DataError, ModelFileError
from cellwright.jobs.training.tensor_file import read_tensors, write_tensors

X = np.random.default_rng(0).normal(size=(12, 4, 3))
OFTEN = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@cw.cell(state=("h", "c"), inputs={})
def odd_cell(x, h, c):
    """A cell of the user's own."""
    f = cw.sigmoid(cw.affine("f", x, h, mask=("block_lower", 2)) + cw.scale("peep", c))
    clock = cw.per_unit([1.0, 2.0])
    c = cw.where(f > 0.5, f * c, c / clock) + cw.affine("g", x, h)
    h = cw.tanh(c) * cw.cos(c)
    return h, c


@pytest.fixture(scope="module")
def model():
    options = {"cell": odd_cell, "layers": [4, 2], "epochs": 1, "zoneout": 0.1, "projection": 3}
    return cw.SequenceClassifier(**options).fit(X, ["a", "b"] * 6)


@pytest.fixture(scope="module")
def valid(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("valid") / "model.cw"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def parts(valid):
    with safe_open(valid, framework="pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["cellwright"])


def load_or_refuse(path):
    """Load; all that may go wrong is a `ModelFileError`, soon. What loads must predict."""
    start = time.perf_counter()
    try:
        loaded = cw.load(path)
    except ModelFileError:
        loaded = None
    assert time.perf_counter() - start < 10
    return loaded


def test_the_round_trip_is_exact(model, valid):
    loaded = cw.load(valid)
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.cell == odd_cell
    assert loaded.cell.equations == odd_cell.equations
    assert loaded.zoneout == 0.1
    assert cw.load(str(valid)).classes_.tolist() == ["a", "b"]
    assert cw.load(valid.parent).classes_.tolist() == ["a", "b"]


def test_a_loaded_model_is_saved_and_trained_again(valid, tmp_path):
    loaded = cw.load(valid)
    loaded.save(tmp_path / "again.cw")
    assert (tmp_path / "again.cw").read_bytes() == valid.read_bytes()
    loaded.fit(X, [1, 2] * 6)
    assert loaded.predict(X).dtype.kind == "i"


def test_names_of_features_survive(parts, tmp_path):
    named = Sequences(X, ("a", "b", "c"))
    model = cw.SequenceClassifier(layers=[2], epochs=1).fit(named, [0, 1] * 6)
    model.save(tmp_path / "m.cw")
    loaded = cw.load(tmp_path / "m.cw")
    assert loaded.feature_names_in_.tolist() == ["a", "b", "c"]
    turned = Sequences(X[:, :, [2, 0, 1]], ("c", "a", "b"))
    assert_array_equal(loaded.predict_proba(turned), model.predict_proba(X))
    with pytest.raises(DataError, match="missing: c; unknown: d"):
        loaded.predict(Sequences(X, ("a", "b", "d")))
    assert not hasattr(loaded.fit(X, [0, 1] * 6), "feature_names_in_")
    tensors, document = parts
    for names in (["a"], ["a", "b", "b"]):
        odd = changed(document, ("facts", "feature_names"), names)
        save_file(tensors, tmp_path / "m.cw", {"cellwright": json.dumps(odd)})
        with pytest.raises(ModelFileError, match="names cannot be those of 3 features"):
            cw.load(tmp_path / "m.cw")


def test_a_cell_of_the_zoo_goes_by_its_name(tmp_path):
    made = cw.SequenceClassifier(cell="gru", layers=[2], epochs=1).fit(X, [0, 1] * 6)
    made.save(tmp_path / "m.cw")
    assert cw.load(tmp_path / "m.cw").cell == "gru"


def test_where_it_was_trained_is_no_property_of_a_model(tmp_path):
    made = cw.SequenceClassifier(device="cpu", layers=[2], epochs=1).fit(X, [0, 1] * 6)
    made.save(tmp_path / "m.cw")
    assert cw.load(tmp_path / "m.cw").device == "auto"


def test_the_file_is_safetensors_with_json_and_no_pickle(valid, parts):
    tensors, document = parts
    assert {"shift", "spread", "readout.weight"} <= set(tensors)
    assert set(document) == {"format", "version", "job", "options", "cell", "facts"}
    assert document["cell"]["name"] == "odd_cell"
    content = valid.read_bytes()
    for word in (b"sklearn", b"torch", b"__reduce__", b"PK\x03\x04"):
        assert word not in content


def test_a_cell_loads_where_its_source_does_not_exist(tmp_path):
    script = tmp_path / "vanishing.py"
    script.write_text(
        "import numpy as np, cellwright as cw\n"
        "@cw.cell(state='h')\n"
        "def vanishing(x, h, *, keep=0.5):\n"
        "    h = keep * h + cw.tanh(cw.affine('n', x, h))\n"
        "    return h\n"
        "x = np.random.default_rng(0).normal(size=(12, 4, 3))\n"
        "model = cw.SequenceClassifier(cell=vanishing(keep=0.25), layers=[3], epochs=1)\n"
        "model.fit(x, [0, 1] * 6).save('model.cw')\n"
        "np.save('chances.npy', model.predict_proba(x))\n"
    )
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True, timeout=100)
    script.unlink()
    loaded = cw.load(tmp_path / "model.cw")
    assert_array_equal(loaded.predict_proba(X), np.load(tmp_path / "chances.npy"))
    assert "0.25 ⊙ hₜ₋₁" in loaded.cell.equations


def test_a_loaded_model_does_not_depend_on_its_file_any_more(valid, tmp_path):
    path = tmp_path / "model.cw"
    path.write_bytes(valid.read_bytes())
    loaded = cw.load(path)
    wanted = loaded.predict_proba(X)
    os.truncate(path, 10)
    assert_array_equal(loaded.predict_proba(X), wanted)


def test_a_file_that_is_none_of_ours_is_refused(tmp_path, parts):
    tensors, document = parts
    path = tmp_path / "m.cw"
    cases = {
        "is not a cellwright model file": None,
        "not one of cellwright's": {},
        "description is damaged": {"cellwright": "{"},
        "description: must be names with their values": {"cellwright": "[]"},
        "version: ": {"cellwright": json.dumps(document | {"version": 2})},
        "format: ": {"cellwright": json.dumps(document | {"format": "other"})},
        "job 'fly' that is not known": {"cellwright": json.dumps(document | {"job": "fly"})},
        "recursion": {"cellwright": "[" * 10**5},
    }
    for words, metadata in cases.items():
        if metadata is None:
            path.write_bytes(pickle.dumps({"a": 1}))
        else:
            save_file(tensors, path, metadata)
        with pytest.raises(ModelFileError, match=words):
            cw.load(path)
    for nowhere in (tmp_path / "missing", tmp_path):
        path.unlink(missing_ok=True)
        with pytest.raises(ModelFileError, match="there is no run folder or model file"):
            cw.load(nowhere)


def test_every_truncation_is_refused(valid, tmp_path):
    content = valid.read_bytes()
    path = tmp_path / "m.cw"
    for length in [*range(0, 40), *range(40, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            cw.load(path)


@OFTEN
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(tmp_path, content):
    path = tmp_path / "m.cw"
    for start in (b"", len(content).to_bytes(8, "little"), b"\xff" * 7 + b"\x00"):
        path.write_bytes(start + content)
        assert load_or_refuse(path) is None


@OFTEN
@given(st.data())
def test_a_file_with_changed_bytes_loads_or_is_refused(tmp_path, valid, data):
    content = bytearray(valid.read_bytes())
    # Most of the file is its header, which is where damage may do harm.
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "delete", "insert"])):
            case "flip":
                content[place] ^= 1 << data.draw(st.integers(0, 7))
            case "delete":
                del content[place : place + data.draw(st.integers(1, 5))]
            case "insert":
                content[place:place] = data.draw(st.binary(min_size=1, max_size=5))
    path = tmp_path / "m.cw"
    path.write_bytes(content)
    load_or_refuse(path)


def places(value, path=()):
    """Every place inside a JSON document."""
    yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from places(inner, (*path, key))


def changed(document, place, value, delete=False):
    document = copy.deepcopy(document)
    if not place:
        return value
    at = document
    for key in place[:-1]:
        at = at[key]
    if delete:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    return document


WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.sampled_from([2**15, 2**24, 2**31, 2**63, 10**30, -(10**30)]),
    st.floats(),
    st.sampled_from(["", "lstm", "h", "x", "input", "hidden", "matmul", "sigmoid", "cuda", "9"]),
    st.text(max_size=5),
    st.lists(st.integers(0, 40), max_size=4),
    st.lists(st.lists(st.text(max_size=2), max_size=2), max_size=2),
    st.dictionaries(st.sampled_from(["op", "inputs", "name", "proj"]), st.integers(0, 9)),
)


@OFTEN
@given(st.data())
def test_a_changed_description_loads_or_is_refused(tmp_path, parts, data):
    tensors, document = parts
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(sorted(places(document), key=str)))
        document = changed(document, place, data.draw(WRONG), data.draw(st.booleans()))
        if not isinstance(document, dict):
            break
    path = tmp_path / "m.cw"
    save_file(tensors, path, {"cellwright": json.dumps(document)})
    loaded = load_or_refuse(path)
    if loaded is not None:
        chances = loaded.predict_proba(X) if loaded.n_features_in_ == 3 else np.zeros((12, 2))
        assert chances.shape == (12, 2)


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def many_nodes(document, count):
    nodes = document["cell"]["nodes"]
    last = len(nodes) - 1
    return nodes + [{"op": "tanh", "inputs": [last + n]} for n in range(count)]


HOSTILE = {
    "huge layer": ("options.layers", lambda d: [2**24, 2]),
    "huge layer as text": ("options.layers", lambda d: ["99999999999", 2]),
    "huge layer as a fraction": ("options.layers", lambda d: [1e15, 2]),
    "huge list of layers": ("options.layers", lambda d: [1] * 10**6),
    "more layers than tensors": ("options.layers", lambda d: [4, 2, 2]),
    "layers of zero": ("options.layers", lambda d: [0, 2]),
    "no layers": ("options.layers", lambda d: []),
    "true layers": ("options.layers", lambda d: [True, True]),
    "huge filter": ("options.picture_filters", lambda d: [2**24]),
    "huge list of filters": ("options.picture_filters", lambda d: [1] * 10**6),
    "huge projection": ("options.projection", lambda d: 2**40),
    "huge size": ("options.sizes", lambda d: {"proj": 2**40}),
    "unknown size": ("options.sizes", lambda d: {"proj": 4}),
    "huge features": ("facts.features", lambda d: 2**24),
    "wrong features": ("facts.features", lambda d: 4),
    "unknown option": ("options.magic", lambda d: 1),
    "cell as an option": ("options.cell", lambda d: "lstm"),
    "unknown backend": ("options.backend", lambda d: "abacus"),
    "unknown initialization": ("options.initialization", lambda d: {"input": "os.system"}),
    "deep option": ("options.layers", lambda d: deep(500)),
    "deep cell": ("cell.nodes", lambda d: deep(500)),
    "huge number of nodes": ("cell.nodes", lambda d: d["cell"]["nodes"] * 1000),
    "endless equation": ("cell.nodes", lambda d: many_nodes(d, 20_000)),
    "unknown op": ("cell.nodes.0.op", lambda d: "exec"),
    "endless op": ("cell.nodes.0.op", lambda d: "add" * 10**6),
    "wrong arity": ("cell.nodes.0.inputs", lambda d: [0, 0]),
    "reference to itself": ("cell.nodes.5.inputs", lambda d: [5, 5]),
    "reference behind": ("cell.outputs", lambda d: [10**9, 0]),
    "negative reference": ("cell.outputs", lambda d: [-1, -1]),
    "no states": ("cell.states", lambda d: []),
    "no outputs": ("cell.outputs", lambda d: []),
    "one state twice": ("cell.states", lambda d: [d["cell"]["states"][0]] * 2),
    "huge number": ("cell.outputs", lambda d: [10**400] * 2),
    "one label": ("facts.labels.values", lambda d: ["a"]),
    "one label twice": ("facts.labels.values", lambda d: ["a", "a"]),
    "labels of several types": ("facts.labels.values", lambda d: ["a", 1]),
    "labels of another type": ("facts.labels.kind", lambda d: "int64"),
    "labels of an unknown type": ("facts.labels.kind", lambda d: "O"),
    "many labels": ("facts.labels.values", lambda d: list(map(str, range(10**6)))),
    "unknown fact": ("facts.magic", lambda d: 1),
    "empty description": ("", lambda d: {}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_description_is_refused_at_once(tmp_path, parts, name):
    tensors, document = parts
    where, make = HOSTILE[name]
    place = tuple(int(key) if key.isdigit() else key for key in where.split(".") if key)
    path = tmp_path / "m.cw"
    hostile = changed(document, place, make(document))
    save_file(tensors, path, {"cellwright": json.dumps(hostile)})
    start = time.perf_counter()
    with pytest.raises(ModelFileError):
        cw.load(path)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("model", "option"),
    [
        (cw.Translator(layers=[4], embedding=4, vocabulary="words", epochs=1), "encoder_layers"),
        (cw.SequenceGAN(layers=[4], epochs=1), "discriminator_layers"),
    ],
)
@pytest.mark.parametrize("layers", [[2**24], [1] * 10**5])
def test_the_layers_of_a_second_network_are_bounded_too(tmp_path, model, option, layers):
    data = (["a b", "b c"] * 20,) * 2 if option == "encoder_layers" else (X,)
    model = clone(model).fit(*data)
    model.save(tmp_path / "m.cw")
    assert cw.load(tmp_path / "m.cw")
    tensors, document = read_tensors(tmp_path / "m.cw")
    document["options"][option] = layers
    write_tensors(tmp_path / "m.cw", tensors, document)
    with pytest.raises(ModelFileError, match=f"{len(layers)} {option}|{max(layers)} units"):
        cw.load(tmp_path / "m.cw")


def test_a_state_of_giant_size_without_weights_is_refused(tmp_path, parts):
    tensors, document = parts
    document = copy.deepcopy(document)
    cell = document["cell"]
    cell["nodes"].append({"op": "state", "inputs": [], "name": "giant", "size": 10**12})
    at = len(cell["nodes"]) - 1
    cell["states"].append(at)
    cell["outputs"].append(at)
    path = tmp_path / "m.cw"
    save_file(tensors, path, {"cellwright": json.dumps(document)})
    with pytest.raises(ModelFileError, match="1000000000000 units cannot be made of"):
        cw.load(path)
    cell["nodes"][at]["size"] = 5
    save_file(tensors, path, {"cellwright": json.dumps(document)})
    assert cw.load(path).predict_proba(X).shape == (12, 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("shift"),
        lambda tensors: tensors.update(extra=torch.zeros(1)),
        lambda tensors: tensors.update(shift=torch.zeros(4)),
        lambda tensors: tensors.update(shift=torch.zeros(3, 1)),
        lambda tensors: tensors.update(shift=torch.zeros(3, dtype=torch.float16)),
        lambda tensors: tensors.update(shift=torch.zeros(3, dtype=torch.int32)),
        lambda tensors: tensors.clear(),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, parts, change):
    tensors, document = dict(parts[0]), parts[1]
    change(tensors)
    path = tmp_path / "m.cw"
    save_file(tensors, path, {"cellwright": json.dumps(document)})
    with pytest.raises(ModelFileError, match=r"contradicts itself.*tensor"):
        cw.load(path)

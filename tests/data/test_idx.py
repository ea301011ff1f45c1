"""IDX files, and MNIST from a folder or through a download."""

import contextlib
import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from idx_files import packed, write_mnist
from numpy.testing import assert_array_equal

from cellwright.data import idx, read
from cellwright.data.idx import read_idx
from cellwright.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data/mnist"


@pytest.fixture
def mnist(tmp_path):
    write_mnist(tmp_path)
    return tmp_path


def test_mnist_is_read_from_a_folder(mnist):
    dataset = read("mnist", mnist)
    assert (len(dataset.train.x), len(dataset.test.x)) == (20, 10)
    assert dataset.train.x.values.shape == (20, 28, 28)
    assert 0 <= dataset.train.x.values.min() < dataset.train.x.values.max() <= 1
    assert dataset.test.y.tolist() == list(range(10))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real MNIST does not lie beside the project")
def test_the_real_mnist_is_read():
    dataset = read("mnist", SHARED)
    assert dataset.train.x.values.shape == (60000, 28, 28)
    assert dataset.test.x.values.shape == (10000, 28, 28)
    assert np.bincount(dataset.train.y)[:3].tolist() == [5923, 6742, 5958]


def test_a_folder_that_lacks_a_file_is_named(mnist):
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="holds neither t10k-labels-idx1-ubyte.gz nor"):
        read("mnist", mnist)


def test_images_and_labels_must_be_as_many(mnist):
    (mnist / "t10k-labels-idx1-ubyte").write_bytes(packed(np.zeros(9, np.uint8)))
    with pytest.raises(DataError, match=r"images \(10, 28, 28\) do not go with labels \(9,\)"):
        read("mnist", mnist)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")],
)
def test_every_type_of_number_is_read(tmp_path, kind, dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    (tmp_path / "some").write_bytes(packed(array, kind))
    assert_array_equal(read_idx(tmp_path / "some"), array)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\1\0\x08\1\0\0\0\1a", "not an IDX file"),
        (b"\0\0\x07\1\0\0\0\1a", "not an IDX file"),
        (b"\0\0\x08\0", "not an IDX file"),
        (b"\0\0\x08\x64" + b"\0\0\0\1" * 100 + b"a", "not an IDX file"),
        (b"\0\0\x08\1\0\0", "holds 6 bytes"),
        (b"\0\0\x08\1\0\0\0\2a", "holds 9 bytes"),
        (b"\0\0\x08\1\0\0\0\1ab", "holds 10 bytes"),
        (b"\0\0\x08\2\xff\xff\xff\xff\xff\xff\xff\xffab", "holds 14 bytes"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, content, words):
    (tmp_path / "some").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_idx(tmp_path / "some")


def test_truncated_compression_is_refused(tmp_path):
    whole = gzip.compress(packed(np.arange(200, dtype=np.uint8)))
    for content in (whole[:-20], whole[:12], b"no gzip at all", b""):
        (tmp_path / "some.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"some\.gz"):
            read_idx(tmp_path / "some.gz")
    with pytest.raises(DataError, match="there is no file"):
        read_idx(tmp_path / "missing")


@given(st.binary(max_size=40), st.booleans())
def test_random_bytes_give_an_array_or_a_data_error(tmp_path_factory, content, dressed):
    path = tmp_path_factory.mktemp("idx") / "some"
    path.write_bytes(b"\0\0\x08\1" + content if dressed else content)
    with contextlib.suppress(DataError):
        assert isinstance(read_idx(path), np.ndarray)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def mirror(mnist, tmp_path, monkeypatch, fresh_settings):
    """A server that has the files, and settings that keep downloads in the test's folder."""
    served = tmp_path / "served"
    served.mkdir()
    sums = {}
    for path in [path for path in mnist.iterdir() if path.is_file()]:
        name = path.name.removesuffix(".gz")
        content = path.read_bytes()
        content = content if path.suffix == ".gz" else gzip.compress(content)
        (served / f"{name}.gz").write_bytes(content)
        sums[name] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=served))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(idx, "_MIRROR", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr(idx, "_MD5", sums)
    monkeypatch.setenv("CELLWRIGHT_DATA_DIR", str(tmp_path / "kept"))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_mnist_is_downloaded_once(mirror, tmp_path):
    assert len(read("mnist").train.x) == 20
    assert len(list((tmp_path / "kept/mnist").iterdir())) == 4
    for path in (tmp_path / "served").iterdir():
        path.unlink()
    assert len(read("mnist").test.x) == 10


def test_a_download_with_a_wrong_checksum_is_refused(mirror, tmp_path):
    next((tmp_path / "served").glob("train-labels*")).write_bytes(b"other")
    with pytest.raises(DataError, match=r"could not be downloaded.*hash.*--data-dir"):
        read("mnist")
    assert not list((tmp_path / "kept/mnist").glob("train-labels*"))


def test_a_mirror_that_cannot_be_reached_is_a_data_error(mirror, monkeypatch):
    monkeypatch.setattr(idx, "_MIRROR", "http://127.0.0.1:9/")
    with pytest.raises(DataError, match=r"could not be downloaded.*--data-dir"):
        read("mnist")

"""Small files like those of MNIST."""

import gzip

import numpy as np


def packed(array, kind=0x08):
    """An array as an IDX file has it."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, kind, array.ndim]) + sizes + array.tobytes()


def write_mnist(folder):
    """20 pictures to learn from and 10 to test, half of the files compressed."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(packed(images)))
        labels = np.arange(count, dtype=np.uint8) % 10
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(packed(labels))

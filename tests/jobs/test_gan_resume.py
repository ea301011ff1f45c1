"""Two networks, their running mean and their noise go on after a stop as if there was none."""

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.data.sines import two_tone_sines
from cellwright.errors import RunError
from cellwright.jobs import Reporter

OPTIONS = {
    "spectral": {"spectral_norm": True, "penalty": 0, "loss": "hinge"},
    "classes": {"dropout": 0.3, "cell": "lstm", "patience": 3, "learning_rate": 0.05},
    "rmsprop": {"optimizer": "rmsprop", "averaging": 0.5},
}


class Interrupt(Reporter):
    def __init__(self, at):
        self.left = at

    def advanced(self, progress):
        self._count()

    def epoch_finished(self, row):
        self._count()

    def _count(self):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_training_cut_off_anywhere_ends_with_the_same_weights(kind, tmp_path):
    x = two_tone_sines(70, steps=6)
    y = np.arange(70) % 2 if kind == "classes" else None
    model = cw.SequenceGAN(layers=[4], epochs=4, batch_size=32, **OPTIONS[kind])
    told = Interrupt(0)
    model.fit(x, y, reporter=told)
    wanted, made = model.network_.state_dict(), model.sample(3)
    for at in {1, -told.left // 2, -told.left}:
        checkpoint = tmp_path / f"{at}.safetensors"
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, checkpoint=checkpoint, reporter=Interrupt(at))
        model.fit(x, y, checkpoint=checkpoint, resume=True)
        found = model.network_.state_dict()
        for name, weight in wanted.items():
            assert torch.equal(found[name], weight), (at, name)
        assert (model.sample(3) == made).all()


def test_a_checkpoint_of_other_data_or_classes_is_refused(tmp_path):
    x, other = two_tone_sines(40, steps=5), two_tone_sines(40, steps=5, seed=9)
    model = cw.SequenceGAN(layers=[4], epochs=1)
    model.fit(x, checkpoint=tmp_path / "c.safetensors")
    for given in ((other, None), (x, np.arange(40) % 2)):
        with pytest.raises(RunError, match="other data or options"):
            model.fit(*given, checkpoint=tmp_path / "c.safetensors", resume=True)

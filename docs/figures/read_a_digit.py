"""Draw the picture of the README: an LSTM's gates while it reads one digit row by row.

    python docs/figures/read_a_digit.py --data-dir FOLDER_WITH_MNIST

Without ``--data-dir`` MNIST is downloaded once. The training takes a minute or two.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import cellwright as cw

PICTURE = Path(__file__).with_name("read-a-digit.png")
UNITS = 32
INK, QUIET = "#1b2a41", "#6b7785"


def main() -> None:
    """Train, choose a digit, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--samples", type=int, default=180_000)
    parser.add_argument("--sample", type=int, help="which test digit; one is chosen without it")
    arguments = parser.parse_args()
    mnist = cw.data.read("mnist", arguments.data_dir)
    classifier = cw.SequenceClassifier(
        cell="lstm",
        layers=[UNITS],
        samples=arguments.samples,
        batch_size=100,
        learning_rate=1e-2,
        scaling="global",
        # Smoothed labels teach a network never to be sure, and here it is to show its beliefs.
        label_smoothing=0.0,
        dropout=0.0,
    )
    classifier.fit(mnist.train.x, mnist.train.y)
    print(f"test accuracy {classifier.score(mnist.test.x, mnist.test.y):.4f}")
    chosen = arguments.sample
    if chosen is None:
        chosen = most_surprising(classifier, mnist.test)
    print(f"test digit {chosen}")
    digit = mnist.test.x.values[chosen]
    signals, answers = watch(classifier, digit[None])
    name = {key: value[0] for key, value in signals.items()}
    draw(digit, name, answers[0], int(mnist.test.y[chosen])).savefig(PICTURE, dpi=150)


@torch.no_grad()
def watch(classifier, digits):
    """Every signal, (sample, row, unit), and the answer after every row, (sample, row, class)."""
    network = classifier.network_
    scaled = network.scaled(torch.from_numpy(digits))
    tape = cw.record(network.recurrent, network.projection(scaled))[0]
    answers = network.readout(tape["h"]).softmax(-1)
    return {name: signal.numpy() for name, signal in tape.items()}, answers.numpy()


def most_surprising(classifier, test, among=1000):
    """A digit that is recognised for sure in the end, after firm other beliefs on the way."""
    _, answers = watch(classifier, test.x.values[:among])
    truth = test.y[:among]
    sure = answers[np.arange(among), -1, truth] > 0.99
    # How firmly each class was believed at its best; other classes than the true one count.
    firm = np.where(np.arange(10) == truth[:, None], 0, answers[:, 8:].max(1))
    return int(np.argmax(np.where(sure, np.sort(firm)[:, -2:].sum(1), 0)))


def draw(digit, signals, answers, truth):
    """Time runs downwards in every panel, so that a row of the digit is a row of all maps."""
    figure = Figure(figsize=(13, 4.7), layout="constrained", facecolor="white")
    panels = figure.subplots(1, 6, sharey=True, width_ratios=[28, 30, 30, 30, 30, 20])
    # Units in the order in which their memory is written, so that the eye finds stories.
    moved = np.abs(np.diff(signals["c"], axis=0, prepend=0))
    order = np.argsort((moved * np.arange(len(digit))[:, None]).sum(0) / moved.sum(0))
    maps = {
        "i": ("i · save", "how much of the row is written", "YlGnBu", 0, 1),
        "f": ("f · remember", "how much memory is kept", "YlGnBu", 0, 1),
        "c": ("c · memory", "the long-term memory itself", "RdBu_r", -2.5, 2.5),
        "o": ("o · focus", "how much of it is shown", "YlGnBu", 0, 1),
    }
    panels[0].imshow(digit, cmap="Greys", aspect="auto", interpolation="none")
    title(panels[0], "x · one row a step", "the digit, read downwards")
    for panel, (name, (head, words, colours, low, high)) in zip(
        panels[1:5], maps.items(), strict=True
    ):
        values = signals[name][:, order]
        image = panel.imshow(
            values, cmap=colours, vmin=low, vmax=high, aspect="auto", interpolation="none"
        )
        title(panel, head, words)
        panel.set_xlabel(f"{UNITS} units")
        bar = figure.colorbar(image, ax=panel, location="bottom", shrink=0.6, aspect=18, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, colors=QUIET, length=0)
    panels[5].imshow(answers, cmap="Purples", vmin=0, vmax=1, aspect="auto", interpolation="none")
    title(panels[5], "answer so far", f"{truth}, in the end")
    panels[5].set_xticks(range(10))
    panels[5].tick_params(axis="x", labelsize=8, colors=INK, length=0)
    for panel in panels[:5]:
        panel.set_xticks([])
    panels[0].set_ylabel("step", color=QUIET, fontsize=8, labelpad=0)
    panels[0].set_yticks([0, 9, 18, 27], ["1", "10", "19", "28"], color=QUIET, fontsize=8)
    for panel in panels:
        panel.tick_params(axis="y", length=0)
        panel.xaxis.label.set(color=QUIET, fontsize=8)
        panel.spines[:].set(color="#d5dae1", linewidth=0.8)
    return figure


def title(panel, head, words):
    """A title with a quieter line below it."""
    panel.set_title(words, fontsize=8.5, color=QUIET, loc="left", pad=5)
    panel.annotate(
        head,
        (0, 1),
        xytext=(0, 19),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=12,
        fontweight="bold",
        color=INK,
        annotation_clip=False,
    )


if __name__ == "__main__":
    main()

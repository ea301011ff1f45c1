"""Draw how far back a gradient reaches in an Elman network, a GRU and an LSTM.

    python docs/figures/gradient_flow.py

It takes a minute or two: three networks learn to recall what they heard at the first step.
"""

from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from torch.nn.functional import binary_cross_entropy_with_logits

import cellwright as cw

PICTURE = Path(__file__).with_name("gradient-flow.svg")
INK, QUIET = "#1b2a41", "#6b7785"
RED, GREEN, BLUE = "#c2452d", "#2b8a6e", "#1f6fb4"
UNITS, STEPS, ROWS = 32, 100, 64
LAG = 60  # steps between what is heard and the answer


def main() -> None:
    """Measure, train, measure again, draw."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    draw(scaled_elman(), as_they_start(), trained(), carousel())
    print(f"wrote {PICTURE}")


def noise(steps=STEPS):
    """The same data for all: noise, (batch, time, 2)."""
    return 0.1 * torch.randn(ROWS, steps, 2, generator=torch.Generator().manual_seed(1))


def reach(network, x, **options):
    """Root of the mean square over rows of what is left of the gradient k steps back, (k,)."""
    flow = cw.gradient_flow(network, x, **options)[0]
    name = options.get("along") or ("c" if "c" in flow else "h")
    return flow[name].square().mean(0).sqrt().tolist()


def scaled_elman():
    """An Elman network whose recurrent matrix is a rotation times a number."""
    curves = []
    for scale, shade in ((0.7, "#e8a797"), (1.0, RED), (1.4, "#6d2114")):
        network = cw.Recurrent("elman", 2, UNITS)
        with torch.no_grad():
            network.layer0.h_h.mul_(scale)
        curves.append((f"rotation × {scale:g}", shade, "-", reach(network, 0.01 * noise(30))))
    return curves


def as_they_start():
    """Three cells before they have learned anything, and an LSTM that starts with long spans."""
    torch.manual_seed(0)
    return [
        ("Elman, uniform start", RED, "-", reach(network_of("elman", "torch"), noise())),
        ("GRU", GREEN, "-", reach(network_of("gru"), noise())),
        ("LSTM, forget bias 1", BLUE, "-", reach(network_of("lstm"), noise())),
        ("LSTM, chrono", BLUE, "--", reach(network_of("lstm", {"chrono": STEPS}), noise())),
    ]


def network_of(cell, initialization="standard"):
    """One layer."""
    return cw.Recurrent(cell, 2, UNITS, initialization=initialization)


def trained():
    """The same cells after a training that asks for the first step's sign LAG steps later."""
    curves = []
    starts = (("elman", "torch", RED), ("gru", {"chrono": LAG}, GREEN))
    for cell, start, colour in (*starts, ("lstm", {"chrono": LAG}, BLUE)):
        torch.manual_seed(0)
        network, share = learn(network_of(cell, start))
        label = f"{ {'elman': 'Elman'}.get(cell, cell.upper()) }, {share:.0%} right"
        curves.append((label, colour, "-", reach(network, recall(ROWS, 7)[0])))
        print(label)
    return curves


def recall(rows, seed):
    """Noise whose second feature starts with a sign, (rows, LAG + 1, 2), and that sign."""
    random = torch.Generator().manual_seed(seed)
    x = 0.1 * torch.randn(rows, LAG + 1, 2, generator=random)
    truth = torch.randint(2, (rows,), generator=random)
    x[:, 0, 1] = 2.0 * truth - 1
    return x, truth.float()


def learn(network, updates=400):
    """Train a layer with a linear readout of its last output; returns it and its score."""
    readout = torch.nn.Linear(UNITS, 1)
    weights = [*network.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(weights, lr=3e-3)
    for update in range(updates):
        x, truth = recall(ROWS, 100 + update)
        score = readout(network(x)[0][:, -1]).squeeze(1)
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(score, truth).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    x, truth = recall(1000, 8)
    with torch.no_grad():
        right = (readout(network(x)[0][:, -1]).squeeze(1) > 0) == (truth > 0)
    return network, float(right.float().mean())


def carousel():
    """The gradient along c alone, with a forget gate that is held."""
    curves = []
    for bias, label, style in (
        (100.0, "f = 1", "-"),
        (6.0, "f ≈ 0.998", "--"),
        (3.0, "f ≈ 0.95", ":"),
    ):
        torch.manual_seed(0)
        network = network_of("lstm")
        with torch.no_grad():
            network.layer0.f_bias.fill_(bias)
        curves.append((label, BLUE, style, reach(network, noise(1001), along="c")))
    assert set(curves[0][3]) == {1.0}
    return curves


def draw(*panels):
    """Four panels, the same scale upwards."""
    matplotlib.rcParams.update({"svg.hashsalt": "cellwright", "svg.fonttype": "path"})
    figure = Figure(figsize=(12, 3.9), layout="constrained", facecolor="white")
    heads = (
        ("An Elman network", "vanishing, kept, exploding: the matrix decides"),
        ("Before training", "the same noise for all: gates decide"),
        ("After training", f"to recall a sign, {LAG} steps later"),
        ("The constant error carousel", "along c alone, for 1,000 steps"),
    )
    places = ("lower left", "upper right", "upper right", "lower left")
    for axes, curves, (head, words), place in zip(
        figure.subplots(1, 4, sharey=True), panels, heads, places, strict=True
    ):
        for label, colour, style, values in curves:
            axes.plot(values, style, color=colour, linewidth=1.8, label=label)
        axes.set_yscale("log")
        axes.set_ylim(1e-12, 1e6)
        axes.set_xlim(0, len(curves[0][3]) - 1)
        axes.axhline(1, color="#d5dae1", linewidth=0.8, zorder=0)
        axes.set_xlabel("k, steps back", color=QUIET, fontsize=9)
        axes.tick_params(labelsize=8, colors=QUIET, length=2)
        axes.tick_params(which="minor", length=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#d5dae1")
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc=place)
        axes.set_title(head, fontsize=11, fontweight="bold", color=INK, loc="left", pad=20)
        axes.annotate(
            words,
            (0, 1),
            xytext=(0, 7),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8.5,
            color=QUIET,
        )
    figure.axes[0].set_ylabel("what is left of the gradient", color=QUIET, fontsize=9)
    figure.savefig(PICTURE, metadata={"Date": None})
    return figure


if __name__ == "__main__":
    main()

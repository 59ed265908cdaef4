"""Draw the README's picture from the library's own output: `python docs/make_images.py [--epochs 400] [--run FOLDER]`.

Left: an LNSDE fitted to gappy waves fills in one of them, twenty times. Right: sample paths of a linear SDE by
`solve`, or, with `--run`, the accuracies that a run of `stable-sde` measured.
"""

import argparse
import json
import pathlib

import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np

from cadlag.data import IrregularSeries, delete_time_points
from cadlag.report import plots
from cadlag.series import LNSDE, SeriesInterpolator
from cadlag.solve import SDE, solve

HERE = pathlib.Path(__file__).parent


def gappy_waves(count: int = 64, steps: int = 40) -> tuple[np.ndarray, IrregularSeries]:
    """Noisy waves of random phase and pace, and the same with half of their times removed."""
    rng = np.random.default_rng(0)
    times = np.linspace(0, 1, steps)
    phase, pace = rng.uniform(0, 6.28, (count, 1)), rng.uniform(8, 12, (count, 1))
    waves = (np.sin(pace * times + phase) + 0.1 * rng.standard_normal((count, steps)))[:, :, None]
    series = IrregularSeries.from_arrays(times, waves.astype(np.float32))
    return waves, delete_time_points(series, 0.5, seed=1)


def draw_completions(axis, epochs: int) -> None:
    """Observed values, hidden values, and the completions of an LNSDE."""
    waves, series = gappy_waves()
    interpolator = SeriesInterpolator(LNSDE, epochs=epochs, learning_rate=3e-3).fit(series)
    one = series[:1]
    times, seen = np.asarray(one.times[0]), np.asarray(one.mask[0, :, 0])
    paths = interpolator.sample(one, n=20)[0, :, :, 0]
    axis.plot(times, paths.T, color=plots.PALETTE[0], alpha=0.25, linewidth=0.8)
    axis.plot(times[seen], waves[0, seen, 0], "o", color=plots.INK, markersize=4, label="observed")
    axis.plot(times[~seen], waves[0, ~seen, 0], "x", color=plots.PALETTE[1], markersize=5, label="hidden")
    axis.set_title(f"An LNSDE fills in a gappy series ({epochs} epochs)")
    axis.set_xlabel("time")
    axis.legend(loc="upper right")


def draw_growth(axis) -> None:
    """Sample paths of geometric Brownian motion with drift 0.5 and volatility 0.3."""
    process = SDE(lambda t, y, args: 0.5 * y, lambda t, y, args: 0.3 * y)
    times = jnp.linspace(0.0, 2.0, 101)
    paths = jax.vmap(lambda key: solve(process, jnp.ones(1), times, key=key).ys[:, 0])(jr.split(jr.key(3), 30))
    axis.plot(times, paths.T, color=plots.PALETTE[0], alpha=0.5, linewidth=0.7)
    axis.plot(times, jnp.exp(0.5 * times), color=plots.PALETTE[1], label="mean, closed form")
    axis.set_title("dy = 0.5 y dt + 0.3 y dW by `solve`")
    axis.set_xlabel("time")
    axis.legend(loc="upper left")


def draw_run(axis, run: pathlib.Path) -> None:
    """Accuracy against the share of removed values, as the run folder's page has it."""
    pictures = json.loads((run / "page.json").read_text(encoding="utf8"))["pictures"]
    (picture,) = (p for p in pictures if p.get("name") == "accuracy")
    for i, line in enumerate(picture["lines"]):
        style = {"linestyle": "--"} if line["role"] == "blind" else {}
        width = 2 if line["role"] == "ours" else 1
        colour = plots.PALETTE[i % len(plots.PALETTE)]
        axis.plot(line["x"], line["y"], color=colour, linewidth=width, label=line["label"], **style)
    axis.set_title("Accuracy against the share of values removed")
    axis.legend(fontsize=7, ncols=2, loc="lower left")


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--run", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "images" / "stable-sde.svg")
    arguments = parser.parse_args()
    with plots.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
        draw_completions(left, arguments.epochs)
        draw_run(right, arguments.run) if arguments.run else draw_growth(right)
        figure.patch.set(facecolor="white", alpha=1)  # readable on a dark page too
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(arguments.out, transparent=False, metadata={"Date": None})


if __name__ == "__main__":
    main()

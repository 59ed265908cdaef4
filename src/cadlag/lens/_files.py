"""What `cadlag lens` does: look into the folder of a run, and leave figures there for a page."""

import json
import math
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from cadlag.lens._batch_curvature import batch_curvature
from cadlag.lens._binning import FixedWidth
from cadlag.lens._estimators import Binned
from cadlag.lens._information import layer_information
from cadlag.lens._layers import layers_of
from cadlag.lens._oscillation import Course, oscillation, read_losses
from cadlag.linalg import extreme_eigenpairs, hessian_product, spectral_density
from cadlag.train import TrainedRun, read_run, training_folder


class Seen(NamedTuple):
    """What to tell the user, and the folder that holds the figures."""

    text: str
    out: pathlib.Path

    def __str__(self) -> str:
        return self.text


def curvature_file(run: pathlib.Path, *, steps: int = 30, probes: int = 4, seed: int = 0) -> Seen:
    """Spectrum, largest eigenvalues and the rates they allow, at the checkpoints of a run.

    A batch of training counts as one example: the curvature is that of the mean over the batches that the run kept.
    """
    found = read_run(run)
    loss, data, count = _as_examples(found)
    tops = []
    for unknowns in found.unknowns:
        hessian = hessian_product(loss, unknowns, data, batch_size=1)
        options = {"steps": min(steps, hessian.size), "key": jax.random.key(seed)}
        tops.append(float(extreme_eigenpairs(hessian, hessian.parameters, **options).values[0]))
    last = hessian_product(loss, found.unknowns[-1], data, batch_size=1)
    density = spectral_density(
        last, last.parameters, steps=min(steps, last.size), probes=probes, key=jax.random.key(seed)
    )
    draws = min(count, 8)
    curved = batch_curvature(
        loss, found.unknowns[-1], data, batches=(1,), draws=draws, steps=steps, batch_size=1, key=jax.random.key(seed)
    )
    section = {
        "title": "Curvature",
        "facts": f"{curved.parameters:,} parameters, {count} batches of training; the Hessian of their mean loss.",
        "tables": [_eigenvalues(found, tops), _rates(curved)],
        "pictures": [_spectrum(density, curved.largest)],
    }
    text = (
        f"Largest eigenvalue of the Hessian: {tops[0]:.4g} at the start, {tops[-1]:.4g} after {found.steps[-1]} steps; "
        f"{float(curved.measured[0]):.4g} on single batches.\nGradient descent on all is stable below a rate of "
        f"{2 / curved.largest:.4g}, on single batches below {float(curved.largest_rate(1)):.4g}."
    )
    return _leave(run, "curvature", section, text)


def information_file(run: pathlib.Path, *, width: float = 0.07) -> Seen:
    """Bits that every layer keeps of input and label at the checkpoints of a run, by bins of one width."""
    found = read_run(run)
    x, y = _labelled(found.batches)
    layers = layers_of(found.unknowns[-1])
    seen = [layer_information(layers, m, x, y, Binned(FixedWidth(width))) for m in found.unknowns]
    bits = np.asarray([[np.asarray(s.input), np.asarray(s.label)] for s in seen])
    n = len(y)
    rows = [
        [step, i + 1, *map(float, bits[k, :, i])] for k, step in enumerate(found.steps) for i in range(bits.shape[2])
    ]
    columns = ("steps", "layer", "bits of the input", "bits of the label")
    note = f"{n} examples, at most {math.log2(n):.2f} bits; bins of width {width}. The figures belong to that width."
    panels = {f"layer {i + 1}": bits[:, :, i].tolist() for i in range(bits.shape[2])}
    section = {
        "title": "Information",
        "facts": note,
        "tables": [{"title": "What each layer keeps", "columns": columns, "rows": rows, "caption": ""}],
        "pictures": [_plane(panels, found.steps)],
    }
    lines = [f"layer {i + 1}: {a:.2f} bits of the input, {b:.2f} of the label" for i, (a, b) in enumerate(bits[-1].T)]
    return _leave(run, "information", section, "\n".join([*lines, note]))


def oscillation_file(run: pathlib.Path, *, window: int | None = None) -> Seen:
    """Whether the loss of a run oscillates at its end."""
    losses = read_losses(training_folder(pathlib.Path(run)))
    found = oscillation(losses, window=window)
    thin = max(1, len(losses) // 400)
    x, y = list(range(1, len(losses) + 1))[::thin], losses[::thin]
    section = {
        "title": "Oscillation",
        "facts": f"{found.course.name}: {found.course.value}.",
        "tables": [],
        "pictures": [
            _curves("losses", "Loss by step.", [_line("loss", x, y)], "step", "loss", log_y=bool((y > 0).all()))
        ],
    }
    text = f"{found.course.name}: {found.course.value}."
    if found.course is not Course.diverged:
        text += f" Amplitude {found.amplitude:.3g}, alternation {found.alternation:.2f}, mean {found.mean:.4g}."
    return _leave(run, "oscillation", section, text)


def _as_examples(run: TrainedRun) -> tuple[Any, PyTree, int]:
    """The loss of one batch, with the run's first key, over batches as examples."""
    if run.batches is None:
        return (lambda model, _: run.loss(model, None, run.key)[0]), jnp.zeros(1), 1
    count = jax.tree.leaves(run.batches)[0].shape[0]
    return (lambda model, batch: run.loss(model, batch, run.key)[0]), run.batches, count


def _labelled(batches: PyTree) -> tuple[PyTree, np.ndarray]:
    """Examples and their classes, from batches that are pairs or records with integer labels."""
    labels = getattr(batches, "labels", None)
    if labels is None and isinstance(batches, tuple) and len(batches) == 2:
        batches, labels = batches[0], batches[1]
    if labels is None or not hasattr(labels, "dtype") or not np.issubdtype(np.asarray(labels).dtype, np.integer):
        raise ValueError(
            "information: the batches of this run carry no classes. In Python, layer_information(layers, model, x, y, "
            "estimator) takes any model with labels, real ones after they are cut into classes."
        )
    flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), batches)
    return flat, np.asarray(labels).reshape(-1)


def _eigenvalues(run: TrainedRun, tops: list[float]) -> dict[str, Any]:
    rows = [[step, top] for step, top in zip(run.steps, tops, strict=True)]
    return {"title": "Largest eigenvalue", "columns": ("steps", "eigenvalue"), "rows": rows, "caption": ""}


def _rates(curved: Any) -> dict[str, Any]:
    rows = [
        ["eigenvalue, all batches", curved.largest],
        ["eigenvalue, single batches", float(curved.measured[0])],
        ["predicted for single batches", float(curved.predicted[0])],
        ["largest stable rate, all batches", 2 / curved.largest],
        ["largest stable rate, single batches", float(curved.largest_rate(1))],
    ]
    note = "As on a quadratic; for SGD without momentum. Networks adapt their curvature to the rate."
    return {"title": "Rates", "columns": ("after the last step", "value"), "rows": rows, "caption": note}


def _spectrum(density: Any, largest: float) -> dict[str, Any]:
    low, high = float(density.nodes.min()), float(density.nodes.max())
    width = max((high - low) / 100, 1e-12)
    x = jnp.linspace(low - 3 * width, high + 3 * width, 400)
    mean, error = (np.asarray(a) for a in density.density(x, width))
    # A floor, for the eye: bumps of single eigenvalues stand on nothing.
    kept = np.maximum(mean, 0.1 / density.size / width)
    line = _line("density", np.asarray(x), kept, np.nan_to_num(error))
    caption = f"Density of the Hessian's eigenvalues after the last step; the largest is {largest:.4g}."
    return _curves("spectrum", caption, [line], "eigenvalue", "density", log_y=True)


def _plane(panels: dict[str, Any], steps: tuple[int, ...]) -> dict[str, Any]:
    lines = [_line(name, [p[0] for p in path], [p[1] for p in path]) for name, path in panels.items()]
    caption = f"Each path is a layer, from the start to {steps[-1]} steps."
    return _curves("plane", caption, lines, "bits of the input", "bits of the label")


def _line(label: str, x: Any, y: Any, error: Any = None) -> dict[str, Any]:
    as_list = lambda a: None if a is None else [float(v) for v in np.asarray(a)]  # noqa: E731
    return {"label": label, "x": as_list(x), "y": as_list(y), "error": as_list(error), "role": "ours"}


def _curves(
    name: str, caption: str, lines: list[dict[str, Any]], x_label: str, y_label: str, log_y: bool = False
) -> dict[str, Any]:
    return {"kind": "curves", "name": name, "caption": caption, "lines": lines, "x_label": x_label, "y_label": y_label,
            "log_x": False, "log_y": log_y}  # fmt: skip


def _leave(run: pathlib.Path, name: str, section: dict[str, Any], text: str) -> Seen:
    out = pathlib.Path(run) / "lens"
    out.mkdir(exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(section, indent=1), encoding="utf8")
    return Seen(text, out)

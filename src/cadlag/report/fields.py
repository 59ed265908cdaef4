"""Pictures of fields: truth, prediction and their difference, side by side and as a small animation."""

import io
import pathlib
from typing import Any

import numpy as np

from .plots import style, to_svg

_FIELD, _ERROR = "viridis", "magma"
_FRAMES, _WIDTH = 40, 7.6


def field_panels(truth: Any, prediction: Any, *, ts: Any = None, columns: int = 4, name: str = "fields") -> str:
    """The SVG of a trajectory of one channel and its prediction, each (frames, *space), and of |difference|.

    On a line, three images of space against time; in the plane, rows of frames evenly spread over the whole; of three
    axes the middle slice of the first. `ts`: the times of the frames. Truth and prediction share their colours.

    **Raises:** ValueError for other shapes.
    """
    truth, prediction = _arrays(truth, prediction)
    if truth.ndim == 2 and len(truth) > 1:
        return _lines(truth, prediction, ts, name)
    chosen = np.unique(np.linspace(0, len(truth) - 1, min(columns, len(truth))).astype(int))
    with style(name):
        figure, axes = _figure(3, len(chosen), 0.3 + 2.9 * _WIDTH / max(len(chosen), 3) / 1.25)
        for row, (label, values, options) in enumerate(_rows(truth, prediction)):
            for column, frame in enumerate(chosen):
                axis = axes[row, column]
                drawn = _image(axis, values[frame], options)
                if row == 0 and ts is not None:
                    axis.set_title(f"t = {ts[frame]:.3g}")
            axes[row, 0].set_ylabel(label)
            figure.colorbar(drawn, ax=axes[row, :], fraction=0.04, pad=0.02)
        return to_svg(figure)


def save_field_animation(
    path: str | pathlib.Path, truth: Any, prediction: Any, *, ts: Any = None, seconds: float = 4.0
) -> pathlib.Path:
    """A GIF of truth, prediction and |difference|, at most 40 frames spread over the whole; arguments as above."""
    truth, prediction = _arrays(truth, prediction)
    from PIL import Image

    chosen = np.unique(np.linspace(0, len(truth) - 1, min(_FRAMES, len(truth))).astype(int))
    limits = _limits(truth, prediction)
    pictures = [_still(truth[i], prediction[i], None if ts is None else ts[i], limits) for i in chosen]
    images = [Image.open(io.BytesIO(p)).convert("P", palette=Image.Palette.ADAPTIVE, colors=128) for p in pictures]
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pause = int(1000 * seconds / len(images))
    images[0].save(path, save_all=True, append_images=images[1:], duration=pause, loop=0, optimize=True)
    return path


def _still(truth: Any, prediction: Any, t: Any, limits: tuple) -> bytes:
    """One frame as a PNG."""
    with style("frame"):
        figure, axes = _figure(1, 3 if truth.ndim > 1 else 2, 2.4)
        figure.set_facecolor("white")
        if truth.ndim > 1:
            rows = _rows(truth, prediction, limits)
            for axis, (label, values, options) in zip(axes[0], rows, strict=True):
                _image(axis, values, options)
                axis.set_title(label)
        else:
            axes[0, 0].plot(truth, label="truth")
            axes[0, 0].plot(prediction, label="prediction", ls="--")
            axes[0, 0].set_ylim(*limits[0])
            axes[0, 0].legend(fontsize=8)
            axes[0, 1].plot(abs(prediction - truth))
            axes[0, 1].set_ylim(0, limits[1])
            axes[0, 1].set_title("|difference|")
        if t is not None:
            figure.suptitle(f"t = {t:.3g}")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=80, transparent=False)
        return file.getvalue()


def _lines(truth: Any, prediction: Any, ts: Any, name: str) -> str:
    times = (0, len(truth)) if ts is None else (ts[0], ts[-1])
    with style(name):
        figure, axes = _figure(1, 3, 2.6)
        for axis, (label, values, options) in zip(axes[0], _rows(truth, prediction), strict=True):
            extent = (*times, 0, values.shape[1])
            drawn = axis.imshow(values.T, origin="lower", aspect="auto", extent=extent, **options)
            axis.grid(visible=False)
            axis.set(title=label, xlabel="time", yticks=[])
            figure.colorbar(drawn, ax=axis, fraction=0.05, pad=0.02)
        return to_svg(figure)


def _rows(truth: Any, prediction: Any, limits: tuple | None = None) -> list[tuple[str, Any, dict]]:
    (low, high), most = _limits(truth, prediction) if limits is None else limits
    shared = {"cmap": _FIELD, "vmin": low, "vmax": high}
    error = {"cmap": _ERROR, "vmin": 0, "vmax": most}
    return [
        ("truth", truth, shared),
        ("prediction", prediction, shared),
        ("|difference|", abs(prediction - truth), error),
    ]


def _limits(truth: Any, prediction: Any) -> tuple[tuple[float, float], float]:
    """Of the truth, which a prediction that blows up must not stretch, and of the difference."""
    low, high = float(truth.min()), float(truth.max())
    high = high if high > low else low + 1
    error = np.nan_to_num(abs(prediction - truth), nan=0.0, posinf=0.0)
    return (low, high), float(min(error.max(), high - low)) or 1.0


def _image(axis: Any, values: Any, options: dict) -> Any:
    while values.ndim > 2:
        values = values[values.shape[0] // 2]
    if values.ndim == 1:
        values = values[None]
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    return axis.imshow(values.T, origin="lower", interpolation="nearest", aspect="auto", **options)


def _arrays(truth: Any, prediction: Any) -> tuple[Any, Any]:
    a, b = np.asarray(truth, float), np.asarray(prediction, float)
    if a.shape != b.shape or a.ndim < 2 or a.size == 0:
        raise ValueError(f"truth and prediction have shapes {a.shape} and {b.shape}; expected one, (frames, *space).")
    return a, b


def _figure(rows: int, columns: int, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)

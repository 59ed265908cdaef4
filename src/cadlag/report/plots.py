"""Pictures in one style: lines with bands, sample paths, bars. Each returns the text of an SVG.

Colours keep their contrast on light and on dark paper; text and axes take the colour of the page around them.
"""

import contextlib
import io
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

INK = "#20242a"
PALETTE = ("#1f77b4", "#d1651f", "#2f9e6b", "#a05195", "#b8860b", "#5b7c99", "#c2405a", "#6a8f2f")
_WIDTH = 7.6

_STYLE: dict[str, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.transparent": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "regular",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#8a929c",
    "grid.alpha": 0.22,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "svg.fonttype": "path",
}


@contextlib.contextmanager
def style(salt: str = "cadlag") -> Iterator[None]:
    """Matplotlib's settings for the pictures of Cadlag. `salt` keeps the marks of two pictures on one page
    apart.
    """
    import matplotlib

    settings: Any = {**_STYLE, "svg.hashsalt": salt}
    with matplotlib.rc_context(settings):
        yield


def to_svg(figure: Any) -> str:
    """The SVG of a Matplotlib figure, the same text each time."""
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def _figure(rows: int, columns: int, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def curves(
    lines: Sequence[Mapping[str, Any]],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    name: str = "curves",
) -> str:
    """Lines with bands of one standard error. Each of `lines` has `label`, `x`, `y`, and may have `error`,
    `role`.
    """
    with style(name):
        figure, axes = _figure(1, 1, 3.7)
        axis = axes[0, 0]
        if log_x:
            axis.set_xscale("log")
        if log_y:
            axis.set_yscale("log")
        for i, line in enumerate(lines):
            _line(axis, line, PALETTE[i % len(PALETTE)])
        axis.set(xlabel=x_label, ylabel=y_label)
        _legend(axis, len(lines))
        return to_svg(figure)


def _line(axis: Any, line: Mapping[str, Any], colour: str) -> None:
    x, y = _numbers(line["x"]), _numbers(line["y"])
    role = line.get("role", "ours")
    look = {"ours": ("-", 2.3), "blind": (":", 1.4)}.get(role, ("--", 1.5))
    marker = "o" if len(x) <= 12 else None
    axis.plot(x, y, look[0], color=colour, lw=look[1], marker=marker, ms=4.5, label=line["label"])
    if line.get("error") is not None:
        error = _numbers(line["error"])
        low = [a - b for a, b in zip(y, error, strict=True)]
        high = [a + b for a, b in zip(y, error, strict=True)]
        axis.fill_between(x, low, high, color=colour, alpha=0.16, lw=0)


def _legend(axis: Any, entries: int) -> None:
    if entries > 1:
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9, handlelength=2.2)


def sample_paths(
    times: Sequence[float | int],
    panels: Mapping[str, Sequence[Any]],
    *,
    x_label: str = "time",
    y_label: str = "",
    reference: Sequence[float | int | None] | None = None,
    name: str = "paths",
) -> str:
    """Sample paths, one panel a label, thin lines; all panels share their axes. `reference` is drawn in each,
    dashed: what the paths are held against.
    """
    columns = min(3, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    with style(name):
        figure, axes = _figure(rows, columns, 0.5 + 2.1 * rows)
        limits = _limits(panels if reference is None else {**panels, "": [reference]})
        for i, axis in enumerate(axes.flat):
            axis.set_visible(i < len(panels))
        for i, (label, paths) in enumerate(panels.items()):
            axis = axes.flat[i]
            for j, path in enumerate(paths):
                shade = 0.3 + 0.6 * (j % 3 == 0)
                axis.plot(times, _numbers(path), color=PALETTE[i % len(PALETTE)], lw=0.9, alpha=shade)
            if reference is not None:
                axis.plot(times, _numbers(reference), color=INK, lw=1.2, ls=(0, (3, 2)))
            axis.set_title(label)
            axis.set_xlabel(x_label)
            axis.set_ylabel(y_label if i % columns == 0 else "")
            axis.set_ylim(*limits)
        return to_svg(figure)


def _limits(panels: Mapping[str, Sequence[Any]]) -> tuple[float, float]:
    values = [v for paths in panels.values() for path in paths for v in _numbers(path) if math.isfinite(v)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    pad = 0.05 * (high - low) or 0.5
    return low - pad, high + pad


def bars(
    labels: Sequence[str],
    values: Sequence[float | int],
    *,
    x_label: str,
    errors: Sequence[float | int] | None = None,
    roles: Sequence[str] | None = None,
    log: bool = False,
    name: str = "bars",
) -> str:
    """Horizontal bars with their figures written at the end, the first label on top."""
    with style(name):
        figure, axes = _figure(1, 1, 0.7 + 0.36 * len(labels))
        axis = axes[0, 0]
        colours = [PALETTE[0] if role == "ours" else "#98a1ab" for role in roles or ["ours"] * len(labels)]
        numbers = _numbers(values)
        places = range(len(labels))
        error = None if errors is None else _numbers(errors)
        drawn = axis.barh(places, numbers, xerr=error, color=colours, height=0.62, error_kw={"ecolor": INK, "lw": 1})
        axis.bar_label(drawn, [f"{v:.3g}" for v in numbers], padding=4, fontsize=9)
        axis.set_yticks(places, labels)
        axis.invert_yaxis()
        axis.grid(visible=False, axis="y")
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
        if log:
            axis.set_xscale("log")
        axis.margins(x=0.12)
        axis.set_xlabel(x_label)
        return to_svg(figure)


def training_curves(
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    y: str = "loss",
    log_y: bool = True,
    name: str = "training",
) -> str:
    """Training curves from lines of `metrics.jsonl`: each of `runs` is a list of records with `step` and
    `y`.
    """
    lines = [
        {"label": label, "x": [r["step"] for r in records if y in r], "y": [r[y] for r in records if y in r]}
        for label, records in runs.items()
    ]
    return curves(lines, x_label="step", y_label=y, log_y=log_y, name=name)


def points(panels: Mapping[str, Sequence[Any]], *, name: str = "points") -> str:
    """Clouds of points in the plane, one square panel a label; all share their axes."""
    columns = min(4, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    with style(name):
        figure, axes = _figure(rows, columns, 0.4 + _WIDTH / columns * rows)
        flat = [value for cloud in panels.values() for point in cloud for value in point]
        reach = 1.05 * max((abs(v) for v in _numbers(flat) if math.isfinite(v)), default=1.0)
        for i, axis in enumerate(axes.flat):
            axis.set_visible(i < len(panels))
        for i, (label, cloud) in enumerate(panels.items()):
            axis = axes.flat[i]
            axis.scatter(*zip(*cloud, strict=True), s=4, color=PALETTE[i % len(PALETTE)], alpha=0.6, lw=0)
            axis.set(title=label, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        return to_svg(figure)


def trajectories(
    panels: Mapping[str, Sequence[Any]], *, x_label: str, y_label: str, limits: Any = None, name: str = "trajectories"
) -> str:
    """Paths in the plane, one panel a label, their points coloured from dark (first) to light (last)."""
    columns = min(2, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    with style(name):
        figure, axes = _figure(rows, columns, 0.3 + 2.9 * rows)
        for i, axis in enumerate(axes.flat):
            axis.set_visible(i < len(panels))
        for axis, (label, paths) in zip(axes.flat, panels.items(), strict=False):
            for path in paths:
                x, y = (_numbers(column) for column in zip(*path, strict=True))
                axis.plot(x, y, color="#8a929c", lw=0.6, alpha=0.6)
                axis.scatter(x, y, c=range(len(x)), cmap="viridis", s=13, lw=0, zorder=3)
            axis.set(title=label, xlabel=x_label, ylabel=y_label)
            if limits is not None:
                axis.set(xlim=limits[0], ylim=limits[1])
        return to_svg(figure)


def images(
    rows: Mapping[str, Sequence[Any]], *, low: float | int = -1, high: float | int = 1, name: str = "images"
) -> str:
    """Rows of small grey images, each row with its label on the left."""
    columns = max((len(row) for row in rows.values()), default=1)
    with style(name):
        figure, axes = _figure(max(1, len(rows)), columns, 0.2 + 0.85 * _WIDTH / (columns + 2) * len(rows))
        for axis in axes.flat:
            axis.set_axis_off()
        for i, (label, row) in enumerate(rows.items()):
            for j, image in enumerate(row):
                axes[i, j].imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axes[i, 0].text(-0.25, 0.5, label, ha="right", va="center", transform=axes[i, 0].transAxes)
        return to_svg(figure)


def draw(picture: Mapping[str, Any]) -> str:
    """The SVG of a picture that a recipe described (`Curves`, `Paths` and so on, as plain data)."""
    p = picture
    if p["kind"] == "curves":
        labels = {"x_label": p["x_label"], "y_label": p["y_label"]}
        return curves(p["lines"], log_x=p["log_x"], log_y=p["log_y"], name=p["name"], **labels)
    if p["kind"] == "paths":
        options: dict[str, Any] = {key: p[key] for key in ("x_label", "y_label", "name")}
        return sample_paths(p["times"], p["panels"], reference=p.get("reference"), **options)
    if p["kind"] == "bars":
        options = {key: p[key] for key in ("x_label", "errors", "roles", "log", "name")}
        return bars(p["labels"], p["values"], **options)
    if p["kind"] == "points":
        return points(p["panels"], name=p["name"])
    if p["kind"] == "trajectories":
        options = {key: p[key] for key in ("x_label", "y_label", "limits", "name")}
        return trajectories(p["panels"], **options)
    if p["kind"] == "images":
        return images(p["rows"], low=p["low"], high=p["high"], name=p["name"])
    raise ValueError(
        f"There is no picture of kind {p['kind']!r}; known: curves, paths, bars, points, trajectories, images."
    )


def save_svg(path: str | pathlib.Path, svg: str) -> pathlib.Path:
    """Write `svg` to `path`, with the heading that a file of its own needs."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('<?xml version="1.0" encoding="utf-8"?>\n' + svg, encoding="utf8")
    return path


def _numbers(values: Sequence[float | int | None]) -> list[float]:
    return [math.nan if v is None else float(v) for v in values]

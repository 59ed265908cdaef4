"""What the page of `adjoint-dpm` shows."""

from typing import Any

from cadlag.recipes._picture import Curves, Images, Line, Picture, Table
from cadlag.recipes._recipe import Figures

MODES = ("continuous", "stored", "discrete")


def tables(figures: Figures) -> list[Table]:
    """Errors, memory, hit rates."""
    made = []
    exact, digits = (list(figures.get(arm, {}).values()) for arm in ("exact", "digits"))
    for law in ("mixture", "ring") if exact else ():
        cells = [(v, s) for v, by in exact[0]["error"][law].items() for s in by]
        rows = [[v, s, *([f["error"][law][v][s][m] for f in exact] for m in MODES)] for v, s in cells]
        note = "Median relative error against 2,000 steps; 20 steps, uniform in time (`log`: in log-SNR, noise ratio)."
        made.append(Table(f"Gradients, {law}", ("variable", "stepper", *MODES), rows, note))
    if exact:
        rows = [[m, b["few"], b["many"], b["growth"]] for m, b in exact[0]["memory"].items()]
        made.append(Table("Temporary memory, bytes", ("gradient", "10 steps", "100 steps", "growth"), rows))
    if digits:
        rows = [[name, [f["hits"][name] for f in digits]] for name in digits[0]["hits"]]
        made.append(Table("Hit rate by the second classifier", ("how", "share"), rows))
    return made


def pictures(figures: Figures) -> list[Picture]:
    """Digits of the first seed, and the loss while the noise is optimised."""
    first: Any = next(iter(figures.get("digits", {}).values()), None)
    if first is None:
        return []
    lines = [Line(mode, list(range(len(y))), y) for mode, y in first["losses"].items()]
    return [
        Images(
            "digits", "The same ten noises (best of: fresh ones); the classes asked for run in order.", first["images"]
        ),
        Curves("losses", "Mean loss while the noise is optimised.", lines, "update", "-log p(class)"),
    ]

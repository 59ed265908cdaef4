"""What the page of `score-sde` shows."""

import pathlib
from typing import Any

from cadlag.recipes._picture import Curves, Images, Line, Picture, Points, Table
from cadlag.recipes._recipe import Figures

LABELS = {
    "vp": "VP", "sub-vp": "sub-VP", "ve": "VE", "digits": "VP, MLP", "digits-unet": "VP, U-Net", "gaussian": "Gaussian",
    "mixture": "Gaussian mixture", "mean": "mean digit",
}  # fmt: skip
SAMPLERS = ("predictor", "pc")


def tables(figures: Figures) -> list[Table]:
    """Likelihood on the ring, samplers at equal evaluations, digits."""
    made = []
    rows = [[LABELS[a], _over(f, "nll"), _over(f, "gap"), _over(f, "evaluations")] for a, f in _ring(figures).items()]
    for arm in ("gaussian", "mixture"):
        if figures.get(arm):
            rows.append([LABELS[arm], [x["ring"]["nll"] for x in figures[arm].values()], None, None])
    if rows:
        truth = [f["truth"] for seeds in _ring(figures).values() for f in seeds.values()]
        columns = ("model", "negative log-likelihood (nats)", "minus the truth's", "evaluations to sample")
        caption = f"On held-out points; the true law has {sum(truth) / len(truth):.3f}." if truth else ""
        made.append(Table("Likelihood on the ring", columns, rows, caption))
        made.append(_samplers(figures))
    digits = [
        [
            LABELS[a],
            [f["bits"] for f in figures[a].values()] if "bits" in _first(figures[a]) else None,
            *([f["filled"][k] for f in figures[a].values()] if "filled" in _first(figures[a]) else None
              for k in ("error", "accuracy")),
        ]
        for a in ("digits", "digits-unet", "gaussian", "mixture", "mean")
        if figures.get(a)
    ]  # fmt: skip
    if digits:
        columns = ("model", "bits per dimension", "error of the lower half", "accuracy when filled in")
        made.append(Table("Digits", columns, digits, "The Gaussian fills in its conditional mean, the model one draw."))
    return [t for t in made if t.rows]


def pictures(figures: Figures, out: pathlib.Path) -> list[Picture]:
    """Points, digits, training curves."""
    made: list[Picture] = []
    clouds = {LABELS[a]: _first(f)["points"] for a, f in _ring(figures).items()}
    if clouds:
        made.append(Points("ring", "Three hundred samples of each model, first seed.", clouds))
    for arm in ("digits", "digits-unet"):
        if figures.get(arm):
            shown = {k: [image[0] for image in v] for k, v in _first(figures[arm])["images"].items()}
            rows = {"samples": shown["samples"][:10], "": shown["samples"][10:20]}
            rows |= {"test digits": shown["clean"], "lower half filled": shown["filled"]}
            made.append(Images(arm, f"{LABELS[arm]}: samples; test digits, and their lower half filled in.", rows))
    lines = [
        Line(LABELS[a], [(i + 0.5) / len(c) for i in range(len(c))], c)
        for a, c in ((a, _first(f)["curve"]) for a, f in figures.items() if f and "curve" in _first(f))
    ]
    if lines:
        made.append(Curves("training", "Denoising loss, first seed.", lines, "share of training", "loss", log_y=True))
    return made


def _samplers(figures: Figures) -> Table:
    rows = []
    for arm, seeds in _ring(figures).items():
        names = [k for k in _first(seeds)["distance"] if k not in SAMPLERS]
        rows.append([LABELS[arm], *([f["distance"][k] for f in seeds.values()] for k in names)])
    columns = ("model", *_names(figures))
    caption = "Sliced W2 to fresh samples of the ring; `data`: fresh samples against fresh samples, the floor."
    return Table("Samplers at equal evaluations", columns, rows, caption)


def _names(figures: Figures) -> list[str]:
    distances = next((_first(f)["distance"] for f in _ring(figures).values()), {})
    said = {"predictor": "predictor", "pc": "predictor-corrector"}
    named = []
    for key in distances:
        if key not in SAMPLERS:
            kind, _, count = key.partition("-")
            named.append(f"{said[kind]}, {count}" if count else key)
    return named


def _ring(figures: Figures) -> dict[str, Any]:
    return {a: figures[a] for a in ("vp", "sub-vp", "ve") if figures.get(a)}


def _first(seeds: Any) -> Any:
    return next(iter(seeds.values()))


def _over(seeds: Any, key: str) -> list[float]:
    return [f[key] for f in seeds.values()]

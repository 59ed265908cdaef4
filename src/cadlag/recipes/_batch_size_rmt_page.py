"""What the page of `batch-size-rmt` shows."""

from typing import Any

from cadlag.recipes._curve import mean_and_error
from cadlag.recipes._picture import Curves, Line, Picture, Table
from cadlag.recipes._recipe import Figures

LEARNERS = {"learner": "rate from curvature", "learner-momentum": "rate and momentum", "sweep": "best of seven"}


def tables(figures: Figures) -> list[Table]:
    """Logistic constants, linear rates, rates and slopes on digits, learners."""
    made = []
    seeds = _seeds(figures, "logistic")
    if seeds:
        rows = [[b, [f["excess"][i] for f in seeds]] for i, b in enumerate(seeds[0]["batches"])]
        note = "Predicted over measured: along the top eigenvector {:.2f}, isotropic {:.3f}.".format(
            *(sum(f[k] for f in seeds) / len(seeds) for k in ("directional", "isotropic"))
        )
        made.append(
            Table("A. Excess of the largest eigenvalue times the batch", ("batch", "excess x batch"), rows, note)
        )
    seeds = _seeds(figures, "linear")
    if seeds:
        rows = [[int(b), [f["stable"][b] for f in seeds], seeds[0]["predicted"][b]] for b in seeds[0]["stable"]]
        made.append(Table("B. Largest stable rates, linear regression", ("batch", "measured", "predicted"), rows))
    seeds = _seeds(figures, "digits")
    if seeds:
        rows = [
            [int(b), *([f[o]["rates"][b] for f in seeds] for o in ("sgd", "adam"))] for b in seeds[0]["sgd"]["rates"]
        ]
        rows += [[f"{w} slope", *([f[o][k] for f in seeds] for o in ("sgd", "adam"))]
                 for w, k in (("overall", "slope"), ("steepest", "steepest"))]  # fmt: skip
        note = "Full loss after 300 steps below its start. The laws: slope 1 (SGD, small batches) and 0.5 (Adam)."
        made.append(Table("C. Largest rates, digits (reported)", ("batch", "SGD", "Adam"), rows, note))
    rows = []
    for arm, label in LEARNERS.items():
        seeds = _seeds(figures, arm)
        for b in seeds[0] if seeds else ():
            rows.append([label, int(b), *([f[b][k] for f in seeds] for k in ("accuracy", "rate"))])
    if rows:
        made.append(Table("D. Test accuracy on digits", ("optimiser", "batch", "accuracy", "rate at the end"), rows))
    return made


def pictures(figures: Figures) -> list[Picture]:
    """Rates against the batch, on linear regression and on digits; eigenvalues of batches on digits."""
    made: list[Picture] = []
    seeds = _seeds(figures, "linear")
    if seeds:
        batches = list(seeds[0]["stable"])
        x = [float(b) for b in batches]
        lines = [
            Line("measured", x, *mean_and_error([[f["stable"][b] for f in seeds] for b in batches])),
            Line("predicted", x, [seeds[0]["predicted"][b] for b in batches], role="blind"),
        ]
        caption = "Largest stable rate of SGD on linear regression."
        made.append(Curves("linear", caption, lines, "batch", "rate", log_x=True, log_y=True))
    seeds = _seeds(figures, "digits")
    if seeds:
        lines = []
        for name, role in (("sgd", "ours"), ("adam", "baseline")):
            batches = list(seeds[0][name]["rates"])
            y = mean_and_error([[f[name]["rates"][b] for f in seeds] for b in batches])
            lines.append(Line(name.upper(), [float(b) for b in batches], *y, role))
        caption = "Largest rates of a network on digits with the loss below its start after 300 steps."
        made.append(Curves("digits", caption, lines, "batch", "rate", log_x=True, log_y=True))
        curved: list[Any] = [f["curvature"] for f in seeds]
        x = [8.0, 32.0, 128.0]
        lines = [
            Line("measured", x, *mean_and_error([[c["measured"][i] for c in curved] for i in range(3)])),
            Line("predicted", x, *mean_and_error([[c["predicted"][i] for c in curved] for i in range(3)]), "blind"),
            Line("all examples", x, *mean_and_error([[c["largest"] for c in curved]] * 3), "baseline"),
        ]
        caption = "Largest eigenvalue of the Hessian on batches of digits, at the start of training."
        made.append(Curves("curvature", caption, lines, "batch", "eigenvalue", log_x=True))
    return made


def _seeds(figures: Figures, arm: str) -> list[Any]:
    return list(figures.get(arm, {}).values())

"""What the page of `deep-kernel-machine` shows."""

from cadlag.recipes._curve import mean_and_error
from cadlag.recipes._picture import Curves, Images, Line, Picture, Table
from cadlag.recipes._recipe import Figures, value_per_seed

LABELS = {
    "dkm": "deep kernel machine", "nngp": "NNGP (nu = inf)", "sparse-gp": "sparse Gaussian process",
    "ard-gp": "Gaussian process, a length for each column",
}  # fmt: skip
TASKS = ("irrelevant", "diabetes", "friedman")


def tables(figures: Figures) -> list[Table]:
    """Likelihood, error and time by task."""
    made = []
    for what, title in (
        ("log_prob", "test log-likelihood (nats a point)"),
        ("rmse", "test RMSE"),
        ("seconds", "seconds"),
    ):
        rows = []
        for arm in [a for a in LABELS if figures.get(a)]:
            cells = [list(value_per_seed(figures, arm, f"tasks.{t}.{what}").values()) or None for t in TASKS]
            rows.append([LABELS[arm], *cells])
        if rows:
            made.append(Table(f"Regression: {title}", ("model", *TASKS), rows, "nu chosen on validation data."))
    return made


def pictures(figures: Figures) -> list[Picture]:
    """Alignment against nu, and Gram matrices of points sorted by target."""
    seeds = figures.get("exact")
    if not seeds:
        return []
    nus = list(next(iter(seeds.values()))["alignment"])
    values = [[f["alignment"][nu] for f in seeds.values()] for nu in nus]
    line = Line("last Gram matrix", [float(nu) for nu in nus], *mean_and_error(values))
    caption = "Alignment of the last Gram matrix with the targets' (diabetes); large nu is the NNGP."
    grams = {f"nu = {float(nu):g}": [g] for nu, g in next(iter(seeds.values()))["grams"].items()}
    return [
        Curves("alignment", caption, [line], "nu", "alignment", log_x=True),
        Images("grams", "Last Gram matrices (correlations), points sorted by target.", grams, 0, 1),
    ]

"""What the page of `scale-mixture` shows."""

from cadlag.recipes._picture import Picture, Points, Table
from cadlag.recipes._recipe import Figures, value_per_seed

LABELS = {
    "t": "Student-t process", "burr": "Burr XII mixture", "nngp": "NNGP, scale learnt",
    "per-point": "t-likelihood per point", "svtp": "sparse t-process", "svgp": "sparse Gaussian process",
}  # fmt: skip


def tables(figures: Figures) -> list[Table]:
    """Regression by size and data; digits."""
    made = []
    for what, title in (("nll", "test NLL (nats)"), ("rmse", "test RMSE"), ("seconds", "seconds a fit")):
        cells = _cells(
            figures, ("t", "burr", "nngp", "per-point"), what, ("30.clean", "30.outliers", "240.clean", "240.outliers")
        )
        if cells:
            columns = ("model", "30, clean", "30, outliers", "240, clean", "240, outliers")
            made.append(Table(f"Diabetes: {title}", columns, cells, "Means over splits, by training points."))
    for what, title in (("nll", "test NLL (nats)"), ("accuracy", "accuracy")):
        cells = _cells(figures, ("svtp", "svgp"), what, ("clean", "corrupted", "wrong_labels"))
        if cells:
            columns = ("model", "clean", "shot noise in the test images", "a tenth of the training labels random")
            made.append(Table(f"Digits: {title}", columns, cells))
    return made


def _cells(figures: Figures, arms: tuple[str, ...], what: str, keys: tuple[str, ...]) -> list[list]:
    rows = []
    for arm in arms:
        if figures.get(arm):
            values = [list(value_per_seed(figures, arm, f"{key}.{what}").values()) or None for key in keys]
            rows.append([LABELS[arm], *values])
    return rows


def pictures(figures: Figures) -> list[Picture]:
    """Two uncorrelated outputs, drawn with one scale and with a scale each."""
    if not figures.get("identities"):
        return []
    draws = next(iter(figures["identities"].values()))["draws"]
    caption = (
        "Two uncorrelated outputs of one function, 12 degrees of freedom: with one scale far values come together."
    )
    return [Points("draws", caption, draws)]

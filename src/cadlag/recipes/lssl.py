"""Linear state-space layers (Gu et al., NeurIPS 2021): long sequences by systems built to remember.

(A) Handwritten digits, enlarged and read pixel by pixel: layers whose systems start from HiPPO and are learnt, keep it,
or are random instead; a GRU of as many parameters; in larger presets a neural CDE and dilated convolutions. All take
the same number of steps of Adam at rates chosen on other seeds.
(B) The trained layers on every other pixel, as they are and with their step doubled; the GRU on the same.
(C) How far the recurrent and the convolutional view are apart, and a gradient's time by length.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Paper, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("lssl", "ours", "HiPPO systems, learnt"),
    Arm("lssl-f", "ours", "HiPPO systems, fixed"),
    Arm("random-a", "ablation", "random systems, fixed"),
    Arm("gru", "baseline", "GRU"),
    Arm("cost", "ours", "views and cost by length"),
)
MORE = (Arm("cde", "baseline", "neural CDE"), Arm("convolution", "baseline", "dilated convolutions"))
RATES = {"lssl": 2e-2, "lssl-f": 1e-2, "random-a": 1e-2, "gru": 2e-2, "cde": 1e-2, "convolution": 3e-3}
MODELS = {
    "lssl": {"hidden_size": 32, "order": 32, "depth": 2, "steps": (2e-3, 3e-2)},
    "gru": {"hidden_size": 40},
    "cde": {"hidden_size": 16},
    "convolution": {"hidden_size": 16, "depth": 6},
}
SMALL = {
    "lssl": {"hidden_size": 8, "order": 8, "depth": 1, "steps": (2e-3, 3e-2)},
    "gru": {"hidden_size": 8},
    "cde": {"hidden_size": 4},
    "convolution": {"hidden_size": 4, "depth": 2},
}
SIZES = {
    Preset.SMOKE: {"side": 8, "train_steps": 22, "lengths": [32, 64], "models": SMALL},
    Preset.QUICK: {"side": 16, "train_steps": 330, "lengths": [1000, 4000, 16_000]},
    Preset.STANDARD: {"side": 28, "train_steps": 880, "lengths": [1000, 2000, 4000, 8000, 16_000]},
    Preset.GPU: {"side": 32, "train_steps": 4400, "lengths": [1000, 2000, 4000, 8000, 16_000]},
}


class LSSLRecipe(AbstractRecipe):
    """Digits as long sequences, a sampling rate not trained for, and the cost of length."""

    name = "lssl"
    title = "Combining Recurrent, Convolutional, and Continuous-time Models with Linear State-Space Layers"
    summary = "Linear state-space layers: recurrent, convolutional and continuous at once."
    bibtex = (
        "@inproceedings{gu2021combining,\n  title={Combining Recurrent, Convolutional, and Continuous-time Models with "
        "Linear State-Space Layers},\n  author={Gu, Albert and Johnson, Isys and Goel, Karan and Saab, Khaled and Dao, "
        "Tri and Rudra, Atri and R{\\'e}, Christopher},\n  booktitle={Advances in Neural Information Processing "
        "Systems},\n  year={2021}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """The neural CDE and the convolutions from `standard` on, and in `smoke`."""
        return ARMS if preset is Preset.QUICK else ARMS + MORE

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Models, rates, length of sequences and of training."""
        return {"models": MODELS, "rates": RATES, "batch": 64, **SIZES[preset]}

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """Accuracies of one model, or views and costs."""
        from cadlag.recipes import _lssl_studies as studies

        settings = self.settings(preset)
        if arm.name == "cost":
            return studies.views(settings, seed) | studies.cost(settings)
        return studies.digits(arm.name, settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Accuracies on held-out digits, all at equal steps."""
        return [
            _better(figures, "gru", "lssl", "gru", "They remember more of a long sequence than a GRU.",
                    Paper("99.5 % on sequential MNIST", "recalled")),
            _better(figures, "memory", "lssl-f", "random-a", "The memory comes from HiPPO: random systems are worse."),
            _better(figures, "learnt", "lssl", "lssl-f", "Learning the systems and their steps helps."),
            _compared(figures, "half-rate", ("lssl", "half_doubled"), ("lssl", "accuracy"), -0.05,
                      "At half the sampling rate, their steps doubled and nothing retrained, they keep their accuracy.",
                      "accuracy at half rate minus accuracy at full rate > -0.05",
                      Paper("speech: 95.9 to 88.7 %", "recalled")),
            _compared(figures, "doubled", ("lssl", "half_doubled"), ("lssl", "half"), 0.0,
                      "It is the doubled step that does it.",
                      "accuracy at half rate, doubled minus unchanged step, > 0"),
            _compared(figures, "gru-half-rate", ("lssl", "half_doubled"), ("gru", "half"), 0.0,
                      "They are ahead of a GRU at a sampling rate that neither was trained for.",
                      "accuracy at half rate, ours with doubled step minus the GRU, > 0"),
            Claim(
                "views",
                "The recurrence and the convolution are one map.",
                "largest difference of outputs over the largest output, in single precision, < 1e-4",
                1e-4,
                below(value_per_seed(figures, "cost", "difference"), 1e-4),
                ("cost",),
            ),
            Claim(
                "slope",
                "The cost grows like the length.",
                "slope of log time against log length < 1.2",
                1.2,
                below(value_per_seed(figures, "cost", "slope"), 1.2),
                ("cost",),
            ),
            Claim(
                "faster",
                "A gradient over the longest sequence is cheaper than a GRU's.",
                "log of the ratio of times < 0",
                0.0,
                below(value_per_seed(figures, "cost", "log_ratio"), 0.0),
                ("cost",),
            ),
            _better(figures, "cde", "lssl", "cde", "They beat a neural CDE."),
            _better(figures, "convolution", "lssl", "convolution", "They beat dilated convolutions."),
        ]  # fmt: skip

    def tables(self, figures: Figures) -> list[Table]:
        """Accuracies and costs."""
        from cadlag.recipes._lssl_page import tables

        return tables(figures, ARMS + MORE)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Accuracies at both rates, losses, times by length."""
        from cadlag.recipes._lssl_page import pictures

        return pictures(figures, ARMS + MORE)


def _better(figures: Figures, name: str, ours: str, other: str, statement: str, paper: Paper | None = None) -> Claim:
    criterion = f"accuracy of {ours} minus that of {other} > 0"
    return _compared(figures, name, (ours, "accuracy"), (other, "accuracy"), 0.0, statement, criterion, paper)


def _compared(
    figures: Figures, name: str, ours: tuple[str, str], other: tuple[str, str], limit: float, statement: str,
    criterion: str, paper: Paper | None = None,
) -> Claim:  # fmt: skip
    """Each side is named by its arm and key."""
    found = compare_paired(value_per_seed(figures, *ours), value_per_seed(figures, *other), limit)
    return Claim(name, statement, criterion, limit, found, (ours[0], other[0]), paper)


RECIPE = LSSLRecipe

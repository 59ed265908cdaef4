"""What the page of `information-plane` shows."""

from typing import Any

from cadlag.recipes._curve import mean_and_error
from cadlag.recipes._picture import Curves, Line, Picture, Table, Trajectories
from cadlag.recipes._recipe import Figures

ARMS = {"tanh": "tanh", "relu": "ReLU", "full-batch": "tanh, full batch", "random-labels": "tanh, random labels"}
NAMES = {"edges": "30 edges on [-1, 1]", "width": "width 0.07", "range": "29 bins over the range"}


def tables(figures: Figures) -> list[Table]:
    """Bits at the end and lost after the peak; bounds; accuracies and phases; the place under the curve."""
    made = []
    for what, title in (
        ("changes", "I(X;T) at the end less at epoch 63, bits"),
        ("drops", "I(X;T) at its peak less at the end, bits"),
    ):
        rows = [
            [label, name, *([f[what][key][layer] for f in seeds] for layer in seeds[0][what][key])]
            for arm, label in ARMS.items()
            if (seeds := _seeds(figures, arm))
            for key, name in NAMES.items()
        ]
        if rows:
            made.append(
                Table(title, ("networks", "bins", *_layers(figures)), rows, "Medians over a group of networks.")
            )
    rows = [row for arm in ("tanh", "relu") for row in _bounds(figures, arm)]
    if rows:
        caption = "Noise of variance 0.001; medians over a group of networks."
        made.append(
            Table(
                "I(X;T + noise) by distances of pairs", ("networks", "bound", "epoch", *_layers(figures)), rows, caption
            )
        )
    made += _learning(figures)
    for f in _seeds(figures, "tanh")[:1]:
        rows = [[e["layer"], e["input"], e["label"], e["beta"], e["divergence"]] for e in f["layer_beta"]["layers"]]
        columns = ("layer", "I(X;T)", "I(T;Y)", "beta", "divergence, bits")
        caption = (
            f"First seed, first network, 30 edges, soft labels (gamma {f['layer_beta']['gamma']:g}). The beta at which "
            "the layer's own encoder is nearest to the bottleneck's equations; none where every beta is too small."
        )
        made.append(Table("Layers against the bottleneck's equations", columns, rows, caption))
    return made


def _seeds(figures: Figures, arm: str) -> list[Any]:
    return list(figures.get(arm, {}).values())


def _layers(figures: Figures) -> list[str]:
    return next((list(f["final_label"]) for arm in ARMS for f in _seeds(figures, arm)), [])


def _bounds(figures: Figures, arm: str) -> list[list[Any]]:
    seeds = _seeds(figures, arm)
    return [
        [
            ARMS[arm],
            bound,
            epoch,
            *([f["noisy"][bound][i][k] for f in seeds] for k in range(len(seeds[0]["final_label"]))),
        ]
        for bound in ("upper", "lower")
        for i, epoch in enumerate(seeds[0]["noisy"]["epochs"] if seeds else [])
    ]


def _learning(figures: Figures) -> list[Table]:
    rows = []
    for arm, label in ARMS.items():
        seeds = _seeds(figures, arm)
        if seeds:
            accuracy = [[f[part] for f in seeds] for part in ("train_accuracy", "test_accuracy")]
            rows.append([label, *accuracy, [f["final_label"]["T5"] for f in seeds], [f["switch"]["T1"] for f in seeds]])
    columns = ("networks", "accuracy, learnt from", "accuracy, the rest", "I(T5;Y) at the end", "drift ends at epoch")
    return [Table("Learning", columns, rows, "Medians over a group of networks.")] if rows else []


def pictures(figures: Figures) -> list[Picture]:
    """The plane of every group, signal over noise, I(X;T5) by three ways of counting, the bottleneck's curve."""
    made: list[Picture] = []
    shown = {arm: _seeds(figures, arm)[0] for arm in ARMS if _seeds(figures, arm)}
    if shown:
        made.append(_planes(shown))
        made += [_noise(shown[arm], arm) for arm in shown if arm in ("tanh", "full-batch")]
        made.append(_counted(figures))
    for f in _seeds(figures, "bottleneck")[:1]:
        lines = [Line("bottleneck", [0.0, *f["input"][::-1]], [0.0, *f["label"][::-1]])]
        if "tanh" in shown:
            layers = shown["tanh"]["layer_beta"]["layers"]
            lines.append(
                Line("layers at the end", *([e[k] for e in layers] for k in ("input", "label")), role="baseline")
            )
        caption = f"The bottleneck's curve of the task with soft labels, gamma {f['gamma']:g}, and trained tanh layers."
        made.append(Curves("bottleneck", caption, lines, "I(X;T), bits", "I(T;Y), bits"))
    return made


def _noise(f: Any, arm: str) -> Curves:
    epochs = [e + 1 for e in f["epochs"]]
    lines = [Line(layer, epochs, [row[k] for row in f["ratio"]]) for k, layer in enumerate(f["final_label"])]
    lines.append(Line("drift = diffusion", [epochs[0], epochs[-1]], [1.0, 1.0], role="blind"))
    caption = f"{ARMS[arm]}: norm of the mean gradient over the deviation between batches, first seed."
    return Curves(f"noise-{arm}", caption, lines, "epoch + 1", "signal / noise", log_x=True, log_y=True)


def _counted(figures: Figures) -> Curves:
    lines = []
    for arm, role in (("tanh", "ours"), ("relu", "baseline")):
        seeds = _seeds(figures, arm)
        for key, name in NAMES.items() if seeds else ():
            values = list(zip(*([row[3] for row in f["planes"][key]["input"]] for f in seeds), strict=True))
            x = [e + 1 for e in seeds[0]["epochs"]]
            lines.append(Line(f"{ARMS[arm]}, {name}", x, *mean_and_error(values), role=role))
    caption = "I(X;T4) of the same networks, counted in three ways; bands are one standard error over seeds."
    return Curves("counted", caption, lines, "epoch + 1", "I(X;T4), bits", log_x=True)


def _planes(shown: dict[str, Any]) -> Trajectories:
    panels = {}
    for arm, f in shown.items():
        plane = f["planes"]["width" if arm == "relu" else "edges"]
        layers = range(len(f["final_label"]))
        panels[ARMS[arm]] = [
            [[x[k], y[k]] for x, y in zip(plane["input"], plane["label"], strict=True)] for k in layers
        ]
    caption = (
        "Each path is a layer, each point a moment of training from dark (start) to light (end), counted by 30 edges "
        "for tanh and by a width of 0.07 for ReLU. Medians over a group of networks, first seed."
    )
    limits = ((0.0, 12.3), (0.0, 1.05))
    return Trajectories("planes", caption, panels, "I(X;T), bits", "I(T;Y), bits", limits)

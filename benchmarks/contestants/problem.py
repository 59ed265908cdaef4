"""Sizes that all contestants share."""

from itertools import pairwise

BATCH, STATE, WIDTH, STEPS = 64, 16, 64, 100
"""Race 1: a neural SDE on [0, 1] with two MLPs STATE -> WIDTH -> STATE."""

SERIES, LENGTH, CHANNELS, HIDDEN, LAYERS, CLASSES = 32, 100, 7, 32, 2, 4
"""Race 2: one training step of LNSDE. CHANNELS counts time, as the released code does."""

LAWS = {"state": 8, "width": 32, "hidden": 32, "noise": 3}
"""Laws of series: the state, networks' width, the encoder's state, Brownian motions of the generator."""

STATE_SPACE = {"features": 64, "order": 64, "length": 1024, "batch": 16}
"""A linear state-space layer."""

IMAGES = {"8x8": (1, 8), "32x32": (3, 32)}
"""Networks: channels and size of the images."""
UNET_WIDTH, MULTIPLIERS, BLOCKS = 32, (1, 2, 2), 2
"""Networks: a U-Net without attention."""
VECTORS, VECTOR_SIZE, MLP_WIDTH, MLP_DEPTH, FEATURES = 512, 2, 128, 3, 64
"""Networks: a score MLP."""
SAMPLING_STEPS = 20
"""Sampling: steps of DPM-Solver++, one evaluation of the network each."""
SIMULATIONS = {
    "ks": {"batch": 16, "points": 128, "length": 64.0, "dt": 0.05, "steps": 200},
    "burgers": {"batch": 16, "points": 256, "length": 6.283185307179586, "dt": 0.005, "steps": 200, "nu": 0.05},
    "ns": {"batch": 4, "points": 64, "length": 1.0, "dt": 0.01, "steps": 100, "nu": 1e-3},
}
"""Simulators: sizes of the three problems, ETDRK4 with the 2/3 rule."""


OPERATORS = {
    "fno": {"channels": 1, "out": 1, "modes": 12, "width": 32, "layers": 4, "hidden": 64},
    "mgno": {"channels": 1, "out": 1, "width": 24, "layers": 4, "sweeps": ((1, 0),) * 5 + ((2, 0),)},
    "sinenet": {"channels": 2, "out": 1, "waves": 4, "width": 16, "growth": 1.605},
    "unet": {"channels": 2, "out": 1, "width": 32, "multipliers": (1, 2, 4), "blocks": 2},
}
"""Operators: sizes of four networks, all on 8 fields of 64 x 64."""
FIELDS, POINTS = 8, 64


def fields(name):
    """Inputs and targets of one training step: (batch, channels, 64, 64), float32."""
    import numpy as np

    size, rng = OPERATORS[name], np.random.default_rng(0)
    return tuple(rng.normal(size=(FIELDS, size[c], POINTS, POINTS)).astype(np.float32) for c in ("channels", "out"))


def initial_states(name):
    """Sums of the first three waves on each axis, of size about 1 (10 for the vorticity): (batch, *points), float32."""
    import numpy as np

    size = SIMULATIONS[name]
    rng, n = np.random.default_rng(0), size["points"]
    flat = name != "ns"
    modes = [(1,), (2,), (3,)] if flat else [(1, 0), (0, 1), (1, 1), (2, -1), (1, 3), (3, 2)]
    axes = np.meshgrid(*[2 * np.pi * np.arange(n) / n] * len(modes[0]), indexing="ij")

    def wave(mode):
        phase = sum(k * x for k, x in zip(mode, axes, strict=True)) + rng.uniform(0, 2 * np.pi)
        return (1 if flat else 3) * rng.normal() * np.sin(phase)

    return np.stack([sum(wave(m) for m in modes) for _ in range(size["batch"])]).astype("float32")


def noisy(rng, *shape):
    """A batch for denoising: levels, noisy data, noise; float32."""
    levels = rng.uniform(-8, 8, shape[0])
    data, noise = rng.normal(size=shape), rng.normal(size=shape)
    return tuple(a.astype("float32") for a in (levels, data + noise, noise))


def uniform_weights(rng, sizes, scale=1.0):
    """[(W (out, in), b (out,)), ...] in NumPy, uniform in ±scale/sqrt(in), float32."""
    weights = []
    for m, n in pairwise(sizes):
        bound = scale / m**0.5
        weights.append(
            (
                rng.uniform(-bound, bound, (n, m)).astype("float32"),
                rng.uniform(-bound, bound, n).astype("float32"),
            )
        )
    return weights


def make_series(rng):
    """Times (LENGTH,) in [0, 1], values (SERIES, LENGTH, CHANNELS - 1) and labels (SERIES,)."""
    import numpy as np

    times = np.linspace(0.0, 1.0, LENGTH, dtype="float32")
    steps = rng.normal(size=(SERIES, LENGTH, CHANNELS - 1)) / LENGTH**0.5
    return times, np.cumsum(steps, axis=1).astype("float32"), rng.integers(0, CLASSES, SERIES)

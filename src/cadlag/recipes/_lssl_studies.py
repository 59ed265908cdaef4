"""What `lssl` measures: digits as long sequences at two sampling rates, the layer's views, the cost by length."""

import functools
import time
from typing import Any


def model_of(arm: str, settings: dict[str, Any]) -> Any:
    """Constructor of an arm's model."""
    from cadlag import nn, series

    sizes = settings["models"]
    space = functools.partial(series.LSSL, **sizes["lssl"])
    makers = {
        "lssl": space,
        "lssl-f": functools.partial(space, learn=False),
        "random-a": functools.partial(space, learn=False, memory=nn.RandomMemory()),
        "gru": functools.partial(series.GRU, **sizes["gru"]),
        "cde": functools.partial(series.NeuralCDE, **sizes["cde"]),
        "convolution": functools.partial(convolutions(), **sizes["convolution"]),
    }
    return makers[arm]


@functools.cache
def convolutions() -> Any:
    """A baseline: dilated causal convolutions with skips, the mean over time."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr

    from cadlag.nn import Conv
    from cadlag.series import AbstractSeriesModel

    class Convolutions(AbstractSeriesModel):
        """Causal convolutions of width 5 whose dilation doubles from layer to layer."""

        encode: eqx.nn.Linear
        layers: list
        hidden_size: int = eqx.field(static=True)
        stochastic: bool = eqx.field(static=True, default=False)
        blind: bool = eqx.field(static=True, default=False)

        def __init__(self, channels: int, *, static_size: int = 0, hidden_size: int = 32, depth: int = 6, key: Any):
            keys = jr.split(key, depth + 1)
            self.encode = eqx.nn.Linear(channels, hidden_size, key=keys[0])
            self.layers = [
                Conv(hidden_size, hidden_size, 5, spatial_axes=1, dilation=2**i, padding=[(4 * 2**i, 0)], key=k)
                for i, k in enumerate(keys[1:])
            ]
            self.hidden_size, self.stochastic, self.blind = hidden_size, False, False

        def __call__(self, series: Any, *, key: Any = None, final: bool = False) -> Any:
            """Means of the features so far, or over all rows."""
            u = jax.vmap(self.encode)(jnp.where(series.mask, series.values, 0))
            for layer in self.layers:
                u = u + jax.nn.gelu(layer(u))
            if final:
                return jnp.mean(u, axis=0)
            return jnp.cumsum(u, axis=0) / jnp.arange(1, len(u) + 1, dtype=u.dtype)[:, None]

    return Convolutions


@functools.cache
def digits_as_series(side: int, seed: int) -> tuple[Any, Any]:
    """Training and test digits, made larger by bilinear interpolation, read row by row; times of a pixel each."""
    import numpy as np
    from scipy.ndimage import zoom

    from cadlag.data import IrregularSeries, digits_split

    def read(samples: Any) -> Any:
        images = np.asarray(samples.values)[:, 0]
        large: Any = zoom(images, (1, side / 8, side / 8), order=1, grid_mode=True, mode="nearest")
        values = large.reshape(len(large), -1, 1)
        return IrregularSeries.from_arrays(np.arange(values.shape[1], dtype=float), values, labels=samples.labels)

    train, test = digits_split(seed=seed)
    return read(train), read(test)


def every_other(series: Any) -> Any:
    """The same sequences at half the sampling rate."""
    from cadlag.data import IrregularSeries

    return IrregularSeries.from_arrays(series.times[:, 1::2], series.values[:, 1::2], labels=series.labels)


def digits(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Accuracy at the rate of training and, without more training, at half of it."""
    import equinox as eqx

    from cadlag.recipes._curve import thin
    from cadlag.recipes._operators import parameters
    from cadlag.series import SeriesClassifier, resampled

    train, test = digits_as_series(settings["side"], seed)
    epochs = -(-settings["train_steps"] // (len(train) // settings["batch"]))
    start = time.perf_counter()
    fitted = SeriesClassifier(
        model_of(arm, settings), epochs=epochs, batch_size=settings["batch"], learning_rate=settings["rates"][arm],
        seed=seed,
    ).fit(train)  # fmt: skip
    spent = time.perf_counter() - start
    half = every_other(test)
    found = {"accuracy": fitted.score(test), "half": fitted.score(half), "seconds": spent,
             "parameters": parameters(fitted.model_), "steps": len(fitted.history_["loss"]),
             "curve": thin(fitted.history_["loss"])}  # fmt: skip
    if hasattr(fitted.model_.model, "scale"):
        network: Any = fitted.model_
        fitted.model_ = eqx.tree_at(lambda n: n.model, network, resampled(network.model, 2.0))
        found["half_doubled"] = fitted.score(half)
    return found


def views(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """How far recurrence and convolution are apart, over the largest output."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from cadlag.nn import StateSpace

    layer = StateSpace(16, settings["models"]["lssl"]["order"], key=jax.random.key(seed))
    u = jax.random.normal(jax.random.key(1000 + seed), (256, 16))
    one, two = eqx.filter_jit(layer)(u), eqx.filter_jit(layer.scan)(u)[0]
    return {"difference": float(jnp.abs(one - two).max() / jnp.abs(two).max())}


def cost(settings: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of a gradient for 4 sequences by length, ours and a GRU's in turn; the slope of ours."""
    import math

    import numpy as np

    found: dict[str, Any] = {"lssl": {}, "gru": {}}
    for length in settings["lengths"]:
        for arm, seconds in _gradient_seconds(tuple(found), settings, length).items():
            found[arm][str(length)] = 1000 * seconds
    ours, other = (list(times.values()) for times in found.values())
    slope = float(np.polyfit(np.log(settings["lengths"]), np.log(ours), 1)[0])
    return {"ms": found, "slope": slope, "log_ratio": math.log(ours[-1] / other[-1])}


def _gradient_seconds(arms: tuple[str, ...], settings: dict[str, Any], length: int) -> dict[str, float]:
    """The least of five each, compiled before."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.data import IrregularSeries

    values = np.random.default_rng(0).normal(size=(4, length, 1))
    series = IrregularSeries.from_arrays(np.arange(float(length)), values).without_ids().astype(jnp.zeros(()).dtype)

    @eqx.filter_jit
    @eqx.filter_grad
    def slope(model: Any, series: Any) -> Any:
        return jnp.sum(jax.vmap(lambda s: model(s, final=True))(series) ** 2)

    models = {arm: model_of(arm, settings)(1, key=jax.random.key(0)) for arm in arms}
    times: dict[str, list[float]] = {arm: [] for arm in arms}
    for _ in range(6):
        for arm, model in models.items():
            start = time.perf_counter()
            jax.block_until_ready(jax.tree.leaves(slope(model, series)))
            times[arm].append(time.perf_counter() - start)
    return {arm: min(found[1:]) for arm, found in times.items()}

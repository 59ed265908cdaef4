"""Information of every layer of any model, at one moment or all along its training, in bits.

A network is a chain Y - X - T_1 - ... - T_K. The information plane (Shwartz-Ziv and Tishby, arXiv 1703.00810) draws
I(X;T) against I(T;Y) for each layer as training goes on. What it shows depends on the estimator and on the activation
function (Saxe et al., ICLR 2018), so the estimator is an argument and its resolution a part of the answer.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from cadlag.lens._binning import FixedEdges
from cadlag.lens._estimators import AbstractEstimator, Binned, Information

Layers = Callable[[Any, Any], tuple[Array, ...]]
Estimators = AbstractEstimator | Sequence[AbstractEstimator]


def layer_information(
    layers: Layers, model: Any, x: PyTree, y: Any, estimator: Estimators, *, batch: int | None = None
) -> Information:
    """Bits of every layer of a model on examples that are taken for all there are.

    **Arguments:**

    - `layers`: `layers(model, x) -> tuple of arrays` of one example, by hand or by `layers_of`.
    - `x`: examples, a PyTree of arrays with the example axis first, two at least.
    - `y`: labels (n,), integers from 0; or class probabilities p(y | x), (n, k).
    - `estimator`: `Binned(...)`, `PairwiseUpper()`, `PairwiseLower()`, `Exact()`, or one for each layer.
    - `batch`: examples that go through the model at a time; all by default.

    **Returns:** `Information` whose arrays have shape (layers,).

    **Raises:** ValueError for labels that do not fit, fewer than two examples, activations that are NaN or infinite.
    """
    targets = as_targets(y, _count(x))
    finite, found = _look(layers, model, x, targets, estimator, batch)
    bad = [i for i, whole in enumerate(finite) if not whole]
    if bad:
        raise ValueError(
            f"`layers`: activations of layer {bad[0]} are NaN or infinite; the model or its input is broken."
        )
    return found


def information(
    layers: Layers,
    x: PyTree,
    y: Any,
    estimators: Mapping[str, Estimators],
    *,
    model: Callable[[Any], Any] = lambda state: state.unknowns,
    batch: int | None = None,
) -> Callable[[Any, Any], dict[str, Information]]:
    """What a `train.Recorder` observes to draw an information plane: `Recorder(information(...), at=steps)`.

    It is compiled into the training loop and changes nothing there: weights come out the same to the last bit.

    **Arguments:** as for `layer_information`; `estimators` by name; `model`: takes the model out of the state of the
    update, `lambda state: state.averaged` for averaged weights.

    **Returns:** `observe(state, key) -> {name: Information}`; recorded, the arrays have shape (steps, layers).
    Figures of a layer with NaN or infinite activations are NaN.
    """
    if not isinstance(estimators, Mapping) or not estimators:
        raise TypeError(
            f"`estimators`: got {type(estimators).__name__}, expected a dict with a name for each, such as "
            '{"bins": Binned(FixedWidth(0.07))}.'
        )
    targets = jnp.asarray(as_targets(y, _count(x)))
    return _Observe(layers, jax.tree.map(jnp.asarray, x), targets, dict(estimators), model, batch)


class _Observe(eqx.Module):
    """A module and no closure, so that a compiled loop takes the examples as an argument, not as constants."""

    layers: Callable
    x: PyTree
    targets: Array
    estimators: dict[str, Any]
    model: Callable
    batch: int | None = eqx.field(static=True)

    def __call__(self, state: Any, key: Any) -> dict[str, Information]:
        del key
        values = activations(self.layers, self.model(state), self.x, batch=self.batch)
        return {name: _estimate(values, self.targets, estimator) for name, estimator in self.estimators.items()}


def activations(layers: Layers, model: Any, x: PyTree, *, batch: int | None = None) -> tuple[Float[Array, "n _"], ...]:
    """Activations of each layer at all examples, (n, units); what a layer gives for one example is flattened."""
    x = jax.tree.map(jnp.asarray, x)

    def one(row: PyTree) -> Any:
        return layers(model, row)

    found = jax.lax.map(one, x, batch_size=batch) if batch else jax.vmap(one)(x)
    if not isinstance(found, tuple | list) or not found:
        raise TypeError(
            f"`layers` returned {type(found).__name__}, expected a tuple with the array of each layer; "
            "`(array,)` for a single one."
        )
    for i, v in enumerate(found):
        if not jnp.issubdtype(v.dtype, jnp.floating):
            raise TypeError(
                f"`layers`: layer {i} has dtype {v.dtype}, expected real floating numbers; split complex ones into "
                "parts, and use `discrete_information` for integers."
            )
    return tuple(v.reshape(v.shape[0], -1) for v in found)


def training_range(layers: Layers, models: Sequence[Any], x: PyTree, *, count: int) -> tuple[Binned, ...]:
    """An estimator for each layer with `count` equal bins over the range the layer has at any of the `models`.

    **Arguments:** `models`: snapshots along a training. The range of a layer that is constant becomes one wide.
    """
    if not models:
        raise ValueError("`models`: got none, expected snapshots of a training.")
    spans = [[(jnp.min(v), jnp.max(v)) for v in activations(layers, model, x)] for model in models]
    low, high = (np.asarray(spans, np.float64)[..., k] for k in (0, 1))
    low, high = low.min(axis=0), high.max(axis=0)
    high = np.where(high > low, high, low + 1)
    return tuple(Binned(FixedEdges(np.linspace(a, b, count + 1))) for a, b in zip(low, high, strict=True))


def compression(bits: Float[Array, "steps ..."] | np.ndarray) -> Array | np.ndarray:
    """How many bits were lost after the peak: the largest figure along the first axis less the last one."""
    return bits.max(axis=0) - bits[-1]


def as_targets(y: Any, n: int) -> np.ndarray | Array:
    """Class probabilities (n, k) of labels (n,) or of probabilities, checked."""
    if n < 2:
        raise ValueError(f"`x`: got {n} example, expected at least two; a single one carries no information.")
    y = np.asarray(y)
    if y.ndim not in (1, 2) or len(y) != n:
        raise ValueError(f"`y`: got shape {y.shape}, expected ({n},) labels or ({n}, classes) probabilities.")
    if y.ndim == 2:
        return _probabilities(y)
    if y.dtype.kind not in "iub":
        raise TypeError(f"`y`: labels have dtype {y.dtype}, expected integers from 0; probabilities have two axes.")
    y = y.astype(np.int64)
    if y.min() < 0 or y.max() >= n:
        raise ValueError(f"`y`: labels lie in [{y.min()}, {y.max()}], expected 0 … classes - 1, at most {n} classes.")
    return (y[:, None] == np.arange(y.max() + 1)[None]).astype(np.float32)


def _probabilities(y: np.ndarray) -> np.ndarray:
    if y.dtype.kind != "f" or not np.all(np.isfinite(y)) or y.min() < 0 or np.abs(y.sum(axis=1) - 1).max() > 1e-4:
        raise ValueError("`y` with two axes: expected probabilities, floats >= 0 whose rows sum to one.")
    return y


@eqx.filter_jit
def _look(layers: Layers, model: Any, x: PyTree, targets: Any, estimator: Estimators, batch: int | None) -> Any:
    values = activations(layers, model, x, batch=batch)
    return [jnp.all(jnp.isfinite(v)) for v in values], _estimate(values, targets, estimator)


def _estimate(values: tuple[Array, ...], targets: Any, estimators: Estimators) -> Information:
    each = [estimators] * len(values) if isinstance(estimators, AbstractEstimator) else list(estimators)
    if len(each) != len(values):
        raise ValueError(f"`estimator`: got {len(each)}, expected one, or one for each of the {len(values)} layers.")
    found = []
    for v, estimator in zip(values, each, strict=True):
        figure = estimator.estimate(v, jnp.asarray(targets, v.dtype))
        found.append(jax.tree.map(lambda a, v=v: jnp.where(jnp.all(jnp.isfinite(v)), a, jnp.nan), figure))
    dtype = jnp.result_type(*(f.input for f in found))
    return jax.tree.map(lambda *a: jnp.stack([b.astype(dtype) for b in a]), *found)


def _count(x: PyTree) -> int:
    lengths = {np.shape(leaf)[0] if np.ndim(leaf) else 0 for leaf in jax.tree.leaves(x)}
    if len(lengths) != 1:
        raise ValueError(f"`x`: its arrays have first axes of {sorted(lengths)}, expected one number of examples.")
    return lengths.pop()

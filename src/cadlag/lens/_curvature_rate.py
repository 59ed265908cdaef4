"""Learning rate and momentum from the curvature of the batch, while training (Granziol, Zohren and Roberts, JMLR 2022).

Every few steps some Lanczos steps on the Hessian of the batch at hand give its largest eigenvalue L and its least one
-e; where the loss is nearly convex -e is the edge of what sampling adds. On a quadratic with eigenvalues in [l, L]

    rate = c / L,  no momentum;      rate = c/2 · 4/(√L + √l)²,  momentum = ((√L - √l)/(√L + √l))²   (heavy ball),

l being the noise's edge e, or a floor. The batch has the size of training, so its noise is that of training's batches.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from cadlag.linalg import lanczos


class CurvatureRateState(NamedTuple):
    """Steps taken; averages of the largest eigenvalue and of the noise's edge; rate and momentum now; the velocity."""

    count: Int[Array, ""]
    largest: Float[Array, ""]
    edge: Float[Array, ""]
    rate: Float[Array, ""]
    momentum: Float[Array, ""]
    velocity: PyTree


def heavy_ball(least: Any, largest: Any) -> tuple[Any, Any]:
    """Rate 4/(√L + √l)² and momentum ((√L - √l)/(√L + √l))², the best on quadratics with eigenvalues in [l, L].

    Errors then shrink by the root of the momentum each step (Polyak, 1964).
    """
    high, low = jnp.sqrt(largest), jnp.sqrt(least)
    return 4 / (high + low) ** 2, ((high - low) / (high + low)) ** 2


def curvature_rate(
    *,
    every: int = 20,
    steps: int = 10,
    share: float = 1.0,
    momentum: bool = False,
    floor: float = 0.01,
    memory: float = 0.8,
    bounds: tuple[float, float] = (1e-5, 10.0),
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent that sets its own rate, for `train.gradient(loss, curvature_rate())`.

    **Arguments:**

    - `every`: steps between two looks at the curvature, each of `steps` products with the batch's Hessian.
    - `share` c, in (0, 2): the rate times L; 2 is where descent on a quadratic stops to converge.
    - `momentum`: whether to take the heavy ball's, whose rate then is half of `share` times its best.
    - `floor`: the least l, as a share of L.
    - `memory`: weight of the past in the running averages of L and of the edge; the first look counts alone.
    - `bounds`: of the rate. `seed`: of the first vectors.

    All it remembers is in its state, so a run that is resumed goes on as it would have.

    **Raises:** ValueError for settings out of range; TypeError where the caller hands over no `value_fn`.
    """
    if every < 1 or steps < 2:
        raise ValueError(f"every={every}, steps={steps} of curvature_rate: expected at least 1 and 2.")
    if not 0 < share < 2 or not 0 < floor <= 1 or not 0 <= memory < 1 or not 0 < bounds[0] <= bounds[1]:
        raise ValueError(
            f"share={share}, floor={floor}, memory={memory}, bounds={bounds} of curvature_rate: expected share in "
            "(0, 2), floor in (0, 1], memory in [0, 1), rising positive bounds."
        )

    def init(params: PyTree) -> CurvatureRateState:
        dtype = jnp.result_type(*jax.tree.leaves(params))
        # One array each: a step may reuse the buffers of its state.
        numbers = [jnp.zeros((), dtype) for _ in range(4)]
        return CurvatureRateState(jnp.zeros((), jnp.int32), *numbers, jax.tree.map(jnp.zeros_like, params))

    def update(
        updates: PyTree, state: Any, params: PyTree = None, *, value_fn: Callable | None = None, **_: Any
    ) -> tuple[PyTree, CurvatureRateState]:
        if value_fn is None:
            raise TypeError("curvature_rate: needs value_fn, the loss of the batch; train.gradient hands it over.")

        def look() -> tuple[Array, Array]:
            key = jr.fold_in(jr.key(seed), state.count)
            least, largest = extremes(value_fn, params, steps, key)
            keep = jnp.where(state.count == 0, 0, memory).astype(largest.dtype)
            edge = jnp.maximum(-least, 0)
            mixed = (keep * old + (1 - keep) * new for old, new in ((state.largest, largest), (state.edge, edge)))
            return tuple(mixed)  # pyright: ignore[reportReturnType]

        due = state.count % every == 0
        largest, edge = jax.lax.cond(due, look, lambda: (state.largest, state.edge))
        # What this batch shows takes effect from the next one on: gradient and curvature of one batch go together.
        first = state.count == 0
        high, low = (jnp.where(first, new, old) for new, old in ((largest, state.largest), (edge, state.edge)))
        rate, force = _rates(high, low, share, momentum, floor)
        # Where nothing curves upwards a step may be as large as allowed.
        rate = jnp.where(high > 0, jnp.clip(rate, *bounds), bounds[1]).astype(largest.dtype)
        velocity = jax.tree.map(lambda v, g: force.astype(v.dtype) * v + g, state.velocity, updates)
        moved = jax.tree.map(lambda v: -rate.astype(v.dtype) * v, velocity)
        return moved, CurvatureRateState(state.count + 1, largest, edge, rate, force, velocity)

    return optax.GradientTransformationExtraArgs(init, update)


def extremes(value_fn: Callable, params: PyTree, steps: int, key: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The least and the largest Ritz value of the Hessian of a scalar function of parameters."""
    flat, unravel = ravel_pytree(params)

    def product(v: PyTree) -> PyTree:
        return jax.jvp(jax.grad(value_fn), (params,), (v,))[1]

    start = unravel(jr.normal(key, flat.shape, flat.dtype))
    values = lanczos(product, start, min(steps, flat.size)).eigh()[0]
    return values[0], values[-1]


def _rates(largest: Array, edge: Array, share: float, momentum: bool, floor: float) -> tuple[Array, Array]:
    high = jnp.maximum(largest, jnp.finfo(largest.dtype).tiny)
    if not momentum:
        return share / high, jnp.zeros_like(high)
    low = jnp.clip(edge, floor * high, high)
    rate, force = heavy_ball(low, high)
    return share / 2 * rate, force

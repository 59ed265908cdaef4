"""Symbolic regression: short formulas for y as a function of x, one for each complexity, and which of them to believe.

Of the best expressions of each size those that are better than all shorter ones are the front. Chosen is the one
before which the loss falls fastest,

    score = - Δ log(loss) / Δ size,

among those about as good as the best (Cranmer 2020, 2023; Kidger 2022, section 6.1).
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from cadlag.equations._constants import Data
from cadlag.equations._evolve import Evolution, Islands, evolve_round, migrate, polish, settle
from cadlag.equations._expression import Expression, Vocabulary, to_expression
from cadlag.equations._operators import ARITHMETIC, Operator


class Front(eqx.Module):
    """Expressions of growing size and falling loss (weighted mean square error), shape (expressions,).

    `floor` is the loss below which a difference is rounding. Example: `print(front)` shows a table, `front.pick()` is
    the formula to believe and `front.expressions[-1]` the most exact one.
    """

    expressions: tuple[Expression, ...]
    losses: Float[Array, " expressions"]
    floor: Float[Array, ""]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Tokens of each expression."""
        return tuple(e.size for e in self.expressions)

    @property
    def scores(self) -> Float[Array, " expressions"]:
        """By how much the logarithm of the loss falls a token, from the expression before; 0 for the first."""
        sizes = jnp.asarray(self.sizes, self.losses.dtype)
        falls = -jnp.diff(jnp.log(jnp.maximum(self.losses, self.floor))) / jnp.diff(sizes)
        return jnp.concatenate([jnp.zeros_like(self.losses[:1]), falls])

    def pick(self, within: float | int = 1.5) -> Expression:
        """The expression of the highest score among those whose loss is at most `within` times the best."""
        losses = jnp.maximum(self.losses, self.floor)
        eligible = losses <= within * jnp.min(losses)
        return self.expressions[int(jnp.argmax(jnp.where(eligible, self.scores, -jnp.ones_like(losses))))]

    def __str__(self) -> str:
        """Size, loss, score and formula of each expression, a line each."""
        rows = zip(self.sizes, self.losses, self.scores, self.expressions, strict=True)
        return "\n".join(f"{n:4d}  {float(loss):9.3g}  {float(score):7.3f}  {e}" for n, loss, score, e in rows)


def symbolic_regression(
    x: ArrayLike,
    y: ArrayLike,
    *,
    key: PRNGKeyArray,
    operators: tuple[Operator, ...] = ARITHMETIC,
    weights: ArrayLike | None = None,
    settings: Evolution | None = None,
    rounds: int = 60,
    patience: int = 4,
) -> Front:
    """Search for formulas y = f(x0, x1, ...) by regularised evolution.

    **Arguments:**

    - `x`, `y`: points in rows, shape (points, variables), and values there, shape (points,). Cost is proportional to
      the points; a thousand are plenty.
    - `operators`: what formulas are made of; the fewer, the faster. See `Operator` for others.
    - `weights`: of the points in the mean square error, not negative; default: all the same.
    - `settings`: of the search, see `Evolution`.
    - `rounds`: at most so many, each of `settings.generations` generations and one compiled call.
    - `patience`: rounds without a change of the front after which the search ends, once a loss is down to rounding.

    **Returns:** a `Front`; `front.pick()` is the formula to believe, `front.pick().rounded(2)` the same in round
    numbers, `expression_ode(...)` makes processes of such.

    **Raises:** `ValueError` or `TypeError` for data that are not finite or do not fit together.

    Example:

        x = jax.random.uniform(jax.random.key(0), (200, 2), minval=-0.5)
        front = symbolic_regression(x, x[:, 1] / (x[:, 1] + 1), key=jax.random.key(1))
        str(front.pick().rounded(2))  # x1 / (x1 + 1), or the same in other words
    """
    settings = Evolution() if settings is None else settings
    vocabulary, data, scale = _prepare(x, y, operators, weights)
    if rounds < 1 or patience < 1:
        raise ValueError(f"rounds={rounds} and patience={patience} must be at least 1.")
    draw = lambda i, shape: jr.uniform(jr.fold_in(key, i), shape, data.y.dtype)  # noqa: E731
    state = settle(settings, vocabulary, data, draw(0, settings.settle_shape()))
    floor = _floor(data)
    seen, still = np.zeros(0), 0
    for i in range(rounds):
        state = evolve_round(state, settings, vocabulary, data, draw(2 * i + 1, settings.round_shape()))
        state = polish(state, vocabulary, data, 10)
        losses = np.maximum(np.asarray(state.best_losses), floor)
        front = losses[_front_rows(losses)]
        same = front.shape == seen.shape and np.allclose(front, seen, rtol=0.01)
        still, seen = (still + 1 if same else 0), front
        if still >= patience and losses.min() <= floor:
            break
        state = migrate(state, settings, draw(2 * i + 2, settings.migration_shape()))
    return _front(state, vocabulary, data, scale, floor)


def _prepare(
    x: ArrayLike, y: ArrayLike, operators: tuple[Operator, ...], weights: ArrayLike | None
) -> tuple[Vocabulary, Data, Array]:
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.ndim != 2 or y.ndim != 1 or x.shape[0] != y.shape[0] or 0 in x.shape:
        raise ValueError(
            f"x has shape {x.shape} and y {y.shape}; expected (points, variables) and (points,). One call finds one "
            "component; add an axis to a single variable with x[:, None]."
        )
    for name, array in (("x", x), ("y", y)):
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"{name} has dtype {array.dtype}; expected real floating-point numbers.")
        if not bool(jnp.all(jnp.isfinite(array))):
            raise ValueError(f"{name} holds NaN or infinite numbers; leave those points out.")
    if not operators:
        raise ValueError("operators is empty; give at least one Operator, e.g. ARITHMETIC.")
    weights = jnp.ones_like(y) if weights is None else jnp.asarray(weights, y.dtype)
    if weights.shape != y.shape or not bool(jnp.all(weights >= 0)) or not bool(jnp.any(weights > 0)):
        raise ValueError(f"weights has shape {weights.shape}; expected {y.shape}, none negative and some positive.")
    # A point of no weight must not spoil a formula that has no value there.
    x, y, weights = x[weights > 0], y[weights > 0], weights[weights > 0]
    weights = weights / jnp.mean(weights)
    variance = jnp.mean(weights * (y - jnp.mean(weights * y)) ** 2)
    # A constant y has only its own size to be measured against.
    scale = jnp.where(variance > 0, variance, jnp.maximum(jnp.mean(y**2), jnp.finfo(y.dtype).tiny))
    return Vocabulary(x.shape[1], tuple(operators)), Data(x.T.astype(y.dtype), y, weights / scale), scale


def _floor(data: Data) -> float:
    """The loss, relative to the variance, that rounding alone may leave: a hundred units in the last place."""
    size = float(jnp.mean(data.weights * data.y**2))
    return (100 * float(jnp.finfo(data.y.dtype).eps)) ** 2 * max(size, 1.0)


def _front_rows(losses: np.ndarray) -> np.ndarray:
    """Rows better, by more than rounding, than all above them."""
    before = np.concatenate([[np.inf], np.minimum.accumulate(losses)[:-1]])
    return np.flatnonzero(np.isfinite(losses) & (losses < 0.999 * before))


def _front(state: Islands, vocabulary: Vocabulary, data: Data, scale: Array, floor: float) -> Front:
    for _ in range(3):
        state = polish(state, vocabulary, data, 10)
    trees, losses = state.best, np.asarray(state.best_losses)
    rows = _front_rows(np.maximum(losses, floor))
    if not rows.size:
        raise ValueError("No expression had a finite value at every point; give other operators or points.")
    found = tuple(to_expression(trees.tokens[i], trees.constants[i], vocabulary) for i in rows)
    dtype = data.y.dtype
    return Front(found, jnp.asarray(losses[rows], dtype) * scale, jnp.asarray(floor, dtype) * scale)

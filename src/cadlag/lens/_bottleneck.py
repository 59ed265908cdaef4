"""The information bottleneck: the least I(X;T) for each I(T;Y), by self-consistent equations.

    minimise I(X;T) - beta I(T;Y) over p(t|x):    p(t|x) = p(t) exp(-beta KL[p(y|x) || p(y|t)]) / Z(x),
    p(t) = Σ_x p(x) p(t|x),    p(y|t) = Σ_x p(y|x) p(x) p(t|x) / p(t)

Iterated as Blahut and Arimoto do; no turn makes the objective larger. The curve is traced by annealing in reverse: from
T = X at the largest beta down, each start the end of the one before, so that clusters merge instead of having to be
split. Tishby, Pereira and Bialek, arXiv physics/0004057.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cadlag.lens._symbols import table_information

_LN2 = 0.6931471805599453


class BottleneckCurve(eqx.Module):
    """Solutions for falling beta; all figures in bits.

    - `beta` (b,), `input` (b,): I(X;T), `label` (b,): I(T;Y), `encoder` (b, x, t): p(t|x).
    - `turns` (b,): iterations taken; `change` (b,): the last largest change of p(t|x).
    """

    beta: Float[Array, " b"]
    input: Float[Array, " b"]
    label: Float[Array, " b"]
    encoder: Float[Array, "b x t"]
    turns: Int[Array, " b"]
    change: Float[Array, " b"]

    def at(self, bits: Float[Array, "..."]) -> Float[Array, "..."]:
        """The I(T;Y) that the curve allows for I(X;T) of so many bits: linear between its points and the origin."""
        # Reverse: beta falls, so does I(X;T). It may do so unevenly by rounding where clusters have just merged.
        known = jax.lax.cummax(jnp.concatenate([jnp.zeros(1, self.input.dtype), self.input[::-1]]))
        label = jax.lax.cummax(jnp.concatenate([jnp.zeros(1, self.label.dtype), self.label[::-1]]))
        return jnp.interp(bits, known, label)


def information_bottleneck(
    joint: Float[Array, "x y"] | np.ndarray,
    betas: Float[Array, " b"] | np.ndarray,
    *,
    tolerance: float = 1e-9,
    most_turns: int = 10_000,
    encoder: Float[Array, "x t"] | None = None,
) -> BottleneckCurve:
    """The bottleneck's curve of a joint table, by annealing in reverse.

    For inputs that have equal p(y|x) first merge them (`merge_inputs`): the curve is the same and costs less.

    **Arguments:**

    - `joint`: p(x, y) >= 0 that sums to one, no row all zero; its dtype is that of the result, float64 is advised.
    - `betas`: positive; taken from the largest to the least.
    - `tolerance`, `most_turns`: iterate until p(t|x) changes by less, or so often. Just above a critical beta
        convergence is slow: look at `change`.
    - `encoder`: p(t|x) to begin with; T = X by default.

    **Raises:** ValueError for tables that are not laws and for beta <= 0.
    """
    joint = _checked(joint)
    betas = np.sort(np.asarray(betas, float))[::-1]
    if betas.ndim != 1 or not len(betas) or not np.all(np.isfinite(betas)) or betas[-1] <= 0:
        raise ValueError("`betas` must be positive finite numbers, one at least.")
    start = jnp.eye(joint.shape[0], dtype=joint.dtype) if encoder is None else jnp.asarray(encoder, joint.dtype)
    if start.ndim != 2 or start.shape[0] != joint.shape[0] or not np.allclose(jnp.sum(start, axis=1), 1, atol=1e-5):
        raise ValueError(
            f"`encoder` must be p(t|x), {joint.shape[0]} rows that sum to one, but has shape {start.shape}."
        )
    return _anneal(joint, jnp.asarray(betas.copy(), joint.dtype), start, tolerance, most_turns)


@eqx.filter_jit
def _anneal(joint: Array, betas: Array, start: Array, tolerance: float, most: int) -> BottleneckCurve:
    def one(encoder: Array, beta: Array) -> tuple[Array, tuple]:
        def turn(carry: tuple) -> tuple:
            encoder, taken, _ = carry
            new = bottleneck_turn(joint, encoder, beta)
            return new, taken + 1, jnp.max(jnp.abs(new - encoder))

        def going(carry: tuple) -> Array:
            return (carry[1] < most) & (carry[2] >= tolerance)

        first = (encoder, jnp.zeros((), jnp.int32), jnp.full((), jnp.inf, joint.dtype))
        encoder, taken, change = jax.lax.while_loop(going, turn, first)
        bits, label = encoder_information(joint, encoder)
        return encoder, (beta, bits, label, encoder, taken, change)

    return BottleneckCurve(*jax.lax.scan(one, start, betas)[1])


def bottleneck_turn(
    joint: Float[Array, "x y"], encoder: Float[Array, "x t"], beta: Float[Array, ""] | float
) -> Float[Array, "x t"]:
    """One turn of the three self-consistent equations: from p(t|x) to the next."""
    return jax.nn.softmax(_log_weights(joint, encoder, beta), axis=1)


def encoder_information(
    joint: Float[Array, "x y"], encoder: Float[Array, "x t"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """I(X;T) and I(T;Y) in bits of an encoder p(t|x)."""
    inputs = jnp.sum(joint, axis=1, keepdims=True) * encoder
    return table_information(inputs), table_information(_product(encoder.T, joint))


def layer_beta(
    joint: Float[Array, "x y"] | np.ndarray, symbols: Int[Array, " x"] | np.ndarray, *, most: float = 1e6
) -> tuple[float, float]:
    """The beta at which a deterministic encoder t(x) best satisfies the self-consistent equations.

    It makes -Σ_x p(x) log2 p_beta(t(x)|x) least, the mean divergence of the layer's own encoder from the one that the
    equations build from the layer's p(t) and p(y|t). That is convex in beta and solved by bisection.

    **Arguments:** `symbols` (x,): the symbol of each input, as `row_symbols` numbers them; `most`: where to stop.

    **Returns:** beta (`inf` where every input is with its nearest symbol, so that no beta is too large; 0 where none
    helps), and the divergence in bits there.
    """
    joint = _checked(joint)
    symbols = np.unique(np.asarray(symbols), return_inverse=True)[1].reshape(-1)
    if len(symbols) != joint.shape[0]:
        raise ValueError(f"`symbols`: got {len(symbols)}, expected one for each of the {joint.shape[0]} inputs.")
    # Inputs of one p(y|x) are as far from every symbol: a row for each kind is enough.
    merged, kinds = merge_inputs(joint)
    pairs = np.zeros((len(merged), symbols.max() + 1), merged.dtype)
    np.add.at(pairs, (kinds, symbols), np.asarray(joint).sum(axis=1))
    weight = pairs.sum(axis=1)
    prior, distance = (np.asarray(a) for a in _prior_and_distance(jnp.asarray(merged), pairs / weight[:, None]))

    def encoded(beta: float) -> np.ndarray:
        bits = prior[None] - beta * distance
        bits = bits - bits.max(axis=1, keepdims=True)
        return bits - np.log(np.exp(bits).sum(axis=1, keepdims=True))

    def slope(beta: float) -> float:
        return float((pairs * distance).sum() - weight @ (np.exp(encoded(beta)) * distance).sum(axis=1))

    def divergence(beta: float) -> float:
        return max(0.0, float(-(pairs * encoded(beta)).sum()) / _LN2)

    if slope(0.0) >= 0:
        return 0.0, divergence(0.0)
    if slope(most) < 1e-12:
        return float("inf"), divergence(most)
    low, high = 0.0, most
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return high, divergence(high)


def merge_inputs(joint: np.ndarray | Array, *, decimals: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Inputs whose p(y|x) agree to so many decimals become one: the merged table, and the new number of each input.

    p(y|x) is all of x that a bottleneck needs, so the curve stays the same.
    """
    joint = np.asarray(_checked(joint))
    rows = np.round(joint / joint.sum(axis=1, keepdims=True), decimals)
    kinds, place = np.unique(rows, axis=0, return_inverse=True)
    place = place.reshape(-1)
    merged = np.zeros((len(kinds), joint.shape[1]), joint.dtype)
    np.add.at(merged, place, joint)
    return merged, place


def _log_weights(joint: Array, encoder: Array, beta: Array | float) -> Array:
    prior, distance = _prior_and_distance(joint, encoder)
    return prior[None] - beta * distance


@jax.jit
def _prior_and_distance(joint: Array, encoder: Array) -> tuple[Array, Array]:
    """log p(t), and KL[p(y|x) || p(y|t)] in nats, (x, t)."""
    inputs = jnp.sum(joint, axis=1, keepdims=True)
    given = joint / inputs
    prior = _product(inputs.T, encoder)[0]
    decoder = _product(encoder.T, joint) / jnp.where(prior > 0, prior, 1)[:, None]
    least = jnp.finfo(joint.dtype).tiny  # an impossible label costs some 700 beta nats, and 0 log 0 is 0
    entropy = jnp.sum(jax.scipy.special.entr(given), axis=1, keepdims=True)
    distance = -entropy - _product(given, jnp.log(jnp.maximum(decoder, least)).T)
    return jnp.where(prior > 0, jnp.log(jnp.maximum(prior, least)), -jnp.inf), jnp.maximum(distance, 0)


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")


def _checked(joint: np.ndarray | Array) -> Array:
    known = np.asarray(joint)
    if known.ndim != 2 or known.dtype.kind != "f" or not np.all(np.isfinite(known)) or known.min() < 0:
        raise ValueError(f"`joint` must be a table p(x, y) of floats >= 0, but got shape {known.shape}, {known.dtype}.")
    if abs(known.sum() - 1) > 1e-4 or known.sum(axis=1).min() <= 0:
        raise ValueError(
            f"`joint` must sum to one (got {known.sum():.6g}) and have no row of zeros: leave such inputs out."
        )
    return jnp.asarray(joint)

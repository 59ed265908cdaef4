"""Signatures and log-signatures of piecewise linear paths, truncated at level N.

    S(x)^{i_1...i_k} = ∫_{s_1 < ... < s_k} dx^{i_1}_{s_1} ... dx^{i_k}_{s_k},      S(x * y) = S(x) ⊗ S(y)   (Chen)

A straight line with increment d has S = exp(d) = Σ d^{⊗k} / k!, so a scan of S ← S ⊗ exp(d), fused level by level as
((d/k + S_1) ⊗ d/(k-1) + S_2) ⊗ ... + S_k (Kidger and Lyons, ICLR 2021), reads a path once. The logarithm is a Lie
series and is given by its numbers on Lyndon words.
"""

import enum

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from cadlag.paths._words import bracket_matrices, check_sizes, positions, signature_size
from cadlag.paths.linear import LinearPath

Levels = tuple[Array, ...]


class LieBasis(enum.Enum):
    """In which numbers a log-signature is given; both are linear, triangular images of one another.

    - `words`: its coefficient of each Lyndon word. Nothing to solve; the choice for features of a network.
    - `brackets`: its coordinates in the Lyndon basis of brackets, Σ_w a_w [w]. The choice for Lie brackets of fields.
    """

    words = "words"
    brackets = "brackets"


def signature(points: ArrayLike, depth: int) -> Float[Array, " size"]:
    """Levels 1 to `depth` of the signature of the piecewise linear path through the points, one after the other.

    **Arguments:** `points` of ONE path, shape (times, channels) with two times or more, e.g. `path.evaluate` at knots;
    times themselves do not matter, only what was passed. `depth`: last level.

    **Returns:** shape (`signature_size(channels, depth)`,); level k holds its words in lexical order.

    Cost: O(times · channels^depth); the gradient keeps that many numbers. Example: `signature(points, 2)[:channels]`
    is the increment `points[-1] - points[0]`.
    """
    return jnp.concatenate([level.reshape(-1) for level in _levels(points, depth)])


def logsignature(points: ArrayLike, depth: int, *, basis: LieBasis = LieBasis.words) -> Float[Array, " size"]:
    """The logarithm of `signature(points, depth)`, a Lie series, on the Lyndon words in the order of `lyndon_words`.

    **Returns:** shape (`logsignature_size(channels, depth)`,): first the increments, then with depth 2 the Lévy areas
    ½ ∫ (x^i dx^j - x^j dx^i) of i < j, then longer words. A straight line has zeros beyond the increments.

    Example: `jax.vmap(lambda x: logsignature(x, 3))(batch)` has shape (batch, size).
    """
    points = jnp.asarray(points)
    channels = points.shape[-1]
    logarithm = _log(_levels(points, depth))
    found = [level.reshape(-1)[where] for level, where in zip(logarithm, positions(channels, depth), strict=True)]
    if basis is LieBasis.brackets:
        matrices = bracket_matrices(channels, depth)
        found = [jnp.asarray(np.linalg.inv(m), v.dtype) @ v for m, v in zip(matrices, found, strict=True)]
    return jnp.concatenate(found)


def concatenate_signatures(first: ArrayLike, second: ArrayLike, channels: int, depth: int) -> Float[Array, " size"]:
    """The signature of one path followed by another: Chen's product of theirs, which is associative.

    Example: `jax.lax.associative_scan` with it gives the signatures of all prefixes of a path from those of its pieces.
    """
    a, b = _split(first, channels, depth), _split(second, channels, depth)
    product = tuple(x + y + z for x, y, z in zip(a, b, _product(a, b), strict=True))
    return jnp.concatenate([level.reshape(-1) for level in product])


def logsignature_path(
    times: ArrayLike, values: ArrayLike, window: int, depth: int, *, basis: LieBasis = LieBasis.words
) -> LinearPath:
    """The control of a log-ODE: a linear path whose increment over each window is the window's log-signature.

    **Arguments:** `times` (T,) and `values` (T, channels) of one series without gaps (see `fill_linear`), padding
    repeating the last row; `window`: intervals between observations in one window, the last one taking what is left.

    **Returns:** a path of `logsignature_size(channels, depth)` channels, with knots at the ends of the windows. A
    controlled equation driven by it is the log-ODE: dy/dt = F(y) LogSig / width on each window. **Look-ahead:** the
    end of the window.

    Example: `solve(CDE(field), y0, path.times, driver=path)` with `path = logsignature_path(times, values, 32, 2)`.
    """
    times, values = jnp.asarray(times), jnp.asarray(values)
    if times.ndim != 1 or values.ndim != 2 or times.shape[0] != values.shape[0] or times.shape[0] < 2:
        raise ValueError(
            "logsignature_path: expected ONE series, `times` (T,) and `values` (T, channels) with T >= 2, but got "
            f"{times.shape} and {values.shape}. Use `jax.vmap` for a batch."
        )
    if window < 1:
        raise ValueError(f"window={window} must be at least one interval between observations.")
    ends = np.minimum(np.arange(0, times.shape[0] - 1 + window, window), times.shape[0] - 1)
    rows = np.minimum(ends[:-1, None] + np.arange(window + 1), ends[1:, None])
    pieces = jax.vmap(lambda x: logsignature(x, depth, basis=basis))(values[rows])
    total = jnp.concatenate([jnp.zeros_like(pieces[:1]), jnp.cumsum(pieces, axis=0)])
    return LinearPath(times=times[ends], values=total)


def _levels(points: ArrayLike, depth: int) -> Levels:
    """The signature's levels, level k of shape (channels,) * k."""
    points = jnp.asarray(points)
    if points.ndim != 2 or points.shape[0] < 2:
        raise ValueError(
            f"points has shape {points.shape}; expected (times, channels) of ONE path with at least two times. "
            "Use `jax.vmap` for a batch."
        )
    check_sizes(points.shape[1], depth)
    steps = jnp.diff(points, axis=0)
    levels, _ = jax.lax.scan(lambda s, d: (_times_line(s, d), None), _line(steps[0], depth), steps[1:])
    return levels


def _outer(a: Array, b: Array) -> Array:
    return jnp.tensordot(a, b, axes=0)


def _line(step: Array, depth: int) -> Levels:
    """exp(step)."""
    levels = [step]
    for k in range(2, depth + 1):
        levels.append(_outer(levels[-1], step / k))
    return tuple(levels)


def _times_line(levels: Levels, step: Array) -> Levels:
    """levels ⊗ exp(step)."""
    out = []
    for k in range(1, len(levels) + 1):
        inner = step / k
        for j in range(1, k):
            inner = _outer(levels[j - 1] + inner, step / (k - j))
        out.append(levels[k - 1] + inner)
    return tuple(out)


def _product(a: Levels, b: Levels) -> Levels:
    """The product of two series without constant terms: level k is the sum of a_i ⊗ b_{k-i}."""
    out = [jnp.zeros_like(a[0])]
    for k in range(2, len(a) + 1):
        parts = [_outer(a[i - 1], b[k - i - 1]) for i in range(1, k)]
        out.append(sum(parts[1:], parts[0]))
    return tuple(out)


def _log(levels: Levels) -> Levels:
    """log(1 + s) = s (1 - s (1/2 - s (1/3 - ...))), which ends as s has no constant term."""
    depth = len(levels)
    inner = tuple(x / depth for x in levels)
    for k in range(depth - 1, 0, -1):
        inner = tuple(x / k - y for x, y in zip(levels, _product(levels, inner), strict=True))
    return inner


def _split(flat: ArrayLike, channels: int, depth: int) -> Levels:
    flat, size = jnp.asarray(flat), signature_size(channels, depth)
    if flat.shape != (size,):
        raise ValueError(
            f"A signature of {channels} channels and depth {depth} has shape ({size},), but got {flat.shape}."
        )
    ends = np.cumsum([channels**k for k in range(1, depth)])
    parts = jnp.split(flat, ends)
    return tuple(x.reshape((channels,) * k) for k, x in enumerate(parts, start=1))

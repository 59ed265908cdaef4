"""Real fields to their lowest Fourier coefficients and back, on one example, channels last.

    h[k] = 1/N Σ_j x[j] exp(-2πi k j / n)        k = -m..m-1 on every axis but the last, 0..m-1 on that

Coefficients are those of the Fourier series, so a grid of another size has the same ones. They are kept as pairs of
real numbers (real part, imaginary part). Two ways: the fast transform, of whose output few modes are kept, or one
product with a small matrix for each axis, which on a CPU is half the time for few modes and needs no other layout.
"""

import enum
import string
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

_MOST = 32
"""Up to so many modes on every axis products are faster."""


class Transform(enum.Enum):
    """How Fourier coefficients are computed; the result is the same up to rounding."""

    by_size = "products where every axis keeps at most 32 modes, the fast transform elsewhere"
    products = "products with truncated Fourier matrices"
    fast = "the fast Fourier transform, then truncated"


def uses_products(transform: Transform, modes: tuple[int, ...]) -> bool:
    """Which of the two ways is taken."""
    return transform is Transform.products or (transform is Transform.by_size and max(modes) <= _MOST)


def kept(modes: tuple[int, ...]) -> tuple[int, ...]:
    """How many modes stay on each axis: 2 m, on the last m."""
    return (*(2 * m for m in modes[:-1]), modes[-1])


def check_size(name: str, size: tuple[int, ...], modes: tuple[int, ...]) -> None:
    """Refuse a grid that does not hold the modes."""
    for i, (n, m) in enumerate(zip(size, modes, strict=True)):
        least = 2 * (m - 1) if i == len(modes) - 1 else 2 * m
        if n < max(least, 1):
            raise ValueError(
                f"{name}: got spatial size {size}, but {m} modes on axis {i} need at least {max(least, 1)} points; "
                "take a finer grid, or make the layer with fewer modes."
            )


def analyse(x: Array, modes: tuple[int, ...], transform: Transform) -> Array:
    """Coefficients (*kept, 2, channels) of x (*space, channels)."""
    if not uses_products(transform, modes):
        return _fast(x, modes)
    # Else what comes before is computed anew, point by point, in the product's own layout.
    x = lax.optimization_barrier(x)
    d = len(modes)
    real = _real_matrix(x.shape[d - 1], modes[-1], False).astype(x.dtype)
    front, (j, k, p, c) = string.ascii_lowercase[: d - 1], "WKPC"
    h = _einsum(f"{p}{k}{j},{front}{j}{c}->{front}{k}{p}{c}", real, x)
    for i in reversed(range(d - 1)):
        matrix = _complex_matrix(x.shape[i], modes[i], False).astype(x.dtype)
        before, behind = front[:i], string.ascii_lowercase[10 : 10 + d - 1 - i]
        h = _einsum(f"QKPW,{before}W{behind}PC->{before}K{behind}QC", matrix, h)
    return h


def synthesise(h: Array, modes: tuple[int, ...], size: tuple[int, ...], transform: Transform) -> Array:
    """The field (*size, channels) of which h (*kept, 2, channels) are coefficients, all others zero."""
    if not uses_products(transform, modes):
        return _fast_back(h, modes, size)
    d = len(modes)
    front = string.ascii_lowercase[: d - 1]
    for i in range(d - 1):
        matrix = _complex_matrix(size[i], modes[i], True).astype(h.dtype)
        before, behind = front[:i], string.ascii_lowercase[10 : 10 + d - 1 - i]
        h = _einsum(f"QKPW,{before}K{behind}PC->{before}W{behind}QC", matrix, h)
    real = _real_matrix(size[-1], modes[-1], True).astype(h.dtype)
    return _einsum(f"PKW,{front}KPC->{front}WC", real, h)


def _einsum(spec: str, matrix: np.ndarray, x: Array) -> Array:
    # The highest precision: a GPU would otherwise round to ten bits, and these sums are long.
    return jnp.einsum(spec, jnp.asarray(matrix), x, precision=lax.Precision.HIGHEST)


@lru_cache(maxsize=256)
def _waves(n: int, m: int, both: bool) -> tuple[np.ndarray, np.ndarray]:
    k = np.r_[0:m, -m:0] if both else np.arange(m)
    # The product taken modulo n first: exact, where 2π k j loses digits for large k j.
    phase = 2 * np.pi * (np.outer(k, np.arange(n)) % n) / n
    return np.cos(phase), np.sin(phase)


@lru_cache(maxsize=256)
def _real_matrix(n: int, m: int, back: bool) -> np.ndarray:
    """(2, m, n): real parts of the last axis's transform, then imaginary ones."""
    cos, sin = _waves(n, m, False)
    matrix = np.stack([cos, -sin])
    if not back:
        return matrix / n
    k = np.arange(m)
    # Modes above 0 and below n / 2 stand for two, themselves and their conjugates.
    twice = np.where((k == 0) | (2 * k == n), 1.0, 2.0)
    return matrix * twice[None, :, None]


@lru_cache(maxsize=256)
def _complex_matrix(n: int, m: int, back: bool) -> np.ndarray:
    """(2 out, 2m, 2 in, n): multiplication by exp(∓2πi k j / n) of pairs of real numbers."""
    cos, sin = _waves(n, m, True)
    if back:
        return np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)])
    return np.stack([np.stack([cos, sin], 1), np.stack([-sin, cos], 1)]) / n


def _fast(x: Array, modes: tuple[int, ...]) -> Array:
    d = len(modes)
    # Channels first here: the transform wants its axes last.
    h = jnp.fft.rfftn(jnp.moveaxis(x, -1, 0), axes=range(1, d + 1), norm="forward")[..., : modes[-1]]
    for axis, m in enumerate(modes[:-1], 1):
        n = h.shape[axis]
        h = jnp.concatenate([lax.slice_in_dim(h, 0, m, axis=axis), lax.slice_in_dim(h, n - m, n, axis=axis)], axis)
    return jnp.moveaxis(jnp.stack([h.real, h.imag]), (0, 1), (-2, -1))


def _fast_back(h: Array, modes: tuple[int, ...], size: tuple[int, ...]) -> Array:
    d = len(modes)
    h = jnp.moveaxis(lax.complex(h[..., 0, :], h[..., 1, :]), -1, 0)
    for axis, m in enumerate(modes[:-1], 1):
        gap = list(h.shape)
        gap[axis] = size[axis - 1] - 2 * m
        low, high = (lax.slice_in_dim(h, a, b, axis=axis) for a, b in ((0, m), (m, 2 * m)))
        h = jnp.concatenate([low, jnp.zeros(gap, h.dtype), high], axis)
    h = jnp.pad(h, [(0, 0)] * d + [(0, size[-1] // 2 + 1 - modes[-1])])
    return jnp.moveaxis(jnp.fft.irfftn(h, size, axes=range(1, d + 1), norm="forward"), 0, -1)

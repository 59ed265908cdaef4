"""What is read off the Fourier coefficients of a field on a periodic grid: filters, other grids, spectra, norms."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.fields._fourier import FourierField, mode_mask, squared_wavenumber
from cadlag.fields._grid import Grid, GridField, Nodes, along


def dealias(u: GridField, *, degree: int = 2) -> GridField:
    """The field without the modes that products of `degree` factors would alias: 2/3 of each axis's band stay for
    quadratic products, 1/2 for cubic ones, 2 / (degree + 1) in general.
    """
    if degree < 1:
        raise ValueError(f"dealias: degree={degree}; expected an integer >= 1.")
    hat = _hat(u)
    mask = mode_mask(u.grid, 2 / (degree + 1)) if degree > 1 else np.ones(u.grid.shape[:-1] + hat.shape[-1:], bool)
    kept = hat * jnp.asarray(_behind(mask, hat.ndim), hat.dtype)
    return u.like(FourierField(u.grid, hat=kept).at_points())


def resample(u: GridField, shape: int | tuple[int, ...]) -> GridField:
    """The trigonometric polynomial of a field on a grid of another shape over the same box.

    Finer grids pad the coefficients with zeros; coarser ones drop the modes they cannot hold, where taking every
    second point would alias them. Axes that are not periodic must keep their points.
    """
    target = Grid(u.domain, shape, nodes=u.grid.nodes)
    values = u.values
    for i, name in enumerate(u.domain.names):
        if target.shape[i] == u.grid.shape[i]:
            continue
        if u.grid.nodes[i] is not Nodes.start:
            raise ValueError(f"resample: axis {name!r} is not periodic with a point at its start; keep its points.")
        values = _resample_axis(values, i - len(target.shape), target.shape[i])
    return GridField(target, values, u.scheme)


def energy_spectrum(u: GridField | FourierField) -> tuple[np.ndarray, Float[Array, "..."]]:
    """Half the mean square of a field in shells of |k|: (wavenumbers, energies), one row for each component.

    Shell j holds the modes with |k| / k_1 nearest to j, where k_1 = 2 pi / (the longest length); all shells add up to
    mean(u²) / 2. For the kinetic energy of a flow add the rows of its velocity.
    """
    k1 = 2 * np.pi / max(u.domain.lengths)
    shell = np.rint(np.sqrt(squared_wavenumber(u.grid)) / k1).astype(int)
    hat = _hat(u)
    power = _power(u.grid, hat).reshape(*hat.shape[: hat.ndim - shell.ndim], -1)
    sums = jnp.zeros((*power.shape[:-1], int(shell.max()) + 1), power.dtype)
    return k1 * np.arange(sums.shape[-1]), sums.at[..., shell.ravel()].add(power / 2)


def sobolev_inner(
    u: GridField | FourierField, v: GridField | FourierField, order: float | int, *, alpha: float | int = 1.0
) -> Float[Array, "..."]:
    """The inner product of H^order on a periodic box, Σ (alpha + |k|²)^order û_k conj(v̂_k), times the volume.

    Any real order; 0 gives the integral of u v. With alpha = 0 the mean does not count, whatever the order: the
    homogeneous product of fields of mean zero. One number for each component.
    """
    k2 = squared_wavenumber(u.grid)
    if alpha < 0:
        raise ValueError(f"sobolev: alpha={alpha}; expected alpha >= 0.")
    safe = alpha + np.where((k2 == 0) & (alpha == 0), 1, k2)
    weight = np.where((k2 == 0) & (alpha == 0), 0, safe ** float(order)) * u.domain.volume
    a, b = _hat(u), _hat(v)
    power = _power(u.grid, a, b)
    axes = tuple(range(-weight.ndim, 0))
    return jnp.sum(power * jnp.asarray(_behind(weight, power.ndim), power.dtype), axis=axes)


def sobolev_norm(u: GridField | FourierField, order: float | int, *, alpha: float | int = 1.0) -> Float[Array, "..."]:
    """The root of `sobolev_inner(u, u, order)`; a loss takes the product itself, whose gradient exists at zero."""
    return jnp.sqrt(sobolev_inner(u, u, order, alpha=alpha))


def _power(grid: Grid, a: Array, b: Array | None = None) -> Array:
    """Re û conj(v̂) of the coefficients of exp(i k x); modes that stand for a conjugate pair count twice."""
    n = grid.shape[-1]
    pair = np.full(n // 2 + 1, 2.0)
    pair[0] = 1
    if n % 2 == 0:
        pair[-1] = 1
    b = a if b is None else b
    square = a.real * b.real + a.imag * b.imag
    return square * jnp.asarray(along(pair / np.prod(grid.shape, dtype=float) ** 2, a.ndim, -1), square.dtype)


def _hat(u: GridField | FourierField) -> Array:
    if isinstance(u, FourierField):
        return u.coefficients()
    return FourierField(u.grid, values=u.values).coefficients()


def _behind(array: np.ndarray, ndim: int) -> np.ndarray:
    """With axes of length 1 put first, for the components."""
    return array.reshape((1,) * (ndim - array.ndim) + array.shape)


def _resample_axis(values: Array, axis: int, points: int) -> Array:
    n = values.shape[axis]
    hat = jnp.fft.rfft(values, axis=axis)
    kept = min(n, points) // 2 + 1
    # The highest mode of an even grid stands for itself and its mirror image, a lower mode for itself.
    weight = np.full(kept, points / n)
    if n != points and min(n, points) % 2 == 0:
        weight[-1] *= 0.5 if points > n else 2
    hat = jnp.take(hat, np.arange(kept), axis=axis) * jnp.asarray(along(weight, hat.ndim, axis), hat.dtype)
    return jnp.fft.irfft(hat, points, axis=axis)

"""The spectral layer of Fourier neural operators, channels last."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.nn._init import uniform
from cadlag.nn._mlp import identity
from cadlag.nn._spectral import Transform, analyse, check_size, kept, synthesise, uses_products


class SpectralConv(eqx.Module):
    """y = F⁻¹(W[k] F x[k] + b[k]) over the lowest modes k, all others zero (Li et al., ICLR 2021, eq. 4).

    Coefficients are those of the Fourier series: the same weights act on every grid that holds the modes, and an
    output of another size is the same trigonometric polynomial on another grid. W and b are complex, stored as pairs
    of real numbers, so that optimisers, casts and files see real arrays.

    **Arguments:**

    - `in_channels`, `out_channels`: lengths of the last axis of input and output.
    - `modes`: how many on each spatial axis: wavenumbers -m..m-1, on the last axis 0..m-1 (the rest are conjugates).
        An integer is taken for all axes.
    - `spatial_axes`: 1, 2 or 3.
    - `bias`: whether there is a b, at first zero: a source term.
    - `scale`: initial weights are uniform in [0, scale); by default 1 / (in_channels out_channels), as published.
    - `transform`: how; by default chosen by size.
    - `key`: for the initial weights.
    """

    weight: Float[Array, "*modes in 2 out"]
    bias: Float[Array, "*modes 2 out"] | None
    modes: tuple[int, ...] = eqx.field(static=True)
    transform: Transform = eqx.field(static=True)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: int | Sequence[int],
        *,
        spatial_axes: int = 2,
        bias: bool = False,
        scale: float | None = None,
        transform: Transform = Transform.by_size,
        key: PRNGKeyArray,
    ):
        if spatial_axes not in (1, 2, 3):
            raise ValueError(f"spatial_axes={spatial_axes} of a SpectralConv: expected 1, 2 or 3.")
        self.modes = (modes,) * spatial_axes if isinstance(modes, int) else tuple(int(m) for m in modes)
        if len(self.modes) != spatial_axes or min(self.modes) < 1:
            raise ValueError(
                f"modes={modes} of a SpectralConv: expected a positive integer, or one for each of {spatial_axes} "
                "spatial axes."
            )
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
            if value < 1:
                raise ValueError(f"{name}={value} of a SpectralConv must be at least 1.")
        scale = 1 / (in_channels * out_channels) if scale is None else scale
        shape = (*kept(self.modes), in_channels, 2, out_channels)
        self.weight = (uniform(key, shape, 1.0) + 1) * (scale / 2)
        self.bias = jnp.zeros((*kept(self.modes), 2, out_channels), self.weight.dtype) if bias else None
        self.transform = transform

    def check_size(self, size: tuple[int, ...], name: str = "x") -> None:
        """Raise `ValueError` for a spatial size that does not hold the modes."""
        if len(size) != len(self.modes):
            raise ValueError(f"{name}: got spatial size {size}, expected {len(self.modes)} axes.")
        check_size(name, size, self.modes)

    def __call__(
        self,
        x: Float[Array, "*space in"],
        *,
        size: Sequence[int] | None = None,
        bias_scale: float | int = 1,
        project: Callable[[Array], Array] = identity,
    ) -> Float[Array, "*size out"]:
        """The output (*size, out_channels) of x (*space, in_channels); `size` is that of x by default.

        `bias_scale` multiplies b; `project` acts on the output's coefficients (*modes, 2, out_channels).
        """
        if x.ndim != len(self.modes) + 1 or x.shape[-1] != self.weight.shape[-3]:
            raise ValueError(
                f"x: got shape {x.shape}, expected {len(self.modes)} spatial axes and then {self.weight.shape[-3]} "
                "channels, one example; jax.vmap over a batch, jnp.moveaxis from channels first."
            )
        size = x.shape[:-1] if size is None else tuple(size)
        self.check_size(x.shape[:-1])
        self.check_size(size, "size")
        h = multiply(self.weight, analyse(x, self.modes, self.transform))
        if self.bias is not None:
            h = h + bias_scale * self.bias
        return synthesise(project(h), self.modes, size, self.transform)

    def widen(self, modes: Sequence[int]) -> "SpectralConv":
        """The same map with room for more modes, whose weights and biases are zero."""
        modes = tuple(modes)
        if len(modes) != len(self.modes) or any(new < old for new, old in zip(modes, self.modes, strict=True)):
            raise ValueError(f"modes={modes}: expected at least {self.modes}, the modes of this layer.")
        bare = eqx.filter_eval_shape(
            lambda: SpectralConv(*self.weight.shape[-3::2], modes, spatial_axes=len(modes), bias=self.bias is not None,
                                 transform=self.transform, key=jr.key(0))
        )  # fmt: skip
        arrays = [_widened(a, self.modes, modes) for a in (self.weight, self.bias) if a is not None]
        return eqx.tree_at(jax.tree.leaves, bare, arrays)

    @property
    def by_products(self) -> bool:
        """Whether the transforms are products with matrices."""
        return uses_products(self.transform, self.modes)


def _widened(array: Array, old: tuple[int, ...], new: tuple[int, ...]) -> Array:
    for axis, (m, n) in enumerate(zip(old, new, strict=True)):
        # Negative wavenumbers stand last; the last axis has none.
        at = array.shape[axis] if axis == len(old) - 1 else m
        gap = (n - m) * (1 if axis == len(old) - 1 else 2)
        array = jnp.insert(array, jnp.full(gap, at), 0, axis=axis)
    return array


def multiply(weight: Float[Array, "*modes in 2 out"], h: Float[Array, "*modes 2 in"]) -> Float[Array, "*modes 2 out"]:
    """The complex product of a matrix and a vector at each mode, as one real product that copies no weight."""
    rows, (m, _, n) = h.reshape(-1, 2, h.shape[-1]), weight.shape[-3:]
    y = jnp.einsum("kpi,kiqo->kpqo", rows, weight.reshape(-1, m, 2, n))
    y = jnp.stack([y[:, 0, 0] - y[:, 1, 1], y[:, 0, 1] + y[:, 1, 0]], 1)
    return y.reshape(*h.shape[:-1], n)

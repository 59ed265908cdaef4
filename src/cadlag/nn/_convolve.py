"""A convolution whose derivatives, of any order and in both modes, are fast on a CPU and inside a loop.

Convolution y = x * w, its transpose to the input x' = w^T y and its transpose to the kernel are the three partial
gradients of one trilinear form

    T(x, w, y) = sum_{n,i,k} <y[n, i], w[k]^T x[n, stride i + dilation k - low]>,

so three kinds of one bilinear primitive are closed under differentiation: transposing one gives the others.
XLA's own rules express the last two as convolutions of unusual layout, which a loop on a CPU runs 8 to 1000 times
slower than a plain one. Here the transpose to the input is a convolution of ordinary layout, and the transpose to the
kernel a sum of matrix products over chunks that fit into the cache. Other devices get XLA's own.

Arrays are channels-last: x (n, *space, in), w (*kernel, in, out), y (n, *space_out, out).
"""

import enum
import math
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

_CHUNK = 2**20
"""Bytes of input that one matrix product of the kernel's gradient reads: about a core's cache."""
_FEW = 2048
"""Up to so many points (all examples together) a plain convolution gives that gradient with less work."""


class Kind(enum.Enum):
    """Which of the three arrays is computed from the other two, given in the order x, w, y."""

    output = "y from x, w"
    input = "x from w, y"
    kernel = "w from x, y"


class Geometry(NamedTuple):
    """Sizes that decide a convolution; one entry for each spatial axis."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @property
    def out(self) -> tuple[int, ...]:
        """Spatial size of the output."""
        return tuple(
            (n + lo + hi - reach) // s + 1
            for n, reach, s, (lo, hi) in zip(self.size, self.reach, self.stride, self.padding, strict=True)
        )

    @property
    def reach(self) -> tuple[int, ...]:
        """How many points the dilated kernel spans."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def pointwise(self) -> bool:
        """Whether this is a matrix product at each point."""
        return set(self.kernel) == {1} and set(self.stride) == {1} and not any(map(any, self.padding))

    @property
    def back(self) -> tuple[tuple[int, int], ...]:
        """Padding of the (dilated) output that makes its convolution with the flipped kernel of the input's size."""
        each = zip(self.size, self.out, self.reach, self.stride, self.padding, strict=True)
        return tuple((reach - 1 - lo, n - 1 - (m - 1) * s + lo) for n, m, reach, s, (lo, _) in each)


def convolve(x: Array, w: Array, geometry: Geometry) -> Array:
    """y from x (n, *space, in) and w (*kernel, in, out)."""
    return _bilinear.bind(x, w, kind=Kind.output, geometry=geometry)


def convolve_transpose(w: Array, y: Array, geometry: Geometry) -> Array:
    """x from w (*kernel, in, out) and y (n, *space_out, out): the transpose of `convolve` to its input."""
    return _bilinear.bind(w, y, kind=Kind.input, geometry=geometry)


def _plain(x: Array, w: Array, *, stride: Sequence[int], padding: Any, dilation: Any, spread: Any = None) -> Array:
    axes = "DHW"[: x.ndim - 2]
    numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    return lax.conv_general_dilated(
        x, w, stride, padding, lhs_dilation=spread, rhs_dilation=dilation, dimension_numbers=numbers
    )


def _flip(w: Array) -> Array:
    return jnp.flip(w, range(w.ndim - 2)).swapaxes(-1, -2)


def _output(x: Array, w: Array, g: Geometry) -> Array:
    if g.pointwise:
        return x @ w.reshape(w.shape[-2:])
    return _plain(x, w, stride=g.stride, padding=g.padding, dilation=g.dilation)


def _input(w: Array, y: Array, g: Geometry) -> Array:
    if g.pointwise:
        return y @ w.reshape(w.shape[-2:]).T
    ones = (1,) * len(g.size)
    return _plain(y, _flip(w), stride=ones, padding=g.back, dilation=g.dilation, spread=g.stride)


def _kernel(x: Array, y: Array, g: Geometry) -> Array:
    if g.pointwise:
        return _kernel_at_points(x, y, g)
    few = x.shape[0] * math.prod(g.out) <= _FEW
    return _kernel_by_convolution(x, y, g) if few else _kernel_by_products(x, y, g)


def _kernel_at_points(x: Array, y: Array, g: Geometry) -> Array:
    """One matrix product. The barrier keeps XLA from laying out anew, at ten times the price of the product, what it
    would otherwise fuse into it (the derivative of an activation, say)."""
    x, y = lax.optimization_barrier((x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])))
    w = x.T @ y if x.shape[-1] <= y.shape[-1] else (y.T @ x).T
    return w.reshape(*g.kernel, x.shape[-1], y.shape[-1])


def _kernel_by_convolution(x: Array, y: Array, g: Geometry) -> Array:
    """y as the window that runs over x, summing over examples: XLA's rule, but in the ordinary layout."""
    axes = range(1, x.ndim - 1)
    x, y = x.transpose(-1, *axes, 0), y.transpose(*axes, 0, -1)
    w = _plain(x, y, stride=g.dilation, padding=g.padding, dilation=g.stride)
    # Where stride leaves a rest, the window has room to go further than the kernel reaches.
    return w.transpose(*axes, 0, -1)[tuple(slice(k) for k in g.kernel)]


def _kernel_by_products(x: Array, y: Array, g: Geometry) -> Array:
    """Matrix products over chunks of examples, so that what is gathered stays in the cache."""
    n, row = x.shape[0], g.kernel[-1] * math.prod(g.out) * x.shape[-1] * x.dtype.itemsize
    parts = next((c for c in range(1, n) if n % c == 0 and row * (n // c) <= _CHUNK), n)
    if parts <= 1:
        return _kernel_of_chunk(x, y, g)
    chunks = tuple(a.reshape(parts, -1, *a.shape[1:]) for a in (x, y))
    zero = jnp.zeros((*g.kernel, x.shape[-1], y.shape[-1]), x.dtype)
    return lax.scan(lambda total, xy: (total + _kernel_of_chunk(*xy, g), None), zero, chunks)[0]


def _kernel_of_chunk(x: Array, y: Array, g: Geometry) -> Array:
    flat = y.reshape(-1, y.shape[-1])
    rows = [p.reshape(-1, p.shape[-1]).T @ flat for p in _rows(x, g)]
    return jnp.stack(rows).reshape(*g.kernel, x.shape[-1], y.shape[-1])


def _rows(x: Array, g: Geometry) -> list[Array]:
    """What a row of the kernel (its last axis) sees, (n, *space_out, kernel[-1] * in), for each row."""
    zero = jnp.zeros((), x.dtype)
    x = lax.pad(x, zero, [(0, 0, 0), *((lo, hi, 0) for lo, hi in g.padding), (0, 0, 0)])

    def cut(a: Array, axis: int, k: int) -> Array:
        first = k * g.dilation[axis]
        last = first + (g.out[axis] - 1) * g.stride[axis] + 1
        return lax.slice_in_dim(a, first, last, g.stride[axis], axis + 1)

    end = len(g.kernel) - 1
    x = jnp.concatenate([cut(x, end, k) for k in range(g.kernel[-1])], axis=-1)
    rows = []
    for index in product(*map(range, g.kernel[:-1])):
        row = x
        for axis, k in enumerate(index):
            row = cut(row, axis, k)
        rows.append(row)
    return rows


def _kernel_by_xla(x: Array, y: Array, g: Geometry) -> Array:
    w = jax.ShapeDtypeStruct((*g.kernel, x.shape[-1], y.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda w: _output(x, w, g), w)(y)[0]


_ON_CPU = {Kind.output: _output, Kind.input: _input, Kind.kernel: _kernel}
_ELSEWHERE = _ON_CPU | {Kind.kernel: _kernel_by_xla}


# A kernel for each example (an ensemble, several seeds): XLA's grouped convolution is slow, batched products are not.
def _output_by_products(x: Array, w: Array, g: Geometry) -> Array:
    products = zip(_rows(x, g), w.reshape(-1, g.kernel[-1] * w.shape[-2], w.shape[-1]), strict=True)
    return sum(row @ v for row, v in products)  # pyright: ignore[reportReturnType]


def _input_by_products(w: Array, y: Array, g: Geometry) -> Array:
    spread = [(lo, hi, s - 1) for (lo, hi), s in zip(g.back, g.stride, strict=True)]
    y = lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0), *spread, (0, 0, 0)])
    ones = (1,) * len(g.size)
    return _output_by_products(y, _flip(w), Geometry(y.shape[1:-1], g.kernel, ones, g.dilation, ((0, 0),) * len(ones)))


_BY_PRODUCTS = {Kind.output: _output_by_products, Kind.input: _input_by_products, Kind.kernel: _kernel_by_products}


def _lower(table: dict, a: Array, b: Array, *, kind: Kind, geometry: Geometry) -> Array:
    return table[kind](a, b, geometry)


def _abstract(a: Any, b: Any, *, kind: Kind, geometry: Geometry) -> Any:
    if kind is Kind.output:
        shape = (a.shape[0], *geometry.out, b.shape[-1])
    elif kind is Kind.input:
        shape = (b.shape[0], *geometry.size, a.shape[-2])
    else:
        shape = (*geometry.kernel, a.shape[-1], b.shape[-1])
    return ShapedArray(shape, a.dtype)


# For each kind, the kind that gives the cotangent of its first and of its second argument, and in which order.
_OF_FIRST = {
    Kind.output: lambda ct, b: (Kind.input, b, ct),
    Kind.input: lambda ct, b: (Kind.kernel, ct, b),
    Kind.kernel: lambda ct, b: (Kind.input, ct, b),
}
_OF_SECOND = {
    Kind.output: lambda ct, a: (Kind.kernel, a, ct),
    Kind.input: lambda ct, a: (Kind.output, ct, a),
    Kind.kernel: lambda ct, a: (Kind.output, a, ct),
}


def _transpose_first(ct: Array, a: Any, b: Array, *, kind: Kind, geometry: Geometry) -> Array:
    del a
    kind, *given = _OF_FIRST[kind](ct, b)
    return _bilinear.bind(*given, kind=kind, geometry=geometry)


def _transpose_second(ct: Array, a: Array, b: Any, *, kind: Kind, geometry: Geometry) -> Array:
    del b
    kind, *given = _OF_SECOND[kind](ct, a)
    return _bilinear.bind(*given, kind=kind, geometry=geometry)


def _batch(args: Any, axes: Any, *, kind: Kind, geometry: Geometry) -> tuple[Array, int]:
    """A batch of x and y joins their own batch axis; a batch of kernels becomes batched matrix products."""
    shared = {Kind.output: 1, Kind.input: 0}.get(kind)
    if shared is not None and axes[shared] is None:
        one = jnp.moveaxis(args[1 - shared], axes[1 - shared], 0)
        given = list(args)
        given[1 - shared] = one.reshape(-1, *one.shape[2:])
        out = _bilinear.bind(*given, kind=kind, geometry=geometry)
        return out.reshape(*one.shape[:2], *out.shape[1:]), 0
    return jax.vmap(lambda a, b: _BY_PRODUCTS[kind](a, b, geometry), in_axes=axes)(*args), 0


@partial(jax.jit, static_argnames=("kind", "geometry"))
def _eager(a: Array, b: Array, *, kind: Kind, geometry: Geometry) -> Array:
    return _bilinear.bind(a, b, kind=kind, geometry=geometry)


_bilinear = Primitive("cadlag_convolution")
_bilinear.def_impl(_eager)
_bilinear.def_abstract_eval(_abstract)
ad.defbilinear(_bilinear, _transpose_first, _transpose_second)
batching.primitive_batchers[_bilinear] = _batch
mlir.register_lowering(_bilinear, mlir.lower_fun(partial(_lower, _ELSEWHERE), multiple_results=False))
mlir.register_lowering(_bilinear, mlir.lower_fun(partial(_lower, _ON_CPU), multiple_results=False), platform="cpu")

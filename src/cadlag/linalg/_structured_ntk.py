"""Empirical NTKs by structured derivatives: affine layers need no Jacobian by their weights.

For z = s W a + r b on one vector a, the derivative of output o by W is s B_o ⊗ a with B = ∂f/∂z, so that the layer adds
(s² a·a' + r²) B B'ᵀ to Theta: products of two small Gram matrices (Novak, Sohl-Dickstein and Schoenholz, ICML 2022).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@runtime_checkable
class ScaledAffine(Protocol):
    """A layer z = s W a + r b of one vector a: arrays `weight` W and `bias` b, and `scales` (s, r)."""

    @property
    def weight(self) -> Any:
        """W, (out, in)."""
        ...

    @property
    def bias(self) -> Any:
        """b, (out,)."""
        ...

    @property
    def scales(self) -> tuple[float, float]:
        """s and r."""
        ...


class Rows(NamedTuple):
    """Derivatives at a block of points: inputs `a` (n, in) and `b` = ∂f/∂z (n, o, out) of each layer, and the Jacobian
    by all `other` parameters.
    """

    a: list[Array]
    b: list[Array]
    other: Any


class Layers(NamedTuple):
    """A model taken apart: the nodes among which affine layers are, which of them are tapped with what factors, and
    the parameters that are left to ordinary Jacobians.
    """

    nodes: list[Any]
    treedef: Any
    factors: dict[int, tuple[float, float]]
    widths: dict[int, tuple[int, int]]
    other: Any


def take_apart(model: Any, params: Any, example: Array) -> Layers:
    """Find the affine layers that are called once, on one vector, and whose weights are parameters."""
    nodes, treedef = jax.tree.flatten(model, is_leaf=_affine)
    chosen = treedef.flatten_up_to(params)
    factors, widths = {}, {}
    for i, length in _inputs(nodes, treedef, example).items():
        if chosen[i].weight is None:
            continue
        scale, shift = nodes[i].scales if isinstance(nodes[i], ScaledAffine) else (1.0, 1.0)
        factors[i] = scale, shift if chosen[i].bias is not None else 0.0
        widths[i] = length, nodes[i].weight.shape[0]
        chosen[i] = jax.tree.map(lambda _: None, chosen[i])
    return Layers(nodes, treedef, factors, widths, jax.tree.unflatten(treedef, chosen))


def rows(layers: Layers, points: Float[Array, "n ..."]) -> Rows:
    """Derivatives at all points: one backward pass for each output."""

    def run(shifts: dict[int, Array], other: Any, point: Array) -> tuple[Array, list[Array]]:
        model = eqx.combine(other, jax.tree.unflatten(layers.treedef, layers.nodes))
        nodes = jax.tree.leaves(model, is_leaf=_affine)
        taps = {i: _Tap(nodes[i], shift) for i, shift in shifts.items()}
        out = jax.tree.unflatten(layers.treedef, [taps.get(i, n) for i, n in enumerate(nodes)])(point)
        return out, [tap.calls[0] for tap in taps.values()]

    def row(point: Array) -> Rows:
        shifts = {i: jnp.zeros(out, point.dtype) for i, (_, out) in layers.widths.items()}
        value, back, a = jax.vjp(lambda s, p: run(s, p, point), shifts, layers.other, has_aux=True)
        basis = jnp.eye(value.size, dtype=value.dtype).reshape(-1, *value.shape)
        b, other = jax.vmap(back)(basis)
        return Rows(a, list(b.values()), other)

    return jax.vmap(row)(points)


def layer_products(layers: Layers, left: Rows, right: Rows, trace: bool) -> Any:
    """What affine layers add to Theta: (n, m, o, o), or the mean of its diagonal (n, m)."""
    spec = "iop,jop->ij" if trace else "iop,jqp->ijoq"
    total: Any = 0.0
    for (scale, shift), a, z, b, c in zip(layers.factors.values(), left.a, right.a, left.b, right.b, strict=True):
        inner = scale**2 * jnp.matmul(a, z.T, precision="highest") + shift**2
        outer = jnp.einsum(spec, b, c, precision="highest")
        total = total + (inner * outer / b.shape[1] if trace else inner[:, :, None, None] * outer)
    return total


class _Tap:
    """Stands in for a layer: remembers its input and adds a shift to its output."""

    def __init__(self, layer: Callable, shift: Array | None = None) -> None:
        self.layer, self.shift, self.calls, self.touched = layer, shift, [], False

    def __call__(self, x: Array, **keywords: Any) -> Array:
        self.calls.append(x)
        z = self.layer(x, **keywords)
        return z if self.shift is None else z + self.shift

    def __getattr__(self, name: str) -> Any:
        # Weights used by anything but the layer's own call, such as a tied decoder.
        self.touched = True
        return getattr(self.layer, name)


def _affine(node: Any) -> bool:
    if isinstance(node, eqx.nn.Linear):
        return True
    return isinstance(node, ScaledAffine) and getattr(node.weight, "ndim", 0) == 2


def _inputs(nodes: list[Any], treedef: Any, example: Array) -> dict[int, int]:
    """Lengths of the inputs of layers that are called once, on a vector, and not inside vmap, scan or jit."""
    found: dict[int, int] = {}

    def run(point: Array) -> None:
        taps = {i: _Tap(n) for i, n in enumerate(nodes) if _affine(n)}
        jax.tree.unflatten(treedef, [taps.get(i, n) for i, n in enumerate(nodes)])(point)
        # Inside a transformation an array belongs to another trace, and its sum over calls would be lost.
        here = getattr(point, "_trace", None)
        for i, tap in taps.items():
            seen = [a for a in tap.calls if here is not None and getattr(a, "_trace", None) is here and a.ndim == 1]
            if len(tap.calls) == len(seen) == 1 and not tap.touched:
                found[i] = seen[0].shape[0]

    jax.eval_shape(run, example)
    return found

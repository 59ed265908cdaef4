"""The empirical neural tangent kernel Theta(x, z) = J(x) J(z)ᵀ of any model, J the Jacobian by its parameters.

Jacot, Gabriel and Hongler, NeurIPS 2018; the ways to compute it: Novak, Sohl-Dickstein and Schoenholz, ICML 2022. A
model is any callable PyTree of one example, such as an Equinox module; its floating-point arrays are its parameters. A
function of parameters is one too: `jax.tree_util.Partial(f, params)`.
"""

import enum
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.linalg._structured_ntk import Rows, layer_products, rows, take_apart
from cadlag.linalg._tiles import cut, map_tiles

# Bytes, where no budget is given.
_MEMORY = 2**28


class NTKMethod(enum.Enum):
    """How an empirical NTK is computed; the results agree to rounding."""

    contraction = "Jacobians of two blocks of examples, contracted leaf by leaf"
    structured = "products of small Gram matrices for affine layers of vectors, contraction for all else"
    products = "for each z and output a vector-Jacobian product, pushed forward at all x"


def empirical_ntk(
    model: Callable,
    x: Float[Array, "n ..."],
    z: Float[Array, "m ..."] | None = None,
    *,
    trace: bool = False,
    method: NTKMethod = NTKMethod.contraction,
    memory: int = _MEMORY,
    where: Any = eqx.is_inexact_array,
) -> Float[Array, "..."]:
    """Theta(x_i, z_j) for all pairs; z = x by default, then symmetric.

    **Arguments:**

    - `model`: from one example to an array with o entries.
    - `trace`: the mean over outputs of the diagonal, (n, m), which tends to the NTK of infinite width, instead of all
      blocks (n, m, o, o).
    - `method`: contraction takes (n + m) o backward passes and n m o² P operations for P parameters, its blocks as
      large as the budget allows; products take n m o forward passes and hold no Jacobian; structured derivatives take
      as many passes as contraction, but hold no derivative by the weights of `eqx.nn.Linear` (and any `ScaledAffine`)
      layers that are called once, on a vector. Other parameters are contracted.
    - `memory`: bytes that Jacobians, or the tangents of parameters in products, may take; the result is not counted.
    - `where`: which leaves are parameters, a filter as in `eqx.partition`.

    **Raises:** ValueError for batch statistics, outputs without parameters, or a budget too small for one example.
    """
    f, params = _split(model, where)
    outputs = _outputs(f, params, x[0])
    if method is NTKMethod.structured:
        return _structured(model, params, x, z, outputs, trace, memory)
    compute = _contracted if method is NTKMethod.contraction else _pushed
    return compute(f, params, x, z, outputs, trace, memory)


def ntk_product(
    model: Callable,
    v: Float[Array, "k ..."],
    x: Float[Array, "n ..."],
    z: Float[Array, "m ..."] | None = None,
    *,
    block: int = 256,
    where: Any = eqx.is_inexact_array,
) -> Float[Array, "n ..."]:
    """Σ_j Theta(x_i, z_j) v_j, v one array like the model's output for each z: two passes, no Theta.

    The matrix-vector product that conjugate gradients and Lanczos ask for; `block` examples are taken at once.

    **Raises:** ValueError if v has another shape than the outputs at z.
    """
    f, params = _split(model, where)
    z = x if z is None else z
    shape = (len(z), *jax.eval_shape(f, params, z[0]).shape)
    if v.shape != shape:
        raise ValueError(f"v of ntk_product has shape {v.shape}; expected that of the outputs at z, {shape}.")

    if len(z) <= block:
        (tangent,) = jax.vjp(lambda p: jax.vmap(lambda a: f(p, a))(z), params)[1](v)
    else:
        tangent = _pull_back(f, params, z, v, block)
    return jax.lax.map(lambda a: jax.jvp(lambda p: f(p, a), (params,), (tangent,))[1], x, batch_size=block)


def _pull_back(f: Callable, params: Any, z: Array, v: Array, block: int) -> Any:
    """Σ_j J(z_j)ᵀ v_j, block by block; the last is filled up with cotangents of zero."""
    count = -(-len(z) // block)
    fill = count * block - len(z)
    zs = cut(z, block)
    vs = jnp.pad(v, ((0, fill), *((0, 0),) * (v.ndim - 1))).reshape(count, block, *v.shape[1:])

    def add(total: Any, pair: tuple[Array, Array]) -> tuple[Any, None]:
        points, cotangents = pair
        (back,) = jax.vjp(lambda p: jax.vmap(lambda a: f(p, a))(points), params)[1](cotangents)
        return jax.tree.map(jnp.add, total, back), None

    return jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), (zs, vs))[0]


def _split(model: Callable, where: Any) -> tuple[Callable, Any]:
    """The model as a function of its parameters and one example, and the parameters."""
    if not callable(model):
        raise TypeError(f"model is a {type(model).__name__}; expected a callable PyTree, such as an Equinox module.")
    batch = (eqx.nn.BatchNorm, eqx.nn.StateIndex)
    if any(isinstance(leaf, batch) for leaf in jax.tree.leaves(model, is_leaf=lambda a: isinstance(a, batch))):
        raise ValueError(
            "model holds batch statistics, so its output is no function of one example and it has no tangent kernel. "
            "Freeze them into an affine map, or use LayerNorm or GroupNorm."
        )
    params, rest = eqx.partition(model, where)
    if not jax.tree.leaves(params):
        raise ValueError("model has no floating-point arrays among its leaves, so there is nothing to differentiate.")
    return lambda p, a: jnp.asarray(eqx.combine(p, rest)(a)), params


def _outputs(f: Callable, params: Any, example: Array) -> int:
    out = jax.eval_shape(f, params, example)
    if not jnp.issubdtype(out.dtype, jnp.floating):
        raise TypeError(f"model returns {out.dtype}; expected real floating-point outputs.")
    return math.prod(out.shape)


def _bytes(params: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))


def _too_small(memory: int, need: int, advice: str) -> ValueError:
    return ValueError(f"memory={memory} bytes is too little for one example, which takes {need}; {advice}.")


def _contracted(
    f: Callable, params: Any, x: Array, z: Array | None, outputs: int, trace: bool, memory: int
) -> Float[Array, "..."]:
    # Two blocks of Jacobians are held, and room for as much again while they are made.
    each = 4 * outputs * _bytes(params)
    if each > memory:
        raise _too_small(memory, each, "raise it, or use NTKMethod.products, which holds no Jacobian")
    block = min(memory // each, max(len(x), 0 if z is None else len(z)))

    def jacobian(points: Array) -> Any:
        return jax.vmap(lambda a: jax.jacrev(lambda p: f(p, a).reshape(-1))(params))(points)

    return _tiled(jacobian, lambda a, b: _contract(a, b, trace), x, z, block)


def _tiled(rows: Callable, contract: Callable, x: Array, z: Array | None, block: int) -> Array:
    """`contract` of the derivatives at two blocks; made once where one block is all."""
    if z is None and block >= len(x):
        both = rows(x)
        return contract(both, both)
    return map_tiles(lambda a, b, same: contract(rows(a), rows(b)), x, z, block)


def _structured(
    model: Callable, params: Any, x: Array, z: Array | None, outputs: int, trace: bool, memory: int
) -> Float[Array, "..."]:
    layers = take_apart(model, params, x[0])
    widths = sum(map(sum, layers.widths.values()))
    each = 4 * outputs * (_bytes(layers.other) + widths * x.dtype.itemsize)
    if each > memory:
        raise _too_small(memory, each, "raise it, or use NTKMethod.products, which holds no Jacobian")
    block = min(memory // each, max(len(x), 0 if z is None else len(z)))

    def contract(left: Rows, right: Rows) -> Array:
        return layer_products(layers, left, right, trace) + _contract(left.other, right.other, trace)

    return _tiled(lambda points: rows(layers, points), contract, x, z, block)


def _contract(left: Any, right: Any, trace: bool) -> Any:
    """Σ over all parameters of the products of derivatives, leaf by leaf; 0 of none."""
    spec = "iop,jop->ij" if trace else "iop,jqp->ijoq"
    total: Any = 0.0
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        flat = [k.reshape(*k.shape[:2], -1) for k in (a, b)]
        total = total + jnp.einsum(spec, *flat, precision="highest") / (a.shape[1] if trace else 1)
    return total


def _pushed(
    f: Callable, params: Any, x: Array, z: Array | None, outputs: int, trace: bool, memory: int
) -> Float[Array, "..."]:
    each = 2 * _bytes(params)
    if each > memory:
        raise _too_small(memory, each, "raise it; that is one copy of the parameters and its tangent")
    # What is held for a forward pass is taken to be no more than the parameters.
    block = min(max(memory // each - 1, 1), len(x))
    basis = jnp.eye(outputs, dtype=jax.eval_shape(f, params, x[0]).dtype)

    def column(point: Array) -> Array:
        """(o, n, o): the basis at one z, the points x, the outputs there."""
        value, back = jax.vjp(lambda p: f(p, point), params)

        def at(direction: Array) -> Array:
            (tangent,) = back(direction.reshape(value.shape))
            forward = lambda a: jax.jvp(lambda p: f(p, a).reshape(-1), (params,), (tangent,))[1]  # noqa: E731
            return jax.lax.map(forward, x, batch_size=block)

        return jax.lax.map(at, basis)

    theta = jax.lax.map(column, x if z is None else z)
    if trace:
        return jnp.einsum("mono->nm", theta) / outputs
    return jnp.transpose(theta, (2, 0, 3, 1))

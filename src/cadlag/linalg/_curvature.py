"""Products with curvature matrices of a mean loss L = (1/N) Σ_i l_i(θ), without the matrices.

    Hessian:       H v = ∂_t ∇L(θ + t v),         a forward pass over a backward pass (Pearlmutter, 1994)
    Gauss-Newton:  G v = (1/N) Σ_i J_iᵀ (∂²l_i/∂f²) J_i v,         J_i the Jacobian of the output f_i by θ
    Fisher:        F v = (1/N) Σ_i g_i (g_i · v),                  g_i = ∇l_i, the empirical Fisher matrix

G and F are positive semi-definite where l is convex in f (Schraudolph, 2002; Kunstner et al., 2019, on what F is not).
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from cadlag.linalg._batches import check_batch_size, count_examples, sum_examples


class AbstractCurvature(eqx.Module):
    """A symmetric matrix over the parameters of a model: call it with a vector v, like the model or its parameters.

    It is a PyTree: pass it through `eqx.filter_jit`, and another model of the same structure compiles nothing anew. To
    write your own give `product(params, rest, v, chunk)`, the SUM over a chunk of examples of their products with v.
    """

    model: eqx.AbstractVar[Any]
    data: eqx.AbstractVar[Any]
    batch_size: eqx.AbstractVar[int | None]

    @abstractmethod
    def product(self, params: Any, rest: Any, v: Any, chunk: Any) -> Any:
        """Σ over the chunk's examples of their curvature times v; `eqx.combine(params, rest)` is the model."""

    @property
    def parameters(self) -> Any:
        """The model's floating-point arrays, None elsewhere: what v is like."""
        return eqx.filter(self.model, eqx.is_inexact_array)

    @property
    def size(self) -> int:
        """The number of parameters P."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.parameters))

    @property
    def examples(self) -> int:
        """The number of examples N."""
        return count_examples(self.data)

    def take(self, index: Any) -> "AbstractCurvature":
        """The curvature of the mean over the examples that `index` names, as a batch has it."""
        return eqx.tree_at(lambda c: c.data, self, jax.tree.map(lambda a: a[index], self.data))

    @eqx.filter_jit
    def __call__(self, v: Any) -> Any:
        """The matrix times v, like the parameters."""
        params, rest = eqx.partition(self.model, eqx.is_inexact_array)
        v = eqx.filter(v, eqx.is_inexact_array)
        total = sum_examples(lambda chunk: self.product(params, rest, v, chunk), self.data, self.batch_size)
        return jax.tree.map(lambda a: a / self.examples, total)


class HessianProduct(AbstractCurvature):
    """v ↦ H v. Make it with `hessian_product`."""

    loss: Callable
    model: Any
    data: Any
    batch_size: int | None = eqx.field(static=True)

    def product(self, params: Any, rest: Any, v: Any, chunk: Any) -> Any:
        """Σ h_i v."""

        def total(p: Any) -> Any:
            return jnp.sum(jax.vmap(lambda e: self.loss(eqx.combine(p, rest), e))(chunk))

        return jax.jvp(jax.grad(total), (params,), (v,))[1]

    def linearised(self) -> Callable[[Any], Any]:
        """The same product with the gradient's own pass done once, for many vectors: a third less work for each.

        It keeps what the pass leaves of all examples, so only without a `batch_size`; with one it is the product.
        """
        if self.batch_size is not None:
            return self
        params, rest = eqx.partition(self.model, eqx.is_inexact_array)

        def mean(p: Any) -> Any:
            return jnp.mean(jax.vmap(lambda e: self.loss(eqx.combine(p, rest), e))(self.data))

        return jax.linearize(jax.grad(mean), params)[1]

    def of_example(self, v: Any, example: Any) -> Any:
        """h_i v for one example."""
        params, rest = eqx.partition(self.model, eqx.is_inexact_array)
        slope = jax.grad(lambda p: self.loss(eqx.combine(p, rest), example))
        return jax.jvp(slope, (params,), (v,))[1]


class GGNProduct(AbstractCurvature):
    """v ↦ G v. Make it with `ggn_product`."""

    forward: Callable
    loss: Callable
    model: Any
    data: Any
    batch_size: int | None = eqx.field(static=True)

    def product(self, params: Any, rest: Any, v: Any, chunk: Any) -> Any:
        """Σ J_iᵀ (∂²l_i/∂f²) J_i v."""

        def outputs(p: Any) -> Any:
            return jax.vmap(lambda e: self.forward(eqx.combine(p, rest), e))(chunk)

        def total(f: Any) -> Any:
            return jnp.sum(jax.vmap(self.loss)(f, chunk))

        f, tangent = jax.jvp(outputs, (params,), (v,))
        curved = jax.jvp(jax.grad(total), (f,), (tangent,))[1]
        return jax.vjp(outputs, params)[1](curved)[0]


class FisherProduct(AbstractCurvature):
    """v ↦ F v. Make it with `fisher_product`."""

    loss: Callable
    model: Any
    data: Any
    batch_size: int | None = eqx.field(static=True)

    def product(self, params: Any, rest: Any, v: Any, chunk: Any) -> Any:
        """Σ g_i (g_i · v)."""

        def losses(p: Any) -> Any:
            return jax.vmap(lambda e: self.loss(eqx.combine(p, rest), e))(chunk)

        slopes = jax.jvp(losses, (params,), (v,))[1]
        return jax.vjp(losses, params)[1](slopes)[0]


def hessian_product(loss: Callable, model: Any, data: Any, *, batch_size: int | None = None) -> HessianProduct:
    """Products with the Hessian of the mean loss by all floating-point arrays of the model.

    **Arguments:**

    - `loss`: `loss(model, example) -> scalar` for ONE example.
    - `model`: any PyTree; integers and functions in it are constants.
    - `data`: a PyTree of arrays, examples along the first axis, which may be sharded.
    - `batch_size`: examples at once; memory grows with it, the result does not depend on it.

    **Raises:** ValueError for a loss that is not scalar, layers with a state, nothing to differentiate or data that do
    not fit; TypeError for complex or mixed parameters, or a loss that is not floating-point.
    """
    check_problem(loss, model, data, batch_size)
    return HessianProduct(loss=loss, model=model, data=data, batch_size=batch_size)


def fisher_product(loss: Callable, model: Any, data: Any, *, batch_size: int | None = None) -> FisherProduct:
    """Products with the mean outer product of the examples' gradients. Arguments and errors of `hessian_product`."""
    check_problem(loss, model, data, batch_size)
    return FisherProduct(loss=loss, model=model, data=data, batch_size=batch_size)


def ggn_product(
    forward: Callable, loss: Callable, model: Any, data: Any, *, batch_size: int | None = None
) -> GGNProduct:
    """Products with the generalised Gauss-Newton matrix of the mean loss.

    **Arguments:** as for `hessian_product`, but for

    - `forward`: `forward(model, example) -> output`, floating-point arrays.
    - `loss`: `loss(output, example) -> scalar`, convex in the output if the matrix is to be positive semi-definite.

    **Raises:** as `hessian_product`.
    """
    check_problem(lambda m, e: loss(forward(m, e), e), model, data, batch_size)
    return GGNProduct(forward=forward, loss=loss, model=model, data=data, batch_size=batch_size)


def check_problem(loss: Callable, model: Any, data: Any, batch_size: int | None = None) -> None:
    """What `hessian_product` raises."""
    stateful = (eqx.nn.BatchNorm, eqx.nn.StateIndex)
    if any(isinstance(a, stateful) for a in jax.tree.leaves(model, is_leaf=lambda a: isinstance(a, stateful))):
        raise ValueError(
            "model holds layers with a state, such as batch statistics, so the loss of one example depends on others. "
            "Freeze them into an affine map, or use LayerNorm or GroupNorm."
        )
    dtypes = {a.dtype for a in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))}
    if not dtypes:
        raise ValueError(
            "model has no floating-point array among its leaves, so there is nothing to differentiate. Integers and "
            "Python floats are constants; wrap what is a parameter in jnp.asarray."
        )
    if len(dtypes) > 1 or jnp.issubdtype(next(iter(dtypes)), jnp.complexfloating):
        raise TypeError(f"model: parameters are {sorted(map(str, dtypes))}; expected real arrays of one precision.")
    if batch_size is not None:
        check_batch_size(batch_size)
    count_examples(data)
    out = eqx.filter_eval_shape(lambda m, d: loss(m, jax.tree.map(lambda a: a[0], d)), model, data)
    if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != ():
        came = f"shape {out.shape}" if isinstance(out, jax.ShapeDtypeStruct) else type(out).__name__
        raise ValueError(f"loss: returned {came} for one example, expected a scalar; sum or average over outputs.")
    if not jnp.issubdtype(out.dtype, jnp.floating):
        raise TypeError(f"loss: returned {out.dtype}, expected a real floating-point number.")

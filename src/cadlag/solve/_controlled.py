"""Controls in the noise, and what they cost: Girsanov's theorem for variational inference.

With dY = f dt + g dW the prior, the controlled process dX = (f + g u) dt + g dW has the path-space divergence

    KL(controlled | prior) = E ½ ∫ |u|² dt,

in either calculus (the control joins dW). `controlled` carries that integral as part of the state.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, PyTree

from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind, contract, diffusion_struct, elementwise
from cadlag.solve._stepper import add

_KINDS = {NoiseKind.diagonal: NoiseKind.commutative, NoiseKind.scalar: NoiseKind.commutative}


class Controlled(AbstractProcess):
    """A process with a control in its noise, on (state, energy); made by `controlled` and `with_path_kl`."""

    process: AbstractProcess
    control: Callable
    noise: NoiseKind = eqx.field(static=True)
    calculus: Calculus = eqx.field(static=True)

    def drift(self, t: Any, y: tuple[PyTree[Array], Array], args: Any) -> tuple[PyTree[Array], Array]:
        """f + g u, and ½ |u|²."""
        state, _ = y
        u = self.control(t, state, args)
        pushed = contract(self._kind, self.process.diffusion(t, state, args), u, state)
        f = self.process.drift(t, state, args)
        energy = sum(jnp.sum(x * x) for x in jax.tree.leaves(u)) / 2
        return (pushed if f is None else add(f, pushed)), jnp.asarray(energy, y[1].dtype)

    def diffusion(self, t: Any, y: tuple[PyTree[Array], Array], args: Any) -> lx.AbstractLinearOperator:
        """(g, 0), an operator on the noise that g has: the same key, the same noise."""
        state, energy = y
        g, kind = self.process.diffusion(t, state, args), self._kind
        # Zero as a product: a constant would come out of the operator as NumPy's.
        return lx.FunctionLinearOperator(
            lambda dx: (contract(kind, g, dx, state), 0 * energy), diffusion_struct(kind, g, state)
        )

    @property
    def _kind(self) -> NoiseKind:
        assert isinstance(self.process.noise, NoiseKind)
        return self.process.noise


def controlled(process: AbstractProcess, control: Callable) -> AbstractProcess:
    """The process with dW + u dt in place of dW, on the state (y, energy); solve it from (y0, 0).

    **Arguments:**

    - `process`: an SDE with one driver.
    - `control(t, y, args)`: u, of the noise's shape: like y for diagonal noise, a number for scalar noise, (noise,) for
      a matrix.

    The energy at the end, ½ ∫|u|² dt, is on average the path-space KL divergence from `process`, in nats. With u = 0
    paths are those of `process` from the same key.

    **Raises:** ValueError for a process without noise or with several drivers.

    **Example:** `x, kl = solve(controlled(prior, u), (x0, jnp.zeros(())), ts, key=key).y1`
    """
    _check("controlled", process)
    assert isinstance(process.noise, NoiseKind)
    kind = _KINDS.get(process.noise, process.noise)
    return Controlled(process=process, control=control, noise=kind, calculus=process.calculus)


def with_path_kl(process: AbstractProcess, drift: Callable) -> AbstractProcess:
    """A process with another drift and the same diffusion, and its path-space divergence from `process`.

    As `controlled` with u = (drift - f)/g, entry by entry: for diagonal noise, or additive noise given like y. Where g
    vanishes so must the difference; there u counts as zero.

    **Raises:** ValueError for other kinds of noise, whose control is not determined by the drift: give it to
    `controlled`.
    """
    _check("with_path_kl", process)
    if process.noise not in (NoiseKind.diagonal, NoiseKind.additive):
        assert isinstance(process.noise, NoiseKind)
        raise ValueError(
            f"with_path_kl divides by the diffusion entry by entry, which noise of kind {process.noise.name} does not "
            "allow; write the posterior's drift as f + g u and pass u to controlled."
        )
    return controlled(process, _Difference(process, drift))


class _Difference(eqx.Module):
    process: AbstractProcess
    wanted: Callable

    def __call__(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        g = self.process.diffusion(t, y, args)
        assert isinstance(self.process.noise, NoiseKind)
        if not elementwise(self.process.noise, g, y):
            raise ValueError("with_path_kl needs a diffusion like y; pass the control itself to controlled.")

        def one(new: Array, old: Array, g: Array) -> Array:
            none = g == 0
            return jnp.where(none, jnp.zeros_like(new), (new - old) / jnp.where(none, jnp.ones_like(g), g))

        return jax.tree.map(one, self.wanted(t, y, args), self.process.drift(t, y, args), g)


def _check(where: str, process: AbstractProcess) -> None:
    if process.noise is NoiseKind.none or isinstance(process.noise, tuple):
        which = "no noise" if process.noise is NoiseKind.none else "several drivers"
        raise ValueError(f"{where} needs an SDE with one driver, but the process has {which}.")

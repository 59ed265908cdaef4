"""Time reversal of a diffusion from its score (Anderson 1982; Song et al., ICLR 2021).

With dX = f dt + g dW (Itô), G = g gᵀ and p_t the law of X_t, Y_s = X_{t1-s} has the marginals of

    dY = [-f + ½(1 + λ²)(∇·G + G ∇log p_{t1-s})] ds + λ g dW̄,

λ = 1 being the reverse SDE and λ = 0 the probability-flow ODE.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import lineax as lx
from jaxtyping import Array, PyTree

from cadlag.solve._convert import derivative_along, to_ito
from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind, elementwise
from cadlag.solve._stepper import add, scale


class Reversed(AbstractProcess):
    """A diffusion run backwards, as an ordinary process in s = t1 - t; made by `reverse`."""

    process: AbstractProcess
    score: Callable
    t1: Any
    level: float = eqx.field(static=True)
    noise: NoiseKind = eqx.field(static=True)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        """The reversed drift at s = `t`."""
        time = self.t1 - t
        forward = scale(-1.0, self.process.drift(time, y, args))
        return add(forward, scale(0.5 * (1 + self.level**2), self._score_term(time, y, args)))

    def _score_term(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        """∇·G + G score. For diagonal noise (∇·G)_i = d g_i²/dy_i = 2 (∂g·g)_i."""
        score = self.score(t, y, args)
        if self.process.noise is NoiseKind.diagonal:
            g, along = derivative_along(self.process, t, y, args)
            return jax.tree.map(lambda gi, di, si: 2 * di + gi * gi * si, g, along, score)
        g = self.process.diffusion(t, y, args)
        if isinstance(g, lx.AbstractLinearOperator):
            return g.mv(g.transpose().mv(score))
        kind = self.process.noise
        if isinstance(kind, NoiseKind) and elementwise(kind, g, y):
            return jax.tree.map(lambda gi, si: gi * gi * si, g, score)
        return g @ (g.T @ score)

    def diffusion(self, t: Any, y: PyTree[Array], args: Any) -> Any:
        """λ g at t1 - s; None for the probability flow."""
        if self.noise is NoiseKind.none:
            return None
        g = self.process.diffusion(self.t1 - t, y, args)
        return g * self.level if isinstance(g, lx.AbstractLinearOperator) else scale(self.level, g)


def reverse(process: AbstractProcess, score: Callable, t1: Any, *, noise_level: float = 1.0) -> AbstractProcess:
    """The process backwards in time from t1, given the score of its marginals; solve it for s from 0 to t1.

    **Arguments:**

    - `process`: with additive or diagonal noise; a Stratonovich process is first written in Itô's sense.
    - `score(t, y, args)`: ∇ log p_t(y) in the process's own time t, like y.
    - `t1`: the time that s = 0 stands for.
    - `noise_level`: λ ≥ 0; 1 (default) is the reverse SDE, 0 the probability-flow ODE.

    **Raises:** `ValueError` for other kinds of noise and negative levels. Anderson, Stoch. Proc. Appl. 12 (1982).
    """
    if process.noise not in (NoiseKind.additive, NoiseKind.diagonal):
        kind = "several drivers" if isinstance(process.noise, tuple) else f"noise of kind {process.noise.name}"
        raise ValueError(
            f"reverse needs a process with additive or diagonal noise, not {kind}: the divergence of g gᵀ takes a full "
            "Jacobian otherwise. Write the reversed drift yourself, or change variables so that the noise is additive."
        )
    if noise_level < 0:
        raise ValueError(
            f"noise_level={noise_level} must not be negative; 1 is the reverse SDE, 0 the probability flow."
        )
    kind = NoiseKind.none if noise_level == 0 else process.noise
    return Reversed(process=to_ito(process), score=score, t1=t1, level=float(noise_level), noise=kind)

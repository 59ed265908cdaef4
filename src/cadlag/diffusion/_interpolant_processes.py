"""Transport equations of an interpolant model, as Processes of `solve`; a stepper and choices of ε for them."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from cadlag.diffusion._interpolant_model import AbstractInterpolantModel
from cadlag.solve import AbstractProcess, AbstractStepper, Calculus, Field, NoiseKind, Step
from cadlag.solve._stepper import add, scale


class _Transport(AbstractProcess):
    model: AbstractInterpolantModel
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.none)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: Array, args: Any) -> Array:
        """The velocity; `args` is the condition."""
        return self.model.velocity(jnp.asarray(t, y.dtype), y, args)

    def diffusion(self, t: Any, y: Array, args: Any) -> None:
        """There is none."""
        return None


class NoisyTransport(AbstractProcess):
    """dX = (b ± εs) dt + sqrt(2ε) dW; made by `interpolant_sde`."""

    model: AbstractInterpolantModel
    epsilon: Any
    sign: float | Array
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.additive)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: Array, args: Any) -> Array:
        """b ± εs; `args` is the condition."""
        t = jnp.asarray(t, y.dtype)
        return self.model.drift(t, y, jnp.asarray(self.sign, y.dtype) * epsilon_at(self.epsilon, t), args)

    def diffusion(self, t: Any, y: Array, args: Any) -> Array:
        """sqrt(2ε)."""
        return jnp.full_like(y, 1) * jnp.sqrt(2 * epsilon_at(self.epsilon, jnp.asarray(t, y.dtype)))


def interpolant_ode(model: AbstractInterpolantModel) -> AbstractProcess:
    """dX = b dt, which carries ρ_0 to ρ_1 for rising times and back for falling ones; `args` is the condition."""
    check_model("interpolant_ode", model)
    return _Transport(model)


def interpolant_sde(
    model: AbstractInterpolantModel, epsilon: float | int | Array | Callable, *, backward: bool = False
) -> AbstractProcess:
    """dX = (b + εs) dt + sqrt(2ε) dW; backward, dX = (b - εs) dt + sqrt(2ε) dW̄, to be solved with FALLING times.

    **Arguments:**

    - `model`: gives b and s; `args` of `solve` is the condition.
    - `epsilon`: a number ≥ 0 or a function of time, chosen after training: with exact fields every ε has the same
      marginals. Zero gives the ODE.
    - `backward`: from ρ_1 to ρ_0.

    Albergo, Boffi and Vanden-Eijnden, JMLR 26 (2025).
    """
    check_model("interpolant_sde", model)
    check_epsilon("interpolant_sde", epsilon)
    if isinstance(epsilon, float | int) and epsilon == 0:
        return _Transport(model)
    return NoisyTransport(model, epsilon, -1.0 if backward else 1.0)


def epsilon_at(epsilon: Any, t: Array) -> Array:
    """ε(t) in t's dtype, of a number or a function."""
    return jnp.asarray(epsilon(t) if callable(epsilon) else epsilon, t.dtype)


class TabulatedEpsilon(eqx.Module):
    """ε(t) on straight lines between given values. **Arguments:** `times` (n,), rising; `values` (n,), at least 0."""

    times: Array
    values: Array

    def __call__(self, t: ArrayLike) -> Array:
        """ε at a time; constant beyond the ends."""
        return jnp.interp(jnp.asarray(t), self.times, self.values)


class NoiseFirstHeun(AbstractStepper):
    """x̂ = x + g dW, then x + g dW + ½(k1 + k2)h with k1 = f(x̂), k2 = f(x̂ + k1 h), both at the step's END.

    The stochastic Heun of the released code of Albergo et al.; for additive noise. Weak order one, like
    Euler-Maruyama, with a smaller constant where the drift is stiff in x; on an ODE it is of order one, since it looks
    at the end of the step only. `cadlag.solve.Heun`, for comparison, looks at both ends.
    """

    noises: ClassVar = frozenset({NoiseKind.none, NoiseKind.additive})
    calculus: ClassVar = None
    estimates_error: ClassVar = False
    takes_paths: ClassVar = False

    @property
    def nodes(self) -> tuple[float, ...]:
        """Left end (the noise) and right end (the drift)."""
        return (0.0, 1.0)

    @property
    def evaluations(self) -> int:
        """Two."""
        return 2

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> None:
        """No memory."""
        return None

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """Noise, then the trapezoidal rule at the end of the step."""
        noisy = add(y, field.mul(field.g(step.t0, y), step.dx, y))
        k1 = scale(step.h, field.f(step.t1, noisy))
        k2 = scale(step.h, field.f(step.t1, add(noisy, k1)))
        return add(noisy, scale(0.5, k1), scale(0.5, k2)), None, None


def check_epsilon(where: str, epsilon: Any) -> None:
    """Refuse what is no noise level."""
    if callable(epsilon) or isinstance(epsilon, Array):
        return
    if isinstance(epsilon, bool) or not isinstance(epsilon, float | int):
        raise TypeError(f"{where}: epsilon is {epsilon!r}; expected a number, a scalar array, or a function of time.")
    if not 0 <= epsilon < float("inf"):
        raise ValueError(f"{where}: epsilon={epsilon} must be finite and not negative; 0 is the ODE.")


def check_model(where: str, model: Any) -> None:
    """Refuse what has no velocity between two ends."""
    if not isinstance(model, AbstractInterpolantModel):
        raise TypeError(
            f"{where}: got a {type(model).__name__}; expected an interpolant model, such as InterpolantModel or "
            "ExactInterpolant. A denoiser has probability_flow and reverse_sde, or is made one by OneSided(denoiser)."
        )

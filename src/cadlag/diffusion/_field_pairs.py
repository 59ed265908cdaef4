"""What the networks of an interpolant model stand for. Any pair gives velocity b and score s, by conversion.

Each regression is ½|f̂|² - target·f̂, minimal at the conditional expectation of its target (Albergo et al., JMLR 26
(2025)): ∂_t I + γ'z for b, ∂_t I for v, -z/γ for s, z for η. The sign is the paper's: η = E[z | x_t], s = -η/γ.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
from jaxtyping import Array

from cadlag.diffusion._interpolant import AbstractInterpolant


class InterpolantReading(NamedTuple):
    """Velocity b and score s at one (t, x), each like x; the score is None where none was learnt."""

    velocity: Array
    score: Array | None


class AbstractFieldPair(eqx.Module):
    """Which fields a model's networks stand for.

    To write your own: `names`, one for each network; `targets`, what each is regressed on; `read`, which turns their
    values into velocity and score; and `of`, the same values taken from any model. `inner` is t kept off the ends by
    the model's cut-off, for whatever divides by γ.
    """

    names: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def targets(self, interpolant: AbstractInterpolant, t: Array, x0: Array, x1: Array, z: Array) -> tuple[Array, ...]:
        """What the networks are regressed on, for one triple."""

    @abc.abstractmethod
    def read(
        self, values: tuple[Array, ...], interpolant: AbstractInterpolant, t: Array, inner: Array, x: Array
    ) -> InterpolantReading:
        """Velocity and score from the values of the networks."""

    @abc.abstractmethod
    def of(self, model: Any, t: Array, x: Array, cond: Any) -> tuple[Array, ...]:
        """The same fields of any interpolant model."""


class VelocityNoise(AbstractFieldPair):
    """(b, η), recommended: s = -η/γ. η stays of order one where the score does not."""

    names: ClassVar = ("velocity", "noise")

    def targets(self, interpolant: AbstractInterpolant, t: Array, x0: Array, x1: Array, z: Array) -> tuple[Array, ...]:
        """∂_t I + γ'z and z."""
        return interpolant.mean_rate(t, x0, x1) + interpolant.gamma_rate(t) * z, z

    def read(
        self, values: tuple[Array, ...], interpolant: AbstractInterpolant, t: Array, inner: Array, x: Array
    ) -> InterpolantReading:
        """b as it is, s = -η/γ."""
        return InterpolantReading(values[0], -values[1] / interpolant.gamma(inner))

    def of(self, model: Any, t: Array, x: Array, cond: Any) -> tuple[Array, ...]:
        """b and η."""
        return model.velocity(t, x, cond), model.noise(t, x, cond)


class VelocityScore(AbstractFieldPair):
    """(b, s)."""

    names: ClassVar = ("velocity", "score")

    def targets(self, interpolant: AbstractInterpolant, t: Array, x0: Array, x1: Array, z: Array) -> tuple[Array, ...]:
        """∂_t I + γ'z and -z/γ."""
        return interpolant.mean_rate(t, x0, x1) + interpolant.gamma_rate(t) * z, -z / interpolant.gamma(t)

    def read(
        self, values: tuple[Array, ...], interpolant: AbstractInterpolant, t: Array, inner: Array, x: Array
    ) -> InterpolantReading:
        """As they are."""
        return InterpolantReading(*values)

    def of(self, model: Any, t: Array, x: Array, cond: Any) -> tuple[Array, ...]:
        """b and s."""
        return model.velocity(t, x, cond), model.score(t, x, cond)


class MeanVelocityNoise(AbstractFieldPair):
    """(v, η): b = v + γ'η. No target is infinite at the ends."""

    names: ClassVar = ("mean_velocity", "noise")

    def targets(self, interpolant: AbstractInterpolant, t: Array, x0: Array, x1: Array, z: Array) -> tuple[Array, ...]:
        """∂_t I and z."""
        return interpolant.mean_rate(t, x0, x1), z

    def read(
        self, values: tuple[Array, ...], interpolant: AbstractInterpolant, t: Array, inner: Array, x: Array
    ) -> InterpolantReading:
        """s = -η/γ, b = v - γγ's."""
        score = -values[1] / interpolant.gamma(inner)
        return InterpolantReading(values[0] - interpolant.gamma_product(t) * score, score)

    def of(self, model: Any, t: Array, x: Array, cond: Any) -> tuple[Array, ...]:
        """v and η."""
        return model.mean_velocity(t, x, cond), model.noise(t, x, cond)


class MeanVelocityScore(AbstractFieldPair):
    """(v, s): b = v - γγ's."""

    names: ClassVar = ("mean_velocity", "score")

    def targets(self, interpolant: AbstractInterpolant, t: Array, x0: Array, x1: Array, z: Array) -> tuple[Array, ...]:
        """∂_t I and -z/γ."""
        return interpolant.mean_rate(t, x0, x1), -z / interpolant.gamma(t)

    def read(
        self, values: tuple[Array, ...], interpolant: AbstractInterpolant, t: Array, inner: Array, x: Array
    ) -> InterpolantReading:
        """b = v - γγ's."""
        return InterpolantReading(values[0] - interpolant.gamma_product(t) * values[1], values[1])

    def of(self, model: Any, t: Array, x: Array, cond: Any) -> tuple[Array, ...]:
        """v and s."""
        return model.mean_velocity(t, x, cond), model.score(t, x, cond)


class Ends(AbstractFieldPair):
    """(η_0, η_1) = (E[x_0 | x_t], E[x_1 | x_t]): γη = x - αη_0 - βη_1. For α and β that do not vanish together."""

    names: ClassVar = ("start", "end")

    def targets(self, interpolant: AbstractInterpolant, t: Array, x0: Array, x1: Array, z: Array) -> tuple[Array, ...]:
        """x_0 and x_1."""
        return x0, x1

    def read(
        self, values: tuple[Array, ...], interpolant: AbstractInterpolant, t: Array, inner: Array, x: Array
    ) -> InterpolantReading:
        """s = (αη_0 + βη_1 - x)/γ², b = α'η_0 + β'η_1 - γγ's."""
        start, end = values
        mean = interpolant.alpha(t) * start + interpolant.beta(t) * end
        score = (mean - x) / interpolant.gamma_squared(inner)
        rate = interpolant.mean_rate(t, start, end)
        return InterpolantReading(rate - interpolant.gamma_product(t) * score, score)

    def of(self, model: Any, t: Array, x: Array, cond: Any) -> tuple[Array, ...]:
        """η_0 and η_1."""
        return model.ends(t, x, cond)


class VelocityOnly(AbstractFieldPair):
    """b alone: for the ODE, and for interpolants without latent noise. b does not determine s."""

    names: ClassVar = ("velocity",)

    def targets(self, interpolant: AbstractInterpolant, t: Array, x0: Array, x1: Array, z: Array) -> tuple[Array, ...]:
        """∂_t I + γ'z."""
        return (interpolant.mean_rate(t, x0, x1) + interpolant.gamma_rate(t) * z,)

    def read(
        self, values: tuple[Array, ...], interpolant: AbstractInterpolant, t: Array, inner: Array, x: Array
    ) -> InterpolantReading:
        """b, and no score."""
        return InterpolantReading(values[0], None)

    def of(self, model: Any, t: Array, x: Array, cond: Any) -> tuple[Array, ...]:
        """b."""
        return (model.velocity(t, x, cond),)

"""Regressions that train an interpolant model, and how far a model's fields are from given ones.

Each field's loss is ½|f̂(t, x_t)|² - target·f̂(t, x_t). It lacks the target's own square, whose mean may be infinite:
at its minimum L_b = -½∫E|b|² dt, so a negative loss is no error.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.diffusion._field_pairs import AbstractFieldPair
from cadlag.diffusion._interpolant_model import AbstractInterpolantModel, InterpolantModel


class Pairs(NamedTuple):
    """A batch: x_0 and x_1, coupled in any way, and conditions or None, all with one leading axis."""

    x0: Array
    x1: Array
    cond: Any = None


class InterpolantLoss(eqx.Module):
    """Mean over pairs, times and latent noises of the sum of the fields' regressions.

    A loss for `cadlag.train.gradient`: call `loss(model, batch, key) → (loss, info)`, with `batch` a tuple (x0, x1) or
    `Pairs`; `info` holds each field's part. Times are uniform in [t_min, 1 - t_min], stratified over the batch.

    **Arguments:**

    - `antithetic`: average over x_t with z and with -z at the same time. γ' and 1/γ are unbounded at the ends; with the
      pair they multiply differences of order γ, and the variance stays bounded.
    - `t_min`: None for the model's own cut-off.
    - `pair`: None for the model's own; required of models that have none, such as `ExactInterpolant`.
    """

    antithetic: bool = True
    t_min: float | None = None
    pair: AbstractFieldPair | None = None

    def __call__(self, model: AbstractInterpolantModel, batch: Any, key: PRNGKeyArray) -> tuple[Array, dict]:
        """Mean loss over a batch, and its parts by the names of the fields."""
        pairs = batch if isinstance(batch, Pairs) else Pairs(*batch)
        if pairs.x0.shape != pairs.x1.shape:
            raise ValueError(
                f"InterpolantLoss: x0 has shape {pairs.x0.shape} and x1 {pairs.x1.shape}; a batch holds as many draws "
                "of one shape at both ends."
            )
        names = self._pair(model).names
        n, dtype = pairs.x0.shape[0], pairs.x0.dtype
        time_key, noise_key, net_key = jr.split(key, 3)
        low = self._cut_off(model)
        cells = (jnp.arange(n, dtype=dtype) + jr.uniform(time_key, (n,), dtype)) / n
        z = jr.normal(noise_key, pairs.x0.shape, dtype)
        parts = jax.vmap(lambda t, *rest: self.at(model, t, *rest))(
            low + (1 - 2 * low) * cells, pairs.x0, pairs.x1, z, pairs.cond, jr.split(net_key, n)
        )
        means = [jnp.mean(part) for part in parts]
        return sum(means[1:], means[0]), dict(zip(names, means, strict=True))

    def at(
        self,
        model: AbstractInterpolantModel,
        t: Float[Array, ""],
        x0: Array,
        x1: Array,
        z: Array,
        cond: Any = None,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, ""], ...]:
        """The integrand of each field at one time, for one triple."""
        plus = self._side(model, t, x0, x1, z, cond, key)
        if not self.antithetic:
            return plus
        minus = self._side(model, t, x0, x1, -z, cond, key)
        return tuple(0.5 * (p + m) for p, m in zip(plus, minus, strict=True))

    def _side(self, model: Any, t: Array, x0: Array, x1: Array, z: Array, cond: Any, key: Any) -> tuple[Array, ...]:
        path, pair = model.interpolant, self._pair(model)
        x = path.at(t, x0, x1, z)
        own = self.pair is None and isinstance(model, InterpolantModel)
        values = model.outputs(t, x, cond=cond, key=key) if own else pair.of(model, t, x, cond)
        targets = pair.targets(path, t, x0, x1, z)
        return tuple(
            jnp.sum(0.5 * jnp.square(value) - target * value) for value, target in zip(values, targets, strict=True)
        )

    def _pair(self, model: Any) -> AbstractFieldPair:
        if self.pair is not None:
            return self.pair
        if not isinstance(model, InterpolantModel):
            raise TypeError(
                f"InterpolantLoss: a {type(model).__name__} does not say which fields it learns; give pair=, e.g. "
                "VelocityNoise(). A Denoiser is trained by DenoisingLoss."
            )
        return model.pair

    def _cut_off(self, model: Any) -> float:
        if self.t_min is not None:
            return self.t_min
        return model.t_min if isinstance(model, InterpolantModel) else 1e-3


class FieldErrors(eqx.Module):
    """E|b̂ - b|², E|ŝ - s|² and E(b̂ - b)·(ŝ - s) at given times, each (times,)."""

    times: Float[Array, " times"]
    velocity: Float[Array, " times"]
    score: Float[Array, " times"]
    cross: Float[Array, " times"]

    def kl_bound(self, epsilon: Any) -> Float[Array, "..."]:
        """∫E|b̂ - b + ε(ŝ - s)|²/(4ε) dt, which no KL(ρ_1 ‖ ρ̂_1) of the SDE with noise ε exceeds (Girsanov).

        `epsilon` is a positive number, an array of them for so many bounds, or a function of time.
        """
        return self._integral(epsilon, lambda e: (self.velocity / e + 2 * self.cross + e * self.score) / 4)

    def loose_kl_bound(self, epsilon: Any) -> Float[Array, "..."]:
        """∫(E|b̂ - b|²/(2ε) + ½εE|ŝ - s|²) dt, the form of theorem 23, at least `kl_bound`."""
        return self._integral(epsilon, lambda e: 0.5 * (self.velocity / e + e * self.score))

    def best_epsilon(self) -> Float[Array, ""]:
        """ε* = (∫E|b̂ - b|² / ∫E|ŝ - s|²)^½, the least of both bounds over constant ε."""
        whole = lambda values: jnp.trapezoid(values, self.times)  # noqa: E731
        return jnp.sqrt(whole(self.velocity) / whole(self.score))

    def best_epsilons(self) -> Float[Array, " times"]:
        """ε*(t) = (E|b̂ - b|² / E|ŝ - s|²)^½, the least of both bounds over functions; see `TabulatedEpsilon`."""
        return jnp.sqrt(self.velocity / self.score)

    def _integral(self, epsilon: Any, integrand: Any) -> Array:
        if callable(epsilon):
            return jnp.trapezoid(integrand(jax.vmap(epsilon)(self.times)), self.times)
        one = lambda e: jnp.trapezoid(integrand(e), self.times)  # noqa: E731
        return jnp.vectorize(one)(jnp.asarray(epsilon, self.times.dtype))


@eqx.filter_jit
def field_errors(
    model: AbstractInterpolantModel,
    reference: AbstractInterpolantModel,
    x0: Float[Array, "n *shape"],
    x1: Float[Array, "n *shape"],
    times: Float[Array, " times"],
    *,
    key: PRNGKeyArray,
) -> FieldErrors:
    """How far `model` is from `reference` along the paths of the reference's interpolant between x0 and x1.

    One x_t a pair and time; times strictly between 0 and 1 where a score is infinite at the ends.
    """
    path = reference.interpolant

    def at_time(t: Array, k: PRNGKeyArray) -> tuple[Array, Array, Array]:
        z = jr.normal(k, x0.shape, x0.dtype)

        def one(a: Array, b: Array, noise: Array) -> tuple[Array, Array, Array]:
            x = path.at(t, a, b, noise)  # pyright: ignore[reportOptionalMemberAccess]
            found, truth = model.read(t, x), reference.read(t, x)
            off_b, off_s = found.velocity - truth.velocity, found.score - truth.score  # pyright: ignore
            return jnp.sum(off_b**2), jnp.sum(off_s**2), jnp.sum(off_b * off_s)

        return jax.tree.map(jnp.mean, jax.vmap(one)(x0, x1, z))

    velocity, score, cross = jax.lax.map(lambda row: at_time(*row), (times, jr.split(key, times.shape[0])))
    return FieldErrors(times, velocity, score, cross)

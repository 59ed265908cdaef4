"""How a guess is refined by a network that removes noise of known sizes (Lippe et al., NeurIPS 2023).

Both forms teach one network several levels k = 0 … K. At the first it predicts the target y from nothing; at the others
it is given y with noise of level k and names the noise. Small noise makes small amplitudes count.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from cadlag.diffusion import AbstractDenoiser, AbstractSchedule, DDIMStep, Reading, Tabulated, V

Net = Callable[[Array, Array], Array]
"""`net(level, guess)`, an array like the guess; `level` is the logarithm of the ratio of noise to signal."""


class AbstractRefinement(eqx.Module):
    """A way to learn and to refine. `steps` is K; there are K + 1 levels, and K + 1 calls of the network a prediction.

    To write your own, give `pair(y, k, z)`, what the network sees at level k (an integer array in 0 … K) and what it
    shall answer, from the target and standard normal z, and `stages(net, like, key=)`, the guesses of one prediction.
    """

    steps: eqx.AbstractVar[int]

    @abstractmethod
    def pair(
        self, y: Float[Array, "..."], k: Int[Array, ""], z: Float[Array, "..."]
    ) -> tuple[Float[Array, ""], Float[Array, "..."], Float[Array, "..."]]:
        """(level, guess, answer)."""

    @abstractmethod
    def stages(self, net: Net, like: Float[Array, "..."], *, key: PRNGKeyArray) -> Float[Array, "stages ..."]:
        """The guesses of y, from the first to the last, which is the prediction; (K + 1, *shape of `like`)."""

    def loss(self, net: Net, y: Float[Array, "..."], *, key: PRNGKeyArray) -> Float[Array, ""]:
        """Mean squared error of the answer at a level drawn uniformly. The noise is added to the true y, never to a
        guess of the network's own."""
        level_key, noise_key = jr.split(key)
        k = jr.randint(level_key, (), 0, self.steps + 1)
        level, guess, answer = self.pair(y, k, jr.normal(noise_key, y.shape, y.dtype))
        return jnp.mean(jnp.square(net(level, guess) - answer))


class PlainRefinement(AbstractRefinement):
    """The form in the paper: noise of deviation σ_k = sigma_min^(k/K) on a y of deviation one, predicted as such.

    A prediction starts from y¹ = net(0) and goes on with y^(k+1) = ỹ - σ_k net(ỹ), ỹ = y^k + σ_k z.

    **Arguments:** `steps`, K >= 0; `sigma_min`, the smallest DEVIATION: near the one-step error that is aimed at, and
    well above the resolution of the numbers (1e-7 in single precision).
    """

    steps: int = eqx.field(static=True, default=3)
    sigma_min: float = eqx.field(static=True, default=1e-3)

    def __check_init__(self) -> None:
        _check(self, "sigma_min", self.sigma_min)

    def deviations(self) -> np.ndarray:
        """σ_0 … σ_K in float64; σ_0 = 1 stands for no guess."""
        return self.sigma_min ** (np.arange(self.steps + 1) / max(self.steps, 1))

    def pair(
        self, y: Float[Array, "..."], k: Int[Array, ""], z: Float[Array, "..."]
    ) -> tuple[Float[Array, ""], Float[Array, "..."], Float[Array, "..."]]:
        """(log σ_k, y + σ_k z, z); at k = 0 (0, 0, y)."""
        sigma = jnp.asarray(self.deviations(), y.dtype)[k]
        first = k == 0
        return jnp.log(sigma), jnp.where(first, 0, y + sigma * z), jnp.where(first, y, z)

    def stages(self, net: Net, like: Float[Array, "..."], *, key: PRNGKeyArray) -> Float[Array, "stages ..."]:
        """The first guess, and that after each refinement."""
        guess = net(jnp.zeros((), like.dtype), jnp.zeros_like(like))
        if self.steps == 0:
            return guess[None]

        def refine(y: Array, row: tuple) -> tuple[Array, Array]:
            sigma, one = row
            noisy = y + sigma * jr.normal(one, y.shape, y.dtype)
            y = noisy - sigma * net(jnp.log(sigma), noisy)
            return y, y

        sigmas = jnp.asarray(self.deviations()[1:], like.dtype)
        _, later = jax.lax.scan(refine, guess, (sigmas, jr.split(key, self.steps)))
        return jnp.concatenate([guess[None], later])


class DiffusionRefinement(AbstractRefinement):
    """The form in the released code: K + 1 levels of DDPM on a y of deviation one, with v predicted.

    β_i = variance_min^((K - i)/K), i = 0 … K, so that at the last level, where a prediction starts, all is noise. The
    steps between are the chain's posterior (`DDIMStep(1)` on `Tabulated.from_betas`), the last guess is the data
    expected at level 0. Samples are less spread than the law they stand for, by construction: with variance_min = 4e-7
    and K = 3 half as much, or less; their mean is right.

    **Arguments:** `steps`, K >= 0; `variance_min`, the VARIANCE of the smallest noise (deviation 6.3e-4 by default;
    `min_noise_std` in the released code, where it is a variance all the same).
    """

    steps: int = eqx.field(static=True, default=3)
    variance_min: float = eqx.field(static=True, default=4e-7)

    def __check_init__(self) -> None:
        _check(self, "variance_min", self.variance_min)

    def betas(self) -> np.ndarray:
        """β_0 … β_K in float64."""
        k = self.steps
        return self.variance_min ** ((k - np.arange(k + 1)) / k) if k else np.ones(1)

    def schedule(self) -> Tabulated:
        """The chain as a schedule, level i at the time (i + 1)/(K + 1); K >= 1."""
        return Tabulated.from_betas(self.betas())

    def pair(
        self, y: Float[Array, "..."], k: Int[Array, ""], z: Float[Array, "..."]
    ) -> tuple[Float[Array, ""], Float[Array, "..."], Float[Array, "..."]]:
        """(log σ/α, α y + σ z, α z - σ y)."""
        if self.steps == 0:
            return jnp.asarray(LEVEL_OF_NOISE, y.dtype), z, -y
        schedule = self.schedule()
        t = self._times(y.dtype)[k]
        return schedule.level(t), schedule.noised(t, y, z), V().target(schedule, t, y, z)

    def stages(self, net: Net, like: Float[Array, "..."], *, key: PRNGKeyArray) -> Float[Array, "stages ..."]:
        """The data expected at each level, from the noisiest to the last."""
        start, rest = jr.split(key)
        x = jr.normal(start, like.shape, like.dtype)
        if self.steps == 0:
            return -net(jnp.asarray(LEVEL_OF_NOISE, like.dtype), x)[None]
        schedule, times = self.schedule(), self._times(like.dtype)[::-1]

        def read(t: Array, x: Array) -> Reading:
            return Reading(*V().read(lambda guess: net(schedule.level(t), guess), schedule, t, x))

        def down(x: Array, row: tuple) -> tuple[Array, Array]:
            s, t, one = row
            found = read(s, x)
            x, _ = DDIMStep(1.0).step(_Known(schedule, found), x, s, t, None, one)
            return x, found.data

        x, earlier = jax.lax.scan(down, x, (times[:-1], times[1:], jr.split(rest, self.steps)))
        return jnp.concatenate([earlier, read(times[-1], x).data[None]])

    def _times(self, dtype: Any) -> Array:
        return jnp.asarray(np.arange(1, self.steps + 2) / (self.steps + 1), dtype)


LEVEL_OF_NOISE = 10.0
"""What a network is told where nothing but noise is left; the largest level of a schedule."""


class _Known(AbstractDenoiser):
    """A denoiser at one x, whose reading is known."""

    schedule: AbstractSchedule
    reading: Reading

    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> Reading:
        """The reading."""
        return self.reading


def _check(owner: Any, name: str, smallest: float) -> None:
    kind = type(owner).__name__
    if isinstance(owner.steps, bool) or not isinstance(owner.steps, int) or owner.steps < 0:
        raise ValueError(f"{kind}: steps={owner.steps!r}; expected an integer, 0 for no refinement.")
    if not 0 < smallest < 1 or not math.isfinite(smallest):
        raise ValueError(
            f"{kind}: {name}={smallest}; expected a number between 0 and 1, the target having deviation 1."
        )

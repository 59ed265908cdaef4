"""Encoders of a point: what a coordinate network sees of x.

scaled:    the box mapped onto [-1, 1] in every axis
periodic:  1, cos k w x, sin k w x (k = 1..M, w = 2π / length), all products where two axes or more are periodic
Fourier:   cos(B z), sin(B z), B drawn from N(0, s²)
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.fields import Box
from cadlag.nn._init import normal


class AbstractEncoder(eqx.Module):
    """Features of a point.

    To write your own, give the property `size` and `__call__(point) -> (size,)`, smooth and of order one on the box.
    Networks make their encoder by `encoder(box, key=key)`, so let the constructor take these two.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """How many features."""

    @abstractmethod
    def __call__(self, point: Float[Array, " d"]) -> Float[Array, " size"]:
        """The features of one point (d,), in its dtype."""


class ToUnit(AbstractEncoder):
    """The box mapped onto [-reach, reach] in every axis.

    **Arguments:** `box`; `reach`, default 1. `key` is not used.
    """

    box: Box
    reach: float = eqx.field(static=True)

    def __init__(self, box: Box, *, reach: float | int = 1.0, key: PRNGKeyArray | None = None):
        del key
        if not reach > 0:
            raise ValueError(f"reach={reach} of ToUnit must be positive.")
        self.box, self.reach = box, float(reach)

    @property
    def size(self) -> int:
        """As many as axes."""
        return self.box.dimension

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, " d"]:
        """The scaled coordinates."""
        return self.reach * self.box.to_unit(point)


class PeriodicEmbedding(AbstractEncoder):
    """Periodic axes as harmonics, so that every network behind it is periodic with all its derivatives; other axes
    mapped onto [-1, 1]. One periodic axis gives 1 + 2 M features, k of them all products, (1 + 2 M)^k.

    Dong and Ni, A method for representing periodic functions … (2021); Wang et al. (arXiv 2203.07404), eq. 3.11.

    **Arguments:**

    - `box`: where the points lie.
    - `harmonics`: M.
    - `axes`: names of the periodic axes; by default those of the box. `key` is not used.
    """

    box: Box
    harmonics: int = eqx.field(static=True)
    axes: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self, box: Box, *, harmonics: int = 5, axes: Iterable[str] | None = None, key: PRNGKeyArray | None = None
    ):
        del key
        if harmonics < 1:
            raise ValueError(f"harmonics={harmonics} of a PeriodicEmbedding must be at least 1.")
        self.box, self.harmonics = box, harmonics
        self.axes = box.periodic if axes is None else tuple(axes)
        for name in self.axes:
            box.axis(name)
        if not self.axes:
            raise ValueError(
                f"PeriodicEmbedding: no axis of {list(box.names)} is periodic; say axes=, or make the box with "
                "periodic=."
            )

    @property
    def size(self) -> int:
        """Harmonics and the other coordinates."""
        return self.box.dimension - len(self.axes) + (1 + 2 * self.harmonics) ** len(self.axes)

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, " size"]:
        """The other coordinates, then the harmonics."""
        waves = jnp.ones((1,), point.dtype)
        for name in self.axes:
            waves = jnp.outer(waves, self._harmonics(point, name)).reshape(-1)
        kept = [i for i, name in enumerate(self.box.names) if name not in self.axes]
        return jnp.concatenate([self.box.to_unit(point)[np.asarray(kept, int)], waves])

    def _harmonics(self, point: Float[Array, " d"], name: str) -> Float[Array, " n"]:
        place = self.box.axis(name)
        k = np.arange(1, self.harmonics + 1) * (2 * np.pi / self.box.lengths[place])
        phase = (point[place] - self.box.lower[place]) * jnp.asarray(k, point.dtype)
        return jnp.concatenate([jnp.ones((1,), point.dtype), jnp.cos(phase), jnp.sin(phase)])


class RandomFourierFeatures(AbstractEncoder):
    """cos(B z) and sin(B z), B drawn once from N(0, scale²), of the features z of another encoder.

    Tancik et al., Fourier features let networks learn high frequency functions (2020), with B in radians.

    **Arguments:**

    - `box`: where the points lie.
    - `size`: how many features, even.
    - `scale`: standard deviation of B; by the defaults z lies in [-1, 1].
    - `encoder`: constructor `(box, *, key)` of the inner encoder.
    - `trainable`: False keeps B as drawn.
    - `key`: for B.
    """

    inner: AbstractEncoder
    frequencies: Float[Array, "half inner"]
    trainable: bool = eqx.field(static=True)

    def __init__(
        self,
        box: Box,
        *,
        size: int = 128,
        scale: float | int = 1.0,
        encoder: Callable[..., AbstractEncoder] = ToUnit,
        trainable: bool = False,
        key: PRNGKeyArray,
    ):
        if size < 2 or size % 2:
            raise ValueError(f"size={size} of RandomFourierFeatures must be even: it counts cosines and sines.")
        if not scale > 0:
            raise ValueError(f"scale={scale} of RandomFourierFeatures must be positive.")
        inner_key, own = jr.split(key)
        self.inner = encoder(box, key=inner_key)
        self.frequencies = normal(own, (size // 2, self.inner.size), float(scale))
        self.trainable = trainable

    @property
    def size(self) -> int:
        """Cosines and sines."""
        return 2 * self.frequencies.shape[0]

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, " size"]:
        """The features, cosines first."""
        B = self.frequencies if self.trainable else jax.lax.stop_gradient(self.frequencies)
        phase = B @ self.inner(point)
        return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])

"""Maps without weights that are no nonlinearities: norms, dropout, pooling, flattening, the identity."""

import dataclasses
import math

import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from cadlag.kernels._gram import AbstractGramMap, Gram
from cadlag.kernels._gram_networks import Dropped, Flattened, Normalised, Pooled, Unchanged


class Identity(AbstractGramMap):
    """The input itself: the skip connection of `Add`."""

    @property
    def joint(self) -> bool:
        """No."""
        return False

    def __call__(self, gram: Gram) -> Gram:
        """The same state."""
        return gram

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> Unchanged:
        """The identity."""
        return Unchanged()


class RMSNorm(AbstractGramMap):
    """x / sqrt(mean of x² over channels), at each position of an image: points on a sphere.

    Anywhere in a network, also first, where it projects the inputs exactly.

    **Arguments:**

    - `eps`: added to the mean of squares.
    """

    eps: float | int = 1e-12

    @property
    def joint(self) -> bool:
        """No."""
        return False

    def __call__(self, gram: Gram) -> Gram:
        """K and T divided by sqrt(k11 k22): the variance is a constant in the limit, and so is its gradient zero."""
        return normalised(gram, self.eps)

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> Normalised:
        """The norm over the channels."""
        return Normalised(self.eps, centre=False)


class LayerNorm(AbstractGramMap):
    """(x - mean) / deviation over channels, without parameters; after `Dense` or `Conv`, where the mean vanishes.

    **Arguments:**

    - `eps`: added to the variance.
    """

    eps: float | int = 1e-12

    @property
    def joint(self) -> bool:
        """No."""
        return False

    def __call__(self, gram: Gram) -> Gram:
        """As `RMSNorm`.

        **Raises:** ValueError where the mean over units does not vanish.
        """
        if not gram.gaussian:
            raise ValueError(
                "LayerNorm: units here have a mean over channels that its kernel would need. Place it right after "
                "Dense or Conv, or use RMSNorm()."
            )
        return normalised(gram, self.eps)

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> Normalised:
        """The norm over the channels."""
        return Normalised(self.eps, centre=True)


def normalised(gram: Gram, eps: float | int) -> Gram:
    """Correlations: all covariances divided by both deviations."""
    d1, d2 = (jnp.sqrt(v + eps) for v in gram.variances())
    space = len(gram.space)

    def divided(k: Array | None, a: Array, b: Array) -> Array | None:
        return None if k is None else k / outer(a, b, space, gram.joint)

    # Within one example, a and b are the deviations at the first and at the second position.
    k11, k22 = (k / _within(d, space, gram.joint) for k, d in ((gram.k11, d1), (gram.k22, d2)))
    changed = dataclasses.replace(gram, k11=k11, k22=k22, tangent=divided(gram.tangent, d1, d2))
    k12 = gram.k12 / outer(d1, d2, space, gram.joint)
    same, variance = gram.same_units(), (d1**2 - eps) / d1**2
    if same is not None:
        k12 = jnp.where(same, first(variance, space, gram.joint), k12)
    return dataclasses.replace(changed, k12=k12)


def first(a: Array, space: int, joint: bool) -> Array:
    """(n, *space) placed as the first example and position of a (n, m, *space) or (n, m, *space, *space)."""
    return a[:, None].reshape(a.shape[0], 1, *a.shape[1:], *(1,) * (space if joint else 0))


def second(b: Array, space: int, joint: bool) -> Array:
    """(m, *space) placed as the second example and position."""
    return b.reshape(1, b.shape[0], *(1,) * (space if joint else 0), *b.shape[1:])


def outer(a: Array, b: Array, space: int, joint: bool) -> Array:
    """Products over all pairs of examples (and positions)."""
    return first(a, space, joint) * second(b, space, joint)


def _within(d: Array, space: int, joint: bool) -> Array:
    """Products of one example's values at both positions."""
    if not joint:
        return d * d
    return d.reshape(*d.shape, *(1,) * space) * d.reshape(d.shape[0], *(1,) * space, *d.shape[1:])


class Dropout(AbstractGramMap):
    """Units set to zero with probability `rate` and the others divided by 1 - rate, independently for each example.

    Adds to the variance alone: a ridge at every layer.
    """

    rate: float | int

    def __check_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate={self.rate} of Dropout: expected a probability from 0 to below 1.")

    @property
    def joint(self) -> bool:
        """No."""
        return False

    def __call__(self, gram: Gram) -> Gram:
        """Variances divided by 1 - rate, and so is T(x, x)."""
        keep, same, where = 1 - self.rate, gram.same_units(), gram.positions()

        def across(k: Array | None) -> Array | None:
            return k if same is None or k is None else jnp.where(same, k / keep, k)

        k11, k22 = (k / keep if where is None else jnp.where(where[None], k / keep, k) for k in (gram.k11, gram.k22))
        return dataclasses.replace(
            gram, k12=across(gram.k12), k11=k11, k22=k22, tangent=across(gram.tangent), gaussian=False
        )

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> Dropped:
        """The layer as it is in training, with one fixed mask."""
        return Dropped(shape, self.rate, key=key)


class AveragePool(AbstractGramMap):
    """Means over windows of an image that do not overlap, or with None over all of it.

    **Arguments:**

    - `window`: sizes along the axes, which must divide those of the image; None: the whole image becomes one point.
    """

    window: tuple[int, ...] | None = None

    def __check_init__(self) -> None:
        if self.window is not None and any(w < 1 for w in self.window):
            raise ValueError(f"window={self.window} of AveragePool: expected positive sizes, or None for all.")

    @property
    def joint(self) -> bool:
        """Yes: a mean mixes positions."""
        return True

    def __call__(self, gram: Gram) -> Gram:
        """Means over all pairs of positions in two windows."""
        window = pool_window(self.window, gram.space)
        if not gram.joint:
            raise ValueError(
                "AveragePool: the state holds equal positions only; make it with `input_gram(joint=True)`."
            )
        return gram.each(lambda k: window_means(k, 2, (*window, *window)))

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> Pooled:
        """The same means."""
        return Pooled(pool_window(self.window, shape[1:]))


def pool_window(window: tuple[int, ...] | None, space: tuple[int, ...]) -> tuple[int, ...]:
    """The window for an image of these sizes."""
    window = space if window is None else window
    if len(window) != len(space) or not space or any(n % w for n, w in zip(space, window, strict=True)):
        raise ValueError(f"AveragePool: windows {window} do not divide an image of sizes {space}.")
    return window


def window_means(k: Array, skip: int, window: tuple[int, ...]) -> Array:
    """Means over windows along all axes but the first `skip`."""
    split = [part for n, w in zip(k.shape[skip:], window, strict=True) for part in (n // w, w)]
    axes = tuple(range(skip + 1, skip + 2 * len(window), 2))
    return jnp.mean(k.reshape(*k.shape[:skip], *split), axis=axes)


class Flatten(AbstractGramMap):
    """All channels at all positions of an image as one vector."""

    @property
    def joint(self) -> bool:
        """No: products of equal positions are summed."""
        return False

    def __call__(self, gram: Gram) -> Gram:
        """Means over positions of what stands between equal ones."""
        if not gram.space:
            raise ValueError("Flatten: the inputs are vectors already; expected examples (channels, *space).")
        size = math.prod(gram.space)

        def mean(k: Array) -> Array:
            if not gram.joint:
                return jnp.mean(k, axis=tuple(range(2, k.ndim)))
            return jnp.mean(jnp.diagonal(k.reshape(*k.shape[:2], size, size), axis1=2, axis2=3), axis=2)

        return gram.each(mean, joint=False, gaussian=False)

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> Flattened:
        """Flattening."""
        return Flattened()

"""What a path is: a function of time with values in R^c, and two paths made from plain functions."""

import abc
import enum
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real

ScalarLike = Real[ArrayLike, ""]


class LookAhead(enum.Enum):
    """How much of the future a path needs to know its value at time t.

    - `none`: only data at or before t; the path may be used online.
    - `next`: data up to the next observed value of each channel.
    - `all`: the whole series.
    """

    none = "none"
    next = "next"
    all = "all"


class AbstractPath(eqx.Module):
    """A function of time, t -> X(t) in R^c, for ONE example; `jax.vmap` makes batches.

    To write your own: give `evaluate` and `derivative`, the ends `t0` and `t1`, and say in `look_ahead`
    how much of the data after t the value at t depends on. Outside [t0, t1] a path made from data holds its
    end values and has derivative zero.
    """

    look_ahead: eqx.AbstractVar[LookAhead]

    @property
    @abc.abstractmethod
    def t0(self) -> ScalarLike:
        """Where the path starts."""

    @property
    @abc.abstractmethod
    def t1(self) -> ScalarLike:
        """Where it ends."""

    @abc.abstractmethod
    def evaluate(self, t: ScalarLike) -> Float[Array, "channels"]:
        """The value X(t), shape (channels,)."""

    @abc.abstractmethod
    def derivative(self, t: ScalarLike) -> Float[Array, "channels"]:
        """The right derivative dX/dt at t (the left one at `t1`), shape (channels,)."""

    def increment(self, t0: ScalarLike, t1: ScalarLike) -> Float[Array, "channels"]:
        """X(t1) - X(t0), shape (channels,)."""
        return self.evaluate(t1) - self.evaluate(t0)


class FunctionPath(AbstractPath):
    """Any differentiable function of time as a path.

    **Arguments:** `fn` takes a scalar time and returns an array of shape (channels,); `start` and `end` are
    the ends of the interval on which it is meant (default: the whole line). The derivative is taken by
    forward mode.
    """

    fn: Callable
    start: ScalarLike = -jnp.inf
    end: ScalarLike = jnp.inf
    look_ahead: LookAhead = eqx.field(static=True, default=LookAhead.none)

    @property
    def t0(self) -> ScalarLike:
        """The start."""
        return self.start

    @property
    def t1(self) -> ScalarLike:
        """The end."""
        return self.end

    def evaluate(self, t: ScalarLike) -> Float[Array, "channels"]:
        """The value fn(t)."""
        return self.fn(_float(t))

    def derivative(self, t: ScalarLike) -> Float[Array, "channels"]:
        """The derivative of fn at t."""
        t = _float(t)
        return jax.jvp(self.fn, (t,), (jnp.ones_like(t),))[1]


class MappedPath(AbstractPath):
    """The path t -> fn(path(t)), with the chain rule for its derivative.

    **Arguments:** `path`, an `AbstractPath`; `fn`, a differentiable map from (channels,) to (new channels,).
    """

    path: AbstractPath
    fn: Callable

    @property
    def t0(self) -> ScalarLike:
        """Start of the inner path."""
        return self.path.t0

    @property
    def t1(self) -> ScalarLike:
        """End of the inner path."""
        return self.path.t1

    @property
    def look_ahead(self) -> LookAhead:
        """That of the inner path."""
        return self.path.look_ahead

    def evaluate(self, t: ScalarLike) -> Float[Array, "channels"]:
        """The value fn(X(t))."""
        return self.fn(self.path.evaluate(t))

    def derivative(self, t: ScalarLike) -> Float[Array, "channels"]:
        """The derivative Dfn(X(t)) dX/dt."""
        return jax.jvp(self.fn, (self.path.evaluate(t),), (self.path.derivative(t),))[1]


def _float(t: ScalarLike) -> Array:
    t = jnp.asarray(t)
    return t if jnp.issubdtype(t.dtype, jnp.floating) else t.astype(jnp.result_type(float))

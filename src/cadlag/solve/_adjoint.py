"""How a solve is differentiated: what is stored on the way there, and what is recomputed on the way back."""

import abc
import math
from collections.abc import Callable

import equinox as eqx
import jax
from jax import lax
from jaxtyping import PyTree


class AbstractAdjoint(eqx.Module):
    """A way to differentiate a solve.

    To write your own for fixed steps: give `loop(body, carry, xs, length)`, a scan.
    """

    @abc.abstractmethod
    def loop(self, body: Callable, carry: PyTree, xs: PyTree, length: int) -> tuple[PyTree, PyTree]:
        """Scan `body` over `xs`."""


class Direct(AbstractAdjoint):
    """Back-propagate through the scan. Memory: O(steps) states.

    **Arguments:**

    - `store_intermediates`: keep what the coefficients computed at each step (a network's activations), which
      costs memory in proportion; by default only the states are kept and each step is recomputed once.
    """

    store_intermediates: bool = eqx.field(static=True, default=False)

    def loop(self, body: Callable, carry: PyTree, xs: PyTree, length: int) -> tuple[PyTree, PyTree]:
        """One scan."""
        body = body if self.store_intermediates else jax.checkpoint(body, prevent_cse=False)
        return lax.scan(body, carry, xs, length=length)


class Checkpointed(AbstractAdjoint):
    """Keep about sqrt(steps) states, recompute the steps between them. Memory O(sqrt(steps)), one more forward pass.

    **Arguments:**

    - `segments`: number of kept states; the default is the square root of the number of steps.
    """

    segments: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.segments is not None and self.segments < 1:
            raise ValueError(f"segments={self.segments} must be at least 1.")

    def loop(self, body: Callable, carry: PyTree, xs: PyTree, length: int) -> tuple[PyTree, PyTree]:
        """A scan of checkpointed scans, and a shorter one for what is left over."""
        segments = min(self.segments or max(1, math.isqrt(length)), length)
        inner = length // segments
        head, tail = segments * inner, length - segments * inner

        def segment(state: PyTree, rows: PyTree) -> tuple[PyTree, PyTree]:
            return lax.scan(jax.checkpoint(body, prevent_cse=False), state, rows, length=inner)

        rows = jax.tree.map(lambda x: x[:head].reshape(segments, inner, *x.shape[1:]), xs)
        carry, out = lax.scan(jax.checkpoint(segment, prevent_cse=False), carry, rows, length=segments)
        out = jax.tree.map(lambda x: x.reshape(head, *x.shape[2:]), out)
        if tail:
            rest = jax.tree.map(lambda x: x[head:], xs)
            last = jax.checkpoint(lambda c, r: lax.scan(body, c, r, length=tail), prevent_cse=False)
            carry, more = last(carry, rest)
            out = jax.tree.map(lambda a, b: jax.numpy.concatenate([a, b]), out, more)
        return carry, out


class Reversible(AbstractAdjoint):
    """Walk `ReversibleHeun` backwards by its algebraic inverse: memory O(1) in the number of steps.

    The gradient is that of `Direct` up to rounding. Noise of a `BrownianGrid` is redrawn, not stored. Parameters must
    be in the process or in `args`, not closed over by a function; output times get no gradient (an error says so).
    With outputs between the ends the states, not the activations, are kept.
    """

    def loop(self, body: Callable, carry: PyTree, xs: PyTree, length: int) -> tuple[PyTree, PyTree]:
        """Not a scan of a body: see `_reversible.py`."""
        raise TypeError("Reversible() needs stepper=ReversibleHeun() and fixed steps.")


class Backsolve(AbstractAdjoint):
    """Optimise-then-discretise: solve the adjoint equation backwards. Memory O(1), gradients approximate.

    For ODEs on fixed steps, on any grid, by the stepper that went forwards; for ODEs on adaptive steps and
    Stratonovich SDEs on a `BrownianTree` (equal steps) through Diffrax. The gradient's error falls with the steps, at
    the stepper's order. Parameters must be in the process or in `args`, not closed over by a function; output times
    get no gradient (an error says so).

    **Arguments:**

    - `store`: on fixed steps of an ODE keep the state after each step (not the activations), so that the state is not
      solved backwards, which drifts. Memory: O(steps) states.
    """

    store: bool = eqx.field(static=True, default=False)

    def loop(self, body: Callable, carry: PyTree, xs: PyTree, length: int) -> tuple[PyTree, PyTree]:
        """Not a scan of a body: see `_backsolve.py`."""
        raise TypeError("Backsolve() differentiates `solve`: give an ODE, or a Stratonovich SDE on a BrownianTree.")


class Interpolated(AbstractAdjoint):
    """Optimise-then-discretise with y(t) read from stored dense output: the state is not solved backwards.

    For ODEs, on fixed steps by the stepper that went forwards (error of its order, of the fourth at most), and on
    `AdaptiveSteps` by any Diffrax solver, stiff ones too (error of the tolerance). Memory: O(steps) states, no
    activations; on adaptive steps room for `max_steps` of them is taken, so set that no higher than needed. Parameters
    must be in the process or in `args`, not closed over by a function; output times get no gradient (an error says so).

    Example: `solve(ODE(field), y0, ts, steps=AdaptiveSteps(rtol=1e-6), adjoint=Interpolated())`.
    """

    def loop(self, body: Callable, carry: PyTree, xs: PyTree, length: int) -> tuple[PyTree, PyTree]:
        """Not a scan of a body: see `_interpolated.py`."""
        raise TypeError("Interpolated() differentiates `solve` of an ODE.")

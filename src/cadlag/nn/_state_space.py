"""Linear state-space layers (Gu et al., NeurIPS 2021): one linear system per feature, run in three ways.

x' = A x + B u, y = C x + D u, each of H features with a step h of its own. As a recurrence, by the generalised bilinear
rule, x_k = Ā x_(k-1) + B̄ u_k; as a causal convolution of u with K = (C B̄, C Ā B̄, C Ā² B̄, ...), by FFT; and on
another sampling, by another step. The kernel comes from two shorter chains, K_(i + mj) = (C Ā^i)(Ā^(mj) B̄), so that
length L costs O(sqrt(L)) vectors of memory.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.lax.linalg import tridiagonal_solve
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.nn._hippo import AbstractMemory, Factors, LegS

# How much slower than C and D the system and the steps are learnt: 1e-4 and 1e-3 where C has 4e-3.
_SYSTEM_RATE, _STEP_RATE = 1 / 40, 1 / 4
_LEGS = LegS()


class StateSpace(eqx.Module):
    """H linear systems of order N that share A and B, with M outputs each.

    **Arguments:**

    - `features`: H; `order`: N; `outputs`: M.
    - `memory`: which A and B, `LegS()` by default.
    - `learn`: whether A, B and the steps are learnt, A within its structured class; else they stay as they are.
    - `alpha`: of the bilinear rule, ½ by default; below ½ it need not be stable.
    - `steps`: smallest and largest step; the features' are spread between them in equal ratios. About one over the
      length of what is to be remembered.
    - `key`: for C and D.

    What is learnt of A, B and steps are small departures, in units that make an optimiser move them as much more slowly
    as the paper's rates ask for. Weight decay pulls them back to the memory.

    **Raises:** ValueError for sizes or steps out of range.
    """

    c: Float[Array, "H M N"]
    d: Float[Array, "H M"]
    shift: tuple[Float[Array, "7 N"], Float[Array, " H"]] | None
    memory: AbstractMemory
    order: int = eqx.field(static=True)
    alpha: float = eqx.field(static=True)
    steps: tuple[float, float] = eqx.field(static=True)

    def __init__(
        self,
        features: int,
        order: int = 64,
        *,
        outputs: int = 1,
        memory: AbstractMemory = _LEGS,
        learn: bool = True,
        alpha: float = 0.5,
        steps: tuple[float, float] = (1e-3, 1e-1),
        key: PRNGKeyArray,
    ):
        if min(features, order, outputs) < 1:
            raise ValueError(f"features={features}, order={order}, outputs={outputs}: expected positive numbers.")
        if not 0 < steps[0] <= steps[1] < math.inf or not 0 <= alpha <= 1:
            raise ValueError(f"steps={steps}, alpha={alpha}: expected 0 < smallest <= largest, and alpha in [0, 1].")
        if learn and memory.factors(order) is None:
            raise ValueError(f"{type(memory).__name__} has no structured class to learn in; pass learn=False.")
        k1, k2 = jr.split(key)
        self.c, self.d = jr.normal(k1, (features, outputs, order)), jr.normal(k2, (features, outputs))
        self.shift = (jnp.zeros((7, order)), jnp.zeros(features)) if learn else None
        self.memory, self.order, self.alpha = memory, order, float(alpha)
        self.steps = (float(steps[0]), float(steps[1]))

    @property
    def step(self) -> Float[Array, " H"]:
        """The features' steps, in the memory's unit of time."""
        spread = np.geomspace(*self.steps, len(self.c))
        fixed = jnp.asarray(spread, self.c.dtype)
        return fixed if self.shift is None else fixed * jnp.exp(_STEP_RATE * self.shift[1])

    def system(self) -> tuple[Float[Array, "N N"], Float[Array, " N"]]:
        """A and B as dense arrays."""
        if self.shift is None:
            a, b = self.memory.matrices(self.order)
            return jnp.asarray(a, self.c.dtype), jnp.asarray(b, self.c.dtype)
        f = self._factors()
        eye = jnp.eye(self.order, dtype=self.c.dtype)
        inverse = tridiagonal_solve(f.lower, f.diagonal, f.upper, eye)
        return -f.left[:, None] * (inverse + jnp.diag(f.c)) * f.right[None], f.left * f.b

    def discretised(self, scale: Any = 1.0) -> tuple[Float[Array, "H N N"], Float[Array, "H N"]]:
        """Ā and B̄ of every feature, its step times `scale`."""
        a, b = self.system()
        eye = jnp.eye(self.order, dtype=a.dtype)

        def one(h: Array) -> tuple[Array, Array]:
            both = jnp.concatenate([eye + (1 - self.alpha) * h * a, (h * b)[:, None]], axis=1)
            found = jnp.linalg.solve(eye - self.alpha * h * a, both)
            return found[:, :-1], found[:, -1]

        return jax.vmap(one)(self.step * jnp.asarray(scale, a.dtype))

    def kernel(self, length: int, *, scale: Any = 1.0) -> Float[Array, "H M L"]:
        """K_k = C Ā^k B̄ for k below `length`, without D."""
        a, b = self.discretised(scale)
        return jax.vmap(lambda c, a, b: krylov_products(c, a, b, length))(self.c, a, b)

    def __call__(self, u: Float[Array, "L H"], *, scale: Any = 1.0) -> Float[Array, "L H M"]:
        """The outputs as a convolution: O(L log L) work and no loop over time.

        `scale` multiplies the steps: 2 where u has half the samples a unit of time that the layer was trained on.
        """
        size = 2 * len(u)
        spectrum = jnp.fft.rfft(self.kernel(len(u), scale=scale), size)
        y = jnp.fft.irfft(spectrum * jnp.fft.rfft(u.T, size)[:, None], size)[:, :, : len(u)]
        return jnp.moveaxis(y, 2, 0) + u[:, :, None] * self.d[None]

    def scan(
        self, u: Float[Array, "L H"], *, gaps: Any = None, state: Any = None
    ) -> tuple[Float[Array, "L H M"], Float[Array, "H N"]]:
        """The outputs as a recurrence, and the last state, from which a later piece goes on.

        **Arguments:** `gaps` (L,), how long before each row the last one was, in rows' usual distance (None: one each);
        a row of gap 0 leaves the state as it is. `state` (H, N): where it starts, at rest by default.
        """
        start = jnp.zeros((len(self.c), self.order), u.dtype) if state is None else state
        structured = self.memory.factors(self.order) is not None
        known = None if structured or gaps is not None else self.discretised()

        def row(x: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            x = self._structured(x, *now) if structured else self._dense(x, *now, known)
            return x, jnp.einsum("hmn,hn->hm", self.c, x) + self.d * now[0][:, None]

        last, y = jax.lax.scan(row, start, (u, jnp.ones(len(u), u.dtype) if gaps is None else gaps))
        return y, last

    def parallel_scan(
        self, u: Float[Array, "L H"], *, gaps: Any = None, state: Any = None
    ) -> tuple[Float[Array, "L H M"], Float[Array, "H N"]]:
        """As `scan`, by an associative scan over the rows' maps: depth log L, but N³ work and N² memory a row."""
        gaps = jnp.ones(len(u), u.dtype) if gaps is None else gaps
        a, b = jax.vmap(self.discretised)(gaps)
        pushed = b * u[:, :, None]
        if state is not None:
            pushed = pushed.at[0].add(jnp.einsum("hnk,hk->hn", a[0], state))

        def after(one: tuple, two: tuple) -> tuple:
            (a1, b1), (a2, b2) = one, two
            return a2 @ a1, jnp.einsum("...nk,...k->...n", a2, b1) + b2

        states = jax.lax.associative_scan(after, (a, pushed))[1]
        return jnp.einsum("hmn,lhn->lhm", self.c, states) + u[:, :, None] * self.d[None], states[-1]

    def _factors(self) -> Factors:
        known = self.memory.factors(self.order)
        assert known is not None
        fixed = Factors(*(jnp.asarray(x, self.c.dtype) for x in known))
        if self.shift is None:
            return fixed
        # Relative to each vector's size; the corners of T stay 0.
        sizes = [jnp.maximum(jnp.abs(x), 1.0) for x in fixed]
        moved = [x + _SYSTEM_RATE * s * z for x, s, z in zip(fixed, sizes, self.shift[0], strict=True)]
        f = Factors(*moved)
        return f._replace(lower=f.lower.at[0].set(0), upper=f.upper.at[-1].set(0))

    def _structured(self, x: Array, u: Array, gap: Array) -> Array:
        """One step of all features by the structured products, O(N) each."""
        f, h = self._factors(), self.step * gap

        def one(x: Array, u: Array, h: Array) -> Array:
            forward = x + (1 - self.alpha) * h * quasiseparable_product(f, x)
            return quasiseparable_solve(f, self.alpha * h, forward + h * f.left * f.b * u)

        return jnp.where(gap > 0, jax.vmap(one)(x, u, h), x)

    def _dense(self, x: Array, u: Array, gap: Array, known: Any) -> Array:
        a, b = self.discretised(gap) if known is None else known
        return jnp.where(gap > 0, jnp.einsum("hnk,hk->hn", a, x) + b * u[:, None], x)


def quasiseparable_product(f: Factors, x: Float[Array, " N"]) -> Float[Array, " N"]:
    """A x in O(N)."""
    inner = f.right * x
    solved = tridiagonal_solve(f.lower, f.diagonal, f.upper, inner[:, None])[:, 0]
    return -f.left * (solved + f.c * inner)


def quasiseparable_solve(f: Factors, h: Any, x: Float[Array, " N"]) -> Float[Array, " N"]:
    """(I - h A)^-1 x in O(N): with x = Q^-1 T w the system [(Q^-1 + h P C) T + h P] w = x is tridiagonal."""
    weight = 1 / f.right + h * f.left * f.c
    lower, upper = weight * f.lower, weight * f.upper
    w = tridiagonal_solve(lower, weight * f.diagonal + h * f.left, upper, x[:, None])[:, 0]
    below = jnp.concatenate([jnp.zeros_like(w[:1]), w[:-1]])
    above = jnp.concatenate([w[1:], jnp.zeros_like(w[:1])])
    return (f.lower * below + f.diagonal * w + f.upper * above) / f.right


def krylov_products(c: Float[Array, "M N"], a: Float[Array, "N N"], b: Float[Array, " N"], length: int) -> Array:
    """C A^k b for k below `length`, (M, length): the rows C A^i and the columns A^(mj) b, multiplied."""
    rows = math.isqrt(max(length - 1, 0)) + 1
    columns = -(-length // rows)
    left = _chain(lambda x: x @ a, c, rows)
    power = jnp.linalg.matrix_power(a, rows)
    right = _chain(lambda x: power @ x, b, columns)
    return jnp.einsum("imn,jn->mji", left, right).reshape(len(c), -1)[:, :length]


def _chain(step: Any, start: Array, length: int) -> Array:
    return jax.lax.scan(lambda x, _: (step(x), x), start, None, length=length)[1]

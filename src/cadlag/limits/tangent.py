"""Training in closed form where the tangent kernel does not move: infinite width, or a linearised model.

Loss = |f(X) - y|² / (2 N), N the number of entries of y; learning rate eta; time t in steps. Then f(X) - y obeys a
linear equation with the matrix Theta / N:

    flow:     f_t(X) = y + exp(-eta t Theta / N) (f_0(X) - y)
    descent:  f_t(X) = y + (1 - eta Theta / N)^t (f_0(X) - y)
    anywhere: f_t(x) = f_0(x) + Theta(x, X) Theta⁻¹ (1 - decay) (y - f_0(X))

Jacot, Gabriel and Hongler, NeurIPS 2018; Lee et al., NeurIPS 2019, eqs. 8 to 16. Some write eta t for our eta t / N.
"""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.linalg import Cholesky, safe_cholesky

Time = float | int | Float[Array, ""]


class TangentDynamics(eqx.Module):
    """Gradient descent or flow on squared loss with a fixed tangent kernel. Make it with `tangent_dynamics`.

    **Arguments:**

    - `values`, `vectors`: eigenvalues of Theta on the training inputs, falling, and its kernel principal components.
    - `cholesky`: of Theta, for t = inf, with the jitter that it needed.
    - `y`: targets (n, outputs), or (n o, 1) where Theta has blocks for outputs.
    - `learning_rate`, `discrete`: descent in steps, or flow.
    - `blocks`: the number of outputs o where Theta has blocks, else None.
    """

    values: Float[Array, " N"]
    vectors: Float[Array, "N N"]
    cholesky: Cholesky
    y: Float[Array, "N outputs"]
    learning_rate: float | int = eqx.field(static=True)
    discrete: bool = eqx.field(static=True)
    blocks: int | None = eqx.field(static=True)

    def decay(self, t: Time) -> Float[Array, " N"]:
        """What is left after t steps of the residual along each principal component, exp(-eta t value / N).

        **Raises:** TypeError for descent and a t that is not an integer.
        """
        if _infinite(t):
            return jnp.where(self.values > 0, 0, jnp.ones_like(self.values))
        rates = self.learning_rate * self.values / self.y.size
        if not self.discrete:
            return jnp.exp(-rates * t)
        if not isinstance(t, int):
            raise TypeError(f"t={t}: descent takes a whole number of steps, an int; for any time pass discrete=False.")
        return (1 - rates) ** t

    def train(self, t: Time, f0: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        """f_t at the training inputs from f_0 there, (n, outputs)."""
        residual = self._flat(f0) - self.y
        if _infinite(t):
            return (self.y + 0 * residual).reshape(f0.shape)
        left = self.vectors @ (self.decay(t)[:, None] * (self.vectors.T @ residual))
        return (self.y + left).reshape(f0.shape)

    def test(
        self,
        t: Time,
        f0: Float[Array, "n ..."],
        f0_test: Float[Array, "m ..."],
        theta_test: Float[Array, "m n ..."],
    ) -> Float[Array, "m ..."]:
        """f_t elsewhere, from f_0 at the training inputs and there, and Theta (m, n) or (m, n, o, o) between both."""
        weights = self.apply(t, self.y - self._flat(f0))
        change = jnp.matmul(_matrix(theta_test), weights, precision="highest")
        return f0_test + change.reshape(f0_test.shape)

    def apply(self, t: Time, residual: Float[Array, "N k"]) -> Float[Array, "N k"]:
        """Theta⁻¹ (1 - decay) r, finite also where Theta is singular; Theta⁻¹ r for t = inf, by Cholesky."""
        if _infinite(t):
            return self.cholesky.solve(residual)
        share = self._filter(t)
        return self.vectors @ (share[:, None] * (self.vectors.T @ residual))

    def ensemble(
        self,
        t: Time,
        theta_test: Float[Array, "m n"],
        nngp: Float[Array, "n n"],
        nngp_test: Float[Array, "m n"],
        nngp_both: Float[Array, "m m"],
    ) -> tuple[Float[Array, "m outputs"], Float[Array, "m m"]]:
        """Mean and covariance over initialisations f_0 ~ GP(0, nngp) of f_t at test inputs; outputs are alike.

        With A = Theta(x, X) Theta⁻¹ (1 - decay): mean A y, covariance K** + A K Aᵀ - A K*ᵀ - K* Aᵀ.

        **Raises:** ValueError where Theta has blocks for outputs.
        """
        if self.blocks is not None:
            raise ValueError("ensemble: Theta has blocks for outputs; use the kernel (n, n) of infinite width.")
        return ensemble_law(self.apply(t, theta_test.T).T, self.y, nngp, nngp_test, nngp_both)

    def largest_rate(self, momentum: float | int = 0.0) -> Float[Array, ""]:
        """The learning rate above which descent diverges: 2 (1 + momentum) N / largest eigenvalue."""
        return 2 * (1 + momentum) * self.y.size / self.values[0]

    def learning_times(self) -> Float[Array, " N"]:
        """Steps after which the residual along each component is 1/e; stopping at t leaves out those above t."""
        rates = self.learning_rate * self.values / self.y.size
        return jnp.where(rates > 0, 1 / jnp.where(rates > 0, rates, 1), jnp.inf)

    def _filter(self, t: Time) -> Float[Array, " N"]:
        """(1 - decay) / value, its limit eta t / N at value 0."""
        rate = self.learning_rate / self.y.size
        positive = self.values > 0
        values = jnp.where(positive, self.values, 1)
        gone = 1 - self.decay(t) if self.discrete else -jnp.expm1(-rate * t * self.values)
        return jnp.where(positive, gone / values, rate * t)

    def _flat(self, f: Array) -> Array:
        return f.reshape(self.y.shape)


def tangent_dynamics(
    theta: Float[Array, "..."],
    y: Float[Array, "..."],
    *,
    learning_rate: float | int = 1.0,
    discrete: bool = False,
    ridge: float | int = 0.0,
) -> TangentDynamics:
    """The dynamics of training on squared loss.

    **Arguments:**

    - `theta`: the tangent kernel on the training inputs, (n, n), the same for every output, or blocks (n, n, o, o).
    - `y`: targets.
    - `learning_rate`: the time t counts steps of this size. `discrete`: descent, for integer t.
    - `ridge`: added to Theta's diagonal, as a share of its mean.

    **Raises:** ValueError for shapes that do not fit, a rate that is not positive, values of Theta that are not finite.
    """
    _check(theta, y, learning_rate, ridge)
    blocks = theta.shape[2] if theta.ndim == 4 else None
    matrix = _matrix(theta)
    matrix = (matrix + matrix.T) / 2
    matrix = matrix + ridge * jnp.mean(jnp.diagonal(matrix)) * jnp.eye(len(matrix), dtype=matrix.dtype)
    values, vectors = jnp.linalg.eigh(matrix)
    return TangentDynamics(
        values=jnp.maximum(values[::-1], 0),
        vectors=vectors[:, ::-1],
        cholesky=safe_cholesky(matrix),
        y=y if blocks is None else y.reshape(-1, 1),
        learning_rate=learning_rate,
        discrete=discrete,
        blocks=blocks,
    )


def ensemble_law(a: Array, y: Array, nngp: Array, nngp_test: Array, nngp_both: Array) -> tuple[Array, Array]:
    """Mean A y and covariance K** + A K Aᵀ - A K*ᵀ - K* Aᵀ of f_0(x) + A (y - f_0(X))."""
    across = jnp.matmul(a, nngp_test.T, precision="highest")
    moved = jnp.matmul(a, jnp.matmul(nngp, a.T, precision="highest"), precision="highest")
    return jnp.matmul(a, y, precision="highest"), nngp_both + moved - across - across.T


def _matrix(theta: Array) -> Float[Array, "N M"]:
    """(n, m, o, o) as a matrix (n o, m o); (n, m) as it is."""
    if theta.ndim == 2:
        return theta
    n, m, o, p = theta.shape
    return jnp.transpose(theta, (0, 2, 1, 3)).reshape(n * o, m * p)


def _infinite(t: Time) -> bool:
    return isinstance(t, float) and math.isinf(t)


def _check(theta: Array, y: Array, learning_rate: float | int, ridge: float | int) -> None:
    n, outputs = y.shape if y.ndim == 2 else (-1, -1)
    if theta.shape not in ((n, n), (n, n, outputs, outputs)):
        raise ValueError(
            f"tangent_dynamics: theta of shape {theta.shape} and y of shape {y.shape}; expected (n, n) or (n, n, o, o) "
            "and (n, o). One output is y[:, None]."
        )
    if not 0 < learning_rate < math.inf or not ridge >= 0:
        raise ValueError(f"learning_rate={learning_rate}, ridge={ridge}: expected a positive rate and ridge >= 0.")

"""Joint laws of x_0 and x_1 with the right marginals, and batches of pairs drawn from them.

Which coupling is used changes the path between the laws, never its ends. Optimal couplings make paths straighter; the
entropic one with `Linear(BrownianGamma(2ε))` makes the SDE of noise ε the Schrödinger bridge (Tong et al., TMLR 2024).
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from cadlag.data import Source
from cadlag.diffusion._interpolant_loss import Pairs
from cadlag.linalg import squared_distances
from cadlag.metrics import entropic_coupling


class AbstractCoupling(eqx.Module):
    """Couples two batches of independent draws.

    To write your own: `__call__(x0, x1, key)` returns as many pairs, made of rows of the two, so that each marginal is
    still (close to) the law its rows came from.
    """

    @abc.abstractmethod
    def __call__(
        self, x0: Float[Array, "n *shape"], x1: Float[Array, "n *shape"], key: PRNGKeyArray
    ) -> tuple[Float[Array, "n *shape"], Float[Array, "n *shape"]]:
        """The coupled pairs."""


class Independent(AbstractCoupling):
    """The product of the two laws: the rows as they come."""

    def __call__(
        self, x0: Float[Array, "n *shape"], x1: Float[Array, "n *shape"], key: PRNGKeyArray
    ) -> tuple[Float[Array, "n *shape"], Float[Array, "n *shape"]]:
        """The rows as they come."""
        return x0, x1


class MinibatchOT(AbstractCoupling):
    """The assignment of least total squared distance within the batch; time like n³ (25 ms for 256 on a CPU).

    A batch sees a part of the laws only, so the coupling is between the independent and the optimal one (Pooladian et
    al., ICML 2023).
    """

    def __call__(
        self, x0: Float[Array, "n *shape"], x1: Float[Array, "n *shape"], key: PRNGKeyArray
    ) -> tuple[Float[Array, "n *shape"], Float[Array, "n *shape"]]:
        """The rows of x0 and x1 in the order of the assignment."""
        n = x0.shape[0]
        cost = squared_distances(x0.reshape(n, -1), x1.reshape(n, -1))
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            i, j = optax.assignment.hungarian_algorithm(cost)
        return x0[i], x1[j]


class EntropicOT(AbstractCoupling):
    """For every row of x0 a row of x1 drawn from the entropic plan of cost |x_0 - x_1|²/(4ε).

    These are the ends of the Schrödinger bridge whose reference is sqrt(2ε) W. On a batch, or once on whole data sets.

    **Arguments:** `epsilon`, positive; `iterations` of Sinkhorn at most, `tolerance` of the marginal.
    """

    epsilon: float | Array
    iterations: int = 500
    tolerance: float = 1e-2

    def __check_init__(self):
        if isinstance(self.epsilon, float | int) and not self.epsilon > 0:
            raise ValueError(f"EntropicOT: epsilon={self.epsilon} must be positive; for zero use MinibatchOT().")

    def __call__(
        self, x0: Float[Array, "n *shape"], x1: Float[Array, "n *shape"], key: PRNGKeyArray
    ) -> tuple[Float[Array, "n *shape"], Float[Array, "n *shape"]]:
        """x0 as it is, and partners drawn for it."""
        plan = entropic_coupling(
            x0, x1, 2 * self.epsilon, tolerance=self.tolerance, iterations=self.iterations, throw=False
        )
        return x0, x1[jr.categorical(key, plan.log_matrix)]


class CoupledBatches(Source):
    """Batches of `Pairs` from a source for each end, coupled.

    **Arguments:**

    - `first`, `second`: sources of equally large batches of x_0 and x_1, e.g. `Batches(X, 256)` or
      `FromFunction(lambda key: jax.vmap(law.sample)(jax.random.split(key, 256)))`. Each shuffles on its own.
    - `coupling`: `Independent()` (default), `MinibatchOT()` or `EntropicOT(epsilon)`.

    For data that come in pairs use `Batches((x0, x1), batch_size)`.
    """

    first: Source
    second: Source
    coupling: AbstractCoupling = Independent()

    def init(self, key: PRNGKeyArray) -> PyTree:
        """First states of both."""
        one, two = jr.split(key)
        return self.first.init(one), self.second.init(two)

    def draw(self, state: PyTree, train_state: PyTree, key: PRNGKeyArray) -> tuple[PyTree, Any]:
        """Next states, and a batch of pairs."""
        one, two, three = jr.split(key, 3)
        first, x0 = self.first.draw(state[0], train_state, one)
        second, x1 = self.second.draw(state[1], train_state, two)
        return (first, second), Pairs(*self.coupling(x0, x1, three))

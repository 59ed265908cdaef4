"""HiPPO matrices: linear systems whose state holds orthogonal-polynomial coefficients of the past (Gu et al., 2020).

x' = A x + B u. With LegS the coefficients are of Legendre polynomials on a past that grows, with LegT on a window that
slides, with LagT of Laguerre functions on a past that fades. All three are A = -P (diag(c) + T^-1) Q with T tridiagonal
and P, Q diagonal, so that products and solves cost O(N) (Gu et al., NeurIPS 2021). Everything here is NumPy in double
precision: constants of a layer.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np


class Factors(NamedTuple):
    """A = -P (diag(c) + T^-1) Q and B = P b, all vectors of length N, of NumPy or of JAX.

    The first entry of `lower` and the last of `upper` are 0, as for `jax.lax.linalg.tridiagonal_solve`.
    """

    left: Any
    right: Any
    lower: Any
    diagonal: Any
    upper: Any
    c: Any
    b: Any


class AbstractMemory(eqx.Module):
    """What a state remembers. To write your own, give `matrices(order)`, and `factors(order)`, which may be None."""

    @abc.abstractmethod
    def matrices(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """A (N, N) and B (N,)."""

    @abc.abstractmethod
    def factors(self, order: int) -> Factors | None:
        """The structured form, where there is one."""


class LegS(AbstractMemory):
    """Legendre polynomials on the whole past, scaled: e^(tA) B = e^-t sqrt(2n+1) P_n(2 e^-t - 1)."""

    def matrices(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """A_nk = -sqrt((2n+1)(2k+1)) below the diagonal, -(n+1) on it; B_n = sqrt(2n+1)."""
        root = _roots(order)
        return -np.tril(np.outer(root, root), -1) - np.diag(np.arange(1.0, order + 1)), root

    def factors(self, order: int) -> Factors:
        """T bidiagonal, (1, -1)."""
        root, n = _roots(order), np.arange(order)
        return _bidiagonal(root, root, -n / (2 * n + 1))


class LegT(AbstractMemory):
    """Legendre polynomials on the last `window` units of time: x_n estimates sqrt(2n+1) times the mean of u P_n there.

    **Arguments:** `window`, in the time that the step is measured in.
    """

    window: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        if not self.window > 0:
            raise ValueError(f"window={self.window} of LegT: expected a positive time.")

    def matrices(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """A_nk = -sqrt((2n+1)(2k+1)), times (-1)^(n-k) above the diagonal; B_n = sqrt(2n+1); over the window."""
        root, n = _roots(order), np.arange(order)
        sign = np.where(n[:, None] >= n[None], 1.0, (-1.0) ** (n[:, None] - n[None]))
        return -np.outer(root, root) * sign / self.window, root / self.window

    def factors(self, order: int) -> Factors:
        """T with ½ above, -½ below, and ½ in the two corners of its diagonal (1 for order 1)."""
        root = _roots(order)
        diagonal = np.zeros(order)
        diagonal[0] += 0.5
        diagonal[-1] += 0.5
        half = np.full(order, 0.5)
        lower, upper = np.where(np.arange(order) > 0, -half, 0), np.where(np.arange(order) < order - 1, half, 0)
        return Factors(root / self.window, root, lower, diagonal, upper, np.zeros(order), np.ones(order))


class LagT(AbstractMemory):
    """Laguerre functions: e^(tA) B = e^(-t/2) L_n(t)."""

    def matrices(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """A = I/2 - (ones on and below the diagonal), B = 1."""
        return np.eye(order) / 2 - np.tril(np.ones((order, order))), np.ones(order)

    def factors(self, order: int) -> Factors:
        """T bidiagonal, (1, -1)."""
        return _bidiagonal(np.ones(order), np.ones(order), np.full(order, -0.5))


class LMU(AbstractMemory):
    """`LegT` of window 1 in another normalisation (Voelker et al., NeurIPS 2019): x_n / (sqrt(2n+1) (-1)^n) of it."""

    def matrices(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """A_nk = (2n+1) (-1 above the diagonal, (-1)^(n-k+1) else), B_n = (2n+1) (-1)^n."""
        n = np.arange(order)
        sign = np.where(n[:, None] < n[None], -1.0, (-1.0) ** (n[:, None] - n[None] + 1))
        return (2 * n[:, None] + 1) * sign, (2 * n + 1) * (-1.0) ** n

    def factors(self, order: int) -> None:
        """None."""


class RandomMemory(AbstractMemory):
    """A control without a memory of its own: A = G/sqrt(N) - I with G and B standard Gaussian, from a seed."""

    seed: int = eqx.field(static=True, default=0)

    def matrices(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """A and B; the eigenvalues of A fill a disc of radius one around -1."""
        rng = np.random.default_rng(self.seed)
        return rng.normal(size=(order, order)) / np.sqrt(order) - np.eye(order), rng.normal(size=order)

    def factors(self, order: int) -> None:
        """None."""


def generalised_bilinear(
    matrix: np.ndarray, vector: np.ndarray, step: float, alpha: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """x_k = Ā x_(k-1) + B̄ u_k with Ā = (I - α h A)^-1 (I + (1 - α) h A), B̄ = h (I - α h A)^-1 B.

    α = 0 is Euler's forward rule, 1 the backward one, ½ the bilinear one, of order two.
    """
    eye = np.eye(len(matrix))
    implicit, explicit = eye - alpha * step * matrix, eye + (1 - alpha) * step * matrix
    return np.linalg.solve(implicit, explicit), np.linalg.solve(implicit, step * vector)


def zero_order_hold(matrix: np.ndarray, vector: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Ā = e^(hA) and B̄ = ∫ e^(sA) B ds over a step: exact for u constant in it; A may be singular."""
    from scipy.linalg import expm

    n = len(matrix)
    block = np.zeros((n + 1, n + 1))
    block[:n, :n], block[:n, n] = step * matrix, step * vector
    whole = expm(block)
    return whole[:n, :n], whole[:n, n]


def _roots(order: int) -> np.ndarray:
    return np.sqrt(2 * np.arange(order) + 1.0)


def _bidiagonal(left: np.ndarray, right: np.ndarray, c: np.ndarray) -> Factors:
    order = len(c)
    lower = np.where(np.arange(order) > 0, -1.0, 0.0)
    return Factors(left, right, lower, np.ones(order), np.zeros(order), c, np.ones(order))

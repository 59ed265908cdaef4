"""What sampling a batch does to the largest eigenvalues: spiked random matrices, and the rates that follow.

The Hessian of a batch is that of all examples plus noise. As a symmetric random matrix of P rows whose entries have
the variance σ²/b̄, b̄ = b / (1 - b/N), the noise has its eigenvalues in a semicircle of radius 2 sqrt(n), n = Pσ²/b̄, and
moves an eigenvalue λ of the whole to

    λ + n/λ if |λ| > sqrt(n), else ±2 sqrt(n);      overlap of the eigenvectors² = 1 - n/λ², else 0

(Baik, Ben Arous and Péché, 2005; Benaych-Georges and Nadakuditi, 2011; Granziol, Zohren and Roberts, JMLR 2022).
"""

from typing import Any

import numpy as np


def effective_batch(batch: Any, examples: float | int = np.inf) -> np.ndarray:
    """b̄ = b / (1 - b/N): a batch drawn without replacement from N examples has less noise; infinite for all of them.

    **Raises:** ValueError for batches that are not between 1 and N.
    """
    batch = np.asarray(batch, float)
    if np.any(batch < 1) or np.any(batch > examples):
        raise ValueError(f"batch={batch.tolist()} of {examples} examples: expected between 1 and all.")
    with np.errstate(divide="ignore"):
        return np.asarray(batch / (1 - batch / examples))


def spiked_eigenvalue(spike: Any, noise: Any) -> np.ndarray:
    """Where an eigenvalue goes when noise is added whose entries have the variance `noise` / P.

    **Arguments:** `spike` λ, of either sign; `noise` n = Pσ²/b̄, not negative.
    """
    spike, noise = np.asarray(spike, float), _noise(noise)
    out = np.abs(spike) > np.sqrt(noise)
    moved = spike + noise / np.where(out, spike, 1.0)
    return np.where(out, moved, np.where(spike < 0, -1, 1) * 2 * np.sqrt(noise))


def spiked_overlap(spike: Any, noise: Any) -> np.ndarray:
    """The square of the scalar product of the eigenvector with and without noise; 0 where the spike is lost."""
    spike, noise = np.asarray(spike, float), _noise(noise)
    out = np.abs(spike) > np.sqrt(noise)
    return np.where(out, 1 - noise / np.where(out, spike, 1.0) ** 2, 0.0)


def sampled_eigenvalue(spike: Any, ratio: Any, *, bulk: float | int = 1.0) -> np.ndarray:
    """Where an eigenvalue of a covariance goes in the covariance of a sample, as a Gauss-Newton matrix of a batch is.

    l (1 + q s/(l - s)) above the threshold s (1 + sqrt(q)), else the edge s (1 + sqrt(q))² of Marchenko and Pastur.

    **Arguments:** `spike` l, not below `bulk` s, the common value of all other eigenvalues; `ratio` q = P/b̄.

    **Raises:** ValueError for eigenvalues or ratios out of range.
    """
    spike, ratio = np.asarray(spike, float), _noise(ratio)
    if not bulk > 0 or np.any(spike < bulk):
        raise ValueError(f"spike={spike.tolist()}, bulk={bulk}: expected 0 < bulk <= spike.")
    out = spike > bulk * (1 + np.sqrt(ratio))
    moved = spike * (1 + ratio * bulk / np.where(out, spike - bulk, 1.0))
    return np.where(out, moved, bulk * (1 + np.sqrt(ratio)) ** 2)


def critical_batch(spike: float, noise: float) -> float:
    """b̄* = Pσ²/λ²: below it the largest eigenvalue of a batch is mostly noise, and rates grow with the batch."""
    return noise / spike**2


def largest_rate(batch: Any, spike: float, noise: float, *, examples: float | int = np.inf) -> np.ndarray:
    """2 / (λ + n/λ), the rate at which gradient descent on batches of `batch` stops to converge; n = Pσ²/b̄.

    Linear in b far below `critical_batch`, 2/λ far above. The edge of the noise, which `spiked_eigenvalue` has below
    the critical batch, is left out: along the top eigenvector noise is aligned with it and is no semicircle's, and an
    edge would make rates grow as a square root there.

    **Arguments:** `spike` λ > 0 and `noise` Pσ² of one example, best that of `directional_noise`.
    """
    if not spike > 0:
        raise ValueError(f"spike={spike}: expected a positive eigenvalue, that limits a rate.")
    return np.asarray(2 / (spike + _noise(noise) / effective_batch(batch, examples) / spike))


def sgd_rate(
    rate: float, batch: Any, other: Any, spike: float, noise: float, *, examples: float | int = np.inf
) -> np.ndarray:
    """A rate that is good for batches of `batch`, carried to batches of `other`: in proportion to 1/λ'(b)."""
    known, new = (largest_rate(b, spike, noise, examples=examples) for b in (batch, other))
    return np.asarray(rate * new / known)


def adam_rate(rate: float, batch: Any, other: Any) -> np.ndarray:
    """The same for Adam, which divides the spikes out and is limited by the noise's edge: sqrt(other / batch)."""
    return np.asarray(rate * np.sqrt(np.asarray(other, float) / np.asarray(batch, float)))


def _noise(noise: Any) -> np.ndarray:
    noise = np.asarray(noise, float)
    if np.any(noise < 0):
        raise ValueError(f"noise={noise.tolist()}: expected a variance, not negative.")
    return noise

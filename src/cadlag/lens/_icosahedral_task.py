"""Twelve bits on the vertices of an icosahedron: 4096 patterns whose every information can be counted.

With v active vertices, e edges and o pairs of opposite ones among them, s = 2e - o and

    y = 1[s >= t_v],    t_v = 13 for v <= 5, 12 for v = 6, 15 for v >= 7.

This rule gives the labels of the file published with Shwartz-Ziv and Tishby, arXiv 1703.00810, for all patterns after
one permutation of bits. The labels do not change under the 120 symmetries of the icosahedron. 2118 are ones.
"""

import numpy as np

from cadlag.data import Samples


def icosahedral_task(*, gamma: float | None = None) -> Samples:
    """All 4096 patterns of twelve bits, values 0.0 and 1.0, with the labels of the information plane's paper.

    **Arguments:** `gamma`: None for labels 0 and 1; a positive number for soft ones, p(y=1|x) = sigmoid(gamma f(x)),
    given as two columns of probabilities. f = s - t_v + 1/2 is a substitute, for the paper's own f is not published;
    its sign is the label. gamma = 9.64 gives I(X;Y) = 0.990 bits, 1, 2 and 4 give 0.719, 0.840 and 0.924.
    """
    patterns = _patterns()
    margin = _margin(patterns)
    if gamma is None:
        return Samples.from_arrays(patterns, labels=(margin > 0).astype(int), classes=(0, 1))
    if not (np.isfinite(gamma) and gamma > 0):
        raise ValueError(f"`gamma` must be a positive finite number, or None for labels that are certain; got {gamma}.")
    # exp of a number below 0 only, so that nothing overflows
    small = np.exp(-gamma * np.abs(margin))
    one = np.where(margin > 0, 1, small) / (1 + small)
    zero = np.where(margin > 0, small, 1) / (1 + small)
    return Samples.from_arrays(patterns, labels=np.stack([zero, one], axis=1))


def icosahedron() -> np.ndarray:
    """The twelve vertices on the unit sphere (12, 3), in the order of the bits."""
    golden = (1 + 5**0.5) / 2
    corners = [c for a in (1, -1) for b in (golden, -golden) for c in ((0, a, b), (a, b, 0), (b, 0, a))]
    return np.array(corners) / (1 + golden**2) ** 0.5


def _patterns() -> np.ndarray:
    return ((np.arange(4096)[:, None] >> np.arange(12)[None]) & 1).astype(float)


def _margin(patterns: np.ndarray) -> np.ndarray:
    vertices = icosahedron()
    cosines = vertices @ vertices.T
    near, opposite = np.abs(cosines - 5**-0.5) < 1e-9, cosines < -1 + 1e-9

    def pairs(which: np.ndarray) -> np.ndarray:
        return np.einsum("ni,ij,nj->n", patterns, which.astype(float), patterns) / 2

    active = patterns.sum(axis=1)
    threshold = np.select([active <= 5, active == 6], [13, 12], 15)
    return 2 * pairs(near) - pairs(opposite) - threshold + 0.5

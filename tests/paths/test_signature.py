"""Signatures: against iterated integrals in numpy, Chen's identity, areas known in closed form, Witt's numbers."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.paths import (
    LieBasis,
    concatenate_signatures,
    logsignature,
    logsignature_path,
    logsignature_size,
    lyndon_words,
    signature,
    signature_size,
    standard_factorisation,
)

DEPTH = 4
sign = eqx.filter_jit(signature)
log_sign = eqx.filter_jit(logsignature)


def walk(seed=0, steps=6, channels=2):
    return np.random.default_rng(seed).normal(size=(steps, channels))


def iterated_integrals(points, depth, fine=9):
    """Word by word: each integral of one letter more is a Gauss sum over the pieces, exact for these polynomials."""
    nodes, weights = np.polynomial.legendre.leggauss(fine)
    s, w = (nodes + 1) / 2, weights / 2
    pieces = np.diff(points, axis=0)
    # Values at the Gauss points of each piece and at the pieces' ends; the integral to a node by a fitted polynomial.
    out = []
    for k in range(1, depth + 1):
        for word in itertools.product(range(points.shape[1]), repeat=k):
            inner = np.ones((len(pieces), fine))
            for letter in word:
                starts, total = [], 0.0
                new = np.empty_like(inner)
                for i, d in enumerate(pieces[:, letter]):
                    poly = np.polynomial.Polynomial.fit(s, inner[i] * d, fine - 1, domain=[0, 1]).integ()
                    new[i] = total + poly(s) - poly(0)
                    starts.append(total)
                    total += w @ (inner[i] * d)
                inner = new
            out.append(total)
    return np.asarray(out)


def test_is_the_iterated_integrals():
    points = walk()
    # Fitted polynomials of degree eight: conditioning of the fit.
    np.testing.assert_allclose(sign(points, DEPTH), iterated_integrals(points, DEPTH), rtol=1e-9, atol=1e-9)


def test_chen():
    a, b = walk(1), walk(2)
    b = b - b[0] + a[-1]
    whole = sign(np.concatenate([a, b[1:]]), DEPTH)
    parts = concatenate_signatures(sign(a, DEPTH), sign(b, DEPTH), 2, DEPTH)
    np.testing.assert_allclose(whole, parts, rtol=1e-12, atol=1e-12)


def test_shuffle():
    """Products are sums over shuffles of the words: S^0 S^1 = S^01 + S^10, S^0 S^01 = 2 S^001 + S^010."""
    first, second, third = np.split(np.asarray(sign(walk(3), 3)), [2, 6])
    s2, s3 = second.reshape(2, 2), third.reshape(2, 2, 2)
    assert first[0] * first[1] == pytest.approx(s2[0, 1] + s2[1, 0], abs=1e-12)
    assert first[0] * s2[0, 1] == pytest.approx(2 * s3[0, 0, 1] + s3[0, 1, 0], abs=1e-12)


def test_there_and_back_is_nothing_and_a_line_has_one_level():
    points = walk(4, 5, 3)
    np.testing.assert_allclose(sign(np.concatenate([points, points[::-1]]), 3), 0, atol=1e-12)
    line = np.linspace(0, 1, 7)[:, None] * np.array([[0.3, -2.0, 1.1]])
    logarithm = log_sign(line, 3)
    np.testing.assert_allclose(logarithm[:3], line[-1], rtol=1e-13)
    np.testing.assert_allclose(logarithm[3:], 0, atol=1e-13)


def test_speed_does_not_matter():
    """More points on the same lines, unevenly, are the same path."""
    points = walk(4, 5, 3)
    share = np.array([[0.0], [0.1], [0.7]])
    finer = np.concatenate([(1 - share) * a + share * b for a, b in itertools.pairwise(points)])
    finer = np.concatenate([finer, points[-1:]])
    np.testing.assert_allclose(sign(finer, 3), sign(points, 3), rtol=1e-11, atol=1e-12)


def test_the_area_of_a_circle_and_its_sign_backwards():
    angles = np.linspace(0, 2 * np.pi, 401)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    polygon = 400 / 2 * np.sin(2 * np.pi / 400)
    for points, area in ((circle, polygon), (circle[::-1], -polygon)):
        np.testing.assert_allclose(log_sign(points, 2), [0, 0, area], atol=1e-12)


@pytest.mark.parametrize("basis", LieBasis)
def test_logarithm_of_two_lines_is_baker_campbell_hausdorff(basis):
    """log(e^a e^b) = a + b + [a,b]/2 + [a,[a,b]]/12 + [b,[b,a]]/12, with tensors for the products."""
    a, b = np.random.default_rng(5).normal(size=(2, 2))
    found = log_sign(np.stack([0 * a, a, a + b]), 3, basis=basis)
    area = (a[0] * b[1] - a[1] * b[0]) / 2
    # [a,b] = 2 area [0,1]; [a,[a,b]] = 2 area (a0 [0,[0,1]] - a1 [[0,1],1]), likewise for b with the sign turned.
    triple = [area * (a[0] - b[0]) / 6, -area * (a[1] - b[1]) / 6]
    # The bracket [0,[0,1]] is 001 - 2 010 + 100, [[0,1],1] is 011 - 2 101 + 110: on Lyndon words the same numbers.
    np.testing.assert_allclose(found, [*(a + b), area, *triple], rtol=1e-12, atol=1e-14)


def test_both_bases_are_the_same_lie_series():
    """exp(Σ a_w [w]) = Σ S_v v for strictly triangular 5 × 5 matrices as letters: words beyond depth 4 vanish."""
    points = walk(6, 4, 3)
    depth, matrices = 4, np.triu(np.random.default_rng(7).normal(size=(3, 5, 5)), 1)

    def bracket(word):
        if len(word) == 1:
            return matrices[word[0]]
        u, v = (bracket(part) for part in standard_factorisation(word))
        return u @ v - v @ u

    words = lyndon_words(3, depth)
    logarithm = sum(
        c * bracket(w) for c, w in zip(log_sign(points, depth, basis=LieBasis.brackets), words, strict=True)
    )
    numbers = iter(np.asarray(sign(points, depth)))
    total = np.eye(5)
    for k in range(1, depth + 1):
        for word in itertools.product(range(3), repeat=k):
            total = total + next(numbers) * np.linalg.multi_dot([np.eye(5), *(matrices[i] for i in word)])
    exponential = sum(np.linalg.matrix_power(logarithm, k) / math.factorial(k) for k in range(5))
    np.testing.assert_allclose(exponential, total, rtol=1e-12, atol=1e-12)
    assert np.abs(total[0, 4]) > 0.1


def test_numbers_of_words():
    assert [logsignature_size(2, n) for n in (1, 2, 3, 4)] == [2, 3, 5, 8]
    assert (logsignature_size(3, 2), logsignature_size(3, 3), logsignature_size(4, 3)) == (6, 14, 30)
    for channels, depth in ((1, 3), (2, 6), (3, 4), (5, 2)):
        words = lyndon_words(channels, depth)
        every = itertools.chain(*(itertools.product(range(channels), repeat=k) for k in range(1, depth + 1)))
        slow = {w for w in every if all(w < w[i:] + w[:i] for i in range(1, len(w)))}
        assert set(words) == slow
        assert len(words) == logsignature_size(channels, depth)
    assert signature_size(3, 3) == 39
    assert standard_factorisation((0, 0, 1)) == ((0,), (0, 1))
    assert standard_factorisation((0, 1, 1)) == ((0, 1), (1,))


def test_gradient_and_batches_and_single_precision():
    points = jnp.asarray(np.stack([walk(8), walk(9)]))
    weights = jnp.asarray(np.random.default_rng(10).normal(size=logsignature_size(2, 3)))
    number = jax.jit(lambda x: jnp.vdot(weights, logsignature(x, 3)))
    gradient = jax.jit(jax.grad(number))(points[0])
    rng = np.random.default_rng(11)
    for _ in range(3):
        e = rng.normal(size=points[0].shape)
        slope = (number(points[0] + 1e-5 * e) - number(points[0] - 1e-5 * e)) / 2e-5
        assert np.vdot(gradient, e) == pytest.approx(float(slope), rel=1e-7)
    both = jax.jit(jax.vmap(lambda x: logsignature(x, 3)))(points)
    np.testing.assert_allclose(both[1], log_sign(points[1], 3), rtol=1e-12)
    single = log_sign(points[1].astype(jnp.float32), 3)
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, both[1], rtol=1e-4, atol=1e-5)


def test_path_of_windows():
    times, values = np.linspace(0, 2, 8), walk(12, 8, 2)
    padded = (np.append(times, [2.0, 2.0]), np.concatenate([values, values[-1:], values[-1:]]))
    path = eqx.filter_jit(logsignature_path)(*padded, 3, 2)
    np.testing.assert_array_equal(path.times, [times[0], times[3], times[6], 2.0])
    for k, rows in enumerate((slice(0, 4), slice(3, 7), slice(6, 8))):
        np.testing.assert_allclose(
            path.increment(path.times[k], path.times[k + 1]), log_sign(values[rows], 2), rtol=1e-11, atol=1e-12
        )


def test_refuses():
    with pytest.raises(ValueError, match=r"expected \(times, channels\) of ONE path"):
        signature(jnp.ones((2, 5, 3)), 2)
    with pytest.raises(ValueError, match="depth=0 of a signature"):
        signature(jnp.ones((5, 3)), 0)
    with pytest.raises(ValueError, match=r"has shape \(6,\), but got \(5,\)"):
        concatenate_signatures(jnp.ones(5), jnp.ones(6), 2, 2)
    with pytest.raises(ValueError, match="expected ONE series"):
        logsignature_path(jnp.ones(3), jnp.ones((4, 2)), 2, 2)
    with pytest.raises(ValueError, match="window=0"):
        logsignature_path(jnp.arange(4.0), jnp.ones((4, 2)), 0, 2)

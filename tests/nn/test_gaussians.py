"""Gaussian features: closed forms, invariances, parameter counts (card 35)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.fields import Box, CallableField
from cadlag.nn import GaussianFeatures
from cadlag.physics import gaussians

SQUARE = Box({"x": (-1.0, 1.0), "y": (-1.0, 1.0)})
CUBE = Box({"x": (-1.0, 1.0), "y": (-1.0, 1.0), "z": (-1.0, 1.0)})


def made(box=SQUARE, **options):
    return GaussianFeatures(box, **{"features": 2, "count": 5, "width": 0.4, **options}, key=jr.key(1))


def numbers(tree):
    return sum(x.size for x in jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array)))


def test_laplacian_and_slope_are_the_closed_forms():
    """With z = (x - μ)/σ: ∂G = -(z/σ) G and ∂²G = (z² - 1)/σ² G."""
    features = made(width=0.3)
    point = jnp.asarray([0.2, -0.5])
    field = CallableField(domain=SQUARE, f=features)
    mu, sigma, w = (np.asarray(a) for a in (features.centres, features.widths, features.weights))
    z = (np.asarray(point) - mu) / sigma
    G = w * np.exp(-0.5 * np.sum(z**2, axis=-1))
    np.testing.assert_allclose(field(point), G.sum(1), rtol=1e-13)
    np.testing.assert_allclose(field.d("y")(point), (-z[..., 1] / sigma[..., 1] * G).sum(1), rtol=1e-12)
    expected = (((z**2 - 1) / sigma**2).sum(-1) * G).sum(1)
    np.testing.assert_allclose(field.laplacian()(point), expected, rtol=1e-12)
    dense = jnp.trace(jax.hessian(lambda p: features(p)[0])(point))
    np.testing.assert_allclose(field.laplacian()(point)[0], dense, rtol=1e-12)


def test_one_bump_at_its_centre_and_its_integral():
    box = Box({"x": (-1.0, 1.0), "y": (-1.0, 1.0)})
    one = eqx.tree_at(
        lambda f: (f.centres, f.widths, f.weights),
        GaussianFeatures(box, features=1, count=1, key=jr.key(0)),
        (jnp.zeros((1, 1, 2)), jnp.asarray([[[0.1, 0.2]]]), jnp.ones((1, 1))),
    )
    laplacian = CallableField(domain=box, f=one).laplacian()(jnp.zeros(2))
    np.testing.assert_allclose(laplacian, -(1 / 0.1**2 + 1 / 0.2**2), rtol=1e-12)
    x = jnp.linspace(-1, 1, 201)  # the trapezoid is exact to e^-12: the nearest edge is 5 deviations away
    total = jnp.sum(jax.vmap(lambda a: jax.vmap(lambda b: one(jnp.stack([a, b]))[0])(x))(x)) * 0.01**2
    np.testing.assert_allclose(total, 2 * np.pi * 0.1 * 0.2, rtol=1e-5)


@pytest.mark.parametrize(("box", "size"), [(SQUARE, 2), (CUBE, 4)])
def test_full_covariances(box, size):
    plain, full = made(box), made(box, rotated=True)
    point = jnp.full(box.dimension, 0.3) - jnp.linspace(0.0, 0.3, box.dimension)
    np.testing.assert_array_equal(plain(point), full(point))  # the identity rotation

    turns = jr.normal(jr.key(3), full.turns.shape)
    widths = full.widths * jnp.linspace(1.0, 2.0, box.dimension).reshape(1, 1, -1)
    turned = eqx.tree_at(lambda f: (f.turns, f.widths), full, (turns, widths))
    flipped = eqx.tree_at(lambda f: f.turns, turned, -turns)
    if size == 4:
        np.testing.assert_allclose(flipped(point), turned(point), rtol=1e-13)
    # Precision R diag(1/σ²) Rᵀ of one bump, from scipy's rotation where it knows one.
    from scipy.spatial.transform import Rotation

    q = np.asarray(turns[0, 0])
    if size == 4:
        R = Rotation.from_quat([q[1], q[2], q[3], q[0]]).as_matrix()
    else:
        c, s = q / np.linalg.norm(q)
        R = np.array([[c, -s], [s, c]])
    P = R @ np.diag(1 / np.asarray(widths[0, 0]) ** 2) @ R.T
    offset = np.asarray(point - turned.centres[0, 0])
    np.testing.assert_allclose(turned._squares(point)[0, 0], offset @ P @ offset, rtol=1e-12)
    assert np.all(np.linalg.eigvalsh(P) > 0)
    # Turning the point, the centres and R together changes nothing.
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(box.dimension,) * 2))[0]
    moved = offset @ Q.T @ (Q @ P @ Q.T) @ Q @ offset
    np.testing.assert_allclose(moved, turned._squares(point)[0, 0], rtol=1e-12)


def test_signs_order_and_shifts_do_not_matter():
    features, point = made(), jnp.asarray([0.2, 0.1])
    value = features(point)
    negative = eqx.tree_at(lambda f: f.widths, features, -features.widths)
    np.testing.assert_array_equal(negative(point), value)
    order = jnp.asarray([3, 1, 4, 0, 2])
    shuffled = jax.tree.map(lambda a: a[:, order] if eqx.is_array(a) else a, features)
    np.testing.assert_allclose(shuffled(point), value, rtol=1e-13)
    shift = jnp.asarray([0.05, -0.3])
    shifted = eqx.tree_at(lambda f: f.centres, features, features.centres + shift.reshape(1, 1, 2))
    np.testing.assert_allclose(shifted(point + shift), value, rtol=1e-12)


def test_far_away_the_head_sees_zero():
    net = gaussians(Box({"x": (-1.0, 1.0)}), count=3, width=0.01, key=jr.key(0))
    net = eqx.tree_at(lambda n: n.encoder.centres, net, jnp.full((4, 3, 1), -0.9))
    point = jnp.asarray([0.9])
    np.testing.assert_allclose(net(point), net.body(jnp.zeros(4))[0], rtol=1e-13)
    assert jax.grad(net)(point) == 0


def test_a_width_of_zero_is_harmless():
    zero = eqx.tree_at(lambda f: f.widths, made(), jnp.zeros((2, 5, 2)))
    value, slope = jax.value_and_grad(lambda p: jnp.sum(zero(p)))(jnp.asarray([0.1, 0.2]))
    assert jnp.isfinite(value)
    assert jnp.all(jnp.isfinite(slope))


def test_parameter_counts_of_the_paper():
    box3 = Box({"t": (0.0, 10.0), "x": (-1.0, 1.0), "y": (-1.0, 1.0)})
    for box, count, expected in ((SQUARE, 800, 16_097), (box3, 100, 2_897), (SQUARE, 200, 4_097)):
        assert numbers(gaussians(box, count=count, key=jr.key(0))) == expected
    assert made(shared=True).centres.shape == (1, 5, 2)
    assert made(shared=True)(jnp.zeros(2)).shape == (2,)


def test_a_fixed_lattice_fits_the_helmholtz_solution():
    """Bumps of the lattice's spacing h, two of them past each end: the least that the features must be able to do.

    30 a side fit sin(pi x) sin(4 pi y) to 1e-4 (card 35, item 9); the fit is separable, so each factor is tried alone.
    Without the two past the ends it stops at 7e-3.
    """
    h = 2 / 25
    centres = -1 - 2 * h + h * np.arange(30)
    line = Box({"x": (-1.0, 1.0)})
    features = eqx.tree_at(
        lambda f: (f.centres, f.widths),
        GaussianFeatures(line, features=1, count=30, key=jr.key(0)),
        (jnp.asarray(centres.reshape(1, 30, 1)), jnp.full((1, 30, 1), h)),
    )
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (400, 1)))
    design = np.exp(-0.5 * np.asarray(jax.vmap(lambda p: features._squares(p)[0])(x)))
    for k in (1, 4):
        target = np.sin(k * np.pi * np.asarray(x)[:, 0])
        fitted = design @ np.linalg.lstsq(design, target, rcond=1e-13)[0]
        assert np.linalg.norm(fitted - target) < 5e-5 * np.linalg.norm(target)


def test_frozen_gaussians_have_no_gradient():
    def loss(f):
        return jnp.sum(f(jnp.asarray([0.1, 0.2])) ** 2)

    for moving in (True, False):
        grads = eqx.filter_grad(loss)(made(moving=moving))
        assert bool(jnp.any(grads.centres != 0)) is moving
        assert bool(jnp.any(grads.weights != 0))


def test_refusals():
    with pytest.raises(ValueError, match="all positive"):
        made(width=0.0)
    with pytest.raises(ValueError, match="for 2 and 3"):
        made(Box({"x": (0.0, 1.0)}), rotated=True)

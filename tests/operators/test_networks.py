"""What every network of the wing must do: one row for each."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.nn import Boundary
from cadlag.operators import FNO, AbstractNetwork, DilatedResNet, MgNO, SineNet, UNet
from cadlag.train import load, save

NETWORKS = {
    "fno": (FNO, {"modes": 2, "width": 4, "layers": 2, "project": 5, "lift": 3}),
    "unet": (UNet, {"width": 4, "multipliers": (1, 2), "blocks": 1}),
    "dilated": (DilatedResNet, {"width": 4, "blocks": 1, "dilations": (1, 2)}),
    "multigrid": (MgNO, {"width": 3, "layers": 2, "sweeps": ((1, 0), (1, 1))}),
    "sinenet": (SineNet, {"width": 3, "waves": 2, "levels": 1, "growth": 2}),
}


def draw(seed, *shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def cast(net, dtype):
    return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, net)


def made(name, **settings):
    constructor, usual = NETWORKS[name]
    return cast(constructor(2, 3, **{**usual, "conditions": 2, "key": jr.key(0), **settings}), jnp.float64)


def count(make):
    return sum(math.prod(a.shape) for a in jax.tree.leaves(eqx.filter_eval_shape(make)) if hasattr(a, "shape"))


@eqx.filter_jit
def step(net, x, cond):
    """Outputs of a batch, and the gradient of their mean square."""

    def loss(net):
        out = jax.vmap(lambda x, c: net(x, cond=c))(x, cond)
        return jnp.mean((out - 1) ** 2), out

    slopes, out = eqx.filter_grad(loss, has_aux=True)(net)
    return out, slopes


# A U-Net compiles for as long as all others together, and its blocks are tested in `nn`.
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == "unet" else n for n in NETWORKS])
def test_batches_conditions_gradients_and_files(name, tmp_path):
    net = made(name)
    assert isinstance(net, AbstractNetwork)
    x, cond = draw(1, 3, 2, 6, 8), jnp.asarray([[1.0, 0.5], [-1.0, 2.0], [jnp.nan, 0.0]])
    x = x.at[1].set(x[0])
    out, slopes = step(net, x, cond)
    assert out.shape == (3, 3, 6, 8)
    assert out.dtype == jnp.float64
    # The same field under other conditions; a NaN is 'not known', as None is.
    assert float(jnp.max(jnp.abs(out[0] - out[1]))) > 1e-4
    # A gradient reaches every weight.
    assert all(bool(jnp.all(jnp.isfinite(g)) & jnp.any(g != 0)) for g in jax.tree.leaves(slopes))
    # What else is in the batch does not matter.
    order = jnp.asarray([2, 0, 1])
    np.testing.assert_allclose(step(net, x[order], cond[order])[0], out[order], atol=1e-12)
    save(tmp_path / name, net)
    again = load(tmp_path / name)
    assert jax.tree.structure(again) == jax.tree.structure(net)
    np.testing.assert_array_equal(step(again, x, cond)[0], out)
    # Along a line of weights, the slope against a central difference: truncation and rounding both 1e-9.
    arrays, static = eqx.partition(net, eqx.is_inexact_array)
    loss = lambda h: jnp.mean(
        (step(eqx.combine(jax.tree.map(lambda a: (1 + h) * a, arrays), static), x, cond)[0] - 1) ** 2
    )
    slope = sum(jnp.vdot(a, g) for a, g in zip(*map(jax.tree.leaves, (arrays, slopes)), strict=True))
    assert float(slope) == pytest.approx(float(loss(1e-5) - loss(-1e-5)) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_single_precision_stays(name):
    net = made(name, conditions=0)
    like = eqx.filter_eval_shape(cast(net, jnp.float32), jax.ShapeDtypeStruct((2, 6, 8), jnp.float32))
    assert like.shape == (3, 6, 8)
    assert like.dtype == jnp.float32


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_one_and_three_axes(name, axes):
    net = cast(made(name, spatial_axes=axes, boundary=Boundary.circular), jnp.float32)
    size = (4, 6, 8)[:axes]
    assert eqx.filter_eval_shape(net, jax.ShapeDtypeStruct((2, *size), jnp.float32)).shape == (3, *size)


@pytest.mark.parametrize("name", NETWORKS)
def test_refusals_come_before_compiling(name):
    net = made(name)
    for shape in ((2, 6), (3, 6, 8), (1, 2, 6, 8)):
        with pytest.raises(ValueError, match="u: got shape"):
            net(jnp.zeros(shape))
    with pytest.raises(ValueError, match="length 2"):
        net(jnp.zeros((2, 6, 8)), cond=jnp.zeros(3))
    with pytest.raises(ValueError, match="conditions="):
        made(name, conditions=0)(jnp.zeros((2, 6, 8)), cond=jnp.zeros(2))
    for bad in ({"channels": 0}, {"out_channels": 0}, {"spatial_axes": 4}, {"width": 0}, {"conditions": -1}):
        arguments = {"channels": 1, "out_channels": 1, **NETWORKS[name][1], **bad}
        with pytest.raises(ValueError, match=f"{next(iter(bad))}={next(iter(bad.values()))}"):
            NETWORKS[name][0](**arguments, key=jr.key(0))


@pytest.mark.parametrize(
    ("name", "settings", "size", "advice"),
    [
        ("fno", {"modes": (4, 2)}, (6, 8), "fewer modes"),
        ("unet", {}, (5, 8), "fewer multipliers"),
        ("dilated", {"boundary": Boundary.circular, "dilations": (1, 8)}, (8, 6), "smaller dilations"),
        ("multigrid", {"boundary": Boundary.reflect}, (2, 8), "fewer levels"),
        ("sinenet", {}, (6, 7), "fewer levels"),
    ],
)
def test_grids_that_do_not_fit_are_refused_with_advice(name, settings, size, advice):
    with pytest.raises(ValueError, match=advice):
        made(name, **settings)(jnp.zeros((2, *size)))


def test_other_settings_are_checked():
    one = {"channels": 1, "out_channels": 1, "key": jr.key(0)}
    with pytest.raises(ValueError, match="padding=2"):
        FNO(**one, padding=2.0)
    with pytest.raises(ValueError, match="dilations=0"):
        DilatedResNet(**one, dilations=())
    with pytest.raises(ValueError, match="growth=-1"):
        SineNet(**one, growth=-1)
    with pytest.raises(ValueError, match="leaves no channels"):
        SineNet(**one, width=2, growth=0.5)


def test_published_numbers_of_parameters():
    key = jr.key(0)
    assert count(lambda: MgNO(1, 1, residual=False, key=key)) == 572_661
    assert count(lambda: MgNO(1, 1, residual=False, layers=5, key=key)) == 738_573
    # PDEArena's Dil-ResNet: two maps in and out, 28 convolutions with norms of two numbers a channel.
    c = 128
    assert (
        count(lambda: DilatedResNet(3, 2, key=key))
        == 3 * c + c + 2 * (c * c + c) + 28 * (9 * c * c + 3 * c) + 2 * c + 2
    )
    # Li et al.'s two-dimensional FNO: complex weights of two corner blocks counted as pairs.
    w = 32
    layers = 4 * (2 * 2 * 12 * 12 * w * w + w * w + w)
    assert count(lambda: FNO(1, 1, key=key)) == 3 * w + w + layers + w * 128 + 128 + 128 + 1

"""The V-cycle: linear, with known weights a multigrid solver, symmetric as its boundary is, on any grid."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from cadlag.nn import Boundary, Conv, VCycle

LAPLACE = np.asarray([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], float)
HALVES = np.asarray([0, 0.5, 0.5])
TENT = np.asarray([1, 3, 3, 1]) / 4


def draw(seed, *shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def tiny(levels=3, m=1, n=2, **settings):
    net = VCycle(m, n, sweeps=((1, 1),) * (levels - 1) + ((2, 0),), key=jr.key(0), **settings)
    return jax.tree.map(lambda a: a.astype(jnp.float64), net)


def same_weights(net, other):
    return jax.tree.unflatten(jax.tree.structure(other), jax.tree.leaves(net))


@eqx.filter_jit
def run(net, f):
    return net(f)


def classical(size, before, after, residual=True, omega=0.8):
    """Weights of multigrid for -Δ on the periodic unit square: damped Jacobi, cell averages, bilinear interpolation."""
    levels = int(np.log2(size))
    net = VCycle(1, 1, sweeps=((before, after),) * levels, residual=residual, boundary=Boundary.circular, key=jr.key(0))
    put = lambda conv, kernel: eqx.tree_at(lambda c: c.weight, conv, jnp.asarray(kernel)[:, :, None, None])

    def level(i, old):
        h = 2**i / size
        sweep = lambda s: eqx.tree_at(
            lambda s: (s.smooth, s.apply), s,
            (put(s.smooth, omega * h**2 / 4 * np.eye(3)[[1]].T @ np.eye(3)[[1]]),
             s.apply and put(s.apply, LAPLACE / h**2)),
            is_leaf=lambda x: x is None,
        )  # fmt: skip
        where = lambda l: (l.before, l.after, l.apply, l.restrict, l.inject, l.prolong)
        return eqx.tree_at(where, old, (
            tuple(map(sweep, old.before)), tuple(map(sweep, old.after)),
            old.apply and put(old.apply, LAPLACE / h**2),
            old.restrict and put(old.restrict, np.outer(HALVES, HALVES)),
            old.inject and put(old.inject, np.zeros((3, 3))),
            old.prolong and eqx.tree_at(
                lambda p: p.transposed, old.prolong, put(old.prolong.transposed, np.outer(TENT, TENT))),
        ), is_leaf=lambda x: x is None)  # fmt: skip

    return eqx.tree_at(lambda n: n.levels, net, tuple(level(i, old) for i, old in enumerate(net.levels)))


@eqx.filter_jit
def rate(net, f):
    """Mean factor of the residual over the last five of fifteen cycles u ← u + W (f - A u)."""
    size = f.shape[0]
    operator = lambda u: size**2 * (4 * u - sum(jnp.roll(u, s, a) for s in (1, -1) for a in (0, 1)))

    def cycle(u, _):
        r = f - operator(u)
        return u + net(r), jnp.linalg.norm(r)

    norms = jax.lax.scan(cycle, jnp.zeros_like(f), None, length=15)[1]
    return (norms[-1] / norms[-6]) ** 0.2


def zero_mean(size):
    f = draw(0, size, size, 1)
    return f - f.mean()


# Factors of another implementation, rounded there; ±0.02 for another right-hand side. Nearly the same on both grids.
@pytest.mark.parametrize(("size", "expected"), [(32, 0.577), (64, 0.580)])
def test_with_known_weights_it_converges_as_multigrid_does(size, expected):
    assert float(rate(classical(size, 1, 0), zero_mean(size))) == pytest.approx(expected, abs=0.02)


def dense(size, before, after, residual, omega=0.8):
    """The cycle as a matrix, recursively."""
    one = 2 * np.eye(size) - np.roll(np.eye(size), 1, 0) - np.roll(np.eye(size), -1, 0)
    operator = (np.kron(one, np.eye(size)) + np.kron(np.eye(size), one)) * size**2
    smooth, unit = omega / (4 * size**2), np.eye(size**2)
    sweep = lambda w, n: w if n == 0 else sweep(w + smooth * (unit - operator @ w), n - 1)
    w = sweep(np.zeros((size**2,) * 2), before)
    if size > 2:
        half = np.kron(np.eye(size // 2), [0.5, 0.5])
        tent = sum(np.outer(np.arange(size) == (2 * i + k) % size, np.arange(size // 2) == i) * t
                   for i in range(size // 2) for k, t in zip((-1, 0, 1, 2), TENT, strict=True))  # fmt: skip
        rest = unit - operator @ w if residual else unit
        w = w + np.kron(tent, tent) @ dense(size // 2, before, after, residual) @ np.kron(half, half) @ rest
    return sweep(w, after)


@pytest.mark.parametrize("residual", [True, False])
def test_it_equals_the_cycle_written_with_matrices(residual):
    f = zero_mean(16)
    expected = (dense(16, 1, 1, residual) @ np.asarray(f).ravel()).reshape(f.shape)
    out = run(classical(16, 1, 1, residual), f)
    np.testing.assert_allclose(out, expected, atol=1e-12 * np.abs(expected).max() * 256)
    # The two flags differ: with the same weights, one is no substitute for the other.
    other = (dense(16, 1, 1, not residual) @ np.asarray(f).ravel()).reshape(f.shape)
    assert np.abs(out - other).max() > 0.1 * np.abs(expected).max()


def test_the_additive_cycle_converges_too():
    # Its spectral radius on 16 x 16, without the constant, which the right-hand side does not have.
    one = 2 * np.eye(16) - np.roll(np.eye(16), 1, 0) - np.roll(np.eye(16), -1, 0)
    laplace = (np.kron(one, np.eye(16)) + np.kron(np.eye(16), one)) * 256
    error = np.eye(256) - dense(16, 1, 0, False) @ laplace
    radius = np.sort(np.abs(np.linalg.eigvals(error)))[-2]
    assert radius < 0.7
    assert float(rate(classical(16, 1, 0, residual=False), zero_mean(16))) < radius + 0.01


def test_it_is_linear_and_a_batch_is_many_of_it():
    net, f, g = tiny(m=2, n=3), draw(1, 9, 6, 2), draw(2, 9, 6, 2)
    out = eqx.filter_jit(lambda net, f: jax.vmap(net)(f))(net, jnp.stack([f, g, 2 * f - 3 * g, 0 * f]))
    assert out.shape == (4, 9, 6, 3)
    np.testing.assert_allclose(out[2], 2 * out[0] - 3 * out[1], atol=1e-12)
    assert not jnp.any(out[3])
    np.testing.assert_allclose(run(net, g), out[1], atol=1e-12)


def test_circular_boundaries_commute_with_shifts_of_the_coarsest_cell():
    net, f = tiny(boundary=Boundary.circular), draw(1, 8, 16, 1)
    shift = lambda a, k: jnp.roll(a, (k, -k), (0, 1))
    out = run(net, f)
    np.testing.assert_allclose(run(net, shift(f, 4)), shift(out, 4), atol=1e-12)
    assert float(jnp.max(jnp.abs(run(net, shift(f, 2)) - shift(out, 2)))) > 1e-4
    zero = same_weights(net, tiny())
    assert float(jnp.max(jnp.abs(run(zero, shift(f, 4)) - shift(run(zero, f), 4)))) > 1e-4


def test_reflection_is_the_even_extension():
    """A field on n points between mirrors is half of an even periodic one, if the kernels are symmetric."""

    def symmetric(a):
        if a.shape[0] == 4:
            # About the second tap, which lies on the coarse point.
            a = a.at[3].set(0).at[:, 3].set(0)
            return a.at[:3, :3].set((a[:3, :3] + a[2::-1, :3] + a[:3, 2::-1] + a[2::-1, 2::-1]) / 4)
        return (a + a[::-1] + a[:, ::-1] + a[::-1, ::-1]) / 4

    mirrored = jax.tree.map(symmetric, tiny(boundary=Boundary.reflect))
    periodic = same_weights(mirrored, tiny(boundary=Boundary.circular))
    half = draw(1, 9, 9, 1)
    whole = jnp.concatenate([half, half[-2:0:-1]])
    whole = jnp.concatenate([whole, whole[:, -2:0:-1]], 1)
    np.testing.assert_allclose(run(mirrored, half), run(periodic, whole)[:9, :9], atol=1e-12)


def test_one_cycle_sees_the_whole_grid_and_convolutions_of_its_size_do_not():
    # Four levels on 32 x 32. Three reach all but the last row and column.
    plan = ((1, 0), (1, 0), (1, 0), (2, 0))
    net = VCycle(1, 1, sweeps=plan, key=jr.key(0))
    impulse = jnp.zeros((32, 32, 1), net.levels[0].before[0].smooth.weight.dtype).at[0, 0, 0].set(1)
    assert abs(float(run(net, impulse)[-1, -1, 0])) > 0
    count = sum(a.size for a in jax.tree.leaves(net)) // 9
    conv = Conv(1, 1, 3, bias=False, key=jr.key(1))
    stack = jax.jit(lambda x: jax.lax.fori_loop(0, count, lambda _, x: conv(x), x))(impulse)
    assert float(stack[count, count, 0]) != 0
    assert float(stack[-1, -1, 0]) == 0


@pytest.mark.parametrize(("size", "coarsest"), [(256, 8), (211, 7), (101, 4), (5, 1)])
def test_any_grid_is_halved_upwards_and_found_again(size, coarsest):
    net = VCycle(1, 1, key=jr.key(0))
    f = jax.ShapeDtypeStruct((size, size + 1, 1), jnp.float32)
    net = jax.tree.map(lambda a: a.astype(jnp.float32), net)
    assert eqx.filter_eval_shape(net, f).shape == f.shape
    for level in net.levels[:-1]:
        f = eqx.filter_eval_shape(level.restrict, f)
    assert f.shape[0] == coarsest


def test_work_grows_with_the_number_of_points():
    net = VCycle(2, 4, sweeps=((1, 0), (1, 0), (2, 0)), key=jr.key(0))
    like = lambda n: jax.ShapeDtypeStruct((n, n, 2), net.levels[0].before[0].smooth.weight.dtype)
    work = [jax.jit(lambda f: net(f)).lower(like(n)).cost_analysis()["flops"] for n in (64, 128)]
    assert work[1] / work[0] == pytest.approx(4, rel=0.05)


def test_refusals_name_what_to_do():
    with pytest.raises(ValueError, match="fewer levels"):
        VCycle(1, 1, boundary=Boundary.reflect, key=jr.key(0))(jnp.zeros((16, 64, 1)))
    for sweeps in ((), ((0, 1),), ((1, -1),)):
        with pytest.raises(ValueError, match="of a V-cycle"):
            VCycle(1, 1, sweeps=sweeps, key=jr.key(0))


@pytest.mark.slow
def test_one_cycle_learns_the_inverse_of_the_laplacian():
    """No activation: a linear map of a few thousand numbers, from 500 steps, where a convolution cannot."""
    n, key = 31, jr.key(0)
    grid = np.arange(1, n + 1)
    sines = np.sqrt(2 / (n + 1)) * np.sin(np.pi * np.outer(grid, grid) / (n + 1))
    symbol = 4 * np.sin(np.pi * grid / (2 * n + 2)) ** 2
    inverse = 1 / (symbol[:, None] + symbol) / (n + 1) ** 2

    def sample(key, count):
        f = jr.normal(key, (count, n, n), jnp.float32)
        u = jnp.einsum(
            "ai,bj,ij,ci,dj,ncd->nab", *(jnp.asarray(a, jnp.float32) for a in (sines, sines, inverse, sines, sines)), f
        )
        return f[..., None], 1e3 * u[..., None]

    class Net(eqx.Module):
        first: eqx.Module
        last: Conv

        def __call__(self, f):
            return self.last(self.first(f))

    single = lambda net: jax.tree.map(lambda a: a.astype(jnp.float32), net)
    plan = ((1, 1),) * 4 + ((2, 0),)
    multigrid = single(Net(VCycle(1, 12, sweeps=plan, key=key), Conv(12, 1, 1, bias=False, key=key)))
    local = single(Net(Conv(1, 12, 3, bias=False, key=key), Conv(12, 1, 1, bias=False, key=key)))

    def trained(net):
        rate = lambda i: 5e-3 * (1 + jnp.cos(jnp.pi * i.astype(jnp.float32) / 500))
        opt = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
        state = opt.init(eqx.filter(net, eqx.is_array))
        error = lambda net, f, u: jnp.linalg.norm(jax.vmap(net)(f) - u) / jnp.linalg.norm(u)

        @eqx.filter_jit
        def step(net, state, key):
            slopes = eqx.filter_grad(error)(net, *sample(key, 16))
            with jax.numpy_dtype_promotion("standard"):  # optax counts steps in integers
                change, state = opt.update(slopes, state)
            return eqx.apply_updates(net, change), state

        for i in range(500):
            net, state = step(net, state, jr.fold_in(key, i))
        return float(error(net, *sample(jr.key(1), 64)))

    assert trained(local) > 0.5
    # 0.019 with these settings, of which none was tuned.
    assert trained(multigrid) < 3e-2

"""The one entry: failures, statistics, outputs, padding, causality, actions between steps."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.equations import geometric_brownian_motion, ornstein_uhlenbeck
from cadlag.paths import BrownianGrid, BrownianTree, hermite, linear
from cadlag.solve import (
    ODE,
    RESULTS,
    SDE,
    SRK,
    AdaptiveSteps,
    Calculus,
    EulerMaruyama,
    FixedSteps,
    Heun,
    Milstein,
    NoiseKind,
    ReversibleHeun,
    Tolerance,
    one_step,
    solve,
)

KEY = jax.random.key(0)
DECAY = ODE(lambda t, y, a: -y)
GBM = geometric_brownian_motion(0.1, 0.5)
STRATONOVICH = SDE(lambda t, y, a: y, lambda t, y, a: y, NoiseKind.diagonal, Calculus.stratonovich)
Y = jnp.ones(2)
UNIT = [0.0, 1.0]
TREE = BrownianTree(0.0, 1.0, (2,), tol=1e-4, key=KEY)


def test_several_brownian_motions_are_independent():
    def zero(t, y, a):
        return (jnp.ones_like(y), -jnp.ones_like(y))

    process = SDE(lambda t, y, a: 0 * y, zero, (NoiseKind.additive, NoiseKind.additive))
    assert float(jnp.min(jnp.abs(solve(process, Y, UNIT, key=KEY).y1 - Y))) > 1e-3


def test_two_solvers_see_one_path():
    steps = AdaptiveSteps(rtol=1e-5, atol=1e-5, dt0=0.01, dt_min=1e-4, max_steps=20000)
    adaptive = solve(GBM.process, Y, UNIT, driver=TREE, steps=steps).y1
    milstein = solve(GBM.process, Y, UNIT, driver=TREE, steps=512, stepper=Milstein()).y1
    exact = GBM.solution(1.0, TREE.increments(jnp.asarray(UNIT)).dw[0])
    np.testing.assert_allclose(adaptive, exact, rtol=2e-3)
    np.testing.assert_allclose(milstein, exact, rtol=2e-3)


def test_stratonovich_flow_is_undone_along_the_same_noise():
    noise = BrownianGrid(jnp.linspace(0.0, 1.0, 1025), (2,), key=KEY)
    ts = jnp.linspace(0.0, 1.0, 1025)
    there = solve(STRATONOVICH, Y, ts, driver=noise).y1
    back = solve(STRATONOVICH, there, ts[::-1], driver=noise).y1
    np.testing.assert_allclose(back, Y, rtol=1e-3)


def test_blow_up_on_fixed_steps_is_a_named_result():
    square = ODE(lambda t, y, a: a * y**2)
    solution = solve(square, Y, [0.0, 2.0], args=1.0, steps=50, throw=False)
    assert solution.result == RESULTS.nonfinite_state
    assert np.all(np.isfinite(solution.last[1]))
    assert 0.9 < float(solution.last[0]) < 2.0
    with pytest.raises(Exception, match="infinite or NaN"):
        solve(square, Y, [0.0, 2.0], args=1.0, steps=50)
    padded = solve(square, Y, [0.0, 1.9, 2.0, 2.0, 2.0], args=1.0, steps=20, throw=False)
    assert padded.result == RESULTS.nonfinite_state


def test_stiff_problem_with_few_steps_is_a_named_result():
    stiff, steps = ODE(lambda t, y, a: a * y), AdaptiveSteps(max_steps=16)

    def run(a):
        return solve(stiff, Y, UNIT, args=a, steps=steps, throw=False)

    solution = run(-1e6)
    assert solution.result == RESULTS.max_steps_reached
    assert 0 < float(solution.last[0]) < 1
    assert np.all(np.isfinite(solution.last[1]))
    assert np.isfinite(jax.grad(lambda a: jnp.sum(run(a).ys[0]))(-1e6))
    with pytest.raises(Exception, match="maximum number of solver steps"):
        solve(stiff, Y, UNIT, args=-1e6, steps=steps)


COUNTS = {"euler": (EulerMaruyama(), 10), "heun": (Heun(), 20), "reversible": (ReversibleHeun(), 11),
          "tsit5": (diffrax.Tsit5(), 61), "midpoint": (diffrax.Midpoint(), 20)}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_evaluations_are_steps_times_stages_and_start_up(name):
    stepper, expected = COUNTS[name]
    stats = solve(DECAY, Y, UNIT, steps=10, stepper=stepper, stats=True).stats
    assert int(stats.evaluations) == expected
    assert int(stats.steps) == 10


def test_adaptive_statistics_and_their_gradient():
    steps = AdaptiveSteps(rtol=1e-6, atol=1e-6, max_steps=64)

    def run(a):
        return solve(ODE(lambda t, y, args: args * y), Y, UNIT, args=a, steps=steps, stats=True).stats

    stats = jax.jit(run)(-3.0)
    accepted = int(np.sum(np.asarray(stats.sizes) > 0))
    assert accepted + int(stats.rejections) == int(stats.steps)
    np.testing.assert_allclose(np.sum(stats.sizes), 1.0, rtol=1e-12)
    np.testing.assert_allclose(stats.stiffness[:accepted], 3.0, rtol=1e-6)
    assert np.all(np.asarray(stats.error)[accepted:] == 0)
    batch = jax.jit(jax.vmap(run))(jnp.asarray([-3.0, -1.0]))
    np.testing.assert_allclose(batch.error[0], stats.error, rtol=1e-6, atol=1e-12)
    grad = jax.grad(lambda a: jnp.sum(run(a).error) + jnp.max(run(a).stiffness))(-3.0)
    assert np.isfinite(grad)
    assert grad != 0


def test_one_step_estimates_against_closed_form():
    """Heun's estimate for y' = λ y is ½ (λh)² y; Shampine's is |λ|."""
    h, lam = 0.1, -2.0
    process = ODE(lambda t, y, a: lam * y)
    heun = one_step(process, 0.0, Y, h, stepper=Heun(), tolerance=Tolerance(0.0, 1.0))
    np.testing.assert_allclose(heun.error, 0.5 * (lam * h) ** 2, rtol=1e-12)
    np.testing.assert_allclose(one_step(process, 0.0, Y, h).stiffness, 2.0, rtol=1e-9)


def test_outputs_apart_from_steps():
    grid, ts = jnp.linspace(0.0, 1.0, 11), jnp.asarray([0.0, 0.25, 0.3, 1.0])
    for sign in (1, -1):
        on_grid = solve(DECAY, Y, grid[::sign])
        off = solve(DECAY, Y, (ts if sign == 1 else 1 - ts), steps=FixedSteps(grid[::sign]))
        np.testing.assert_allclose(off.ys[2], on_grid.ys[3], rtol=1e-13)
        np.testing.assert_array_equal(off.ys[3], on_grid.ys[10])
        np.testing.assert_allclose(off.ys[1], 0.5 * (on_grid.ys[2] + on_grid.ys[3]), rtol=1e-12)


def controlled(x, times, scale=1.0):
    process = SDE(lambda t, y, a: jnp.tanh(a.evaluate(t) - y), lambda t, y, a: 0.1 * y)
    return solve(process, Y * scale, times, args=hermite(times, x), key=KEY)


def test_padding_changes_nothing():
    x = jnp.sin(jnp.arange(12.0)).reshape(6, 2)
    times = jnp.arange(6.0)
    pad_t = jnp.concatenate([times, jnp.full(3, 5.0)])
    pad_x = jnp.concatenate([x, jnp.repeat(x[-1:], 3, 0)])
    short, long = controlled(x, times), controlled(pad_x, pad_t)
    np.testing.assert_array_equal(long.ys[:6], short.ys)
    np.testing.assert_array_equal(long.y1, short.y1)

    def grad(x_, t_):
        return jax.grad(lambda s: jnp.sum(controlled(x_, t_, s).y1))(1.0)

    np.testing.assert_allclose(grad(pad_x, pad_t), grad(x, times), rtol=1e-12)
    into_data = jax.grad(lambda x_: jnp.sum(controlled(x_, pad_t).y1))(pad_x)
    assert np.all(np.isfinite(into_data))


def test_the_future_does_not_change_the_past():
    x, times = jnp.sin(jnp.arange(12.0)).reshape(6, 2), jnp.arange(6.0)
    changed = x.at[4].add(1.0)
    # Hermite looks ahead to the next observation: x[4] acts from t = 3, so states up to t = 3 are untouched.
    np.testing.assert_array_equal(controlled(changed, times).ys[:4], controlled(x, times).ys[:4])
    assert np.any(controlled(changed, times).ys[5] != controlled(x, times).ys[5])


def test_a_path_is_only_tabulated_at_the_steps_own_time():
    process = ODE(lambda t, y, a: a.evaluate(t - 0.5))
    path = linear(jnp.arange(3.0), jnp.ones((3, 2)))
    assert solve(process, Y, [0.0, 1.0], args=path, steps=4, throw=False).result == RESULTS.nonfinite_state


def test_own_final_index_under_vmap():
    ends = jnp.asarray([1, 3])

    def run(i):
        return solve(DECAY, Y, jnp.arange(4.0), steps=20).at(i)

    np.testing.assert_allclose(jax.vmap(run)(ends)[:, 0], np.exp(-np.asarray([1.0, 3.0])), rtol=1e-2)


def test_between_acts_after_each_step_with_its_own_key():
    rotate = ODE(lambda t, y, a: jnp.stack([-y[1], y[0]]))

    def project(t, y, key):
        return y / jnp.linalg.norm(y)

    solution = solve(rotate, jnp.asarray([1.0, 0.0]), [0.0, 1.0], steps=20, stepper=EulerMaruyama(), between=project)
    np.testing.assert_allclose(jnp.linalg.norm(solution.y1), 1.0, rtol=1e-14)

    def jump(t, y, key):
        return y + jax.random.normal(key, y.shape)

    still = ODE(lambda t, y, a: 0 * y)
    ys = solve(still, Y, jnp.arange(4.0), between=jump, key=KEY).ys
    steps = np.diff(np.asarray(ys), axis=0)
    assert len(np.unique(steps)) == steps.size


def test_vmap_is_a_loop_and_jit_changes_nothing():
    def run(key):
        return solve(GBM.process, Y, UNIT, steps=8, key=key).y1

    keys = jax.random.split(KEY, 3)
    loop = jnp.stack([run(k) for k in keys])
    np.testing.assert_allclose(jax.vmap(run)(keys), loop, rtol=1e-14)
    np.testing.assert_allclose(jax.jit(run)(keys[0]), loop[0], rtol=1e-14)


def test_float32_under_x64():
    y = jnp.ones(2, jnp.float32)
    for kwargs in ({}, {"steps": FixedSteps.uniform(0.0, 1.0, 4)}, {"steps": AdaptiveSteps(dt0=0.1)}):
        solution = solve(GBM.process, y, UNIT, key=KEY, **kwargs)
        assert solution.y1.dtype == jnp.float32
        assert solution.ts.dtype == jnp.float32


def test_event_stops_through_diffrax():
    event = diffrax.Event(lambda t, y, args, **kwargs: y[0] - 0.5, optx_root())
    solution = solve(DECAY, Y, [0.0, 3.0], steps=AdaptiveSteps(rtol=1e-8, atol=1e-8), event=event)
    assert solution.result == RESULTS.event_occurred
    np.testing.assert_allclose(solution.last[0], np.log(2), rtol=1e-6)


def optx_root():
    import optimistix

    return optimistix.Newton(1e-8, 1e-8)


def test_a_training_loop_compiles_once():
    count = []

    @jax.jit
    def step(theta, key):
        count.append(1)

        def loss(th):
            return jnp.sum(solve(GBM.process, th, jnp.asarray(UNIT), steps=4, key=key).y1 ** 2)

        return theta - 0.01 * jax.grad(loss)(theta)

    theta = Y
    for key in jax.random.split(KEY, 100):
        theta = step(theta, key)
    assert len(count) == 1


def test_no_noise_makes_keys_irrelevant():
    process = SDE(lambda t, y, a: -y, lambda t, y, a: 0 * y)
    one, two = (solve(process, Y, UNIT, steps=10, key=jax.random.key(i)).y1 for i in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_stationary_variance_of_eulers_langevin_equation():
    """20000 paths; variance within 4 standard errors: false alarms 6e-5. Exact and Euler's value are 18 apart."""
    from cadlag.equations import euler_stationary_variance

    rate, scale, dt, n = 1.0, 0.8, 0.25, 20_000
    problem = ornstein_uhlenbeck(rate, 0.0, scale, y0=(0.0,))

    def run(k):
        return solve(problem.process, problem.y0, [0.0, 10.0], steps=40, key=k).y1[0]

    ends = np.asarray(jax.jit(jax.vmap(run))(jax.random.split(KEY, n)))
    expected = euler_stationary_variance(rate, scale, dt)
    assert abs(ends.var() / expected - 1) < 4 * np.sqrt(2 / n)


def test_moments_of_geometric_noise():
    """γ = 0.1, σ = 1, T = 10: the median falls to e^-4 while the mean grows. 4000 paths, 4 s.e. of the median."""
    problem = geometric_brownian_motion(0.1, 1.0)

    def run(k):
        return solve(problem.process, problem.y0, [0.0, 10.0], steps=200, key=k, stepper=SRK()).y1[0]

    ends = np.asarray(jax.jit(jax.vmap(run))(jax.random.split(KEY, 4000)))
    se = np.sqrt(np.pi / 2 * 10 / 4000)
    assert abs(np.log(np.median(ends)) + 4) < 4 * se


def test_solution_is_a_pytree_that_serialises(tmp_path):
    solution = solve(DECAY, Y, UNIT)
    eqx.tree_serialise_leaves(tmp_path / "s.eqx", solution.ys)
    np.testing.assert_array_equal(eqx.tree_deserialise_leaves(tmp_path / "s.eqx", solution.ys), solution.ys)

"""Controls in the noise and their energy, against closed forms."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.solve import (
    ODE,
    SDE,
    Calculus,
    EulerMaruyama,
    Heun,
    Milstein,
    NoiseKind,
    controlled,
    solve,
    with_path_kl,
)

TS = jnp.linspace(0.0, 2.0, 9)
Y0 = jnp.array([1.0, -0.5])
MATRIX = jnp.array([[0.3, 0.1, 0.0], [0.0, 0.2, 0.4]])
CASES = {
    "diagonal": (SDE(lambda t, y, a: -y, lambda t, y, a: 0.3 + 0.1 * y), (2,)),
    "additive": (SDE(lambda t, y, a: -y, lambda t, y, a: jnp.array([0.3, 0.2]), NoiseKind.additive), (2,)),
    "scalar": (SDE(lambda t, y, a: -y, lambda t, y, a: 0.3 * y, NoiseKind.scalar), ()),
    "matrix": (SDE(lambda t, y, a: -y, lambda t, y, a: MATRIX, NoiseKind.operator), (3,)),
}


@pytest.mark.parametrize("name", CASES)
def test_without_a_control_it_is_the_process_path_by_path(name):
    process, shape = CASES[name]
    key = jax.random.key(0)
    plain = solve(process, Y0, TS, key=key, stepper=EulerMaruyama()).ys
    still = controlled(process, lambda t, y, args: jnp.zeros(shape))
    path, energy = solve(still, (Y0, jnp.zeros(())), TS, key=key, stepper=EulerMaruyama()).ys
    np.testing.assert_allclose(path, plain, rtol=1e-12)
    np.testing.assert_array_equal(energy, 0)


@pytest.mark.parametrize("name", CASES)
def test_a_constant_control_costs_half_its_square_a_unit_of_time(name):
    process, shape = CASES[name]
    u = jnp.full(shape, 0.7)
    pushed = controlled(process, lambda t, y, args: u)
    _, energy = solve(pushed, (Y0, jnp.zeros(())), TS, key=jax.random.key(1), stepper=EulerMaruyama()).y1
    np.testing.assert_allclose(energy, 0.5 * float(jnp.sum(u**2)) * 2.0, rtol=1e-12)


def test_it_moves_as_a_process_with_that_drift_does():
    process, key = CASES["diagonal"][0], jax.random.key(2)
    drift = lambda t, y, args: 0.5 - y**2
    path, kl = solve(with_path_kl(process, drift), (Y0, jnp.zeros(())), TS, key=key).ys
    wanted = solve(SDE(drift, process.diffusion_field), Y0, TS, key=key).ys
    np.testing.assert_allclose(path, wanted, rtol=1e-10)
    # The left-point sum that Euler's steps take, written out.
    u = (np.asarray(jax.vmap(lambda y: drift(0, y, None))(wanted)) + np.asarray(wanted)) / (0.3 + 0.1 * wanted)
    np.testing.assert_allclose(kl[1:], np.cumsum(0.5 * np.sum(u**2, 1)[:-1] * 0.25), rtol=1e-10)


def test_constants_give_the_closed_form_in_both_senses():
    for calculus, stepper in ((Calculus.ito, EulerMaruyama()), (Calculus.stratonovich, Heun())):
        prior = SDE(lambda t, y, a: jnp.zeros(2), lambda t, y, a: jnp.array([0.5, 2.0]), NoiseKind.additive, calculus)
        process = with_path_kl(prior, lambda t, y, args: jnp.array([1.0, 1.0]))
        _, kl = solve(process, (Y0, jnp.zeros(())), TS, key=jax.random.key(3), stepper=stepper).y1
        np.testing.assert_allclose(kl, 0.5 * (1 / 0.25 + 1 / 4) * 2.0, rtol=1e-12)


def test_an_ornstein_uhlenbeck_posterior_has_the_known_divergence():
    # Prior dY = dW, posterior dX = -a X dt + dW from x0: KL = ½ a² ∫ E X² dt in closed form.
    a, x0, end = 1.5, 0.8, 1.0
    prior = SDE(lambda t, y, _: jnp.zeros(()), lambda t, y, _: jnp.ones(()), NoiseKind.additive)
    process = with_path_kl(prior, lambda t, y, _: -a * y)
    keys = jax.random.split(jax.random.key(4), 4000)
    ts = jnp.array([0.0, end])
    one = lambda k: solve(process, (jnp.asarray(x0), jnp.zeros(())), ts, key=k, steps=64).y1[1]
    found = jax.jit(jax.vmap(one))(keys)
    decay = (1 - np.exp(-2 * a * end)) / (2 * a)
    exact = 0.5 * a**2 * (x0**2 * decay + (end - decay) / (2 * a))
    assert abs(found.mean() - exact) < 4 * found.std() / 4000**0.5 + 0.01 * exact


def test_where_there_is_no_noise_nothing_is_divided():
    prior = SDE(lambda t, y, a: -y, lambda t, y, a: jnp.array([0.5, 0.0]))
    process = with_path_kl(prior, lambda t, y, a: -2 * y)
    slope = jax.grad(lambda y: solve(process, (y, jnp.zeros(())), TS, key=jax.random.key(0)).y1[1])(Y0)
    assert np.all(np.isfinite(slope))


def test_steppers_that_need_diagonal_noise_are_refused_with_advice():
    process = controlled(CASES["diagonal"][0], lambda t, y, args: jnp.zeros(2))
    with pytest.raises(ValueError, match="EulerMaruyama or Heun"):
        solve(process, (Y0, jnp.zeros(())), TS, key=jax.random.key(0), stepper=Milstein())


def test_it_runs_through_diffrax():
    prior = CASES["additive"][0]
    process = controlled(prior, lambda t, y, args: jnp.ones(2))
    found = solve(process, (Y0, jnp.zeros(())), TS, key=jax.random.key(0), stepper=diffrax.Euler())
    np.testing.assert_allclose(found.y1[1], 2.0, rtol=1e-6)


def test_bad_input_gets_advice():
    with pytest.raises(ValueError, match="no noise"):
        controlled(ODE(lambda t, y, a: y), lambda t, y, a: y)
    with pytest.raises(ValueError, match="scalar"):
        with_path_kl(CASES["scalar"][0], lambda t, y, a: y)
    prior = SDE(lambda t, y, a: -y, lambda t, y, a: MATRIX, NoiseKind.additive)
    with pytest.raises(ValueError, match="like y"):
        solve(with_path_kl(prior, lambda t, y, a: y), (Y0, jnp.zeros(())), TS, key=jax.random.key(0))

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.train import EMA, SWA, Player, advance, gradient, least_squares, minimise, players

from .problems import Pairs, arrays, model, same_bits, squared

KEY = jax.random.key(3)


def quadratic(u, batch, key):
    return jnp.sum((u["a"] - 3.0) ** 2) + jnp.sum((u["b"] + 1.0) ** 2), {}


def zeros():
    return {"a": jnp.zeros(2), "b": jnp.zeros(3)}


def run(update, unknowns, steps, source=None):
    state, infos = eqx.filter_jit(minimise)(update, update.init(unknowns, KEY), source, steps, key=KEY)
    return state, infos


def test_gradient_matches_plain_gradient_descent_by_hand():
    state, infos = run(gradient(quadratic, optax.sgd(0.1)), zeros(), 3)
    # u <- u - 0.2 (u - c) contracts the distance to c by 0.8 a step.
    np.testing.assert_allclose(state.unknowns["a"], 3 * (1 - 0.8**3) * np.ones(2), rtol=1e-14)
    np.testing.assert_allclose(infos["loss"], 21 * 0.64 ** np.arange(3), rtol=1e-14)
    np.testing.assert_allclose(infos["grad_norm"], 2 * np.sqrt(21) * 0.8 ** np.arange(3), rtol=1e-14)
    assert int(state.step) == 3


def test_groups_have_their_own_rates_and_frozen_ones_stay():
    optimisers = {"fast": optax.sgd(0.5), "still": None}
    update = gradient(quadratic, optimisers, groups=lambda u: {"a": "fast", "b": "still"})
    state, _ = run(update, zeros(), 1)
    np.testing.assert_allclose(state.unknowns["a"], 3 * np.ones(2))
    assert (state.unknowns["b"] == 0).all()


def test_groups_work_on_a_module_with_functions_as_leaves():
    net = model()

    def groups(u):
        labels = jax.tree.map(lambda _: "still", u)
        return eqx.tree_at(lambda m: m.layers[1].weight, labels, "fast")

    update = gradient(squared, {"fast": optax.adam(0.1), "still": None}, groups=groups)
    state, _ = run(update, net, 2, Pairs())
    assert (state.unknowns.layers[0].weight == net.layers[0].weight).all()
    assert (state.unknowns.layers[1].weight != net.layers[1].weight).any()


def test_an_unknown_label_is_refused_with_advice():
    update = gradient(quadratic, {"fast": optax.sgd(0.5)}, groups=lambda u: {"a": "fast", "b": "slow"})
    with pytest.raises(ValueError, match=r"labels \['slow'\] have no optimiser"):
        update.init(zeros(), KEY)


def test_projection_acts_after_the_step():
    clip = lambda u: jax.tree.map(lambda x: jnp.clip(x, -0.5, 0.5), u)
    state, _ = run(gradient(quadratic, optax.sgd(0.5), project=clip), zeros(), 2)
    assert (state.unknowns["a"] == 0.5).all()
    assert (state.unknowns["b"] == -0.5).all()


def test_lbfgs_solves_the_rosenbrock_function():
    def rosenbrock(u, batch, key):
        return (1 - u[0]) ** 2 + 100 * (u[1] - u[0] ** 2) ** 2, {}

    state, _ = run(gradient(rosenbrock, optax.lbfgs()), jnp.array([-1.2, 1.0]), 60)
    np.testing.assert_allclose(state.unknowns, [1.0, 1.0], atol=1e-6)


def test_averages_equal_those_of_the_recorded_unknowns():
    seen, state = [], None
    update = gradient(quadratic, optax.sgd(0.1), average=SWA(2))
    ema = gradient(quadratic, optax.sgd(0.1), average=EMA(0.5))
    for n in range(1, 6):
        state, _ = run(update, zeros(), n)
        seen.append(np.asarray(state.unknowns["a"]))
    np.testing.assert_allclose(state.averaged["a"], np.mean(seen[2:], axis=0), rtol=1e-13)
    expected = np.zeros(2)
    for t, u in enumerate(seen):
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * u
    np.testing.assert_allclose(run(ema, zeros(), 5)[0].averaged["a"], expected, rtol=1e-13)


def test_float32_stays_float32():
    net, source = model(dtype=jnp.float32), Pairs(dtype=jnp.float32)
    update = gradient(squared, optax.adam(1e-2), average=EMA(0.9))
    state, infos = run(update, net, 3, source)
    assert {x.dtype for x in arrays(state.unknowns)} == {jnp.dtype(jnp.float32)}
    assert infos["loss"].dtype == jnp.float32


def test_a_stateful_loss_carries_its_state():
    def loss(u, count, batch, key):
        return jnp.sum(u**2), (count + 1, {"count": count})

    update = gradient(loss, optax.sgd(0.1), stateful=True)
    state = update.init(jnp.ones(2), KEY, model_state=jnp.zeros((), jnp.int32))
    state, infos = minimise(update, state, None, 4, key=KEY)
    assert int(state.model_state) == 4
    assert infos["count"].tolist() == [0, 1, 2, 3]


def test_complex_unknowns_descend():
    def loss(u, batch, key):
        return jnp.sum(jnp.abs(u - (1 + 2j)) ** 2), {}

    state, _ = run(gradient(loss, optax.sgd(0.25)), jnp.zeros(1, complex), 30)
    np.testing.assert_allclose(state.unknowns, [1 + 2j], atol=1e-8)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda u, b, k: jnp.sum(u), TypeError, "expected a pair"),
        (lambda u, b, k: (u, {}), ValueError, "expected a scalar"),
        (lambda u, b, k: (jnp.sum(u), {"loss": 1.0}), ValueError, "names that the update writes"),
    ],
)
def test_a_wrong_loss_is_refused(loss, error, message):
    with pytest.raises(error, match=message):
        run(gradient(loss, optax.sgd(0.1)), jnp.ones(2), 1)


def test_unknowns_without_arrays_are_refused():
    with pytest.raises(ValueError, match="nothing to learn"):
        gradient(quadratic, optax.sgd(0.1)).init({"a": 1.0, "b": jnp.arange(3)}, KEY)


def test_a_dict_of_optimisers_needs_groups():
    with pytest.raises(TypeError, match="goes with groups="):
        gradient(quadratic, {"a": optax.sgd(0.1)})


def test_least_squares_solves_a_linear_problem_in_one_step_and_a_curved_one_in_few():
    A = jax.random.normal(jax.random.key(0), (7, 3))
    b = jnp.arange(7.0)
    linear = least_squares(lambda u, batch, key: A @ u - b, damping=1e-13)
    state, _ = run(linear, jnp.zeros(3), 1)
    np.testing.assert_allclose(state.unknowns, np.linalg.lstsq(np.asarray(A), np.asarray(b))[0], atol=1e-6)
    t = jnp.linspace(0.0, 1.0, 9)
    curved = least_squares(lambda u, batch, key: u[0] * jnp.exp(u[1] * t) - 2 * jnp.exp(-1.5 * t))
    state, infos = run(curved, jnp.array([1.0, 0.0]), 25)
    np.testing.assert_allclose(state.unknowns, [2.0, -1.5], atol=1e-7)
    assert (np.diff(infos["loss"]) <= 0).all()


def saddle(sign, own, other):
    """min over x, max over y of x y + (x² - y²) / 2, whose only saddle is the origin."""

    def loss(u, seen, key):
        everybody, _ = seen
        z = everybody[other]
        return sign * (u * z + 0.5 * (u**2 - z**2) * (1 if sign > 0 else -1)), {}

    return gradient(loss, optax.sgd(0.1))


def game(simultaneous, steps=1):
    parties = {"x": saddle(1.0, "x", "y"), "y": Player(saddle(-1.0, "y", "x"), steps=steps)}
    return players(parties, simultaneous=simultaneous)


def step_by_hand(x, y, simultaneous):
    new_x = x - 0.1 * (y + x)
    seen = x if simultaneous else new_x
    return new_x, y - 0.1 * (-seen + y)


@pytest.mark.parametrize("simultaneous", [True, False])
def test_players_follow_the_hand_computed_game(simultaneous):
    state, infos = run(game(simultaneous), {"x": jnp.array(1.0), "y": jnp.array(0.5)}, 2)
    x, y = step_by_hand(*step_by_hand(1.0, 0.5, simultaneous), simultaneous)
    np.testing.assert_allclose([state.unknowns["x"], state.unknowns["y"]], [x, y], rtol=1e-13)
    assert {"x/loss", "y/loss", "y/grad_norm", "loss"} <= set(infos)


def test_a_player_may_move_several_times_and_must_be_known():
    state, _ = run(game(False, steps=3), {"x": jnp.array(1.0), "y": jnp.array(0.5)}, 2)
    assert int(state.states["y"].step) == 6
    assert int(state.step) == 2
    with pytest.raises(ValueError, match=r"expected a dict with the players \['x', 'y'\]"):
        game(False).init({"x": jnp.array(1.0)}, KEY)


def test_minimise_equals_steps_taken_one_by_one_and_goes_on_where_it_stopped():
    update, source = gradient(squared, optax.adam(1e-2)), Pairs()
    start = update.init(model(), KEY)
    whole, infos = eqx.filter_jit(minimise)(update, start, source, 6, key=KEY)
    first, source_state, _ = advance(update, start, source, source.init(KEY), 2, key=KEY)
    rest, source_state, late = advance(update, first, source, source_state, 4, key=KEY)
    np.testing.assert_allclose(late["loss"], infos["loss"][2:], rtol=1e-10)
    np.testing.assert_allclose(arrays(rest)[0], arrays(whole)[0], rtol=1e-10)
    assert int(source_state) == 6


def test_vmap_of_minimise_equals_the_loop():
    update, source = gradient(squared, optax.adam(1e-2)), Pairs()
    keys = jax.random.split(KEY, 3)

    def train(key):
        net = eqx.nn.MLP(3, 2, 8, 1, key=key)
        state, infos = minimise(update, update.init(net, key), source, 5, key=key)
        return state.unknowns.layers[0].weight, infos["loss"]

    together = jax.jit(jax.vmap(train))(keys)
    single = jax.jit(train)
    for i, key in enumerate(keys):
        for a, b in zip(together, single(key), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-10)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_gradient_with_respect_to_the_learning_rate_and_a_parameter_of_the_loss(checkpoint):
    def final(rate, target):
        update = gradient(lambda u, b, k: (jnp.sum((u - target) ** 2), {}), optax.sgd(rate))
        state = update.init(jnp.zeros(()), KEY)
        return minimise(update, state, None, 4, key=KEY, checkpoint=checkpoint)[0].unknowns

    # u_4 = target (1 - (1 - 2 rate)^4)
    by_rate, by_target = jax.grad(final, argnums=(0, 1))(0.1, 3.0)
    np.testing.assert_allclose(by_rate, 3 * 8 * 0.8**3, rtol=1e-12)
    np.testing.assert_allclose(by_target, 1 - 0.8**4, rtol=1e-12)


def test_until_freezes_the_state_and_stays_differentiable():
    def final(target):
        update = gradient(lambda u, b, k: (jnp.sum((u - target) ** 2), {}), optax.sgd(0.1))
        state = update.init(jnp.zeros(()), KEY)
        return minimise(update, state, None, 10, key=KEY, until=lambda s, info: s.step >= 4)

    state, infos = final(3.0)
    assert int(state.step) == 4
    assert infos["active"].tolist() == [True] * 4 + [False] * 6
    assert same_bits(infos["loss"][4:], jnp.full(6, infos["loss"][3]))
    by_target = jax.grad(lambda t: final(t)[0].unknowns)(3.0)
    np.testing.assert_allclose(by_target, 1 - 0.8**4, rtol=1e-12)


def test_minimise_refuses_a_traced_or_empty_number_of_steps_and_a_drifting_state():
    update = gradient(quadratic, optax.sgd(0.1))
    with pytest.raises(ValueError, match="expected a Python integer >= 1"):
        minimise(update, update.init(zeros(), KEY), None, 0, key=KEY)
    project = lambda u: jax.tree.map(lambda x: x.astype(jnp.float32), u)
    drifting = gradient(quadratic, optax.sgd(0.1), project=project)
    with pytest.raises(TypeError, match=r"unknowns\['a'\] changed from float64.* to float32"):
        minimise(drifting, drifting.init(zeros(), KEY), None, 2, key=KEY)

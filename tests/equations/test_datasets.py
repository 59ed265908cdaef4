"""Data sets made by simulators: what they hold, that failures are left out, and the scalar in a flow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.equations import (
    DATASETS,
    AbstractGenerator,
    DarcyGenerator,
    EvolutionGenerator,
    PassiveScalar,
    RandomStream,
    ThresholdedField,
    dataset_generator,
    make_dataset,
    simulate,
    solve_darcy,
)
from cadlag.fields import Box, CallableField, Grid

KEY = jax.random.key(7)
LINE = Box({"x": (0.0, 1.0)}, periodic="x")


@pytest.mark.parametrize("name", DATASETS)
def test_every_named_set_has_examples_of_its_shape(name):
    """Traced, not run; the settings of each are written down."""
    made = dataset_generator(name)
    grid = made.grid(24)
    shape = jax.eval_shape(lambda key: made.example(grid, key), KEY).shape
    frames = 1 if made.ts is None else len(made.ts)
    assert shape == (frames, len(made.channels), *grid.shape)
    about = made.about(grid)
    assert about["equation"]
    assert all(isinstance(x, str | int | float) for x in about.values())
    if "nu" in DATASETS[name][1]:
        assert about.get("nu", about.get("diffusivity")) == pytest.approx(DATASETS[name][1]["nu"])


def test_examples_are_solutions_cut_to_the_modes_of_the_grid():
    """Heat: every mode decays by exp(-nu k² t). Solved on 32 points, kept on 12, of which modes up to 5 are full."""
    made = dataset_generator("heat", frames=3, every=0.2, nu=0.02)
    d = make_dataset(made, 3, resolution=12, key=KEY, dtype=np.float64)
    assert d.values.shape == (3, 3, 1, 12)
    assert (d.channels, d.axes, d.periodic, d.metadata["nu"]) == (("u",), ("x",), ("x",), 0.02)
    np.testing.assert_array_equal(d.ts, [0, 0.2, 0.4])
    np.testing.assert_allclose(d.coordinates[0], np.arange(12) / 12, rtol=1e-15)
    hat = np.fft.rfft(d.values[:, :, 0])[..., 1:6]
    decay = np.exp(-0.02 * (2 * np.pi * np.arange(1, 6)) ** 2 * d.ts[:, None])
    np.testing.assert_allclose(hat, hat[:, :1] * decay, atol=1e-12)
    # Its initial states have modes up to 8, which the full grid shows.
    full = make_dataset(made, 3, resolution=32, key=KEY, dtype=np.float64)
    np.testing.assert_allclose(np.fft.rfft(full.values[:, :, 0])[..., 1:6] * 12 / 32, hat, atol=1e-12)


def test_an_example_depends_on_its_number_alone():
    made = DarcyGenerator(law=ThresholdedField)
    five = make_dataset(made, 5, resolution=9, key=KEY, shard=2)
    three = make_dataset(made, 3, resolution=9, key=KEY, shard=3)
    np.testing.assert_allclose(five.values[:3], three.values, rtol=1e-6)
    assert not np.array_equal(five.values[0], five.values[1])
    assert five.values.dtype == np.float32
    grid = made.grid(9)
    a, u = five.values[4, 0]
    assert set(np.unique(a)) == {3.0, 12.0}
    np.testing.assert_allclose(u, solve_darcy(jnp.asarray(a, jnp.float64), grid), rtol=1e-6)
    assert (
        five.metadata | {"equation": "Darcy", "coefficient": "ThresholdedField", "coefficient tau": 3.0}
        == five.metadata
    )
    assert (five.ts, dict(five.boundary)) == (None, {"x": "dirichlet", "y": "dirichlet"})


class Fragile(AbstractGenerator):
    """The number of an example's key; some fail."""

    share: float
    channels: tuple[str, ...] = eqx.field(static=True, default=("u",))
    ts: None = None

    def grid(self, resolution):
        return Grid(LINE, resolution)

    def example(self, grid, key):
        number = jax.random.uniform(key)
        bad = jnp.where(number < self.share / 2, jnp.nan, 0.0)
        return jnp.broadcast_to(jnp.where(number < self.share, bad, number), (1, 1, *grid.shape))

    def about(self, grid):
        return {"equation": "none"}


def test_runs_that_fail_are_left_out_and_counted():
    """Half of the runs end in NaN or in zeros."""
    numbers = np.asarray([jax.random.uniform(jax.random.fold_in(KEY, i)) for i in range(64)])
    seen = []
    d = make_dataset(
        Fragile(share=0.5), 6, resolution=4, key=KEY, shard=3, dtype=float, progress=lambda *x: seen.append(x)
    )
    np.testing.assert_array_equal(d.values[:, 0, 0, 0], numbers[numbers >= 0.5][:6])
    tried = 3 * len(seen)
    assert d.metadata["dropped"] == np.sum(numbers[:tried] < 0.5) > 0
    assert seen[-1] == (6, 6)
    with pytest.raises(ValueError, match=r"runs failed; take a smaller step"):
        make_dataset(Fragile(share=1.0), 4, resolution=4, key=KEY, shard=4)


def test_the_error_in_time_is_measured():
    """Burgers' sets are solved far below the rounding of float32; a step that is too long shows."""
    made = dataset_generator("burgers", frames=3, every=0.02)
    assert made.time_error(made.grid(64), KEY) < 1e-7
    coarse = EvolutionGenerator(equation=made.equation, channels=("u",), ts=made.ts, step=0.02, least=64)
    assert coarse.time_error(coarse.grid(64), KEY) > 1e-6


def test_water_keeps_its_mass_and_starts_at_rest():
    made = dataset_generator("shallow-water", frames=3, every=0.05)
    made = EvolutionGenerator(
        equation=made.equation,
        channels=made.channels,
        ts=made.ts,
        step=0.01,
        least=16,
        start=made.start,
        finish=made.finish,
    )
    d = make_dataset(made, 2, resolution=16, key=KEY, dtype=np.float64)
    h, u = d.values[:, :, 0], d.values[:, :, 1]
    np.testing.assert_allclose(h.mean((2, 3)), 1, rtol=1e-13)
    assert np.all(u[:, 0] == 0)
    assert np.all(u[:, 1].std((1, 2)) > 0)
    assert 0.03 < h[:, 0].std() < 0.3


def test_a_scalar_in_a_shear_has_a_closed_form():
    """nu = 0: u = cos k(x - t sin k y). As a residual, and simulated, where resolution is what limits it."""
    equation, k = PassiveScalar(nu=0.0, time=(0.0, 0.2)), 2 * np.pi
    exact = lambda t, x, y: jnp.cos(k * (x - t * jnp.sin(k * y)))
    u = CallableField(domain=equation.domain, f=lambda p: exact(*p))
    at = jax.random.uniform(KEY, (10, 3))
    np.testing.assert_allclose(jax.jit(jax.vmap(equation.residual(u)))(at), 0, atol=1e-12)
    grid = Grid(equation.space, 32)
    last = simulate(equation, grid, [0.0, 0.2], step=0.01).values[-1]
    np.testing.assert_allclose(last, exact(0.2, *(jnp.asarray(x) for x in grid.mesh())), atol=2e-5)


def test_random_streams_have_no_divergence_and_the_speed_asked_for():
    space = Box({"x": (0.0, 1.0), "y": (0.0, 2.0)}, periodic=("x", "y"))
    flow = RandomStream.draw(space, KEY, speed=3)
    slopes = jax.jit(jax.vmap(jax.jacfwd(lambda p: flow(*p))))(jax.random.uniform(KEY, (10, 2)))
    np.testing.assert_allclose(jnp.trace(slopes, axis1=1, axis2=2), 0, atol=1e-12)
    # Sines of different waves are orthogonal, those of the same (or opposite) wave add up: 3 in the mean over draws.
    x, y = (jnp.asarray(a) for a in Grid(space, 16).mesh())
    square = jax.jit(jax.vmap(lambda key: jnp.mean(jnp.sum(RandomStream.draw(space, key, speed=3)(x, y) ** 2, 0))))
    squares = square(jax.random.split(KEY, 400))
    assert abs(float(jnp.mean(squares)) - 9) < 4.5 * float(jnp.std(squares)) / 20  # false alarms below 1e-5
    edge = flow(jnp.asarray([0.0, 1.0]), jnp.asarray([0.5, 2.5]))
    np.testing.assert_allclose(edge[:, 0], edge[:, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dataset_generator("weather"), "no data set 'weather'; there are navier-stokes, "),
        (lambda: dataset_generator("kdv", nu=1.0), "kdv has no nu; it has frames, every"),
        (lambda: dataset_generator("darcy", frames=3), "darcy has no frames; it has none"),
        (lambda: dataset_generator("heat", frames=1), "two frames or more"),
        (lambda: make_dataset(dataset_generator("heat"), 0, resolution=8, key=KEY), "n=0, resolution=8"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

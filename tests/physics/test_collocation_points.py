"""Samplers of collocation points, and the source that holds their draws."""

import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.equations import Condition, Equation, dirichlet
from cadlag.fields import Box, Grid
from cadlag.physics import (
    Collocation,
    CollocationSource,
    ResidualAdaptive,
    Sobol,
    TensorGrid,
    TimeSlices,
    Uniform,
    Unknowns,
)
from cadlag.train import UpdateState

BOX = Box({"t": (0.0, 2.0), "x": (-1.0, 3.0)})
FIRST = Condition({"t": 0.0}, lambda u: u, kind="initial")
EQUATION = Equation(domain=BOX, residual_of=lambda u, p: u, given=(FIRST, *dirichlet(BOX)))
PROBLEM = Collocation(EQUATION, (), (), None, "float64")


def peak(p):
    """The residual itself, since the equation is u = 0: large at x = 1 only."""
    return jnp.exp(-50 * (p[1] - 1) ** 2)


def train_state(network=peak):
    return UpdateState(Unknowns(network), None, None, None, jnp.zeros((), jnp.int32))


def drawn(sampler, key=0, problem=PROBLEM, state=None):
    first = sampler.init(problem, jr.key(9))
    return sampler.draw(problem, first, state, jr.key(key))[1]


@pytest.mark.parametrize("sampler", [Uniform(64), Sobol(64), TimeSlices(8, 8), TensorGrid((8, 8))])
def test_points_fill_the_box(sampler):
    points = np.asarray(drawn(sampler))
    assert points.shape == (sampler.count, 2) == (64, 2)
    assert np.all((points >= BOX.lower) & (points <= BOX.upper))
    # Every quarter of every axis is met: the chance that 64 uniform points miss one is 8 x 0.75^64 ~ 1e-7.
    quarters = np.floor(4 * (points - BOX.lower) / BOX.lengths)
    assert all(len(set(column[column < 4])) == 4 for column in quarters.T)


def test_sobol_points_integrate_better_and_are_shifted():
    sampler = Sobol(256)
    f = lambda p: np.prod(1 + np.sin(np.pi * (p - BOX.lower) / BOX.lengths), axis=1)
    exact = (1 + 2 / np.pi) ** 2
    errors = {s: [abs(f(np.asarray(drawn(s, k))).mean() - exact) for k in range(4)] for s in (sampler, Uniform(256))}
    # Standard error of 256 uniform points: 0.6 / 16 = 0.04; shifted Sobol points are ten times better or more.
    assert max(errors[sampler]) < 4e-3
    assert len(set(errors[sampler])) == 4


def test_time_slices_rise_and_each_has_one_time():
    points = np.asarray(drawn(TimeSlices(5, 3))).reshape(5, 3, 2)
    t = points[:, 0, 0]
    assert np.all(points[..., 0] == t[:, None])
    assert np.all(np.diff(t) > 0)
    assert np.all(np.floor(5 * t / 2) == np.arange(5))  # one in each of five equal intervals
    np.testing.assert_allclose(np.asarray(drawn(TimeSlices(5, 3, fixed=True)))[::3, 0], [0, 0.5, 1, 1.5, 2])
    assert len(np.unique(points[..., 1])) == 15


def test_a_tensor_grid_is_the_grid():
    mesh = Grid(BOX, (3, 4)).mesh()
    np.testing.assert_allclose(drawn(TensorGrid((3, 4))), np.stack([x.ravel() for x in mesh], axis=-1))


def test_adaptive_points_have_the_law_of_the_residual():
    sampler = ResidualAdaptive(200, candidates=4000, power=1, floor=0.5)
    points = np.asarray(drawn(sampler, state=train_state()))
    assert len(np.unique(points[:, 1])) == 200
    x = np.linspace(-1, 3, 4001)
    odds = peak((None, x)) / np.mean(peak((None, x))) + 0.5
    near = np.abs(x - 1) < 0.3
    share = float(np.sum(odds[near]) / np.sum(odds))
    # 200 draws: the standard error of a share is at most 0.035; drawing without replacement thins 5 % of the largest.
    assert np.mean(np.abs(points[:, 1] - 1) < 0.3) == pytest.approx(share, abs=0.12)
    greedy = ResidualAdaptive(20, candidates=400, power=1, floor=0)
    sharp = train_state(lambda p: peak(p) ** 40)
    assert np.max(np.abs(np.asarray(drawn(greedy, state=sharp))[:, 1] - 1)) < 0.15


def test_a_source_holds_points_for_so_many_steps():
    state = train_state()
    source = CollocationSource(PROBLEM, Uniform(4), PROBLEM.faces(state.unknowns), on_faces=6, every=2)
    held = source.init(jr.key(0))
    draw = jax.jit(lambda held, key: source.draw(held, state, key))
    batches = []
    for step in range(4):
        held, batch = draw(held, jr.key(step))
        batches.append(batch)
    same = [bool(jnp.all(a.interior == b.interior)) for a, b in itertools.pairwise(batches)]
    assert same == [True, False, True]
    initial, walls = (np.asarray(f) for f in batches[0].faces)
    assert initial.shape == walls.shape == (6, 2)
    assert np.all(initial[:, 0] == 0)
    np.testing.assert_array_equal(walls[:, 1], [-1, -1, -1, 3, 3, 3])
    assert np.all((walls[:, 0] > 0) & (walls[:, 0] < 2))
    assert np.any(batches[2].faces[1] != walls)


def test_an_ordinary_equation_starts_at_one_point():
    line = Box({"t": (1.0, 2.0)})
    start = Condition({"t": 1.0}, lambda u: u, kind="initial")
    problem = Collocation(Equation(domain=line, residual_of=lambda u, p: u, given=(start,)), (), (), None, "float64")
    faces = problem.faces(Unknowns(lambda p: p[0]))
    source = CollocationSource(problem, Uniform(4), faces, on_faces=100, every=1)
    batch = source.draw(source.init(jr.key(0)), None, jr.key(1))[1]
    np.testing.assert_array_equal(batch.faces[0], [[1.0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(0), "too few"),
        (lambda: Sobol(-1), "count=-1"),
        (lambda: TimeSlices(0, 3), "TimeSlices"),
        (lambda: TensorGrid((1, 4)).init(PROBLEM, jr.key(0)), "two points"),
        (lambda: ResidualAdaptive(10, candidates=5), "candidates >= count"),
        (lambda: ResidualAdaptive(10, power=-1), "power=-1"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

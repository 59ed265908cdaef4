"""Noise: its law, sums of cells, the Lévy area of unions, the same path backwards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.paths import BrownianGrid, BrownianTree

GRID = jnp.concatenate([jnp.linspace(0.0, 0.5, 33), jnp.linspace(0.52, 1.0, 32)])  # 64 cells, unequal


@pytest.mark.parametrize("cells", [2, 8, 64])
def test_coarse_increments_are_sums_of_fine_ones(cells):
    noise = BrownianGrid(GRID, (3,), key=jax.random.key(0))
    fine = noise.increments().dw
    coarse = noise.every(cells).increments().dw
    np.testing.assert_array_equal(coarse, jnp.sum(fine.reshape(-1, cells, 3), axis=1))
    redrawn = jnp.stack([noise.every(cells).step(i).dw for i in range(64 // cells)])
    np.testing.assert_allclose(redrawn, coarse, rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(noise.cell(5).dw, fine[5])


def test_asking_for_the_area_does_not_change_the_path():
    noise = BrownianGrid(GRID, (2,), key=jax.random.key(1))
    np.testing.assert_array_equal(noise.increments().dw, noise.increments(levy_area=True).dw)


def test_area_of_a_union_is_the_integral_of_the_fine_path():
    """H = (1/h) ∫ (W_s - W_0 - (s/h) W_h) ds; cells of 1/4096 take the straight line's integral and their own area."""
    grid = jnp.linspace(0.0, 2.0, 4097)
    noise = BrownianGrid(grid, (), key=jax.random.key(2))
    union = noise.every(4096).increments(levy_area=True)
    w, s, h = noise.evaluate(), np.asarray(grid), 2.0
    bridge = w - s / h * w[-1]
    riemann = np.trapezoid(bridge, s) / h
    # Areas of the cells add a standard deviation of h / (4096 sqrt 12) sqrt(h): 2e-4.
    np.testing.assert_allclose(union.area[0], riemann, atol=1e-3)
    cells = noise.increments(levy_area=True).area
    np.testing.assert_allclose(union.area[0], riemann + np.sum(cells * np.diff(s)) / h, atol=1e-12)


def test_law_of_increment_and_area():
    """40000 draws of a union of 4 cells, every statistic within 4.5 standard errors: false alarms 7e-6 each."""
    n, h = 40_000, 0.5
    grid = jnp.asarray([0.0, 0.1, 0.25, 0.3, 0.5])
    draw = lambda k: BrownianGrid(grid, (), key=k, cells_per_step=4).increments(levy_area=True)
    drawn = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(3), n))
    w, area = np.asarray(drawn.dw[:, 0]), np.asarray(drawn.area[:, 0])
    bound = 4.5 / np.sqrt(n)
    assert abs(w.mean()) < bound * np.sqrt(h)
    assert abs(area.mean()) < bound * np.sqrt(h / 12)
    assert abs(w.var() / h - 1) < bound * np.sqrt(2)
    assert abs(area.var() / (h / 12) - 1) < bound * np.sqrt(2)
    assert abs(np.corrcoef(w, area)[0, 1]) < bound
    assert abs(np.corrcoef(w**2, area**2)[0, 1]) < bound


def test_cells_are_independent():
    """20000 paths of 4 cells; 4.5 standard errors, 6 pairs: false alarms 4e-5."""
    draw = lambda k: BrownianGrid(jnp.linspace(0.0, 1.0, 5), (), key=k).increments().dw
    dw = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(4), 20_000)))
    correlation = np.corrcoef(dw.T) - np.eye(4)
    assert np.max(np.abs(correlation)) < 4.5 / np.sqrt(20_000)


def test_zero_width_cells_have_no_increment_and_finite_gradients():
    draw = lambda grid: BrownianGrid(grid, (2,), key=jax.random.key(5)).increments(levy_area=True)
    grid = jnp.asarray([0.0, 1.0, 1.0, 1.0])
    drawn = draw(grid)
    assert np.all(np.asarray(drawn.dw[1:]) == 0)
    assert np.all(np.asarray(drawn.area[1:]) == 0)
    grad = jax.grad(lambda g: jnp.sum(draw(g).dw ** 2))(grid)
    assert np.all(np.isfinite(grad))


@pytest.mark.parametrize("cells", [1, 4])
def test_the_same_path_backwards(cells):
    noise = BrownianGrid(GRID, (2,), key=jax.random.key(6)).every(cells)
    there, back = noise.increments(noise.step_grid), noise.increments(noise.step_grid[::-1])
    np.testing.assert_array_equal(back.dw, -there.dw[::-1])


def test_tree_agrees_with_itself_on_any_grid_and_backwards():
    tree = BrownianTree(0.0, 1.0, (2,), tol=1e-4, key=jax.random.key(7))
    fine, coarse = jnp.linspace(0.0, 1.0, 9), jnp.linspace(0.0, 1.0, 3)
    one, two = tree.increments(fine).dw, tree.increments(coarse).dw
    np.testing.assert_allclose(jnp.sum(one.reshape(2, 4, 2), 1), two, atol=1e-12)
    np.testing.assert_allclose(tree.increments(fine[::-1]).dw, -one[::-1], atol=0)


def test_trees_of_structure_and_dtype():
    shape = {"a": jax.ShapeDtypeStruct((2,), jnp.float32), "b": jax.ShapeDtypeStruct((2,), jnp.float64)}
    dw = BrownianGrid(GRID, shape, key=jax.random.key(8)).increments(levy_area=True).dw
    assert dw["a"].dtype == jnp.float32
    assert dw["b"].dtype == jnp.float64
    assert not np.allclose(dw["a"], dw["b"], atol=1e-3)


def test_bad_noise_is_refused():
    key = jax.random.key(9)
    with pytest.raises(ValueError, match=r"grid of a BrownianGrid has shape \(2, 3\)"):
        BrownianGrid(jnp.zeros((2, 3)), (), key=key)
    with pytest.raises(ValueError, match="does not divide the 64 cells"):
        BrownianGrid(GRID, (), key=key, cells_per_step=7)
    with pytest.raises(ValueError, match="64 steps, but the solver takes 10"):
        BrownianGrid(GRID, (), key=key).increments(jnp.linspace(0.0, 1.0, 11))
    with pytest.raises(ValueError, match="differ from the solver's"):
        BrownianGrid(GRID, (), key=key).increments(GRID + 3)
    with pytest.raises(ValueError, match="must be positive"):
        BrownianTree(0.0, 1.0, (), tol=0.0, key=key)

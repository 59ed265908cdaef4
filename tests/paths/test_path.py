"""Plain functions as paths, mapped paths, and the fillers."""

import jax.numpy as jnp
import numpy as np

from cadlag.paths import FunctionPath, LookAhead, MappedPath, fill_forward, fill_linear, linear


def test_function_path():
    path = FunctionPath(lambda t: jnp.stack([jnp.sin(t), t**2]))
    np.testing.assert_allclose(path.evaluate(0.5), [np.sin(0.5), 0.25], atol=1e-15)
    np.testing.assert_allclose(path.derivative(0.5), [np.cos(0.5), 1.0], atol=1e-15)
    np.testing.assert_allclose(path.increment(1.0, 3.0), [np.sin(3.0) - np.sin(1.0), 8.0], atol=1e-14)
    np.testing.assert_allclose(path.derivative(2)[1], 4.0)  # an integer time is a time
    assert path.look_ahead is LookAhead.none


def test_mapped_path_has_the_chain_rule():
    inner = linear(np.array([0.0, 2.0]), np.array([[0.0, 1.0], [4.0, 3.0]]))
    path = MappedPath(inner, lambda x: jnp.stack([x[0] * x[1]]))
    # x = (2t, 1 + t): the product 2t + 2t^2 has derivative 2 + 4t.
    np.testing.assert_allclose(path.evaluate(1.5), [7.5])
    np.testing.assert_allclose(path.derivative(1.5), [8.0])
    assert path.look_ahead is LookAhead.next
    assert (path.t0, path.t1) == (0.0, 2.0)


def test_fillers_by_hand():
    times = jnp.array([0.0, 1.0, 3.0, 4.0, 5.0])
    values = jnp.array([[jnp.nan], [2.0], [jnp.nan], [8.0], [jnp.nan]])
    mask = ~jnp.isnan(values)
    assert fill_linear(times, values, mask).ravel().tolist() == [2.0, 2.0, 6.0, 8.0, 8.0]
    assert fill_linear(times, values, mask, fill_leading=False).ravel().tolist() == [0.0, 2.0, 6.0, 8.0, 8.0]
    assert fill_forward(values, mask).ravel().tolist() == [0.0, 2.0, 2.0, 8.0, 8.0]
    assert fill_forward(values, mask, fill_leading=True).ravel().tolist() == [2.0, 2.0, 2.0, 8.0, 8.0]


def test_ends_of_a_function_path():
    assert (FunctionPath(jnp.sin).t0, FunctionPath(jnp.sin).t1) == (-jnp.inf, jnp.inf)
    assert FunctionPath(jnp.sin, start=0.0, end=2.0).t1 == 2.0

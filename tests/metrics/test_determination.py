"""R² against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from cadlag.metrics import r_squared


def test_r_squared_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
    np.testing.assert_allclose(r_squared(truth, predicted), r2_score(truth, predicted), rtol=1e-12)
    np.testing.assert_allclose(r_squared(truth[:, :1], predicted[:, 0]), r2_score(truth[:, 0], predicted[:, 0]))


def test_constant_targets_count_their_error_as_it_is():
    assert r_squared(np.ones(4), np.full(4, 1.5)) == 1 - 4 * 0.25


def test_shapes_that_differ():
    with pytest.raises(ValueError, match="shape"):
        r_squared(np.ones(4), np.ones(3))

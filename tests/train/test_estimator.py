import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.validation import check_is_fitted

from cadlag.train import Estimator, fit, gradient, save


class Line(Estimator):
    """Least squares through the origin, by gradient descent."""

    _estimator_type = "regressor"

    def __init__(self, *, rate=0.1, steps=50, inner=None):
        self.rate = rate
        self.steps = steps
        self.inner = inner

    def fit(self, X, y):
        def loss(w, batch, key):
            return jnp.mean((batch_x @ w - batch_y) ** 2), {}

        batch_x, batch_y = jnp.asarray(X), jnp.asarray(y)
        update = gradient(loss, optax.sgd(self.rate))
        result = fit(update, jnp.zeros(X.shape[1]), None, steps=self.steps, key=jax.random.key(0))
        self.model_ = result.state.unknowns
        self.loss_ = float(result.history["loss"][-1])
        return self

    def predict(self, X):
        self.check_is_fitted()
        return np.asarray(X @ self.model_)

    def score(self, X, y):
        return -float(np.mean((self.predict(X) - y) ** 2))


X = np.random.default_rng(0).normal(size=(40, 2))
Y = X @ np.array([1.0, -2.0])


def test_settings_in_scikit_learns_habits():
    line = Line(rate=0.2, inner=Line(steps=3))
    assert line.get_params(deep=False) == {"inner": line.inner, "rate": 0.2, "steps": 50}
    assert line.get_params()["inner__steps"] == 3
    line.set_params(steps=7, inner__steps=4)
    assert (line.steps, line.inner.steps) == (7, 4)
    assert repr(line) == "Line(rate=0.2, steps=7, inner=Line(steps=4))"
    with pytest.raises(ValueError, match=r"no setting 'depth'; there are \['inner', 'rate', 'steps'\]"):
        line.set_params(depth=2)


def test_clone_and_fitted_checks():
    line = Line(rate=0.2)
    assert clone(line.fit(X, Y)).get_params() == line.get_params()
    check_is_fitted(line)
    with pytest.raises(NotFittedError):
        check_is_fitted(clone(line))
    with pytest.raises(NotFittedError, match="call fit first"):
        Line().predict(X)
    assert not is_classifier(line)


def test_grid_search_takes_it():
    search = GridSearchCV(Line(steps=30), {"rate": [1e-6, 0.3]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"rate": 0.3}
    np.testing.assert_allclose(search.best_estimator_.model_, [1.0, -2.0], atol=1e-3)


def test_save_and_load(tmp_path):
    line = Line(rate=0.3).fit(X, Y)
    line.save(tmp_path / "m")
    back = Line.load(tmp_path / "m")
    assert back.get_params() == line.get_params()
    assert back.loss_ == line.loss_
    np.testing.assert_array_equal(back.predict(X), line.predict(X))
    assert isinstance(Estimator.load(tmp_path / "m", parts={"Line": Line}), Line)


def test_save_needs_fit_and_load_needs_an_estimator(tmp_path):
    with pytest.raises(NotFittedError):
        Line().save(tmp_path / "m")
    save(tmp_path / "w", jnp.zeros(2))
    with pytest.raises(ValueError, match="holds a module"):
        Line.load(tmp_path / "w")


def test_settings_without_names_are_refused():
    class Loose(Estimator):
        def __init__(self, **settings):
            pass

    with pytest.raises(TypeError, match="settings need names of their own"):
        Loose().get_params()

"""Strong classical baselines, so that nobody is fooled: MiniRocket (Dempster, Schmidt and Webb, KDD 2021)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cadlag.data import IrregularSeries
from cadlag.paths import linear
from cadlag.series._estimator import as_series
from cadlag.series.classifier import check_labels, class_names
from cadlag.train import Estimator


class MiniRocket(Estimator):
    """aeon's MiniRocket with a ridge classifier, on linearly filled series stretched to one length.

    **Arguments:** `kernels`, how many convolutions; `seed`. Needs the extra `cadlag[series]`. Not saved to a folder:
    the fitted object belongs to aeon.
    """

    _estimator_type = "classifier"

    def __init__(self, *, kernels: int = 10_000, seed: int = 0):
        self.kernels, self.seed = kernels, seed

    def fit(self, X: Any, y: Any = None) -> "MiniRocket":
        """Fit on labelled series."""
        try:
            from aeon.classification.convolution_based import MiniRocketClassifier
        except ImportError as error:
            raise ImportError("MiniRocket needs aeon: pip install 'cadlag[series]'.") from error
        series = as_series(X, y)
        self.classes_ = np.asarray(check_labels(series))
        self.length_ = max(int(series.times.shape[1]), 9)  # the shortest that MiniRocket takes
        self.model_ = MiniRocketClassifier(n_kernels=self.kernels, random_state=self.seed)
        self.model_.fit(_stretched(series, self.length_), class_names(series).astype(str))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each series."""
        self.check_is_fitted()
        predicted = self.model_.predict(_stretched(as_series(X), self.length_))
        by_name = {str(c): c for c in self.classes_}
        return np.asarray([by_name[str(p)] for p in predicted])

    def score(self, X: Any, y: Any = None) -> float:
        """Accuracy."""
        return float(np.mean(self.predict(X) == class_names(as_series(X, y))))

    def save(self, path: Any) -> None:
        """Refused: the fitted object belongs to aeon, and pickles are not written."""
        raise TypeError(
            "MiniRocket cannot be saved without a pickle; fit it again, or save one of cadlag's own models."
        )


def _stretched(series: IrregularSeries, length: int) -> np.ndarray:
    """Linear fill, read at `length` equal steps of each series' own span; shape (series, channels, length)."""

    def one(s: IrregularSeries) -> jax.Array:
        path = linear(jnp.asarray(s.times), jnp.asarray(s.values), jnp.asarray(s.mask))
        return jax.vmap(path.evaluate)(jnp.linspace(s.times[0], s.times[-1], length))

    filled = jax.jit(jax.vmap(one))(jax.tree.map(jnp.asarray, series.without_ids()))
    return np.moveaxis(np.asarray(filled, float), 2, 1)

"""How the observations of a series become the control X(t) = (t, x(t)) of a controlled equation."""

import abc
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from cadlag.data import IrregularSeries
from cadlag.paths import AbstractPath, hermite, linear, natural_cubic, rectilinear
from cadlag.series._model import control_points


class AbstractControl(eqx.Module):
    """A way to interpolate a series.

    To write your own: give `__call__(series)`, the path with time as its first channel and, shape (time,), where on
    the path's own clock the series' rows are; and `pieces`, smooth pieces of the path between two rows.
    """

    pieces: ClassVar[int] = 1

    @abc.abstractmethod
    def __call__(self, series: IrregularSeries) -> tuple[AbstractPath, Float[Array, " time"]]:
        """The path, and its parameter at the series' rows."""


class HermiteControl(AbstractControl):
    """Hermite cubics with backward differences: smooth, and sees the next observation only. The default."""

    def __call__(self, series: IrregularSeries) -> tuple[AbstractPath, Float[Array, " time"]]:
        """The path, and its parameter at the series' rows, which is time."""
        points = control_points(series)
        return hermite(*points), points[0]


class LinearControl(AbstractControl):
    """Straight lines: sees the next observation only. Example: `partial(NeuralCDE, control=LinearControl())`."""

    def __call__(self, series: IrregularSeries) -> tuple[AbstractPath, Float[Array, " time"]]:
        """The path, and its parameter at the series' rows, which is time."""
        points = control_points(series)
        return linear(*points), points[0]


class NaturalCubicControl(AbstractControl):
    """Natural cubic splines: the smoothest, and sees the whole series, so not for forecasts along the way."""

    def __call__(self, series: IrregularSeries) -> tuple[AbstractPath, Float[Array, " time"]]:
        """The path, and its parameter at the series' rows, which is time."""
        points = control_points(series)
        return natural_cubic(*points), points[0]


class RectilinearControl(AbstractControl):
    """Time moves first, then the values: sees nothing ahead, so that states may be used as data arrive."""

    pieces: ClassVar[int] = 2

    def __call__(self, series: IrregularSeries) -> tuple[AbstractPath, Float[Array, " time"]]:
        """The path, and the indices of the rows in it."""
        path = rectilinear(*control_points(series), time_channel=0)
        return path, path.knots[::2]

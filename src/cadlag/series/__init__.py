"""Irregular time series: classify, regress, forecast, fill in.

Example:

    from cadlag.data import read_long
    from cadlag.series import LNSDE, SeriesClassifier

    series = read_long("data.csv", id="patient", time="hours", label="outcome")
    classifier = SeriesClassifier(LNSDE, epochs=50).fit(series)
    classifier.predict_proba(series)
"""

from cadlag.series._model import AbstractSeriesModel as AbstractSeriesModel
from cadlag.series._model import control_path as control_path
from cadlag.series._network import Head as Head
from cadlag.series._network import SeriesNetwork as SeriesNetwork
from cadlag.series._network import build_network as build_network
from cadlag.series._objective import OnFailure as OnFailure
from cadlag.series._objective import SolveFailed as SolveFailed
from cadlag.series.classical import MiniRocket as MiniRocket
from cadlag.series.classifier import SeriesClassifier as SeriesClassifier
from cadlag.series.forecaster import SeriesForecaster as SeriesForecaster
from cadlag.series.interpolator import SeriesInterpolator as SeriesInterpolator
from cadlag.series.neural_cde import NeuralCDE as NeuralCDE
from cadlag.series.neural_ode import NeuralODE as NeuralODE
from cadlag.series.neural_sde import NeuralSDE as NeuralSDE
from cadlag.series.recurrent import GRU as GRU
from cadlag.series.recurrent import GRUD as GRUD
from cadlag.series.regressor import SeriesRegressor as SeriesRegressor
from cadlag.series.stable_sde import GSDE as GSDE
from cadlag.series.stable_sde import LNSDE as LNSDE
from cadlag.series.stable_sde import LSDE as LSDE
from cadlag.series.stable_sde import Family as Family
from cadlag.series.stable_sde import StableProcess as StableProcess
from cadlag.series.stable_sde import StableSDE as StableSDE
from cadlag.series.state_space import LSSL as LSSL
from cadlag.series.state_space import StateSpaceBlock as StateSpaceBlock
from cadlag.series.state_space import resampled as resampled

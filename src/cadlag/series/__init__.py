"""Irregular time series: classify, regress, forecast, fill in, generate.

Example:

    from cadlag.data import read_long
    from cadlag.series import LNSDE, SeriesClassifier

    series = read_long("data.csv", id="patient", time="hours", label="outcome")
    classifier = SeriesClassifier(LNSDE, epochs=50).fit(series)
    classifier.predict_proba(series)
"""

from cadlag.series._control import AbstractControl as AbstractControl
from cadlag.series._control import HermiteControl as HermiteControl
from cadlag.series._control import LinearControl as LinearControl
from cadlag.series._control import NaturalCubicControl as NaturalCubicControl
from cadlag.series._control import RectilinearControl as RectilinearControl
from cadlag.series._law import AbstractLatentLaw as AbstractLatentLaw
from cadlag.series._law import AbstractSeriesLaw as AbstractSeriesLaw
from cadlag.series._law import Evidence as Evidence
from cadlag.series._model import AbstractSeriesModel as AbstractSeriesModel
from cadlag.series._model import control_path as control_path
from cadlag.series._network import Head as Head
from cadlag.series._network import SeriesNetwork as SeriesNetwork
from cadlag.series._network import build_network as build_network
from cadlag.series._objective import OnFailure as OnFailure
from cadlag.series._objective import SolveFailed as SolveFailed
from cadlag.series._objectives import AbstractObjective as AbstractObjective
from cadlag.series._objectives import Adversarial as Adversarial
from cadlag.series._objectives import SignatureScore as SignatureScore
from cadlag.series._objectives import Variational as Variational
from cadlag.series.classical import MiniRocket as MiniRocket
from cadlag.series.classifier import SeriesClassifier as SeriesClassifier
from cadlag.series.forecaster import SeriesForecaster as SeriesForecaster
from cadlag.series.fractional_sde import FractionalSDE as FractionalSDE
from cadlag.series.generator import SeriesGenerator as SeriesGenerator
from cadlag.series.hurst import HurstEstimator as HurstEstimator
from cadlag.series.interpolator import SeriesInterpolator as SeriesInterpolator
from cadlag.series.latent_ode import LatentODE as LatentODE
from cadlag.series.latent_sde import LatentSDE as LatentSDE
from cadlag.series.latent_sde import neural_prior as neural_prior
from cadlag.series.neural_cde import NeuralCDE as NeuralCDE
from cadlag.series.neural_ode import NeuralODE as NeuralODE
from cadlag.series.neural_rde import NeuralRDE as NeuralRDE
from cadlag.series.neural_sde import NeuralSDE as NeuralSDE
from cadlag.series.recurrent import GRU as GRU
from cadlag.series.recurrent import GRUD as GRUD
from cadlag.series.regressor import SeriesRegressor as SeriesRegressor
from cadlag.series.sde_gan import CDECritic as CDECritic
from cadlag.series.sde_gan import SDEGenerator as SDEGenerator
from cadlag.series.sde_gan import clip_weights as clip_weights
from cadlag.series.stable_sde import GSDE as GSDE
from cadlag.series.stable_sde import LNSDE as LNSDE
from cadlag.series.stable_sde import LSDE as LSDE
from cadlag.series.stable_sde import Family as Family
from cadlag.series.stable_sde import StableProcess as StableProcess
from cadlag.series.stable_sde import StableSDE as StableSDE
from cadlag.series.state_space import LSSL as LSSL
from cadlag.series.state_space import StateSpaceBlock as StateSpaceBlock
from cadlag.series.state_space import resampled as resampled

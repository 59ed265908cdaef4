"""Laws with samples and log-densities."""

from cadlag.distributions._distribution import AbstractDistribution as AbstractDistribution
from cadlag.distributions._gaussian import Gaussian as Gaussian
from cadlag.distributions._kl import kl as kl
from cadlag.distributions._mixture import GaussianMixture as GaussianMixture
from cadlag.distributions._mixture import ring_of_gaussians as ring_of_gaussians
from cadlag.distributions._normal import Normal as Normal
from cadlag.distributions._positive import BurrXII as BurrXII
from cadlag.distributions._positive import HalfCauchy as HalfCauchy
from cadlag.distributions._positive import InverseGamma as InverseGamma
from cadlag.distributions._positive import LogNormal as LogNormal
from cadlag.distributions._positive import Squared as Squared
from cadlag.distributions._scale import ScalePosterior as ScalePosterior
from cadlag.distributions._scale import scale_log_density as scale_log_density
from cadlag.distributions._scale import scale_posterior as scale_posterior
from cadlag.distributions._student import MultivariateT as MultivariateT
from cadlag.distributions._student import ScaleMixture as ScaleMixture
from cadlag.distributions._toy import Checkerboard as Checkerboard
from cadlag.distributions._toy import NoisyManifold as NoisyManifold
from cadlag.distributions._toy import circle as circle
from cadlag.distributions._toy import spiral as spiral
from cadlag.distributions._toy import swiss_roll as swiss_roll
from cadlag.distributions._toy import two_moons as two_moons

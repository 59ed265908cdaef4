"""Covariance functions: stationary kernels with closed-form derivatives, spectral mixtures, products over axes."""

from cadlag.kernels._algebra import Product as Product
from cadlag.kernels._algebra import Scaled as Scaled
from cadlag.kernels._algebra import StationaryProduct as StationaryProduct
from cadlag.kernels._algebra import StationaryScaled as StationaryScaled
from cadlag.kernels._algebra import StationarySum as StationarySum
from cadlag.kernels._algebra import Sum as Sum
from cadlag.kernels._expansion import KernelExpansion as KernelExpansion
from cadlag.kernels._kernel import AbstractKernel as AbstractKernel
from cadlag.kernels._kernel import pairwise_gram as pairwise_gram
from cadlag.kernels._mixtures import AbstractMixture as AbstractMixture
from cadlag.kernels._mixtures import Components as Components
from cadlag.kernels._mixtures import SpectralMixture as SpectralMixture
from cadlag.kernels._mixtures import StudentTMixture as StudentTMixture
from cadlag.kernels._mixtures import spread_components as spread_components
from cadlag.kernels._periodised import Periodised as Periodised
from cadlag.kernels._scheme import KernelScheme as KernelScheme
from cadlag.kernels._separable import Separable as Separable
from cadlag.kernels._stationary import AbstractStationary as AbstractStationary
from cadlag.kernels._stationary import Matern as Matern
from cadlag.kernels._stationary import SquaredExponential as SquaredExponential
from cadlag.kernels._stationary import lag_matrix as lag_matrix

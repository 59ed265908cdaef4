"""Matrix-free and structured algebra: divergences, Taylor derivatives, curvature products, Lanczos and spectra,
Kronecker and Toeplitz matrices, Cholesky and other roots, blocked sums over pairs of points.
"""

from cadlag.linalg._batches import sum_examples as sum_examples
from cadlag.linalg._cholesky import Cholesky as Cholesky
from cadlag.linalg._cholesky import safe_cholesky as safe_cholesky
from cadlag.linalg._curvature import AbstractCurvature as AbstractCurvature
from cadlag.linalg._curvature import FisherProduct as FisherProduct
from cadlag.linalg._curvature import GGNProduct as GGNProduct
from cadlag.linalg._curvature import HessianProduct as HessianProduct
from cadlag.linalg._curvature import fisher_product as fisher_product
from cadlag.linalg._curvature import ggn_product as ggn_product
from cadlag.linalg._curvature import hessian_product as hessian_product
from cadlag.linalg._divergence import divergence as divergence
from cadlag.linalg._divergence import gaussian_probes as gaussian_probes
from cadlag.linalg._divergence import rademacher_probes as rademacher_probes
from cadlag.linalg._divergence import value_and_divergence as value_and_divergence
from cadlag.linalg._empirical_ntk import NTKMethod as NTKMethod
from cadlag.linalg._empirical_ntk import empirical_ntk as empirical_ntk
from cadlag.linalg._empirical_ntk import ntk_product as ntk_product
from cadlag.linalg._forward_laplacian import forward_laplacian as forward_laplacian
from cadlag.linalg._kronecker import apply_along as apply_along
from cadlag.linalg._kronecker import kronecker_apply as kronecker_apply
from cadlag.linalg._kronecker import kronecker_logdet as kronecker_logdet
from cadlag.linalg._kronecker import kronecker_quadratic as kronecker_quadratic
from cadlag.linalg._kronecker import kronecker_whiten as kronecker_whiten
from cadlag.linalg._lanczos import Eigenpairs as Eigenpairs
from cadlag.linalg._lanczos import Tridiagonal as Tridiagonal
from cadlag.linalg._lanczos import extreme_eigenpairs as extreme_eigenpairs
from cadlag.linalg._lanczos import lanczos as lanczos
from cadlag.linalg._linearise import Linearised as Linearised
from cadlag.linalg._linearise import linearise as linearise
from cadlag.linalg._pairwise import map_blocks as map_blocks
from cadlag.linalg._pairwise import pairwise_matvec as pairwise_matvec
from cadlag.linalg._pairwise import squared_distances as squared_distances
from cadlag.linalg._primitives import share as share
from cadlag.linalg._slq import SpectralDensity as SpectralDensity
from cadlag.linalg._slq import spectral_density as spectral_density
from cadlag.linalg._slq import trace_estimate as trace_estimate
from cadlag.linalg._structured_ntk import ScaledAffine as ScaledAffine
from cadlag.linalg._symmetric import symmetric_sqrt as symmetric_sqrt
from cadlag.linalg._taylor import derivative_along as derivative_along
from cadlag.linalg._tiles import map_tiles as map_tiles
from cadlag.linalg._toeplitz import toeplitz as toeplitz

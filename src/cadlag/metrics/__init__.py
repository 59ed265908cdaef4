"""How good is it: distances between sets of samples, couplings, precision and recall; errors of fields on grids."""

from cadlag.metrics._correlation import correlation as correlation
from cadlag.metrics._correlation import high_correlation_time as high_correlation_time
from cadlag.metrics._correlation import pairwise_correlation as pairwise_correlation
from cadlag.metrics._debiased import Estimate as Estimate
from cadlag.metrics._debiased import debiased as debiased
from cadlag.metrics._determination import r_squared as r_squared
from cadlag.metrics._fields import conserved_error as conserved_error
from cadlag.metrics._fields import relative_h1 as relative_h1
from cadlag.metrics._fields import relative_l2 as relative_l2
from cadlag.metrics._fields import relative_sobolev as relative_sobolev
from cadlag.metrics._fields import vrmse as vrmse
from cadlag.metrics._frechet import frechet_distance as frechet_distance
from cadlag.metrics._frechet import frechet_of_gaussians as frechet_of_gaussians
from cadlag.metrics._pairs import energy_distance as energy_distance
from cadlag.metrics._pairs import median_distance as median_distance
from cadlag.metrics._pairs import mmd as mmd
from cadlag.metrics._precision_recall import PrecisionRecall as PrecisionRecall
from cadlag.metrics._precision_recall import precision_recall as precision_recall
from cadlag.metrics._sinkhorn import EntropicCoupling as EntropicCoupling
from cadlag.metrics._sinkhorn import entropic_coupling as entropic_coupling
from cadlag.metrics._spectra import ErrorSpectrum as ErrorSpectrum
from cadlag.metrics._spectra import band_rmse as band_rmse
from cadlag.metrics._spectra import error_spectrum as error_spectrum
from cadlag.metrics._spectra import per_frequency_error as per_frequency_error
from cadlag.metrics._wasserstein import sliced_wasserstein as sliced_wasserstein
from cadlag.metrics._wasserstein import wasserstein as wasserstein

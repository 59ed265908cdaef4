"""How far apart two sets of samples are: distances between laws, couplings, precision and recall."""

from cadlag.metrics._debiased import Estimate as Estimate
from cadlag.metrics._debiased import debiased as debiased
from cadlag.metrics._frechet import frechet_distance as frechet_distance
from cadlag.metrics._frechet import frechet_of_gaussians as frechet_of_gaussians
from cadlag.metrics._pairs import energy_distance as energy_distance
from cadlag.metrics._pairs import median_distance as median_distance
from cadlag.metrics._pairs import mmd as mmd
from cadlag.metrics._precision_recall import PrecisionRecall as PrecisionRecall
from cadlag.metrics._precision_recall import precision_recall as precision_recall
from cadlag.metrics._sinkhorn import EntropicCoupling as EntropicCoupling
from cadlag.metrics._sinkhorn import entropic_coupling as entropic_coupling
from cadlag.metrics._wasserstein import sliced_wasserstein as sliced_wasserstein
from cadlag.metrics._wasserstein import wasserstein as wasserstein

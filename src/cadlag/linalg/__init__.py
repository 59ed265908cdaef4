"""Matrix-free algebra: divergences, Taylor derivatives, symmetric roots, blocked sums over pairs of points."""

from cadlag.linalg._divergence import divergence as divergence
from cadlag.linalg._divergence import gaussian_probes as gaussian_probes
from cadlag.linalg._divergence import rademacher_probes as rademacher_probes
from cadlag.linalg._divergence import value_and_divergence as value_and_divergence
from cadlag.linalg._forward_laplacian import forward_laplacian as forward_laplacian
from cadlag.linalg._pairwise import map_blocks as map_blocks
from cadlag.linalg._pairwise import pairwise_matvec as pairwise_matvec
from cadlag.linalg._pairwise import squared_distances as squared_distances
from cadlag.linalg._primitives import share as share
from cadlag.linalg._symmetric import symmetric_sqrt as symmetric_sqrt
from cadlag.linalg._taylor import derivative_along as derivative_along

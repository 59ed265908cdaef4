"""Functions of space: boxes, grids, and fields whose representation is hidden."""

from cadlag.fields._box import Box as Box
from cadlag.fields._callable import AbstractSmooth as AbstractSmooth
from cadlag.fields._callable import CallableField as CallableField
from cadlag.fields._chebyshev import Chebyshev as Chebyshev
from cadlag.fields._field import AbstractField as AbstractField
from cadlag.fields._field import Linear as Linear
from cadlag.fields._field import divergence as divergence
from cadlag.fields._field import stack as stack
from cadlag.fields._fourier import FourierField as FourierField
from cadlag.fields._fourier import inverse_laplacian as inverse_laplacian
from cadlag.fields._fourier import mode_mask as mode_mask
from cadlag.fields._fourier import self_advection as self_advection
from cadlag.fields._fourier import squared_wavenumber as squared_wavenumber
from cadlag.fields._grid import AbstractScheme as AbstractScheme
from cadlag.fields._grid import Grid as Grid
from cadlag.fields._grid import GridField as GridField
from cadlag.fields._grid import Nodes as Nodes
from cadlag.fields._random import GaussianRandomField as GaussianRandomField
from cadlag.fields._random import SineSum as SineSum
from cadlag.fields._spectra import dealias as dealias
from cadlag.fields._spectra import energy_spectrum as energy_spectrum
from cadlag.fields._spectra import resample as resample
from cadlag.fields._spectra import sobolev_inner as sobolev_inner
from cadlag.fields._spectra import sobolev_norm as sobolev_norm
from cadlag.fields._spectral import Spectral as Spectral

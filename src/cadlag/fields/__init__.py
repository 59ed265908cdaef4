"""Functions of space: boxes, grids, and fields whose representation is hidden."""

from cadlag.fields._box import Box as Box
from cadlag.fields._callable import CallableField as CallableField
from cadlag.fields._chebyshev import Chebyshev as Chebyshev
from cadlag.fields._field import AbstractField as AbstractField
from cadlag.fields._field import divergence as divergence
from cadlag.fields._field import stack as stack
from cadlag.fields._grid import AbstractScheme as AbstractScheme
from cadlag.fields._grid import Grid as Grid
from cadlag.fields._grid import GridField as GridField
from cadlag.fields._grid import Nodes as Nodes
from cadlag.fields._spectral import Spectral as Spectral

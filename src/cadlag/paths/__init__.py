"""Functions of time: data made into paths, each saying how far ahead it looks, and Brownian motion."""

from cadlag.paths._fill import fill_forward as fill_forward
from cadlag.paths._fill import fill_linear as fill_linear
from cadlag.paths._path import AbstractPath as AbstractPath
from cadlag.paths._path import FunctionPath as FunctionPath
from cadlag.paths._path import LookAhead as LookAhead
from cadlag.paths._path import MappedPath as MappedPath
from cadlag.paths.cubic import CubicPath as CubicPath
from cadlag.paths.cubic import hermite as hermite
from cadlag.paths.cubic import natural_cubic as natural_cubic
from cadlag.paths.linear import LinearPath as LinearPath
from cadlag.paths.linear import RectilinearPath as RectilinearPath
from cadlag.paths.linear import linear as linear
from cadlag.paths.linear import rectilinear as rectilinear
from cadlag.paths.noise import AbstractNoise as AbstractNoise
from cadlag.paths.noise import BrownianGrid as BrownianGrid
from cadlag.paths.noise import BrownianTree as BrownianTree
from cadlag.paths.noise import NoiseIncrement as NoiseIncrement

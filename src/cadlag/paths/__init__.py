"""Functions of time: interpolated data, Brownian motion."""

from cadlag.paths._path import AbstractPath as AbstractPath
from cadlag.paths._path import FunctionPath as FunctionPath
from cadlag.paths._path import LookAhead as LookAhead
from cadlag.paths._path import MappedPath as MappedPath

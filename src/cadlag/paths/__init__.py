"""Functions of time: data made into paths, each saying how far ahead it looks, their signatures;
Brownian motion and fractional.
"""

from cadlag.paths._fill import fill_forward as fill_forward
from cadlag.paths._fill import fill_linear as fill_linear
from cadlag.paths._fractional import FractionalBrownianMotion as FractionalBrownianMotion
from cadlag.paths._fractional import FractionalKind as FractionalKind
from cadlag.paths._markov import AbstractMarkovNoise as AbstractMarkovNoise
from cadlag.paths._markov import BrownianNoise as BrownianNoise
from cadlag.paths._markov import MarkovApproximation as MarkovApproximation
from cadlag.paths._path import AbstractPath as AbstractPath
from cadlag.paths._path import FunctionPath as FunctionPath
from cadlag.paths._path import LookAhead as LookAhead
from cadlag.paths._path import MappedPath as MappedPath
from cadlag.paths._signature import LieBasis as LieBasis
from cadlag.paths._signature import concatenate_signatures as concatenate_signatures
from cadlag.paths._signature import logsignature as logsignature
from cadlag.paths._signature import logsignature_path as logsignature_path
from cadlag.paths._signature import signature as signature
from cadlag.paths._words import logsignature_size as logsignature_size
from cadlag.paths._words import lyndon_words as lyndon_words
from cadlag.paths._words import signature_size as signature_size
from cadlag.paths._words import standard_factorisation as standard_factorisation
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

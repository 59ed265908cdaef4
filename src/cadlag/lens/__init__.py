"""Looking into a network or its training: curvature, information, oscillation. Functions of ANY Equinox model and
loss, of a `Recorder`'s trace, or of a model's outputs.
"""

from cadlag.lens._binning import AbstractBinning as AbstractBinning
from cadlag.lens._binning import CurrentRange as CurrentRange
from cadlag.lens._binning import FixedEdges as FixedEdges
from cadlag.lens._binning import FixedWidth as FixedWidth
from cadlag.lens._binning import Quantiles as Quantiles
from cadlag.lens._bottleneck import BottleneckCurve as BottleneckCurve
from cadlag.lens._bottleneck import encoder_information as encoder_information
from cadlag.lens._bottleneck import information_bottleneck as information_bottleneck
from cadlag.lens._bottleneck import layer_beta as layer_beta
from cadlag.lens._bottleneck import merge_inputs as merge_inputs
from cadlag.lens._estimators import AbstractEstimator as AbstractEstimator
from cadlag.lens._estimators import Binned as Binned
from cadlag.lens._estimators import Exact as Exact
from cadlag.lens._estimators import Information as Information
from cadlag.lens._estimators import PairwiseLower as PairwiseLower
from cadlag.lens._estimators import PairwiseUpper as PairwiseUpper
from cadlag.lens._gradient_phases import GradientNoise as GradientNoise
from cadlag.lens._gradient_phases import gradient_noise as gradient_noise
from cadlag.lens._gradient_phases import gradient_phases as gradient_phases
from cadlag.lens._gradient_phases import phase_switch as phase_switch
from cadlag.lens._gradient_phases import weight_matrices as weight_matrices
from cadlag.lens._icosahedral_task import icosahedral_task as icosahedral_task
from cadlag.lens._icosahedral_task import icosahedron as icosahedron
from cadlag.lens._information import activations as activations
from cadlag.lens._information import compression as compression
from cadlag.lens._information import information as information
from cadlag.lens._information import layer_information as layer_information
from cadlag.lens._information import training_range as training_range
from cadlag.lens._layers import layers_of as layers_of
from cadlag.lens._symbols import discrete_information as discrete_information
from cadlag.lens._symbols import entropy as entropy
from cadlag.lens._symbols import row_symbols as row_symbols

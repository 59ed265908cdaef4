"""Network blocks used by two systems or more."""

from cadlag.nn._attention import Attention as Attention
from cadlag.nn._conv import Boundary as Boundary
from cadlag.nn._conv import Conv as Conv
from cadlag.nn._conv import ConvTranspose as ConvTranspose
from cadlag.nn._conv import Padding as Padding
from cadlag.nn._embed import AbstractEmbedding as AbstractEmbedding
from cadlag.nn._embed import ClassEmbedding as ClassEmbedding
from cadlag.nn._embed import FourierFeatures as FourierFeatures
from cadlag.nn._embed import SinusoidalEmbedding as SinusoidalEmbedding
from cadlag.nn._embed import VectorEmbedding as VectorEmbedding
from cadlag.nn._group_norm import GroupNorm as GroupNorm
from cadlag.nn._init import shrink as shrink
from cadlag.nn._mlp import MLP as MLP
from cadlag.nn._mlp import identity as identity
from cadlag.nn._mlp import lipswish as lipswish
from cadlag.nn._resample import Downsample as Downsample
from cadlag.nn._resample import Upsample as Upsample
from cadlag.nn._residual import ResidualBlock as ResidualBlock
from cadlag.nn._score_mlp import ScoreMLP as ScoreMLP
from cadlag.nn._unet import UNet as UNet

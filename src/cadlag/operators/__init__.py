"""Maps between functions on grids: networks that are steps, operators that are roll-outs."""

from cadlag.operators._network import AbstractNetwork as AbstractNetwork
from cadlag.operators.dilated_resnet import DilatedResNet as DilatedResNet
from cadlag.operators.fno import FNO as FNO
from cadlag.operators.multigrid import MgNO as MgNO
from cadlag.operators.sinenet import SineNet as SineNet
from cadlag.operators.spatiotemporal import SpatiotemporalFNO as SpatiotemporalFNO
from cadlag.operators.unet import UNet as UNet

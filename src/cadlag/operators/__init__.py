"""Operators: maps between functions, learnt from simulations, and their roll-out."""

from cadlag.operators._evaluate import Evaluation as Evaluation
from cadlag.operators._evaluate import evaluate as evaluate
from cadlag.operators._evaluate import resolution_report as resolution_report
from cadlag.operators._operator import AbstractOperator as AbstractOperator
from cadlag.operators._operator import OneStep as OneStep
from cadlag.operators._operator import rollout as rollout
from cadlag.operators._scaling import Normalised as Normalised
from cadlag.operators._scaling import Scaling as Scaling
from cadlag.operators.forms import AbstractForm as AbstractForm
from cadlag.operators.forms import Direct as Direct
from cadlag.operators.forms import Task as Task
from cadlag.operators.losses import MeanSquare as MeanSquare
from cadlag.operators.losses import RelativeH1 as RelativeH1
from cadlag.operators.losses import RelativeL2 as RelativeL2
from cadlag.operators.losses import RelativeSobolev as RelativeSobolev
from cadlag.operators.objectives import AbstractObjective as AbstractObjective
from cadlag.operators.objectives import OneStepLoss as OneStepLoss
from cadlag.operators.objectives import Pushforward as Pushforward
from cadlag.operators.objectives import Unrolled as Unrolled
from cadlag.operators.objectives import Window as Window
from cadlag.operators.regressor import OperatorRegressor as OperatorRegressor

"""Data: records with times and masks, readers and writers, and sources of batches."""

from cadlag.data._series import IrregularSeries as IrregularSeries
from cadlag.data.bundled import BUNDLED as BUNDLED
from cadlag.data.bundled import bundled as bundled
from cadlag.data.readers import read_long as read_long
from cadlag.data.readers import read_npz as read_npz
from cadlag.data.readers import read_series as read_series
from cadlag.data.readers import read_ts as read_ts
from cadlag.data.readers import read_wide as read_wide
from cadlag.data.simulate import spirals as spirals
from cadlag.data.sources import Batches as Batches
from cadlag.data.sources import BatchesState as BatchesState
from cadlag.data.sources import FromFunction as FromFunction
from cadlag.data.sources import FullBatch as FullBatch
from cadlag.data.sources import Source as Source
from cadlag.data.transforms import Standardise as Standardise
from cadlag.data.transforms import delete_observations as delete_observations
from cadlag.data.transforms import delete_time_points as delete_time_points
from cadlag.data.transforms import rescale_time as rescale_time
from cadlag.data.transforms import split as split
from cadlag.data.transforms import windows as windows
from cadlag.data.writers import write_predictions as write_predictions

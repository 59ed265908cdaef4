"""Small real data sets that come with the libraries installed, nothing is downloaded."""

import numpy as np

from cadlag.data._optional import aeon_datasets
from cadlag.data._samples import Samples
from cadlag.data._series import IrregularSeries
from cadlag.data.readers import from_cases
from cadlag.data.transforms import split

_AEON = {
    "BasicMotions": "load_basic_motions",
    "JapaneseVowels": "load_japanese_vowels",
    "GunPoint": "load_gunpoint",
    "ArrowHead": "load_arrow_head",
    "ItalyPowerDemand": "load_italy_power_demand",
}
BUNDLED = (*_AEON, "digits")


def bundled(name: str) -> IrregularSeries:
    """A bundled data set with class labels, its train and test parts merged; times of the longest span [0,
    1].

    - from aeon (UCR/UEA archive): BasicMotions (80 series, 100 steps, 6 channels, 4 classes), JapaneseVowels
      (640, 7 to 29 steps, 12, 9), GunPoint (200, 150, 1, 2), ArrowHead (211, 251, 1, 3), ItalyPowerDemand
      (1096, 24, 1, 2);
    - from scikit-learn: digits (1797, 8, 8, 10): the rows of the image are steps, its columns channels.

    Shorter series keep their length: step k of every series has the same time.

    **Raises:** ValueError for another name; ImportError with advice if aeon is missing.
    """
    if name == "digits":
        return _digits()
    if name not in _AEON:
        raise ValueError(f"There is no bundled data set {name!r}; there are {', '.join(BUNDLED)}.")
    cases, labels = getattr(aeon_datasets(), _AEON[name])(split=None)
    return from_cases(cases, labels, unit_interval=True)


def digits() -> Samples:
    """The 1797 handwritten digits of scikit-learn as images (1797, 1, 8, 8), 17 grey levels scaled to [-1, 1].

    Labels are the classes 0 to 9. Some pixels at the border are constant; `dequantise(x, 17, key=key)` makes the levels
    continuous.
    """
    pixels, target = _pixels()
    return Samples.from_arrays(pixels[:, None] / 8 - 1, labels=target)


def digits_split(*, seed: int) -> tuple[Samples, Samples]:
    """`digits()` at random in 1437 to learn from and 360 to judge by, not stratified."""
    train, test = split(digits(), (1437 / 1797, 360 / 1797), seed=seed, stratify=False)
    return train, test


def _digits() -> IrregularSeries:
    pixels, target = _pixels()
    return IrregularSeries.from_arrays(np.linspace(0.0, 1.0, 8), pixels, labels=target)


def _pixels() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    return np.asarray(pixels).reshape(-1, 8, 8), np.asarray(target)

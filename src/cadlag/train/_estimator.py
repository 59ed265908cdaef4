"""`Estimator`: settings in, `fit` sets `model_` and returns itself; the habits of scikit-learn."""

import inspect
import os
from collections.abc import Mapping
from typing import Any, TypeVar

from ._names import name_of, resolve
from ._save import load, save

T = TypeVar("T", bound="Estimator")


class Estimator:
    """Base class of the estimators, the one mutable class of the library.

    To write your own: name every setting in `__init__`, store each under its own name unchanged, and check
    them in `fit`, which ends with `model_` set (a frozen module) and returns `self`. Whatever `fit` learns
    has a name with one underscore at the end. `sklearn.base.clone`, pipelines and searches work as usual.
    """

    @classmethod
    def _settings(cls) -> dict[str, inspect.Parameter]:
        if cls.__init__ is object.__init__:
            return {}
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            raise TypeError(f"{cls.__name__}.__init__: settings need names of their own; no *args, **kwargs.")
        return {p.name: p for p in parameters}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name; with `deep`, also `name__inner` for settings that have settings."""
        params: dict[str, Any] = {}
        for name in sorted(self._settings()):
            value = params[name] = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                params |= {f"{name}__{k}": v for k, v in value.get_params().items()}
        return params

    def set_params(self: T, **params: Any) -> T:
        """Change settings; raises `ValueError` for a name that is not one."""
        known = self._settings()
        for full, value in params.items():
            name, _, inner = full.partition("__")
            if name not in known:
                raise ValueError(f"{type(self).__name__}.set_params: no setting {name!r}; there are {sorted(known)}.")
            if inner:
                getattr(self, name).set_params(**{inner: value})
            else:
                setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = [f"{n}={getattr(self, n)!r}" for n, p in self._settings().items() if _differs(self, n, p)]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        kind = getattr(self, "_estimator_type", None)
        # A wing's estimator that takes several targets at once says so with `_multi_output`.
        target = TargetTags(required=False, multi_output=getattr(self, "_multi_output", False))
        tags = Tags(estimator_type=kind, target_tags=target, input_tags=InputTags())
        if kind == "classifier":
            from sklearn.utils import ClassifierTags

            tags.classifier_tags = ClassifierTags()
        if kind == "regressor":
            from sklearn.utils import RegressorTags

            tags.regressor_tags = RegressorTags()
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def check_is_fitted(self) -> None:
        """Raise scikit-learn's `NotFittedError` (a `ValueError`) before `fit`."""
        if not self.__sklearn_is_fitted__():
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(f"This {type(self).__name__} is not fitted yet; call fit first.")

    def save(self, path: str | os.PathLike) -> None:
        """Write settings, `model_` and all that was learnt to a folder, without pickles."""
        self.check_is_fitted()
        learnt = {k: v for k, v in vars(self).items() if k.endswith("_") and not k.startswith("_")}
        settings = {name: getattr(self, name) for name in self._settings()}
        save(path, {"estimator": name_of(type(self)), "settings": settings, "learnt": learnt})

    @classmethod
    def load(cls: type[T], path: str | os.PathLike, parts: Mapping[str, Any] | None = None) -> T:
        """Read a saved estimator of this class or of one below it; `parts` holds your own classes by name."""
        own = {cls.__name__: cls} | dict(parts or {})
        content = load(path, own)
        if not isinstance(content, dict) or set(content) != {"estimator", "settings", "learnt"}:
            raise ValueError(f"{cls.__name__}.load: {path} holds a module, not an estimator; use cadlag.train.load.")
        found = resolve(content["estimator"], own)
        if not (isinstance(found, type) and issubclass(found, cls)):
            raise ValueError(f"{cls.__name__}.load: {path} holds a {content['estimator']!r}; load it with that class.")
        estimator = found(**content["settings"])
        for name, value in content["learnt"].items():
            setattr(estimator, name, value)
        return estimator


def _differs(estimator: Estimator, name: str, parameter: inspect.Parameter) -> bool:
    return repr(getattr(estimator, name)) != repr(parameter.default)

"""What every module has in common, whatever the framework."""
from __future__ import annotations

from typing import Any

from ..core.sparse import SparseTensor, require_tensor


class Common:
    """Base of the mixins. `_library_name` is the array library that the framework's modules take."""

    _library_name = ""
    training: bool

    def _new_parameter(self, name: str, array: Any) -> None:
        raise NotImplementedError

    def _new_buffer(self, name: str, array: Any) -> None:
        raise NotImplementedError

    def _uniform(self, shape: Any, bound: float) -> Any:
        raise NotImplementedError

    def _filled(self, shape: Any, value: float) -> Any:
        raise NotImplementedError

    def _amp(self, x: SparseTensor) -> SparseTensor:
        """x in the dtype that the framework's mixed precision asks for."""
        return x

    @staticmethod
    def _value(parameter: Any) -> Any:
        """The array of a parameter, without its history."""
        return parameter

    def _freeze(self) -> None:
        """Takes the module's parameters out of training."""

    def _freeze_statistics(self) -> None:
        """Frameworks that would train the running statistics do not."""

    def _check(self, x: Any, name: str = "x") -> SparseTensor:
        where = type(self).__name__
        require_tensor(where, x, name)
        if x._library.name != self._library_name:
            raise TypeError(f"{where}: {name} is of another array library: got {x._library.name}, expected {self._library_name}")
        return x  # type: ignore[no-any-return]

    @staticmethod
    def _cast(array: Any, x: SparseTensor) -> Any:
        """A parameter in the dtype of the features."""
        return None if array is None else x._library.cast(array, x._library.dtype_code(x._feats))

    def _bias(self) -> Any:
        return getattr(self, "bias", None)

    @staticmethod
    def _rounded(y: SparseTensor, x: SparseTensor) -> SparseTensor:
        """y in the dtype of x."""
        code = x._library.dtype_code(x._feats)
        if y._library.dtype_code(y._feats) == code:
            return y
        return y.replace(feats=y._library.cast(y._feats, code))

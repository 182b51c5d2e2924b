"""Arrays that belong to an object: what is assigned to them is copied in, so that views of them stay valid."""

from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError


class OwnArray:
    """An attribute of a class: an array of each object, which it makes itself. Assignment copies the values in.

    place : where an object keeps the array, such as "_theta" or "_engine.theta"
    text : the docstring of the attribute

    Assignment raises `RnnsimError` for anything but numbers in the shape of the array.

    >>> class Net:
    ...     theta = OwnArray("_theta", "All parameters.")
    ...
    ...     def __init__(self):
    ...         self._theta = np.zeros(3)
    >>> net = Net()
    >>> first = net.theta[:1]
    >>> net.theta = [4, 5, 6]
    >>> float(first[0])
    4.0
    """

    def __init__(self, place: str, text: str):
        self._array, self.__doc__ = attrgetter(place), text

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type | None = None) -> np.ndarray:
        return self if owner is None else self._array(owner)  # type: ignore[return-value]

    def __set__(self, owner: Any, values: ArrayLike) -> None:
        array = self._array(owner)
        if values is not array:  # after `net.theta += x`
            values = as_numbers(self._name, values)
            fits = values.shape == array.shape
            require(fits, f"{self._name}: expected numbers of shape {array.shape}, got shape {values.shape}")
            array[...] = values


def as_array(name: str, values: ArrayLike) -> np.ndarray:
    """An array of the values. Raises `RnnsimError` for rows of different lengths; `name` begins the message."""
    try:
        return np.asarray(values)
    except ValueError:
        raise RnnsimError(f"{name}: expected an array, got rows of different lengths") from None


def as_numbers(name: str, values: ArrayLike) -> np.ndarray:
    """The values as an array of real numbers. Raises `RnnsimError` if they are none."""
    array = as_array(name, values)
    require(array.dtype.kind in "fiub", f"{name}: expected numbers, got {array.dtype}")
    return array

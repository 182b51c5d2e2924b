"""The locations of a memory that a picture shows, and their labels on an axis."""

import numpy as np

_NOTED = 0.1  # a location is in use where a head has at least this weight at some time step
_AROUND = 2  # unused locations shown on either side


def locations_in_use(weightings):
    """The shortest run of locations, modulo the size of the memory, that contains all that `weightings` (T, heads, N) use.

    >>> weightings = np.zeros((2, 1, 20))
    >>> weightings[0, 0, 19] = weightings[1, 0, 1] = 1
    >>> locations_in_use(weightings).tolist()
    [17, 18, 19, 0, 1, 2, 3]
    """
    rows = weightings.shape[-1]
    used = np.flatnonzero((weightings >= _NOTED).any(axis=(0, 1)))
    if not used.size:
        return np.arange(rows)
    gaps = np.diff(np.append(used, used[0] + rows))  # from every location in use to the next one, the last to the first
    widest = int(gaps.argmax())
    first = used[(widest + 1) % used.size] - _AROUND
    count = rows - gaps[widest] + 1 + 2 * _AROUND
    return np.arange(rows) if count >= rows else (first + np.arange(count)) % rows


def note(locations, rows):
    """A note on which of the `rows` locations are shown; empty if all are."""
    if locations.size == rows:
        return ""
    return f"locations {locations[0]} to {locations[-1]} of {rows}; elsewhere all weights are below {_NOTED}"


def label_locations(axis, locations, most=6):
    """Label every 10th, 20th, ... location on the vertical axis of an image that shows `locations` from top to bottom."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100 * locations.size) if locations.size <= step * most)
    if step > 50:
        step = 10 ** int(np.ceil(np.log10(locations.size / most)))
    places = np.flatnonzero(locations % step == 0)
    axis.set_yticks(places, [str(location) for location in locations[places]])

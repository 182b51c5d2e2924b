"""Registries: one per kind of thing (cell, network, task, rule, optimizer, data set), from name to class.

An entry is a line ``name: ("module:attribute", "one line about it")``. Loading an entry imports its module, so listing names
costs nothing. Installed packages add entries by entry points.

Options of an entry are the keyword arguments of its class, and the fields of its ``Options`` (a NamedTuple) if its
constructor takes ``**options``. They arrive as strings from the shell and as typed values from TOML or Python;
`Registry.build` checks the names against the signature and the values against the annotations.
"""

import importlib
import inspect
import types
import typing

from rnnsim.errors import RnnsimError, unknown


class Registry:
    """Names to classes of one kind.

    kind : what messages call an entry
    entries : rnnsim's own, ``{name: (place, line)}``
    group : entry points by which installed packages add names, such as "rnnsim.tasks"; None: they cannot
    classes, methods : a class from outside must be derived from one of these (``module:Class``) and have these methods
    instances : the entries are not classes but instances of one of `classes`
    layers : (registry, place, form): every name of that registry is an entry of this one too, at that place, with its line
        formatted by `form`

    In place of a name, all methods accept the place of a class outside rnnsim (`rnnsim.core.plugins`), or the class itself.

    >>> colours = Registry("number type", {"fraction": ("fractions:Fraction", "a ratio of whole numbers")})
    >>> colours.build("fraction", {"numerator": 3})
    Fraction(3, 1)
    """

    def __init__(self, kind, entries, group=None, classes=(), methods=(), layers=None, instances=False):
        self.kind, self.group, self._layers = kind, group, layers
        self._contract = kind, classes, methods, instances
        self._entries = {**(self._derived(layers[0]._entries) if layers else {}), **entries}
        self._plugins = None

    def _derived(self, entries):
        """The entries of the registry below, as entries of this one."""
        _, place, form = self._layers
        return {name: (place, form.format(line)) for name, (_, line) in entries.items()}

    @property
    def plugins(self):
        """The entries of installed packages, without rnnsim's own names; the first use looks them up."""
        if self._plugins is None:
            found = {}
            if self.group:
                from rnnsim.core import plugins

                found |= plugins.entered(self.group)
            if self._layers:
                found |= self._derived(self._layers[0].plugins)
            self._plugins = {name: entry for name, entry in found.items() if name not in self._entries}
        return self._plugins

    def plugin_place(self, name):
        """The place of the class that an installed package has entered under a name; None for all other names."""
        if name in self._entries or name not in self.plugins:
            return None
        return (self._layers and self._layers[0].plugin_place(name)) or self.plugins[name][0]

    def __iter__(self):
        return iter(self.names())

    def __contains__(self, name):
        if not isinstance(name, str) or ":" in name:
            return False
        return name in self._entries or name in self.plugins

    def __len__(self):
        return len(self.names())

    def names(self):
        """All names, in the order of the registry; those of installed packages come last."""
        return (*self._entries, *self.plugins)

    def summary(self, name):
        """The line about an entry, without importing anything."""
        return self._entry(name)[1]

    def place(self, name):
        """The place of the class behind a name, ``module:attribute``, without importing anything."""
        return self._entry(name)[0]

    def exports(self):
        """``{attribute: module}`` of rnnsim's own entries, for `rnnsim.core.lazy.lazy`, so that a package exports their classes.

        >>> Registry("number type", {"fraction": ("fractions:Fraction", "a ratio of whole numbers")}).exports()
        {'Fraction': 'fractions'}
        """
        places = (place.split(":") for place, _ in self._entries.values())
        return {attribute: module for module, attribute in places}

    def name_of(self, cls):
        """The name under which a class is entered, without importing anything; its place if it is not entered.

        >>> from fractions import Fraction
        >>> Registry("number type", {"fraction": ("fractions:Fraction", "")}).name_of(Fraction)
        'fraction'
        """
        from rnnsim.core import plugins

        own = f"{cls.__module__}:{cls.__qualname__}"
        for entries in (self._entries, {} if plugins.is_own(cls) else self.plugins):
            for name, (place, _) in entries.items():
                if place == own:
                    return name
        return plugins.place_of(cls)

    def load(self, name):
        """The class behind a name or at a place, or a class itself.

        Raises `RnnsimError` with the nearest name if there is none, and if code from outside cannot be loaded or has another
        kind.
        """
        if isinstance(name, str) and name in self._entries:
            return _at(self._entries[name][0])
        from rnnsim.core import plugins

        if not isinstance(name, str):
            return plugins.check(name, self._place(name), *self._contract)
        if plugins.is_place(name):
            found = plugins.load(name, self.kind)
            return plugins.check(found, name, *self._contract)
        place, line = self._entry(name)
        if self._layers and name in self._layers[0].plugins:  # an entry of the registry below: a class of rnnsim here
            return _at(place)
        found = plugins.load(place, f"{self.kind} '{name}' {line},")
        return plugins.check(found, f"'{name}' {line}", *self._contract)

    def build(self, name, options=None, **given):
        """An instance of the class behind `name`, from `options`, which are checked, and the arguments `given` by the program.

        Raises `RnnsimError` for an unknown name or option and for a value of the wrong type.
        """
        cls = self.load(name)
        return cls(**given, **checked(f"{self.kind} '{self._place(name)}'", cls, options or {}, reserved=given))

    def _place(self, name):
        return name if isinstance(name, str) else getattr(name, "__qualname__", str(name))

    def _entry(self, name):
        if name in self._entries:
            return self._entries[name]
        if name not in self.plugins:
            raise unknown(self.kind, name, self.names())
        return self.plugins[name]


def _at(place):
    module, attribute = place.split(":")
    return getattr(importlib.import_module(module), attribute)


def option_table(cls, reserved=()):
    """The options of a class: ``{name: (annotation, default)}`` from the signature of its constructor.

    If the constructor takes ``**options`` and the class has an ``Options``, a NamedTuple with annotated fields, these are
    options too::

        class Spiral(Network):
            class Options(NamedTuple):
                \"""Options of `Spiral`.

                arms : how many; each has a hidden layer of its own
                \"""

                arms: int = 2

            def __init__(self, n_inputs: int, n_outputs: int, **options):
                self.options = self.Options(**checked("network 'spiral'", Spiral, options, ("n_inputs", "n_outputs")))
    """
    parameters = inspect.signature(cls).parameters.values()
    table = {}
    for parameter in parameters:
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            table[parameter.name] = parameter.default
    hints = _hints(cls.__init__ if inspect.isclass(cls) else cls)
    options = getattr(cls, "Options", None)
    if options is not None and any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        hints |= _hints(options)
        table |= {name: options._field_defaults.get(name, inspect.Parameter.empty) for name in options._fields}
    return {name: (hints.get(name, typing.Any), default) for name, default in table.items() if name not in reserved}


def _hints(target):
    try:
        return typing.get_type_hints(target)
    except (TypeError, NameError):
        return {}


def checked(what, cls, options, reserved=()):
    """`options`, every value converted to its type.

    Raises `RnnsimError` for an option that the constructor of `cls` does not have, a missing one and a value of the wrong type;
    `what` names the class in messages.
    """
    table = option_table(cls, reserved)
    for key in options:
        if key not in table:
            raise unknown(f"option of {what}", key, table)
    missing = [key for key, (_, default) in table.items() if default is inspect.Parameter.empty and key not in options]
    if missing:
        raise RnnsimError(f"{what} needs the option {missing[0]}")
    return {key: convert(value, table[key][0], key) for key, value in options.items()}


def convert(value, annotation, key):
    """`value` (perhaps a string from the shell) as the annotated type. Raises `RnnsimError`, which names the option `key`.

    >>> convert("3", int, "layers"), convert("no", bool, "skip"), convert("4,5", tuple[int, ...], "delays")
    (3, False, (4, 5))
    """
    value = as_python(value)
    error = RnnsimError(f"{key}={shown(value)}: expected {expected(annotation)}")
    if annotation is typing.Any or annotation is inspect.Parameter.empty:
        return value
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        if type(None) in arguments and (value is None or (isinstance(value, str) and value.lower() in ("none", ""))):
            return None
        for choice in arguments:
            if choice is not type(None):
                try:
                    return convert(value, choice, key)
                except RnnsimError:
                    continue
        raise error
    if origin is typing.Literal:
        for choice in arguments:
            if value == choice or (isinstance(value, str) and value == str(choice)):
                return choice
        raise error
    if origin is tuple:
        value = value.tolist() if hasattr(value, "tolist") else value
        parts = [part for part in value.split(",") if part] if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)):
            parts = [parts]
        kinds = [arguments[0]] * len(parts) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(parts):
            raise error
        return tuple(convert(part, kind, key) for part, kind in zip(parts, kinds))
    if annotation is bool:
        if isinstance(value, bool):
            return value
        text = str(value).lower()
        if text in ("true", "yes", "on", "1"):
            return True
        if text in ("false", "no", "off", "0"):
            return False
        raise error
    if annotation in (int, float):
        if isinstance(value, bool):
            raise error
        try:
            number = float(value) if annotation is float else int(value)
        except (TypeError, ValueError, OverflowError):
            raise error from None
        if annotation is int and isinstance(value, float) and value != number:
            raise error
        if number != number:
            raise error
        return number
    if annotation is str:
        if not isinstance(value, str):
            raise error
        return value
    return value


def shown(value):
    """A value for messages: on one line, at most 60 characters.

    >>> shown("hidden"), shown(1.5), shown("x" * 100)[-5:]
    ('hidden', '1.5', 'xx...')
    """
    try:
        text = str(value)
    except (ValueError, RecursionError):  # Python prints no whole number of more than 4,300 digits
        text = f"a {type(value).__name__} too large to be shown"
    text = text if len(text) <= 60 else text[:57] + "..."
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    )


def as_python(value):
    """NumPy's numbers, also those in lists, tuples and dicts, as Python's numbers; everything else unchanged.

    JSON and TOML have Python's numbers only. Every option passes through here when it is checked.

    >>> import numpy as np
    >>> as_python(np.int64(3)), as_python({"a": [np.float32(0.5), "b"], "c": (np.True_,)})
    (3, {'a': [0.5, 'b'], 'c': (True,)})
    """
    if type(value) in (list, tuple):
        return type(value)(as_python(part) for part in value)
    if type(value) is dict:
        return {key: as_python(part) for key, part in value.items()}
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def is_true(answer):
    """Whether a function of the user returned a true truth value, Python's or NumPy's.

    Other return values count as false.

    >>> import numpy as np
    >>> is_true(True), is_true(np.float32(0.1) < 0.2), is_true(None), is_true(0.3)
    (True, True, False, False)
    """
    return as_python(answer) is True


def expected(annotation):
    """The values that an annotation allows, in words.

    >>> expected(int), expected(tuple[float, ...]), expected(str | None)
    ('a whole number', 'a number, several separated by commas', 'a text or none')
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin is typing.Union or origin is types.UnionType:
        return " or ".join(expected(choice) for choice in arguments)
    if origin is tuple:
        return f"{expected(arguments[0])}, several separated by commas"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "none"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def require(condition, message):
    """Raise `RnnsimError(message)` unless the condition holds."""
    if not condition:
        raise RnnsimError(message)


def at_least(key, value, least):
    """`value` as a Python number. Raises `RnnsimError` if it is below `least`."""
    value = as_python(value)
    require(value >= least, f"{key}={value}: expected a value of at least {least}")
    return value


def one_of(key, value, known):
    """`value`. Raises `RnnsimError` if it is not one of the known ones."""
    require(isinstance(value, str) and value in known, f"{key}={shown(value)}: expected one of {', '.join(known)}")
    return value


def described(registry, thing):
    """``{"name": ..., "options": {...}}`` of a task, rule or optimizer; the name is that in the registry, if it has one."""
    from rnnsim.core import plugins

    cls = type(thing)
    known = getattr(thing, "config", None) or getattr(thing, "options", None)
    if not isinstance(known, dict):
        known = {key: getattr(thing, key) for key in option_table(cls) if hasattr(thing, key)}
    source = plugins.source_of(cls)
    return {"name": registry.name_of(cls), "options": as_python(known), **({"source": source} if source else {})}

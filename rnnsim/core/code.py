"""Code from outside that a run was made with: the conditions under which opening the run executes it.

A run records where each of its parts came from and the SHA-256 of its source. Opening a run executes

- nothing that lies inside the folder of the run, unless the user names that file himself;
- nothing whose source differs from the recorded one, unless the user accepts that.

So opening a run of somebody else executes none of its code: the user gives the code with `code` (``--code FILE.py``), and
rnnsim compares it with the record. The registries name rnnsim's own parts, which need none of this.
"""

import hashlib
import re
import warnings
from pathlib import Path

from rnnsim.core import plugins
from rnnsim.core.reading import read_bytes
from rnnsim.errors import RnnsimError


class Code:
    """The code that a user gives for a run, and whether he accepts changed sources.

    folder : the folder of the run, from which nothing is executed unless `files` names it; or None
    files : source files that the user names
    accept : execute a source that differs from the recorded one, with a warning
    """

    def __init__(self, folder=None, files=(), accept=False):
        self.folder = None if folder is None else Path(folder).resolve()
        self.accept = accept
        self.files = [plugins.read(path, "code") for path in ([files] if isinstance(files, (str, Path)) else files)]

    def name(self, registry, part):
        """The name by which a part of a configuration (name, source) may be loaded: its own, or the place in a given file.

        Executes nothing. Raises `RnnsimError`, one line, for code that is missing, inside the folder or not the recorded one.
        """
        name, source = part["name"], part.get("source", {})
        what = f"{registry.kind} {plugins.title(name)}" + ("" if self.folder is None else f" of {self.folder}")
        if not plugins.is_place(name):
            place = registry.plugin_place(name)
            if place is None:
                if source and name not in registry:
                    raise RnnsimError(f"{what}: it came from {_words(source)}, which is not installed; {_GIVE}")
                return name  # rnnsim's own; an unknown name raises an error when it is loaded
            path, (module, attribute) = None, place.split(":")
        else:
            path, module, attribute = plugins.parse(name)
        given = self._given(path, source, attribute)
        if given:
            (path, _, digest), name = given, f"{given[0]}:{attribute}"
        else:
            path = path or plugins.file_of_module(module)
            if path is None:
                raise RnnsimError(
                    f"{what}: it came from {_words(source) or module}, which does not exist here; {_GIVE}"
                )
            path = Path(path).resolve()
            if self.folder is not None and path.is_relative_to(self.folder):
                raise RnnsimError(
                    f"{what}: {path} lies inside the folder of the run, where nothing is executed; {_GIVE}"
                )
            if not path.is_file():
                raise RnnsimError(f"{what}: there is no file {path}; {_GIVE}")
            digest = hashlib.sha256(read_bytes(path, plugins.SOURCE)).hexdigest()
        recorded = source.get("sha256")
        if digest != recorded:
            was = (
                f"has the SHA-256 {digest[:12]}..., the recorded one is {recorded[:12]}..."
                if recorded
                else "is not recorded"
            )
            if not self.accept:
                raise RnnsimError(f"{what}: the source in {path} {was}; {_GIVE}, or --accept-source to use it as it is")
            warnings.warn(f"{what}: the source in {path} {was}; --accept-source uses it nevertheless", stacklevel=3)
        return name

    def _given(self, path, source, attribute):
        """The given file with the recorded content, else with the recorded name, else one that defines the class; or None."""
        name = Path(source.get("file") or path or "").name or source.get("module", "").rpartition(".")[2] + ".py"
        defines = re.compile(rf"^class {attribute}\b".encode(), re.MULTILINE)
        for fits in (
            lambda file: file[2] == source.get("sha256"),
            lambda file: file[0].name == name,
            lambda file: defines.search(file[1]),
        ):
            for file in self.files:
                if fits(file):
                    return file
        return None

    def trusted(self, config, registries):
        """A configuration in which every part has the name by which it may be loaded, without its source."""
        config = dict(config)
        for part, registry in registries.items():
            if "name" in config.get(part, {}):
                table = {key: value for key, value in config[part].items() if key != "source"}
                config[part] = {**table, "name": self.name(registry, config[part])}
        return config


_GIVE = "give it with --code FILE.py"


def _words(source):
    """The origin of a source, in words."""
    if "distribution" in source:
        return f"{source['distribution']} {source.get('version', '')}".strip()
    return source.get("file") or source.get("module", "")


def changed(stored, given, parts):
    """The first of the `parts` whose source differs between two configurations, in words, or ""."""
    for part in parts:
        before, now = (config.get(part, {}).get("source", {}) for config in (stored, given))
        if before.get("sha256") != now.get("sha256"):
            words = [
                f"{_words(source) or 'rnnsim'} {source.get('sha256', '')[:12]}".strip() for source in (before, now)
            ]
            return f"the source of its {part} was {words[0]}, now it is {words[1]}"
    return ""

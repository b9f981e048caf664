"""Candidates, features, providers and alert channels from modules of a user's own.

They are found by entry points of installed packages and by the modules a pool names, which lie in
its home or are installed. A broken one is named and left out, and nothing else is.
"""

import logging
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from hashlib import sha256
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from crypto_pool.errors import InvalidSetting, let_interrupts_pass

logger = logging.getLogger(__name__)
GROUPS = ("candidates", "features", "providers", "alerts")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
Offer = Callable[[], Iterator[tuple[str, Any]]]


@dataclass(frozen=True)
class Extensions:
    """The modules that a pool names, and its home; entry points come with them."""

    modules: tuple[str, ...] = ()
    home: str = ""

    def load(self) -> Mapping[str, str]:
        """Register all of them, once a process; return why what is broken was left out, by name."""
        global _loaded
        _loaded = self
        return _load(self)


_loaded = Extensions()


def loaded_extensions() -> Extensions:
    """Return what this process loaded last, for a process that must have the same."""
    return _loaded


def extension_codes() -> dict[str, str]:
    """Return the digest of the code of each extension that is registered, by its name."""
    return {
        f"{group} {name}": thing.code
        for group, to in _groups().items()
        for name, thing in to.registry.items()
        if thing.code
    }


@cache
def _load(extensions: Extensions) -> dict[str, str]:
    faults: dict[str, str] = {}
    for origin, offer in _offers(extensions):
        try:
            offered = list(offer())
        except KeyboardInterrupt:
            logger.warning("interrupted in the extension %s", origin)
            raise
        except BaseException as fault:  # it is named, and left out
            let_interrupts_pass(fault)
            faults[origin] = f"{type(fault).__name__}: {fault}"
            continue
        for group, thing in offered:
            try:
                _register(group, thing, _code_of(origin))
            except BaseException as fault:
                let_interrupts_pass(fault)
                name = getattr(thing, "name", type(thing).__name__)
                faults[f"{origin}, {name}"] = f"{type(fault).__name__}: {fault}"
    return faults


def _offers(extensions: Extensions) -> Iterator[tuple[str, Offer]]:
    """Yield each module with what gives the things it offers, by their group."""
    installed = entry_points()  # reads a file of each installed package
    for group in GROUPS:
        for point in installed.select(group=f"crypto_pool.{group}"):
            yield point.module, partial(_thing_of, group, point)
    for name in extensions.modules:
        yield name, partial(_things_in, name, extensions.home)


def _thing_of(group: str, point: EntryPoint) -> Iterator[tuple[str, Any]]:
    yield group, point.load()


def _things_in(name: str, home: str) -> Iterator[tuple[str, Any]]:
    """Yield whatever a module has of the four kinds; one in the home is found after all others."""
    if home and home not in sys.path:
        sys.path.append(home)
    kinds = {to.kind: group for group, to in _groups().items()}
    module = import_module(name)
    things = {id(thing): thing for thing in vars(module).values()}
    offered = [(kinds[type(thing)], thing) for thing in things.values() if type(thing) in kinds]
    if not offered:
        wanted = ", ".join(one.__name__ for one in kinds)
        raise InvalidSetting(f"{getattr(module, '__file__', name)} offers nothing: {wanted}")
    yield from offered


def _register(group: str, thing: Any, code: str) -> None:
    to = _groups()[group]
    if type(thing) is not to.kind:
        raise InvalidSetting(f"a {to.kind.__name__} is wanted, it is a {type(thing).__name__}")
    if not isinstance(thing.name, str) or not _NAME.fullmatch(thing.name):
        raise InvalidSetting(f"{thing.name!r} is no name: up to 64 letters, digits and _ are")
    made = replace(thing, code=code)
    if to.registry.get(thing.name) == made:
        return
    if thing.name.lower() in map(str.lower, (*to.registry, *to.reserved)):  # as in SQL
        raise InvalidSetting(f"the name {thing.name} is taken; choose another")
    made.check()
    to.registry[thing.name] = made


class _Group(NamedTuple):
    """What an extension offers, where it is registered, and names that mean something else."""

    kind: type[Any]
    registry: dict[str, Any]
    reserved: Collection[str]


def _groups() -> dict[str, _Group]:
    from crypto_pool.adapters.alerts import CHANNELS, WEBHOOK, AlertChannel
    from crypto_pool.adapters.providers import BUILT_IN, PROVIDERS, Provider
    from crypto_pool.domain.candidates import CANDIDATES, Candidate
    from crypto_pool.domain.features import FEATURES, Feature, feature_names
    from crypto_pool.domain.served_model import BASELINES, PANEL_LOGIT, REFERENCE_LOGIT
    from crypto_pool.domain.tables import TABLES

    columns = {name for table in TABLES.values() for name in table.names}
    inputs = {*feature_names(), PANEL_LOGIT, REFERENCE_LOGIT, *columns}
    return {
        "candidates": _Group(Candidate, CANDIDATES, BASELINES),
        "features": _Group(Feature, FEATURES, inputs),
        "providers": _Group(Provider, PROVIDERS, BUILT_IN),
        "alerts": _Group(AlertChannel, CHANNELS, (WEBHOOK,)),
    }


def _code_of(module: str) -> str:
    """Digest the file of a module, or where it is in a package all files of that."""
    top = sys.modules[module.partition(".")[0]]
    file = Path(str(getattr(top, "__file__", None) or sys.modules[module].__file__))
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    digest = sha256()
    for one in files:
        digest.update(one.name.encode() + one.read_bytes())
    return digest.hexdigest()[:16]

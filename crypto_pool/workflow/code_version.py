"""Which code a result depends on, as a digest of the domain modules it reaches by imports."""

import dis
import hashlib
from functools import lru_cache
from pathlib import Path
from types import CodeType

import crypto_pool.domain
from crypto_pool.domain.candidates import CANDIDATES

PACKAGE = crypto_pool.domain.__name__
FOLDER = Path(crypto_pool.domain.__file__).parent
# A model is a candidate, fitted and judged by a policy. The features reach it as data.
TRAINING = ("candidates", "policies")


@lru_cache
def code_version(*roots: str) -> str:
    """Digest the sources of domain modules and all they import; by default those of training."""
    digest = hashlib.sha256()
    for name in reached_modules(*(roots or TRAINING)):
        digest.update(name.encode() + _source(name).read_bytes())
    return digest.hexdigest()[:16]


def training_version() -> str:
    """Digest what a member's training runs: the code of training, and of candidates of extensions.

    A candidate of the pool's own is trained anew for its own code alone.
    """
    codes = [f"{name} {one.code}" for name, one in sorted(CANDIDATES.items()) if one.code]
    if not codes:
        return code_version()
    return hashlib.sha256("\n".join([code_version(), *codes]).encode()).hexdigest()[:16]


def domain_version() -> str:
    """Digest all of the domain: what must be alike wherever a member is worked on."""
    return code_version(*(source.stem for source in FOLDER.glob("*.py")))


def reached_modules(*roots: str) -> tuple[str, ...]:
    """Name the domain modules that `roots` import, themselves included, inside functions too."""
    reached: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending += _imported(name)
    return tuple(sorted(reached))


def imported_names(source: bytes) -> list[str]:
    """Name the modules that a source imports, inside functions too.

    Off the bytecode, as `ast.parse` fails where two threads are in it at once, before Python
    3.11.8 and 3.12.2: https://github.com/python/cpython/issues/106905
    """
    pending, names = [compile(source, "<source>", "exec")], []
    while pending:
        code = pending.pop()
        pending += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        steps = dis.get_instructions(code)
        names += [step.argval for step in steps if step.opname == "IMPORT_NAME"]
    return names


def _imported(name: str) -> list[str]:
    prefix, modules = f"{PACKAGE}.", imported_names(_source(name).read_bytes())
    return [module.removeprefix(prefix) for module in modules if module.startswith(prefix)]


def _source(name: str) -> Path:
    return FOLDER / f"{name}.py"

"""Run every drill of this folder, or those named; keep and print the figures.

A drill is a module with `run() -> dict`: figures by name, with their unit in the name.
"""

import json
import pkgutil
import sys
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results" / "latest.json"


def main(chosen: list[str]) -> None:
    """Run the drills; one that raises ends the command, after what ran before it is kept."""
    known = sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]))
    drills = [name for name in known if not name.startswith("_")]
    unknown = sorted(set(chosen) - set(drills))
    if unknown:
        sys.exit(f"no such drill: {', '.join(unknown)}; there are: {', '.join(drills)}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in chosen or drills:
        print(name, flush=True)
        results[name] = import_module(f"drills.{name}").run()
        for figure, value in results[name].items():
            print(f"  {figure}: {value}")
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

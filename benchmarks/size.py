"""What a clean install takes: seconds, megabytes on disk per package, and who asks for each.

    python benchmarks/size.py build/size
    python benchmarks/size.py build/size --lean

make a new environment in that folder and install the core into it, the second as lean.txt says. `make size` runs both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent

LISTING = """
import importlib.metadata, json, os, re
found = {}
for package in importlib.metadata.distributions():
    files = {os.path.realpath(package.locate_file(file)) for file in package.files or ()}
    needs = [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in package.requires or () if "extra ==" not in line]
    key = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
    found[key] = {"version": package.version, "bytes": sum(map(os.path.getsize, filter(os.path.exists, files))),
                  "needs": [re.sub(r"[-_.]+", "-", need).lower() for need in needs]}
print(json.dumps(found))
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path, help="the folder of the new environment")
    parser.add_argument("--lean", action="store_true", help="without CUDA, NCCL and numba, by uv and lean.txt")
    parser.add_argument("--least", type=float, default=5.0, help="name packages from this many MB on (default: 5)")
    options = parser.parse_args()
    python = str(options.environment / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(options.environment)], check=True)
    install = [python, "-m", "pip", "install", "--quiet"]
    if options.lean:
        subprocess.run([*install, "uv"], check=True)
        uv = [python, "-m", "uv", "pip"]
        install = [*uv, "install", "--quiet", "--python", python, "--overrides", str(ROOT / "lean.txt"), "xgboost-cpu"]
    began = time.perf_counter()
    subprocess.run([*install, str(ROOT)], check=True)
    print(f"{time.perf_counter() - began:.0f} s to install\n")
    if options.lean:
        subprocess.run([*uv, "uninstall", "--quiet", "--python", python, "uv"], check=True)
    listed = subprocess.run([python, "-c", LISTING], capture_output=True, text=True, check=True)
    found = json.loads(listed.stdout)
    asked_by = {name: sorted(other for other in found if name in found[other]["needs"]) for name in found}
    small = {name: each for name, each in found.items() if each["bytes"] < options.least * 1e6}
    print(f"{'MB':>7}  {'package':<32} required by")
    for name, each in sorted(found.items(), key=lambda item: -item[1]["bytes"]):
        if name not in small:
            print(f"{each['bytes'] / 1e6:7.1f}  {name + ' ' + each['version']:<32} {', '.join(asked_by[name])}")
    print(
        f"{sum(each['bytes'] for each in small.values()) / 1e6:7.1f}  {len(small)} packages under {options.least:g} MB"
    )
    print(f"{sum(each['bytes'] for each in found.values()) / 1e6:7.1f}  all {len(found)} packages")


if __name__ == "__main__":
    main()

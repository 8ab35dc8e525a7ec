"""Runs in the bare environment: inside.py KIT PROFILE. Prints as JSON the libraries that the loader finds for every program,
and how the kit's `run` ends."""
import json
import os
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
kit = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(kit / "bench/gpu"))
import machine  # noqa: E402

about = json.loads((kit / "kit.json").read_text())
environment, _ = machine.kit_environment(about["needs"], machine.Driver())
libraries = {name: machine.needed_libraries(kit / "bin" / name, environment) for name in about["programs"]}
done = subprocess.run([sys.executable, kit / "run", *sys.argv[2:]], capture_output=True, text=True, check=False, timeout=120)
ceilings = subprocess.run([kit / "bin/device_ceilings"], capture_output=True, text=True, check=False, env=environment, timeout=60)
print(json.dumps({"libraries": libraries, "code": done.returncode, "output": done.stdout, "errors": done.stderr,
                  "ceilings": [ceilings.returncode, ceilings.stderr], "environment": sorted(os.environ)}))

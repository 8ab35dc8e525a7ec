"""The machine that the kit runs on: its driver, its GPU, and the libraries that the kit's programs need."""
import ctypes
import glob
import os
import pathlib
import shutil
import subprocess
import sys

DRIVER = "libcuda.so.1"
DRIVER_FOLDERS = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/wsl/lib")
TOOLKITS = ("/usr/local/cuda", "/usr/local/cuda-*", "/opt/cuda", "/usr/lib/cuda")
TOOLKIT_LIBRARIES = ("lib64", "lib", "targets/x86_64-linux/lib")
PYTHONS = ("/opt/*/bin/python3", "/opt/*/.venv/bin/python3", "/opt/*/venv/bin/python3", "/usr/local/bin/python3",
           "/usr/bin/python3")


class Driver:
    """The CUDA driver. `problem` says why there is no GPU, or is None."""

    def __init__(self):
        self.problem, self.name, self.version, self.folder = None, "none", "none", None
        try:
            driver = ctypes.CDLL(DRIVER)
        except OSError:
            driver = None
            for folder in DRIVER_FOLDERS:  # containers put it there, and the loader does not search there
                try:
                    driver, self.folder = ctypes.CDLL(f"{folder}/{DRIVER}"), folder
                    break
                except OSError:
                    continue
        if driver is None:
            self.problem = f"there is no {DRIVER}, so no driver"
            return
        version = ctypes.c_int(0)
        driver.cuDriverGetVersion(ctypes.byref(version))
        self.version = f"for CUDA up to {version.value // 1000}.{version.value % 1000 // 10}{module_version()}"
        error, count, name = driver.cuInit(0), ctypes.c_int(0), ctypes.create_string_buffer(256)
        if error != 0:
            self.problem = f"cuInit returns error {error}"
        elif driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
            self.problem = f"the driver counts {count.value} devices"
        else:
            driver.cuDeviceGetName(name, len(name), 0)
            self.name = name.value.decode(errors="replace")


def module_version():
    try:
        return ", " + pathlib.Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, IndexError):
        return ""


def pythons():
    """The Pythons of this machine, this one first."""
    found = [os.environ.get("PYTHON"), sys.executable, shutil.which("python3"), shutil.which("python")]
    for pattern in PYTHONS:
        found += sorted(glob.glob(pattern))
    return list(dict.fromkeys(filter(None, found)))


def python_packages(python):
    """The folders in which a Python looks for packages."""
    try:
        done = subprocess.run([python, "-c", "import sys; print('\\n'.join(sys.path))"], capture_output=True, text=True,
                              timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in done.stdout.splitlines() if line]


def library_folders():
    """Folders that may have cuBLAS: of a toolkit, and of the `nvidia` packages of a Python."""
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    for home in [*filter(None, homes), *(folder for pattern in TOOLKITS for folder in sorted(glob.glob(pattern)))]:
        for folder in TOOLKIT_LIBRARIES:
            yield f"{home}/{folder}"
    for python in pythons():
        for packages in python_packages(python):
            yield from sorted(glob.glob(f"{packages}/nvidia/cu*/lib"))
            yield from sorted(glob.glob(f"{packages}/nvidia/cublas/lib"))


def find_library(name):
    """The folder that has the library, or None."""
    return next((folder for folder in library_folders() if os.path.exists(f"{folder}/{name}")), None)


def needed_libraries(program, environment):
    """{library: its file, or None if there is none} of a program, as the loader finds them; it runs nothing."""
    try:
        done = subprocess.run([str(program)], env={**environment, "LD_TRACE_LOADED_OBJECTS": "1"}, capture_output=True,
                              text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return parse_libraries(done.stdout)


def parse_libraries(text):
    """The libraries in the loader's list.

    >>> parse_libraries("\\tlibm.so.6 => /lib/libm.so.6 (0x7f)\\n\\tlibcublas.so.13 => not found\\n\\t/lib64/ld.so (0x7f)\\n")
    {'libm.so.6': '/lib/libm.so.6', 'libcublas.so.13': None}
    """
    found = {}
    for line in text.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        if arrow:
            found[name] = None if rest.startswith("not found") else rest.rsplit(" (", 1)[0]
    return found


def kit_environment(needs, driver):
    """The environment of the kit's programs, and {library: folder or None} of those that the kit does not bring."""
    environment, folders = dict(os.environ), {name: find_library(name) for name in needs}
    front = list(dict.fromkeys(filter(None, [*folders.values(), driver.folder])))
    earlier = environment.get("LD_LIBRARY_PATH")
    if front:
        environment["LD_LIBRARY_PATH"] = ":".join(front + ([earlier] if earlier else []))
    return environment, folders

"""Finds, installs and runs NVIDIA's disassembler, and finds a build's objects."""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import listing
from count import Usage

# The oldest releases on PyPI; they read the code of nvcc 13.0.
PACKAGES = ("nvidia-cuda-cuobjdump==13.2.51", "nvidia-cuda-nvdisasm==13.2.51")
PROGRAMS = ("cuobjdump", "nvdisasm")


class Missing(Exception):
    """The disassembler, or code to disassemble, is not there."""


def _environment(folder):
    return folder / "sass-venv"


def find_tools(build):
    """The folder of the programs: in the build folder's virtual environment, on PATH, or with the CUDA toolkit. None if
    they are not installed."""
    folders = [path.parent for path in _environment(build).glob("lib/python*/site-packages/nvidia/*/bin/cuobjdump")]
    folders += [pathlib.Path(path).parent for path in [shutil.which("cuobjdump")] if path]
    folders.append(pathlib.Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "bin")
    return next((folder for folder in folders if all(os.access(folder / program, os.X_OK) for program in PROGRAMS)), None)


def install_tools(build):
    """Installs the two packages in a virtual environment in the build folder; the folder of the programs."""
    environment = _environment(build)
    print(f"== installing {' and '.join(PACKAGES)} in {environment}", file=sys.stderr)
    for command in ([sys.executable, "-m", "venv", environment],
                    [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                     *PACKAGES]):
        done = subprocess.run(list(map(str, command)), stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise Missing(f"could not install cuobjdump and nvdisasm: {command[1]} {command[2]} ended with {done.returncode} "
                          "(the Debian package python3-venv is needed)")
    folder = find_tools(build)
    if folder is None:
        raise Missing(f"{' and '.join(PACKAGES)} brought no programs to {environment}")
    return folder


def objects_of(build):
    """The CUDA objects of the library that a build folder has, by its compile_commands.json: those of one kind of the
    library (static or shared) only, since both have the same kernels."""
    database = build / "compile_commands.json"
    if not database.exists():
        raise Missing(f"{database}: expected a build folder with compile_commands.json")
    found = {}
    for entry in json.loads(database.read_text()):
        words = shlex.split(entry.get("command", "")) or entry.get("arguments", [])
        if not any(pathlib.Path(word).name == "nvcc" for word in words[:3]) or "-o" not in words:
            continue
        path = pathlib.Path(entry["directory"]) / words[words.index("-o") + 1]
        if path.exists() and "/kernels/" in entry["file"]:
            found.setdefault(entry["file"], path)
    if not found:
        raise Missing(f"{build}: expected CUDA objects, found none: build the target plasticity_cuda first")
    return sorted(found.values())


def nvcc_version(build):
    """The version of nvcc that the build folder was configured with, or "unknown"."""
    for path in build.glob("CMakeFiles/*/CMakeCUDACompiler.cmake"):
        found = re.search(r'CMAKE_CUDA_COMPILER_VERSION "([^"]+)"', path.read_text())
        if found:
            return found[1]
    return "unknown"


def _run(programs, *command, cwd=None):
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run([str(programs / command[0]), *map(str, command[1:])], cwd=cwd, capture_output=True, text=True,
                          env=os.environ | {"PATH": path}, check=False)
    if done.returncode != 0:
        raise Missing(f"{command[0]} {command[-1]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


_USAGE = re.compile(r"Function (\S+):\s*\n\s*REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")


def parse_usage(text):
    """{symbol: Usage} from the output of `cuobjdump -res-usage`. The kilobyte that CUDA reserves in every block counts as
    shared memory there.

    >>> parse_usage(" Function kernel:\\n  REG:98 STACK:0 SHARED:5152 LOCAL:0 CONSTANT[0]:1008")
    {'kernel': Usage(registers=98, shared=5152, local=0)}
    """
    return {symbol: Usage(int(registers), int(shared), int(stack) + int(local))
            for symbol, registers, stack, shared, local in _USAGE.findall(text)}


_KERNEL = re.compile(rb"_Z\w*_kernelI\w+")


def _has_none(path, choose):
    """Whether an object has none of the wanted kernels, by the names that the host's side of it has."""
    names = {name.decode() for name in _KERNEL.findall(path.read_bytes())} if path.suffix == ".o" else set()
    return bool(names) and not choose(names)


def disassemble(programs, path, architecture, choose):
    """[(function, usage)] of an object's or library's code for one architecture. `choose` returns which of a set of symbols
    are wanted."""
    if _has_none(path, choose):
        return []
    with tempfile.TemporaryDirectory() as folder:
        _run(programs, "cuobjdump", "-xelf", "all", path.resolve(), cwd=folder)
        functions = []
        for cubin in sorted(pathlib.Path(folder).glob(f"*.{architecture}.cubin")):
            usage = parse_usage(_run(programs, "cuobjdump", "-res-usage", cubin))
            wanted = choose(set(usage))
            if wanted:
                functions += [(function, usage[function.symbol])
                              for function in listing.parse(_run(programs, "nvdisasm", "-c", cubin), wanted)]
        return functions


def disassemble_all(programs, paths, architecture, choose):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = pool.map(lambda path: disassemble(programs, path, architecture, choose), paths)
    return [pair for part in parts for pair in part]


def demangled(symbols):
    """The C++ names of mangled symbols."""
    if shutil.which("c++filt") is None:
        raise Missing("c++filt: not found (the Debian package binutils has it)")
    done = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()

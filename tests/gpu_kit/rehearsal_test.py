#!/usr/bin/env python3
"""The GPU kit, rehearsed without a GPU: rehearsal_test.py BUILD CUBLAS Moved|Hidden

Moved: assembled, moved to another folder, run with an empty environment. Hidden: the same in a mount namespace in which the
sources, the build, the toolkit, libpng and other libraries that the kit must not need are hidden; exit code 77 if the system allows
no such namespace.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCES = pathlib.Path(__file__).resolve().parents[2]
BUILD, CUBLAS = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
sys.path.insert(0, str(SOURCES / "bench/gpu"))
sys.dont_write_bytecode = True
import assemble  # noqa: E402

ARCHITECTURES = assemble.cache_value(BUILD, "PLASTICITY_CUDA_ARCHITECTURES")
ALLOWED = re.compile(r"(libc|libm|libstdc\+\+|libgcc_s|libpthread|libdl|librt|libcublas|libcublasLt)\.so\.[0-9.]+")
# Libraries of the build machine that programs of an ordinary build use, and the kit must not need.
LIBRARIES = ("libpng16.so.16", "libgtest.so", "libbenchmark.so.1", "libgomp.so.1", "libcudart.so.13")
SKIPPED = 77
HIDE = """
mount --bind "$CUBLAS" "$PACKAGES/nvidia/cu13/lib"
for folder in $FOLDERS; do [ ! -d "$folder" ] || mount -t tmpfs none "$folder"; done
for file in $FILES; do [ ! -e "$file" ] || mount --bind /dev/null "$file"; done
[ ! -e "$GONE" ]
exec env -i PATH=/usr/bin:/bin CUDA_VISIBLE_DEVICES= "$PYTHON" -B "$INSIDE" "$KIT" first
"""


class Kit(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="gpu_kit_")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        made, self.kit = self.path / "made", self.path / "elsewhere" / "kit"
        self.done = subprocess.run([sys.executable, "-B", SOURCES / "bench/gpu/assemble.py", "--build", BUILD, "--out", made,
                                    "--most", "60" if ARCHITECTURES == "90-real" else "1000"],
                                   capture_output=True, text=True, check=False, cwd=self.path)
        self.assertEqual(self.done.returncode, 0, self.done.stdout + self.done.stderr)
        self.kit.parent.mkdir()
        shutil.move(made, self.kit)
        self.inside = self.path / "inside.py"
        shutil.copy(pathlib.Path(__file__).with_name("inside.py"), self.inside)

    def check(self, done):
        """Checks the outcome in the bare environment."""
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(told["code"], 3, told)
        self.assertIn("no GPU: ", told["errors"])
        self.assertRegex(told["output"], r"every program loads: \d\d+ tests, 23 parity cases")
        self.assertNotIn("missing", told["output"])
        self.assertEqual(told["ceilings"][0], 3, told)
        self.assertIn("no GPU", told["ceilings"][1])
        self.assertIn("cuda_test", told["libraries"])
        for program, libraries in told["libraries"].items():
            self.assertIn("libplasticity_kit.so" if program != "device_ceilings" else "libc.so.6", libraries)
            for name, file in libraries.items():
                self.assertIsNotNone(file, f"{program} needs {name}")
                if name == "libplasticity_kit.so":
                    self.assertEqual(pathlib.Path(file).resolve(), (self.kit / "lib" / name).resolve())
                elif name != "linux-vdso.so.1":
                    self.assertRegex(name, ALLOWED, program)
        return told


class Moved(Kit):
    def run_bare(self, **environment):
        # cuBLAS as in a toolkit that CUDA_HOME names.
        home = self.path / "toolkit"
        if not home.exists():
            home.mkdir()
            (home / "lib64").symlink_to(CUBLAS.parent)
        return subprocess.run([sys.executable, "-B", self.inside, self.kit, "first"], capture_output=True, text=True, check=False,
                              cwd="/", env={"PATH": "/usr/bin:/bin", "CUDA_HOME": str(home), "CUDA_VISIBLE_DEVICES": "",
                                            **environment})

    def test_it_runs_elsewhere_with_an_empty_environment(self):
        told = self.check(self.run_bare())
        self.assertIn(f"libcublas.so.13: {self.path / 'toolkit/lib64'}", told["output"])
        self.assertIn("MB", self.done.stdout)

    def test_missing_data_are_named(self):
        told = json.loads(self.run_bare(PLASTICITY_TEST_DATA="/nowhere").stdout)
        self.assertEqual(told["code"], 3)
        self.assertIn("missing: cuda_test finds no parity case", told["output"])
        shutil.move(self.kit / "tests", self.path / "away")  # cuda_test still finds those of the sources
        told = json.loads(self.run_bare().stdout)
        self.assertEqual(told["code"], 3)
        self.assertIn("missing: no parity case in", told["output"])

    def test_a_library_that_is_not_there_is_named(self):
        (self.kit / "lib/libplasticity_kit.so").rename(self.path / "gone.so")
        told = json.loads(self.run_bare().stdout)
        self.assertEqual(told["code"], 3)
        self.assertIn("missing: cuda_test needs libplasticity_kit.so", told["output"])

    def test_the_commit_is_recorded(self):
        about = json.loads((self.kit / "kit.json").read_text())
        git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=SOURCES, capture_output=True, text=True, check=False)
        self.assertEqual(about["commit"], git.stdout.strip() if git.returncode == 0 else "unknown")
        self.assertIsInstance(about["changed"], bool)

    def test_a_kit_that_is_too_large_is_refused(self):
        done = subprocess.run([sys.executable, "-B", SOURCES / "bench/gpu/assemble.py", "--build", BUILD, "--out",
                               self.path / "large", "--most", "1"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("expected at most 1", done.stderr)
        done = subprocess.run([sys.executable, "-B", SOURCES / "bench/gpu/assemble.py", "--build", BUILD, "--out", self.path],
                              capture_output=True, text=True, check=False)
        self.assertIn("expected a new folder or an earlier kit", done.stderr)


class Hidden(Kit):
    def test_it_runs_where_the_build_machine_is_hidden(self):
        venv = self.path / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--copies", venv], check=True)
        packages = next((venv / "lib").glob("python3*/site-packages"))
        (packages / "nvidia/cu13/lib").mkdir(parents=True)
        toolkit = CUBLAS.parent
        while toolkit.parent != toolkit and not (toolkit / "bin/nvcc").exists():
            toolkit = toolkit.parent
        found = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
        files = [line.rpartition(" => ")[2] for line in found.splitlines() if line.strip().startswith(LIBRARIES)]
        environment = os.environ | {
            "CUBLAS": str(CUBLAS.parent), "PACKAGES": str(packages), "INSIDE": str(self.inside), "KIT": str(self.kit),
            "PYTHON": str(venv / "bin/python3"), "FILES": " ".join(os.path.realpath(file) for file in files),
            "FOLDERS": " ".join(map(str, (SOURCES, BUILD, toolkit))), "GONE": str(SOURCES / "run")}
        done = subprocess.run(["unshare", "--mount", "--map-root-user", "sh", "-ec", HIDE], capture_output=True, text=True,
                              check=False, cwd="/", env=environment)
        told = self.check(done)
        self.assertIn("libcublas.so.13: " + str(packages / "nvidia/cu13/lib"), told["output"])


def no_namespace():
    """Why the system allows no mount namespace, or None."""
    if shutil.which("unshare") is None:
        return "there is no unshare"
    done = subprocess.run(["unshare", "--mount", "--map-root-user", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True,
                          text=True, check=False)
    return done.stderr.strip() if done.returncode != 0 else None


if __name__ == "__main__":
    if not CUBLAS.exists():
        print(f"skipped: there is no {CUBLAS}, and the kit's programs do not load without cuBLAS")
        sys.exit(SKIPPED)
    if sys.argv[3] == "Hidden" and no_namespace():
        print(f"skipped: this system allows no mount namespace: {no_namespace()}")
        sys.exit(SKIPPED)
    unittest.main(argv=[sys.argv[0], sys.argv[3]], verbosity=2)

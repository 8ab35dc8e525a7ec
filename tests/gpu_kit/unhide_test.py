#!/usr/bin/env python3
"""Tests of bench/gpu/unhide.py on a small library: unhide_test.py COMPILER"""
import ctypes
import pathlib
import subprocess
import sys
import tempfile
import unittest

UNHIDE = pathlib.Path(__file__).resolve().parents[2] / "bench/gpu/unhide.py"
COMPILER = sys.argv[1]
SOURCE = "\n".join((
    "namespace plasticity { int inside = 7; }",
    "namespace plasticity { int answer() { return inside * 6; } }",
    "namespace other { int answer() { return 1; } }",
    'extern "C" int plasticity_plain() { return plasticity::answer() + other::answer(); }', ""))


class Unhide(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        (self.path / "a.cpp").write_text(SOURCE)
        self.object, self.library = self.path / "a.o", self.path / "liba.so"
        subprocess.run([COMPILER, "-c", "-fPIC", "-fvisibility=hidden", "a.cpp", "-o", "a.o"], cwd=self.path, check=True)

    def link(self):
        subprocess.run([COMPILER, "-shared", "-Wl,-Bsymbolic", "-o", self.library, self.object], check=True)
        return ctypes.CDLL(str(self.library))

    def unhide(self, *patterns):
        return subprocess.run([sys.executable, "-B", UNHIDE, self.object, *patterns], capture_output=True, text=True, check=False)

    def test_hidden_symbols_are_not_reachable_at_first(self):
        self.assertFalse(hasattr(self.link(), "plasticity_plain"))

    def test_only_what_matches_becomes_visible(self):
        self.assertEqual(self.unhide("plasticity").returncode, 0)
        library = self.link()
        self.assertEqual(library.plasticity_plain(), 43)
        self.assertEqual(getattr(library, "_ZN10plasticity6answerEv")(), 42)
        self.assertFalse(hasattr(library, "_ZN5other6answerEv"))

    def test_nothing_to_change_is_an_error(self):
        done = self.unhide("^cuda")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no hidden symbol matches ^cuda", done.stderr)

    def test_another_kind_of_file_is_refused(self):
        for content, message in ((b"\x7fELF" + bytes(80), "expected a relocatable ELF file"), (b"short", "unhide.py: ")):
            self.object.write_bytes(content)
            done = self.unhide("plasticity")
            self.assertEqual(done.returncode, 1)
            self.assertIn(message, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_a_pattern_is_needed(self):
        before = self.object.read_bytes()
        self.assertEqual(self.unhide().returncode, 1)
        self.assertEqual(self.object.read_bytes(), before)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

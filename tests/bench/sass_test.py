#!/usr/bin/env python3
"""Tests bench/gpu/sass by its doctests and on listings that were cut by hand from real ones (tests/bench/sass). Needs no
disassembler.
"""
import dataclasses
import doctest
import importlib
import pathlib
import sys
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
TOOL = HERE.parents[1] / "bench" / "gpu" / "sass"
sys.path.insert(0, str(TOOL))
import classes
import count
import flow
import golden
import listing
import paths
import kernels
import report
from kernels import Pass, Variant


def _step_forward(v):
    """The bytes that the loop of the excerpt moves; the kernels of today may move others."""
    return [Pass({"load": 24, "weights": 32, "store": 24 if v.precision == "bf16" else 16}, 4)]


def _resident_backward(v):
    return [Pass({"shared load": 12, "shared store": 8, "load": 12, "weights": 12 if v.cell == "lstm" else 0}, 1, trips=4)]


def excerpts():
    """kernels.KERNELS with the bytes of the excerpts."""
    passes = {"step forward": _step_forward, "resident backward": _resident_backward}
    return {name: dataclasses.replace(kernels.KERNELS[name], passes=bytes_of) for name, bytes_of in passes.items()}


USAGE = count.Usage(registers=98, shared=5152, local=0)


def load_tests(_loader, tests, _pattern):
    for path in sorted(TOOL.glob("[a-z]*.py")):
        tests.addTests(doctest.DocTestSuite(importlib.import_module(path.stem)))
    return tests


def excerpt(name):
    [function] = listing.parse((HERE / "sass" / f"{name}.sass").read_text())
    return function


def loops_by_address(function):
    blocks = flow.blocks_of(function)
    start = lambda block: function.instructions[blocks[block].first].address
    return [(start(loop.header), loop.depth, sum(blocks[n].last - blocks[n].first for n in loop.blocks))
            for loop in flow.loops_of(blocks)]


class Loops(unittest.TestCase):
    def test_loops_one_after_another(self):
        # The pass, the sum before it, and the endless loop that ends every function is not reached.
        self.assertEqual(loops_by_address(excerpt("step_forward")), [(0x60, 1, 27), (0x20, 1, 3)])

    def test_nested_loops_despite_diverged_code_that_jumps_into_them(self):
        self.assertEqual(loops_by_address(excerpt("resident_backward")), [(0x10, 1, 35), (0x40, 2, 30), (0x1b0, 3, 5)])

    def test_jump_tables(self):
        function = excerpt("resident_backward")
        self.assertEqual(flow.blocks_of(function)[1].next, [2, 3])


class Paths(unittest.TestCase):
    def path(self, name, wanted, forbidden=lambda instruction: False, trips=1):
        function = excerpt(name)
        blocks = flow.blocks_of(function)
        loop = flow.loops_of(blocks)[1 if name == "resident_backward" else 0]
        found = paths.find_path(function, blocks, loop, wanted, forbidden, trips)
        return found and [instruction.address for instruction in found.instructions]

    def test_arms_are_chosen_by_the_bytes(self):
        zeroed = self.path("step_forward", {"load": 4, "weights": 32, "store": 0},
                           lambda instruction: instruction.opcode == "MUFU.EX2")
        self.assertEqual(zeroed, [0x60, 0x80, 0x90, 0xa0, 0xb0, 0xe0, 0x140, 0x150, 0x160, 0x170, 0x190, 0x1f0, 0x200])
        self.assertIsNone(self.path("step_forward", {"load": 24, "weights": 48}))

    def test_of_equal_bytes_the_path_with_most_arithmetic_is_taken(self):
        wanted = {"load": 24, "weights": 32, "store": 16}
        self.assertIn(0xd0, self.path("step_forward", wanted))
        self.assertNotIn(0xd0, self.path("step_forward", wanted, lambda instruction: instruction.name == "MUFU"))

    def test_inner_loops_count_once_per_trip(self):
        wanted = {"shared load": 12, "shared store": 8, "load": 12, "weights": 0}
        for trips in (1, 4):
            path = self.path("resident_backward", wanted, trips=trips)
            self.assertEqual([path.count(address) for address in (0x190, 0x1b0, 0x1c0, 0x80, 0x130)], [1, trips, trips, 0, 0])

    def test_predicated_instructions_may_be_forbidden_ones(self):
        wanted = {"shared load": 12, "load": 12, "weights": 0}
        self.assertIsNotNone(self.path("resident_backward", wanted, lambda instruction: "U16" in instruction.suffixes))
        self.assertIsNone(self.path("resident_backward", wanted, lambda instruction: instruction.name == "SHFL"))


@unittest.mock.patch.dict(kernels.KERNELS, excerpts())
class Counts(unittest.TestCase):
    def cost(self, name, kernel, columns, precision="f32", cell="rnn"):
        return count.cost_of(excerpt(name), Variant(kernel, "hard_clip", "none", precision, columns, cell), USAGE)

    def test_step_forward(self):
        cost = self.cost("step_forward", "step forward", 4)
        self.assertEqual({name: 4 * amount for name, amount in cost.per_element.items()},
                         {"fma": 4, "alu": 4, "shared": 0, "global": 6, "shuffle": 0, "other": 6})
        self.assertEqual(cost.bytes, {("load", 16): 4, ("weights", 16): 8, ("load", 4): 2, ("store", 16): 4})
        self.assertEqual((cost.rows, cost.iteration, cost.loads_in_flight, cost.rounds), (1, 20, (5, 56), 1))
        self.assertEqual((cost.spills, cost.blocks_per_sm, cost.reason), (0, 2, ""))

    def test_a_tape_in_bf16_is_stored_as_well(self):
        cost = self.cost("step_forward", "step forward", 4, precision="bf16")
        self.assertEqual((cost.iteration, cost.bytes["store", 2]), (25, 2))

    def test_resident_backward(self):
        cost = self.cost("resident_backward", "resident backward", 1)
        self.assertEqual(cost.per_element, {"fma": 8, "alu": 4, "shared": 5, "global": 4, "shuffle": 5, "other": 14})
        gates = self.cost("resident_backward", "resident backward", 1, cell="lstm")
        self.assertEqual((gates.instructions - cost.instructions, gates.per_element["global"]), (4, 7))

    def test_other_bytes_than_declared_are_reported(self):
        cost = self.cost("resident_backward", "step forward", 4)
        self.assertIsNone(cost.per_element)
        self.assertIn("no loop moves {'load': 24, 'weights': 32, 'store': 16} bytes per 4 connections", cost.reason)
        self.assertIn("step forward hard_clip none rnn f32 V=4: no loop moves", report.table([cost])[-1])

    def test_a_kernel_without_global_loads_has_a_row(self):
        cost = self.cost("resident_backward", "resident backward", 1)
        cost.loads_in_flight = ()
        self.assertIn("0 (0 B)", report.table([cost])[1])

    def test_no_tool_is_one_line(self):
        lines = report.prediction_table([self.cost("resident_backward", "resident backward", 1)], pathlib.Path("/none"), {})
        self.assertEqual(lines, ["", "no predicted times: /none is missing: build the target plasticity_tool"])

    def test_golden_values_change_with_the_code(self):
        function = excerpt("step_forward")
        variant = Variant("step forward", "hard_clip", "none", "f32", 4, "rnn")
        before = golden.values_of([count.cost_of(function, variant, USAGE)])
        at = next(n for n, instruction in enumerate(function.instructions) if instruction.address == 0x160)
        function.instructions[at:at] = [listing.parse_instruction("/*0160*/ IADD3 R2, R2, R3, RZ ;")] * 2
        function.labels = {name: n + 2 * (n > at) for name, n in function.labels.items()}
        after = golden.values_of([count.cost_of(function, variant, count.Usage(99, 5152, 0))])
        self.assertEqual(golden.differences(before, after),
                         ["step forward hard_clip none rnn f32 V=4: registers: 98 before, 99 after",
                          "step forward hard_clip none rnn f32 V=4: instructions per connection: 5.0 before, 5.5 after"])
        self.assertEqual(golden.differences(before, before), [])

    def test_classes_cover_all_instructions(self):
        for name in ("step_forward", "resident_backward"):
            for instruction in excerpt(name).instructions:
                self.assertIn(classes.class_of(instruction), classes.CLASSES)


if __name__ == "__main__":
    unittest.main()

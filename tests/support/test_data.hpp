#pragma once

#include <filesystem>
#include <vector>

namespace plasticity::testing {

/// The folder tests/data. The environment variable PLASTICITY_TEST_DATA names it. Without the variable it is
/// `tests/data` in the nearest folder above the program that has one, so that programs and data can move
/// together. If there is none, it is the folder of the source tree that the program was compiled from.
std::filesystem::path test_data();

/// The parity cases in it, sorted by name; empty if there is no such folder.
std::vector<std::filesystem::path> parity_cases();

}  // namespace plasticity::testing

// The resources of the library's kernels: the maximum that ptxas reports for sm_90 over all kernels with that
// parameter. tests/cuda/ptxas_test.py compares them with the reports of a build.
#pragma once

#include <map>
#include <string>

#include "simt/runtime.hpp"

namespace simt::runtime {

inline const std::map<std::string, KernelResources> library_kernels{
    {"BackwardStep", {128, 26112}},
    {"Flush", {71, 0}},
    {"ForwardStep", {128, 8320}},
    {"Replay", {104, 0}},
    {"ResidentBackward", {255, 0, true}},
    {"ResidentForward", {246, 0, true}},
    {"Segment", {96, 0}},
};

}  // namespace simt::runtime

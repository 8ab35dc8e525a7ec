// What the library's kernels take of a multiprocessor: the most that ptxas reports for sm_90 of any kernel
// with that parameter. tests/cuda/ptxas_test.py holds the registers against the reports of a build.
#pragma once

#include <map>
#include <string>

#include "simt/runtime.hpp"

namespace simt::runtime {

inline const std::map<std::string, KernelResources> library_kernels{
    {"BackwardStep", {188, 4640}},  {"Flush", {56, 32}},
    {"ForwardStep", {115, 4128}},   {"Replay", {109, 0}},
    {"ResidentBackward", {128, 0}}, {"ResidentForward", {90, 0}},
    {"Segment", {115, 0}},
};

}  // namespace simt::runtime

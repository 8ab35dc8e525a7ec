#pragma once

namespace plasticity::cpu {

/// The instruction sets of the CPU kernels. Each is a superset of the previous one.
enum class Isa { baseline, avx2, avx512 };
const char* to_string(Isa isa);

/// Returns the best instruction set that this build and this machine support, or the lower one that the
/// environment variable PLASTICITY_ISA names. Throws Error(invalid_argument) if PLASTICITY_ISA is unknown or
/// too high.
Isa instruction_set();

}  // namespace plasticity::cpu

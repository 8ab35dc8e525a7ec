#pragma once

namespace plasticity::cpu {

/// The instruction sets that the sweeps are compiled for, each a superset of the one before.
enum class Isa { baseline, avx2, avx512 };
const char* to_string(Isa isa);

/// The best one that this build has and this machine runs, or a lower one if PLASTICITY_ISA asks for it.
Isa instruction_set();

}  // namespace plasticity::cpu

#include "cpu/sweeps_impl.hpp"
#include "cpu/sweeps_tables.hpp"

// Compiled once for every instruction set, each time with another PLASTICITY_ISA.
namespace plasticity::cpu::PLASTICITY_ISA {

const Sweeps<float, Bfloat16> sweeps_bf16 = sweep_table<float, Bfloat16>;

}  // namespace plasticity::cpu::PLASTICITY_ISA

#include "cpu/sweeps/sweeps_impl.hpp"
#include "cpu/tables.hpp"

// Compiled once for every instruction set, each time with another PLASTICITY_ISA.
namespace plasticity::cpu::PLASTICITY_ISA {

const Sweeps<float> sweeps_f32 = sweep_table<float>;

}  // namespace plasticity::cpu::PLASTICITY_ISA

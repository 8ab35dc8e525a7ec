#include "cpu/sweeps/sweeps_impl.hpp"
#include "cpu/tables.hpp"

// Compiled once for every instruction set, each time with another PLASTICITY_ISA.
namespace plasticity::cpu::PLASTICITY_ISA {

const Sweeps<double> sweeps_f64 = sweep_table<double>;

}  // namespace plasticity::cpu::PLASTICITY_ISA

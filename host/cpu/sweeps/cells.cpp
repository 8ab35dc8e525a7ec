#include "cpu/sweeps/cells_impl.hpp"
#include "cpu/tables.hpp"

// Compiled once for every instruction set, each time with another PLASTICITY_ISA.
namespace plasticity::cpu::PLASTICITY_ISA {

const Cells<float> cells_f32 = cell_table<float>;
const Cells<double> cells_f64 = cell_table<double>;

}  // namespace plasticity::cpu::PLASTICITY_ISA

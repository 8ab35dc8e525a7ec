#include "cpu/sweeps/cell_functions_impl.hpp"
#include "cpu/tables.hpp"

// Compiled once for every instruction set, each time with another PLASTICITY_ISA.
namespace plasticity::cpu::PLASTICITY_ISA {

const CellFunctions<float> cell_functions_f32 = cell_function_table<float>;
const CellFunctions<double> cell_functions_f64 = cell_function_table<double>;

}  // namespace plasticity::cpu::PLASTICITY_ISA

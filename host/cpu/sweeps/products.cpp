#include "cpu/sweeps/products_impl.hpp"
#include "cpu/tables.hpp"

// Compiled once for every instruction set, each time with another PLASTICITY_ISA.
namespace plasticity::cpu::PLASTICITY_ISA {

const Products<float> products_f32 = product_table<float>;
const Products<double> products_f64 = product_table<double>;

}  // namespace plasticity::cpu::PLASTICITY_ISA

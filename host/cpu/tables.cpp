#include "cpu/tables.hpp"

#include "device/isa.hpp"

namespace plasticity::cpu {

#if PLASTICITY_X86
#define PLASTICITY_CHOOSE(table) \
  (isa == Isa::avx512 ? avx512::table : isa == Isa::avx2 ? avx2::table : baseline::table)
#else
#define PLASTICITY_CHOOSE(table) ((void)isa, baseline::table)
#endif

template <>
const Sweeps<float>& sweeps(Isa isa) {
  return PLASTICITY_CHOOSE(sweeps_f32);
}
template <>
const Sweeps<double>& sweeps(Isa isa) {
  return PLASTICITY_CHOOSE(sweeps_f64);
}
template <>
const CellFunctions<float>& cell_functions(Isa isa) {
  return PLASTICITY_CHOOSE(cell_functions_f32);
}
template <>
const CellFunctions<double>& cell_functions(Isa isa) {
  return PLASTICITY_CHOOSE(cell_functions_f64);
}
template <>
const Products<float>& products(Isa isa) {
  return PLASTICITY_CHOOSE(products_f32);
}
template <>
const Products<double>& products(Isa isa) {
  return PLASTICITY_CHOOSE(products_f64);
}

#undef PLASTICITY_CHOOSE

}  // namespace plasticity::cpu

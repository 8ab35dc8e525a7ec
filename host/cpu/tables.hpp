#pragma once

#include "cpu/sweeps/cell_functions.hpp"
#include "cpu/sweeps/products.hpp"
#include "cpu/sweeps/sweeps.hpp"

// The tables of function pointers in sweeps/, one set per instruction set of this build.
#define PLASTICITY_TABLES(isa)                           \
  namespace plasticity::cpu::isa {                       \
  extern const Sweeps<float> sweeps_f32;                 \
  extern const Sweeps<double> sweeps_f64;                \
  extern const CellFunctions<float> cell_functions_f32;  \
  extern const CellFunctions<double> cell_functions_f64; \
  extern const Products<float> products_f32;             \
  extern const Products<double> products_f64;            \
  }
PLASTICITY_TABLES(baseline)
#if PLASTICITY_X86
PLASTICITY_TABLES(avx2)
PLASTICITY_TABLES(avx512)
#endif
#undef PLASTICITY_TABLES

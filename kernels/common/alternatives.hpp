// Parts of the kernels of which a tuning build (-DPLASTICITY_TUNING=ON) has two, so that a GPU can decide
// between them. The ordinary build has one of each. Environment variables choose
// (host/cuda/alternatives.hpp).
#pragma once

namespace plasticity::cuda {

#if defined(PLASTICITY_ALTERNATIVES)
constexpr bool has_alternatives = true;
#else
constexpr bool has_alternatives = false;
#endif

}  // namespace plasticity::cuda

// From a run-time variant to the kernel made for it: eligibility, trace type, columns a thread.
#pragma once

#include "common/pack.cuh"
#include "step/launch.hpp"

namespace plasticity::cuda {

/// Calls run<kind>() for the eligibility at hand.
template <class Run>
void with_eligibility(Eligibility eligibility, Run run) {
  switch (eligibility) {
    case Eligibility::none: return run.template operator()<Eligibility::none>();
    case Eligibility::before: return run.template operator()<Eligibility::before>();
    case Eligibility::after: return run.template operator()<Eligibility::after>();
  }
}

/// Calls run<kind, Trace, V>() for the eligibility and the variant at hand.
template <class Run>
void with_variant(Eligibility eligibility, Variant variant, Run run) {
  const auto with_columns = [&]<Eligibility kind, class Trace> {
    if (variant.wide) {
      run.template operator()<kind, Trace, 16 / static_cast<int>(sizeof(Trace))>();
    } else {
      run.template operator()<kind, Trace, 1>();
    }
  };
  const auto with_trace = [&]<Eligibility kind> {
    if (variant.bf16) {
      with_columns.template operator()<kind, __nv_bfloat16>();
    } else {
      with_columns.template operator()<kind, float>();
    }
  };
  with_eligibility(eligibility, with_trace);
}

/// A step kernel's grid: a block a tile of columns of each batch element. A plan has checked that they are
/// few enough.
inline unsigned blocks_of(const Problem& p) { return static_cast<unsigned>(p.B * p.tiles); }

}  // namespace plasticity::cuda

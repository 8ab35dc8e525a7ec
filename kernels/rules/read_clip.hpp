#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- H + g X; the plastic read clamps H to +-c [2019 LSTM code].
template <>
struct TraceRule<Rule::read_clip> : FullRetention {
  static constexpr Form form = Form::read_clipped;
};

}  // namespace plasticity

#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- clamp(H + g X, -c, c) [2019]. A clipped entry passes no gradient to H, X, g or y.
template <>
struct TraceRule<Rule::hard_clip> : FullRetention {
  static constexpr Form form = Form::clipped;
};

}  // namespace plasticity

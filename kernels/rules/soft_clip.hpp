#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// p = g X; H <- clamp(H + p (1 - H) if p >= 0 else H + p (1 + H), -1, 1) [2019 code], which is
/// clamp((1 - |p|) H + p, -1, 1). The step shrinks as H approaches its bound.
template <>
struct TraceRule<Rule::soft_clip> : FullRetention {
  static constexpr Form form = Form::soft;
};

}  // namespace plasticity

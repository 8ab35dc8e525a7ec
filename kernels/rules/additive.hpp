#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- H + g X.
template <>
struct TraceRule<Rule::additive> : FullRetention {
  static constexpr Form form = Form::linear;
};

}  // namespace plasticity

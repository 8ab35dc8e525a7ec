// From a rule, a form or an eligibility trace known at run time to a template argument.
#pragma once

#include <stdexcept>

#include "rules/form.hpp"

namespace plasticity {

/// Returns run.operator()<rule>(). A rule without a case is a compiler warning (-Wswitch). Throws
/// std::logic_error for a value outside the enumeration: Plan rejects such a spec. Device code may call it.
#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
template <class Run>
PLASTICITY_HOST_DEVICE inline auto dispatch_rule(Rule rule, Run run) {
  switch (rule) {
    case Rule::decay: return run.template operator()<Rule::decay>();
    case Rule::oja: return run.template operator()<Rule::oja>();
    case Rule::hard_clip: return run.template operator()<Rule::hard_clip>();
    case Rule::soft_clip: return run.template operator()<Rule::soft_clip>();
    case Rule::additive: return run.template operator()<Rule::additive>();
    case Rule::read_clip: return run.template operator()<Rule::read_clip>();
  }
#ifdef __CUDA_ARCH__
  __builtin_unreachable();
#else
  throw std::logic_error("rule: expected a value of its enumeration");
#endif
}

/// Returns run.operator()<form>(). Host only.
template <class Run>
inline auto dispatch_form(Form form, Run run) {
  switch (form) {
    case Form::linear: return run.template operator()<Form::linear>();
    case Form::read_clipped: return run.template operator()<Form::read_clipped>();
    case Form::clipped: return run.template operator()<Form::clipped>();
    case Form::soft: return run.template operator()<Form::soft>();
  }
  throw std::logic_error("form: expected a value of its enumeration");
}

/// Returns run.operator()<kind>(). Throws std::logic_error for a value outside the enumeration. Host only.
template <class Run>
inline auto dispatch_eligibility(Eligibility kind, Run run) {
  switch (kind) {
    case Eligibility::none: return run.template operator()<Eligibility::none>();
    case Eligibility::before: return run.template operator()<Eligibility::before>();
    case Eligibility::after: return run.template operator()<Eligibility::after>();
  }
  throw std::logic_error("eligibility: expected a value of its enumeration");
}

}  // namespace plasticity

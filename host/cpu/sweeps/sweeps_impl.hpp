#pragma once

#include "cpu/sweeps/sweep_backward.hpp"
#include "cpu/sweeps/sweep_forward.hpp"
#include "rules/dispatch.hpp"

// The table of the sweeps, for the instruction set that the including file is compiled for.
namespace plasticity::cpu {
namespace {

/// For loops that only care how the trace is read: every rule but read_clip reads it as it is.
template <class Run>
inline void with_read(Rule rule, Run run) {
  if (rule == Rule::read_clip) {
    run.template operator()<Rule::read_clip>();
  } else {
    run.template operator()<Rule::additive>();
  }
}

template <class Run>
inline void with_alpha(bool per_connection, Run run) {
  if (per_connection) {
    run.template operator()<true>();
  } else {
    run.template operator()<false>();
  }
}

/// Calls run<elements>(sweeps) for elements_together sweeps at once where they are `alike`, else for each.
template <class Sweep, class Alike, class Run>
inline void with_elements(const Sweep* sweeps, int elements, Alike alike, Run run) {
  bool all = elements == elements_together;
  for (int b = 0; all && b < elements; ++b) all = alike(sweeps[b]);
  if (all) {
    run.template operator()<elements_together>(sweeps);
  } else {
    for (int b = 0; b < elements; ++b) run.template operator()<1>(sweeps + b);
  }
}

// Only sweeps without eligibility traces are run together: with them, the elements' own traces are what
// passes through the cache.
template <class Real>
void forward(Rule rule, Eligibility kind, const Connection<Real>& c, Columns columns,
             const ForwardSweep<Real>* sweeps, int elements) {
  const auto updates = [](const ForwardSweep<Real>& sweep) { return sweep.update.x != nullptr; };
  const auto alike = [&](const ForwardSweep<Real>& sweep) {
    return updates(sweep) && kind == Eligibility::none;
  };
  with_elements(sweeps, elements, alike, [&]<int count>(const ForwardSweep<Real>* at) {
    if constexpr (count > 1) {
      dispatch_rule(rule, [&]<Rule r> { sweep_forward<r, Eligibility::none, true, count>(c, columns, at); });
    } else if (updates(*at)) {
      dispatch_rule(rule, [&]<Rule r> {
        dispatch_eligibility(kind, [&]<Eligibility k> { sweep_forward<r, k, true, 1>(c, columns, at); });
      });
    } else {
      with_read(rule, [&]<Rule r> { sweep_forward<r, Eligibility::none, false, 1>(c, columns, at); });
    }
  });
}

template <class Real>
void replay(Rule rule, Eligibility kind, const Connection<Real>& c, Columns columns,
            const TraceSource<Real>& traces, Real* hebb, Real* eligibility) {
  dispatch_rule(rule, [&]<Rule r> {
    dispatch_eligibility(kind,
                         [&]<Eligibility k> { sweep_replay<r, k>(c, columns, traces, hebb, eligibility); });
  });
}

template <class Real>
void keep(std::int64_t count, const Real* trace, Real* checkpoint) {
  using V = Vector<Real>;
  for (std::int64_t k = 0; k < count; k += lanes<V>) store_past_caches(checkpoint + k, load<V>(trace + k));
  finish_stores_past_caches();
}

template <class Real>
void backward(Rule rule, Eligibility kind, const Connection<Real>& c, Columns columns,
              const BackwardSweep<Real>* sweeps, int elements) {
  const auto reads = [](const BackwardSweep<Real>& sweep) { return sweep.read.x != nullptr; };
  const auto updates = [](const BackwardSweep<Real>& sweep) { return sweep.update.factors.x != nullptr; };
  const auto alike = [&](const BackwardSweep<Real>& sweep) {
    return reads(sweep) && updates(sweep) && kind == Eligibility::none;
  };
  with_elements(sweeps, elements, alike, [&]<int count>(const BackwardSweep<Real>* at) {
    with_alpha(c.alpha_per_connection, [&]<bool per> {
      if constexpr (count > 1) {
        dispatch_rule(rule, [&]<Rule r> {
          sweep_backward<r, Eligibility::none, true, true, per, count>(c, columns, at);
        });
      } else if (!updates(*at)) {
        with_read(rule,
                  [&]<Rule r> { sweep_backward<r, Eligibility::none, true, false, per, 1>(c, columns, at); });
      } else {
        dispatch_rule(rule, [&]<Rule r> {
          dispatch_eligibility(kind, [&]<Eligibility k> {
            if (reads(*at)) {
              sweep_backward<r, k, true, true, per, 1>(c, columns, at);
            } else {
              sweep_backward<r, k, false, true, false, 1>(c, columns, at);
            }
          });
        });
      }
    });
  });
}

template <class Real>
constexpr Sweeps<Real> sweep_table{
    .forward = forward<Real>, .replay = replay<Real>, .keep = keep<Real>, .backward = backward<Real>};

}  // namespace
}  // namespace plasticity::cpu

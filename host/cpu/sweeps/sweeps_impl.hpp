#pragma once

#include "cpu/sweeps/sweep_backward.hpp"
#include "cpu/sweeps/sweep_forward.hpp"

// The table of sweeps for the instruction set that the including file is compiled for.
namespace plasticity::cpu {
namespace {

/// Calls run<rule>() for the rule that the list holds at run time.
template <class Run, Rule... rules>
inline void with_rule(Rule rule, RuleList<rules...>, Run run) {
  (void)((rule == rules && (run.template operator()<rules>(), true)) || ...);
}

template <class Run>
inline void with_eligibility(Eligibility kind, Run run) {
  switch (kind) {
    case Eligibility::none: return run.template operator()<Eligibility::none>();
    case Eligibility::before: return run.template operator()<Eligibility::before>();
    case Eligibility::after: return run.template operator()<Eligibility::after>();
  }
}

/// For sweeps without an update, which depend only on how a rule reads the trace. Only read_clip clips it.
template <class Run>
inline void with_read_rule(Rule rule, Run run) {
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

/// Calls run<elements_together>(sweeps) if all of them `can_share`, otherwise run<1>() for each.
template <class Sweep, class CanShare, class Run>
inline void with_elements(const Sweep* sweeps, int elements, CanShare can_share, Run run) {
  bool all = elements == elements_together;
  for (int b = 0; all && b < elements; ++b) all = can_share(sweeps[b]);
  if (all) {
    run.template operator()<elements_together>(sweeps);
  } else {
    for (int b = 0; b < elements; ++b) run.template operator()<1>(sweeps + b);
  }
}

// Sweeps with eligibility traces run one element at a time: the elements' own traces dominate the memory
// traffic.
template <class Real>
void forward(Rule rule, Eligibility kind, const Connection<Real>& c, Columns columns,
             const ForwardSweep<Real>* sweeps, int elements) {
  const auto updates = [](const ForwardSweep<Real>& sweep) { return sweep.update.x != nullptr; };
  const auto can_share = [&](const ForwardSweep<Real>& sweep) {
    return updates(sweep) && kind == Eligibility::none;
  };
  with_elements(sweeps, elements, can_share, [&]<int count>(const ForwardSweep<Real>* at) {
    if constexpr (count > 1) {
      with_rule(rule, AllRules{},
                [&]<Rule r> { sweep_forward<r, Eligibility::none, with_update, count>(c, columns, at); });
    } else if (updates(*at)) {
      with_rule(rule, AllRules{}, [&]<Rule r> {
        with_eligibility(kind, [&]<Eligibility k> { sweep_forward<r, k, with_update, 1>(c, columns, at); });
      });
    } else {
      with_read_rule(rule,
                     [&]<Rule r> { sweep_forward<r, Eligibility::none, without_update, 1>(c, columns, at); });
    }
  });
}

template <class Real>
void replay(Rule rule, Eligibility kind, const Connection<Real>& c, Columns columns,
            const TraceSource<Real>& traces, Real* hebb, Real* eligibility) {
  with_rule(rule, AllRules{}, [&]<Rule r> {
    with_eligibility(kind, [&]<Eligibility k> { sweep_replay<r, k>(c, columns, traces, hebb, eligibility); });
  });
}

template <class Real>
void keep(std::int64_t count, const Real* trace, Real* checkpoint) {
  using V = Vector<Real>;
  for (std::int64_t k = 0; k < count; k += lanes<V>) store_non_temporal(checkpoint + k, load<V>(trace + k));
  fence_non_temporal_stores();
}

template <class Real>
void backward(Rule rule, Eligibility kind, const Connection<Real>& c, Columns columns,
              const BackwardSweep<Real>* sweeps, int elements) {
  const auto reads = [](const BackwardSweep<Real>& sweep) { return sweep.read.x != nullptr; };
  const auto updates = [](const BackwardSweep<Real>& sweep) { return sweep.update.factors.x != nullptr; };
  const auto can_share = [&](const BackwardSweep<Real>& sweep) {
    return reads(sweep) && updates(sweep) && kind == Eligibility::none;
  };
  with_elements(sweeps, elements, can_share, [&]<int count>(const BackwardSweep<Real>* at) {
    with_alpha(c.alpha_per_connection, [&]<bool per> {
      if constexpr (count > 1) {
        with_rule(rule, AllRules{}, [&]<Rule r> {
          sweep_backward<r, Eligibility::none, with_read, with_update, per, count>(c, columns, at);
        });
      } else if (!updates(*at)) {
        with_read_rule(rule, [&]<Rule r> {
          sweep_backward<r, Eligibility::none, with_read, without_update, per, 1>(c, columns, at);
        });
      } else {
        with_rule(rule, AllRules{}, [&]<Rule r> {
          with_eligibility(kind, [&]<Eligibility k> {
            if (reads(*at)) {
              sweep_backward<r, k, with_read, with_update, per, 1>(c, columns, at);
            } else {
              sweep_backward<r, k, without_read, with_update, false, 1>(c, columns, at);
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

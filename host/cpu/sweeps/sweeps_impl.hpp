#pragma once

#include "cpu/sweeps/sweep_alpha.hpp"
#include "cpu/sweeps/sweep_backward.hpp"
#include "cpu/sweeps/sweep_forward.hpp"
#include "rules/factors.hpp"

// The table of sweeps for the instruction set that the including file is compiled for.
namespace plasticity::cpu {
namespace {

/// For sweeps without an update, which depend only on how a form reads the trace.
template <class Run>
inline void with_read_form(Form form, Run run) {
  if (form == Form::read_clipped) {
    run.template operator()<Form::read_clipped>();
  } else {
    run.template operator()<Form::linear>();
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
void forward(Rule rule, Eligibility kind, const SweepParams<Real>& params, Columns columns,
             const ForwardSweep<Real>* sweeps, int elements) {
  const auto updates = [](const ForwardSweep<Real>& sweep) { return sweep.update.x != nullptr; };
  const auto can_share = [&](const ForwardSweep<Real>& sweep) {
    return updates(sweep) && kind == Eligibility::none;
  };
  with_elements(sweeps, elements, can_share, [&]<int count>(const ForwardSweep<Real>* at) {
    if constexpr (count > 1) {
      dispatch_form(form_of(rule), [&]<Form f> {
        sweep_forward<f, Eligibility::none, with_update, count>(params, columns, at);
      });
    } else if (updates(*at)) {
      dispatch_form(form_of(rule), [&]<Form f> {
        dispatch_eligibility(
            kind, [&]<Eligibility k> { sweep_forward<f, k, with_update, 1>(params, columns, at); });
      });
    } else {
      with_read_form(form_of(rule), [&]<Form f> {
        sweep_forward<f, Eligibility::none, without_update, 1>(params, columns, at);
      });
    }
  });
}

template <class Real>
void replay(Rule rule, Eligibility kind, const SweepParams<Real>& params, Columns columns,
            const TraceSource<Real>& traces, Real* hebb, Real* eligibility) {
  dispatch_form(form_of(rule), [&]<Form f> {
    dispatch_eligibility(
        kind, [&]<Eligibility k> { sweep_replay<f, k>(params, columns, traces, hebb, eligibility); });
  });
}

template <class Real>
void factors(Rule rule, Eligibility kind, std::int64_t count, const ColumnInputs<Real>& columns,
             Real* retention, Real* gain) {
  using V = Vector<Real>;
  dispatch_eligibility(kind, [&]<Eligibility k> {
    dispatch_rule(rule, [&]<Rule r> {
      for (std::int64_t j = 0; j < count; j += lanes<V>) {
        const RuleFactors<V> column = TraceRule<r>::template factors<k>(
            load<V>(columns.rate + j), load<V>(columns.y + j), RuleConstants<V>{splat<V>(columns.clip)});
        if constexpr (has_retention<TraceRule<r>::form>) store(retention + j, column.retention);
        store(gain + j, column.gain);
      }
    });
  });
}

template <class Real>
void keep(std::int64_t count, const Real* trace, Real* checkpoint) {
  using V = Vector<Real>;
  for (std::int64_t k = 0; k < count; k += lanes<V>) store_non_temporal(checkpoint + k, load<V>(trace + k));
  fence_non_temporal_stores();
}

template <class Real>
void backward(Rule rule, Eligibility kind, const SweepParams<Real>& params, Columns columns,
              const BackwardSweep<Real>* sweeps, int elements) {
  const auto reads = [](const BackwardSweep<Real>& sweep) { return sweep.read.x != nullptr; };
  const auto updates = [](const BackwardSweep<Real>& sweep) { return sweep.update.factors.x != nullptr; };
  const auto can_share = [&](const BackwardSweep<Real>& sweep) {
    return reads(sweep) && updates(sweep) && kind == Eligibility::none;
  };
  with_elements(sweeps, elements, can_share, [&]<int count>(const BackwardSweep<Real>* at) {
    with_alpha(params.dalpha_per_connection, [&]<bool per> {
      if constexpr (count > 1) {
        dispatch_form(form_of(rule), [&]<Form f> {
          sweep_backward<f, Eligibility::none, with_read, with_update, per, count>(rule, params, columns, at);
        });
      } else if (!updates(*at)) {
        with_read_form(form_of(rule), [&]<Form f> {
          sweep_backward<f, Eligibility::none, with_read, without_update, per, 1>(rule, params, columns, at);
        });
      } else {
        dispatch_form(form_of(rule), [&]<Form f> {
          dispatch_eligibility(kind, [&]<Eligibility k> {
            if (reads(*at)) {
              sweep_backward<f, k, with_read, with_update, per, 1>(rule, params, columns, at);
            } else {
              sweep_backward<f, k, without_read, with_update, false, 1>(rule, params, columns, at);
            }
          });
        });
      }
    });
  });
}

template <class Real>
void alpha_gradient(Rule rule, Eligibility kind, const SweepParams<Real>& params, Columns columns,
                    const AlphaSweep<Real>& sweep) {
  dispatch_form(form_of(rule), [&]<Form f> {
    dispatch_eligibility(kind, [&]<Eligibility k> { sweep_alpha<f, k>(params, columns, sweep); });
  });
}

template <class Real>
constexpr Sweeps<Real> sweep_table{.forward = forward<Real>,
                                   .replay = replay<Real>,
                                   .factors = factors<Real>,
                                   .keep = keep<Real>,
                                   .backward = backward<Real>,
                                   .alpha_gradient = alpha_gradient<Real>};

}  // namespace
}  // namespace plasticity::cpu

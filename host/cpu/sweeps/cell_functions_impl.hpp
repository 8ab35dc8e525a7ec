#pragma once

#include "cpu/sweeps/cell_functions.hpp"
#include "cpu/sweeps/elementary.hpp"

namespace plasticity::cpu {
namespace {

/// Calls body(j) for every vector of a padded row.
template <class Real, class Body>
PLASTICITY_INLINE inline void for_vectors(std::int64_t count, Body body) {
  for (std::int64_t j = 0; j < count; j += lanes<Vector<Real>>) body(j);
}

template <class Real>
void lstm_step(std::int64_t N, const LstmStep<Real>& step) {
  using V = Vector<Real>;
  for_vectors<Real>(N, [=](std::int64_t j) PLASTICITY_INLINE {
    const V i = logistic(load<V>(step.current + j)), f = logistic(load<V>(step.current + N + j));
    const V o = logistic(load<V>(step.current + 3 * N + j));
    const V c = f * load<V>(step.c_before + j) + i * load<V>(step.post + j);
    store(step.gates + j, i);
    store(step.gates + N + j, f);
    store(step.gates + 2 * N + j, o);
    store(step.c + j, c);
    store(step.h + j, o * tanh(c));
  });
}

template <class Real>
void lstm_adjoint(std::int64_t N, const LstmAdjoint<Real>& step) {
  using V = Vector<Real>;
  for_vectors<Real>(N, [=](std::int64_t j) PLASTICITY_INLINE {
    const V i = load<V>(step.gates + j), f = load<V>(step.gates + N + j), o = load<V>(step.gates + 2 * N + j);
    const V dh = load<V>(step.dh + j), squashed = tanh(load<V>(step.c + j));
    const V dc = load<V>(step.dc + j) + dh * o * (1 - squashed * squashed);
    store(step.da + j, dc * load<V>(step.post + j) * i * (1 - i));
    store(step.da + N + j, dc * load<V>(step.c_before + j) * f * (1 - f));
    store(step.da + 3 * N + j, dh * squashed * o * (1 - o));
    store(step.dpost + j, load<V>(step.dpost + j) + dc * i);
    store(step.dc + j, dc * f);
  });
}

template <class Real>
constexpr CellFunctions<Real> cell_function_table{
    .tanh =
        [](std::int64_t count, const Real* a, Real* y) {
          for_vectors<Real>(count, [=](std::int64_t j)
                                       PLASTICITY_INLINE { store(y + j, tanh(load<Vector<Real>>(a + j))); });
        },
    .logistic =
        [](std::int64_t count, const Real* a, Real* y) {
          for_vectors<Real>(count, [=](std::int64_t j) PLASTICITY_INLINE {
            store(y + j, logistic(load<Vector<Real>>(a + j)));
          });
        },
    .exp_below =
        [](std::int64_t count, Real largest, const Real* a, Real* y) {
          for_vectors<Real>(count, [=](std::int64_t j) PLASTICITY_INLINE {
            store(y + j, exp_of_negative(load<Vector<Real>>(a + j) - splat<Vector<Real>>(largest)));
          });
        },
    .lstm = lstm_step<Real>,
    .lstm_adjoint = lstm_adjoint<Real>,
};

}  // namespace
}  // namespace plasticity::cpu

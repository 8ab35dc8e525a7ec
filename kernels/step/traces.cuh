// The traces of a thread's connections, in registers: load, update, store.
#pragma once

#include "rules/connection.hpp"
#include "step/block.cuh"
#include "step/rounding.cuh"

namespace plasticity::cuda {

/// Pointers to H and E. `eligibility` is ignored without an eligibility trace.
template <Eligibility kind, class T>
struct TracePointers {
  T *hebb, *eligibility;

  __device__ __forceinline__ TracePointers operator+(std::int64_t offset) const {
    if constexpr (kind == Eligibility::none)
      return {hebb + offset, nullptr};
    else
      return {hebb + offset, eligibility + offset};
  }
};

/// Each pointer at an offset, or null if it is null.
template <Eligibility kind, class T>
__device__ __forceinline__ TracePointers<kind, T> existing_at(const TracePointers<kind, T>& first,
                                                              std::int64_t offset) {
  return {first.hebb == nullptr ? nullptr : first.hebb + offset,
          kind == Eligibility::none || first.eligibility == nullptr ? nullptr : first.eligibility + offset};
}

/// The traces H and E of V neighbouring connections of a row, or their gradients. Without an eligibility
/// trace, e is neither loaded, updated nor stored.
template <Eligibility kind, int V = 1>
struct TracePair {
  static constexpr bool eligible = kind != Eligibility::none;
  float h[V], e[V];

  __device__ __forceinline__ void set_zero() {
#pragma unroll
    for (int k = 0; k < V; ++k) h[k] = e[k] = 0;
  }

  template <class T>
  __device__ __forceinline__ void load_hebb(const TracePointers<kind, T>& from) {
    load_columns(from.hebb, h);
  }
  template <class T>
  __device__ __forceinline__ void load_eligibility(const TracePointers<kind, T>& from) {
    if constexpr (eligible) load_columns(from.eligibility, e);
  }
  template <class T>
  __device__ __forceinline__ void load(const TracePointers<kind, T>& from) {
    load_hebb(from);
    load_eligibility(from);
  }
  /// Loads from the pointers that are not null. The rest keeps its value.
  __device__ __forceinline__ void load_existing(const TracePointers<kind, const float>& from,
                                                std::int64_t offset) {
    if (from.hebb != nullptr) load_columns(from.hebb + offset, h);
    if (eligible && from.eligibility != nullptr) load_columns(from.eligibility + offset, e);
  }

  template <class T>
  __device__ __forceinline__ void store(const TracePointers<kind, T>& to) const {
    store_columns(to.hebb, h);
    if constexpr (eligible) store_columns(to.eligibility, e);
  }
  /// Stores to the pointers that are not null.
  __device__ __forceinline__ void store_existing(const TracePointers<kind, float>& to,
                                                 std::int64_t offset) const {
    if (to.hebb != nullptr) store_columns(to.hebb + offset, h);
    if (eligible && to.eligibility != nullptr) store_columns(to.eligibility + offset, e);
  }

  /// Updates connection k with presynaptic activity x.
  template <Form form>
  __device__ __forceinline__ void update(int k, float x, const ColumnFactors<float>& column,
                                         const UpdateConstants<float>& constants) {
    update_connection<form, kind>(h[k], e[k], x, column, constants);
  }

  /// Stores the values for a bfloat16 tape.
  template <Form form>
  __device__ __forceinline__ void store_rounded(const TracePointers<kind, __nv_bfloat16>& to,
                                                float clip) const {
    float r[V];
#pragma unroll
    for (int k = 0; k < V; ++k) r[k] = rounded<form>(h[k], clip);
    store_columns(to.hebb, r);
    if constexpr (eligible) store_columns(to.eligibility, e);
  }
};

/// The traces on a tape, [slots,B,P,N], of float or bfloat16.
template <Eligibility kind, class Trace>
__device__ __forceinline__ TracePointers<kind, const Trace> traces_on_tape(const Record& record) {
  if constexpr (sizeof(Trace) == sizeof(float))
    return {record.hebb.base, record.eligibility.base};
  else
    return {static_cast<const Trace*>(record.hebb16), static_cast<const Trace*>(record.eligibility16)};
}

/// Forward's traces before step t: in their checkpoint, or in the working traces between two checkpoints.
template <Eligibility kind>
__device__ __forceinline__ TracePointers<kind, float> traces_before(const Record& record, std::int64_t t,
                                                                    std::int64_t offset) {
  TracePointers<kind, float> traces{};
  if (record.working_hebb != nullptr && t % record.interval != 0) {
    traces.hebb = record.working_hebb + offset;
    if constexpr (kind != Eligibility::none) traces.eligibility = record.working_eligibility + offset;
  } else {
    const std::int64_t slot = t / record.interval;
    traces.hebb = record.hebb.at(slot, offset);
    if constexpr (kind != Eligibility::none) traces.eligibility = record.eligibility.at(slot, offset);
  }
  return traces;
}

}  // namespace plasticity::cuda

// The sums of a step over the rows, forward: the batch elements of a block, the factors of the pending
// update, and the choice of a pass.
#pragma once

#include "step/forward_pass.cuh"

namespace plasticity::cuda {

/// The slots of a step, and whether the trace update of the step before is pending. `single`: a step of
/// Plan::step.
struct StepSlots {
  std::int64_t now, next;
  bool pending, single;

  __device__ StepSlots(const ForwardStep& step, std::int64_t b, int tile)
      : single(step.step_state.phase != nullptr) {
    if (!single) {
      now = step.places.now;
      next = step.places.next;
      pending = step.t > 0;
    } else {
      const int phase = step.step_state.phase[b * step.params.tiles + tile];
      now = phase % StepStateRecord::pending;
      next = (now + 1) % 3;
      pending = phase >= StepStateRecord::pending;
    }
  }
};

/// One batch element of a block.
struct ForwardElement {
  std::int64_t b;
  StepSlots slots;
  bool ended;    // its sequence is shorter
  bool zeroed;   // a reset precedes the step
  bool clears;   // the traces are zero: after a reset, and after the update of a step with x = 0
  bool updates;  // a trace update is due

  __device__ ForwardElement(const ForwardStep& step, std::int64_t element, int tile)
      : b(element), slots(step, element, tile), ended(false), zeroed(false), clears(false), updates(true) {
    if (step.places.all_regular) return;
    const StepParams& p = step.params;
    ended = step.t >= length_of(p, element);
    zeroed = !ended && resets(p, step.t, element);
    const bool zero_before =
        !slots.single && step.t > 0 && p.cell != Cell::feedforward && resets(p, step.t - 1, b);
    clears = zeroed || zero_before;
    updates = slots.pending && !ended && !clears;
  }
};

/// x of step t.
__device__ inline Activities presynaptic_now(const ForwardStep& step, const ForwardElement& element) {
  return {presynaptic_row(step.params, step.record, step.t, element.slots.now, element.b),
          element.zeroed && step.params.cell != Cell::feedforward};
}

/// The pointers of a pass, and its constants.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ ElementPass<kind, V> prepare_pass(const ForwardStep& step, const ThreadTile<V>& at,
                                                             const ForwardElement& element) {
  const StepParams& p = step.params;
  const StepPlaces& places = step.places;
  const StepStateRecord& state = step.step_state;
  const std::int64_t b = element.b, first = (b * p.P + at.group) * p.N + at.column;
  ElementPass<kind, V> pass{};
  pass.clip = p.clip;
  pass.x = presynaptic_now(step, element).row + at.group;
  pass.out = TracePointers<kind, float>{places.hebb, places.eligibility} + first;
  pass.in = {pass.out.hebb, pass.out.eligibility};
  if (places.rounded_hebb != nullptr)
    pass.rounded =
        TracePointers<kind, __nv_bfloat16>{static_cast<__nv_bfloat16*>(places.rounded_hebb),
                                           static_cast<__nv_bfloat16*>(places.rounded_eligibility)} +
        first;
  if (!element.updates) return pass;
  pass.in = TracePointers<kind, const float>{places.hebb_in, places.eligibility_in} + first;
  pass.constants.limit = update_limit<form>(p.clip);
  if (element.slots.single) {
    pass.x_before = state.x.at(element.slots.now, b * p.P) + at.group;
    if constexpr (kind != Eligibility::none) pass.constants.eta = *state.eta.at(element.slots.now, b);
  } else {
    pass.x_before = presynaptic_row(p, step.record, step.t - 1, places.before, b) + at.group;
    if constexpr (kind != Eligibility::none) pass.constants.eta = *p.eta;
  }
  return pass;
}

/// Loads the inputs of the factors of the pending update, besides M.
template <Eligibility kind, int V>
__device__ __forceinline__ RateParts<V> load_update(const ForwardStep& step, const ThreadTile<V>& at,
                                                    const ForwardElement& element,
                                                    ElementPass<kind, V>& pass) {
  RateParts<V> parts{};
  if (!element.updates || !at.inside) return parts;
  const std::int64_t bj = element.b * step.params.N + at.column;
  load_row(step.record.post.at(element.slots.now, bj), pass.y);
  if (element.slots.single) {
    load_row(step.step_state.rate.at(element.slots.now, bj), parts.bias);
  } else {
    parts.load(step.params, step.t - 1, element.b, at.column);
  }
  return parts;
}

/// The factors of the pending update. `modulation`: M of step t − 1.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void complete_pass(const ForwardStep& step, const ThreadTile<V>& at,
                                              const ForwardElement& element, const RateParts<V>& parts,
                                              float modulation, ElementPass<kind, V>& pass) {
  if (!element.updates || !at.inside) return;
  const Rate kind_of_rate = element.slots.single ? Rate::external : step.params.rate;
  float rate[V];
#pragma unroll
  for (int k = 0; k < V; ++k) rate[k] = parts.rate(kind_of_rate, modulation, k);
  compute_factors<form, kind>(step.params, rate, pass.y, pass.retention, pass.gain);
}

/// M of step t − 1 of each of the block's elements, in shared memory. One warp per element computes it.
struct BlockModulation {
  float (&values)[max_elements];
  bool due;  // the network has a modulator, and this launch completes a step

  __device__ BlockModulation(const ForwardStep& step, float (&shared)[max_elements])
      : values(shared),
        due(step.params.modulator_weight != nullptr && step.t > 0 && step.step_state.phase == nullptr) {}

  /// All threads call it once, before at().
  __device__ __forceinline__ void compute(const ForwardStep& step, const BlockTile& block) const {
    if (!due) return;
    if (warp_id() < block.elements) {
      const std::int64_t b = block.first + warp_id();
      if (step.t < length_of(step.params, b)) {
        const float M = modulation_of(step.params, step.record, step.places.now, b);
        if (lane_id() == 0) {
          values[warp_id()] = M;
          if (block.tile == 0)
            store_modulation(step.params, step.record, M, step.t - 1, step.places.now, b, step.modulation);
        }
      }
    }
    __syncthreads();
  }
  __device__ float at(int element) const { return due ? values[element] : 0; }
};

/// The sums of one batch element, without others and without rows that are copied ahead.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void sum_alone(const ForwardStep& step, const ThreadTile<V>& at,
                                          const ForwardElement& element, ElementPass<kind, V>& pass,
                                          ThreadSums<V>& s) {
  const StepParams& p = step.params;
  if constexpr (V == 1) {
    if (element.updates) {
      if (pass.rounded.hebb == nullptr) return update_and_read<form, kind, V, true, false>(p, at, pass, s);
      return update_and_read<form, kind, V, true, true>(p, at, pass, s);
    }
  }
  if (element.clears) clear_traces(p, at, pass);
  const bool reads = !element.zeroed || p.cell == Cell::feedforward;  // else x is zero
  if (reads) update_and_read<form, kind, V, false, true>(p, at, pass, s);
}

/// The sums of `elements` batch elements, from the block's element `number` on, all with an update.
/// `prepared()` is called after the first rows have been asked for.
template <Form form, Eligibility kind, int elements, bool rounds, class Prepared>
__device__ __forceinline__ void sum_ahead(const ForwardStep& step, const ThreadTile<4>& at,
                                          const ForwardElement* const (&element)[elements], int number,
                                          RowPart* shared, const BlockModulation& modulation,
                                          Prepared prepared, TileSums* tiles) {
  ElementPass<kind, 4> passes[elements];
  RateParts<4> parts[elements];
#pragma unroll
  for (int e = 0; e < elements; ++e) passes[e] = prepare_pass<form, kind>(step, at, *element[e]);
  auto ahead = copy_ahead<kind, elements>(step.params, at, shared, passes);
#pragma unroll
  for (int e = 0; e < elements; ++e) parts[e] = load_update(step, at, *element[e], passes[e]);
  prepared();
#pragma unroll
  for (int e = 0; e < elements; ++e)
    complete_pass<form, kind>(step, at, *element[e], parts[e], modulation.at(number + e), passes[e]);
  ThreadSums<4> s[elements] = {};
  update_and_read_ahead<form, kind, elements, rounds>(step.params, at, ahead, passes, s);
#pragma unroll
  for (int e = 0; e < elements; ++e) store_sums(at, s[e], tiles[number + e]);
}

/// Completes step t − 1, and sums over the rows for all elements of the block that have not ended.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void sum_rows(const ForwardStep& step, const BlockTile& block,
                                         const ThreadTile<V>& at, RowPart* shared,
                                         const BlockModulation& modulation, TileSums (&tiles)[max_elements]) {
  const auto compute_modulation = [&] { modulation.compute(step, block); };
  const bool rounds = step.places.rounded_hebb != nullptr;
  if constexpr (elements_at_once < kind, V >> 1) {
    static_assert(max_elements == 2);
    if (block.elements == 2 && !rounds) {
      const ForwardElement one(step, block.first, block.tile), other(step, block.first + 1, block.tile);
      if (one.updates && other.updates)
        return sum_ahead<form, kind, 2, false>(step, at, {&one, &other}, 0, shared, modulation,
                                               compute_modulation, tiles);
    }
  }
  bool complete = false;
  const auto prepared = [&] {
    if (!complete) compute_modulation();
    complete = true;
  };
#pragma unroll 1
  for (int e = 0; e < block.elements; ++e) {
    const ForwardElement element(step, block.first + e, block.tile);
    if (element.ended) continue;
    if constexpr (V > 1) {
      if (element.updates && rounds) {
        sum_ahead<form, kind, 1, true>(step, at, {&element}, e, shared, modulation, prepared, tiles);
        continue;
      }
      if (element.updates) {
        sum_ahead<form, kind, 1, false>(step, at, {&element}, e, shared, modulation, prepared, tiles);
        continue;
      }
    }
    ElementPass<kind, V> pass = prepare_pass<form, kind>(step, at, element);
    const RateParts<V> parts = load_update(step, at, element, pass);
    prepared();
    complete_pass<form, kind>(step, at, element, parts, modulation.at(e), pass);
    ThreadSums<V> s = {};
    sum_alone<form>(step, at, element, pass, s);
    store_sums(at, s, tiles[e]);
  }
}

}  // namespace plasticity::cuda

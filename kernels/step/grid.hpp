// The blocks of a step kernel, and the slots of the record that a step reads and writes.
#pragma once

#include "step/params.hpp"

namespace plasticity::cuda {

/// Blocks of a step kernel: one per tile of columns and per `elements` batch elements. CudaPlan has checked
/// that a launch can have that many.
inline unsigned step_blocks(const StepParams& p, int elements) {
  return static_cast<unsigned>((p.B + elements - 1) / elements * p.tiles);
}

/// The slot of the value before step t.
PLASTICITY_HOST_DEVICE inline std::int64_t slot_before(const Record& record, std::int64_t t) {
  return record.ring ? t % 3 : t;
}

/// Whether every batch element has step t − 1 and step t of a sequence, without a reset.
inline bool all_regular(const StepParams& p, std::int64_t t) {
  return t > 0 && t < p.T && p.length == nullptr && p.reset == nullptr;
}

/// The step with its places.
inline ForwardStep with_places(const ForwardStep& step) {
  const Record& record = step.record;
  const std::int64_t t = step.t, last = t == 0 ? 0 : t - 1,
                     size = step.params.B * step.params.P * step.params.N;
  ForwardStep complete = step;
  StepPlaces& places = complete.places;
  places.all_regular = step.step_state.phase == nullptr && all_regular(step.params, t);
  places.before = slot_before(record, last);
  places.now = slot_before(record, t);
  places.next = slot_before(record, t + 1);
  const auto traces_before = [&](std::int64_t at, float*& hebb, float*& eligibility) {
    const bool working = record.working_hebb != nullptr && at % record.interval != 0;
    const std::int64_t slot = at / record.interval;
    hebb = working ? record.working_hebb : record.hebb.at(slot, 0);
    if (step.params.eligibility != Eligibility::none)
      eligibility = working ? record.working_eligibility : record.eligibility.at(slot, 0);
  };
  traces_before(last, places.hebb_in, places.eligibility_in);
  traces_before(t, places.hebb, places.eligibility);
  if (record.hebb16 != nullptr && t % record.interval == 0) {
    constexpr std::int64_t bytes = 2;  // of a bfloat16
    const std::int64_t first = t / record.interval * size * bytes;
    places.rounded_hebb = static_cast<char*>(record.hebb16) + first;
    if (step.params.eligibility != Eligibility::none)
      places.rounded_eligibility = static_cast<char*>(record.eligibility16) + first;
  }
  return complete;
}

}  // namespace plasticity::cuda

// The sums of a step over the rows, backward: the batch elements of a block, the factors of the update, and
// the passes.
#pragma once

#include "step/adjoint.cuh"
#include "step/backward_pass.cuh"

namespace plasticity::cuda {

/// ā of a tile in shared memory: of the plastic gate at 0; in an LSTM of all gates, in the order i f g o.
using TileGradients = float[4][tile_columns];

/// The parts of a launch that a batch element has.
struct BackwardElement {
  std::int64_t b, length;
  // Bits of one register.
  bool reads : 1, updates : 1;
  bool cut : 1;                        // a reset between them
  bool x_zero : 1, x_before_zero : 1;  // after a reset
  bool first : 1, not_started : 1;     // it is the first launch of the element; it is before that

  __device__ BackwardElement(const BackwardStep& step, std::int64_t element)
      : b(element),
        length(step.params.T),
        reads(true),
        updates(true),
        cut(false),
        x_zero(false),
        x_before_zero(false),
        first(false),
        not_started(false) {
    if (step.all_regular) return;
    const StepParams& p = step.params;
    const bool recurrent = p.cell != Cell::feedforward;
    length = length_of(p, element);
    first = step.t == length;
    not_started = step.t > length;
    reads = step.t < length;
    updates = step.t > 0 && step.t <= length;
    cut = reads && resets(p, step.t, b);
    x_zero = cut && recurrent;
    x_before_zero = updates && recurrent && resets(p, step.t - 1, b);
  }
  __device__ bool regular() const { return reads && updates && !cut && !x_before_zero; }
};

/// The pointers of a pass. `regular`: the element is.
template <Form form, Eligibility kind, class Trace, int V, bool regular>
__device__ __forceinline__ ElementGradient<kind, Trace, V> prepare_pass(const BackwardStep& step,
                                                                        const ThreadTile<V>& at,
                                                                        const BackwardElement& element,
                                                                        int tile) {
  constexpr bool rounded16 = sizeof(Trace) < sizeof(float);
  const StepParams& p = step.params;
  const Record& record = step.record;
  const std::int64_t t = step.t, b = element.b, first = (b * p.P + at.group) * p.N + at.loaded,
                     trace = p.B * p.P * p.N, slot = (regular || element.updates ? t - 1 : 0) - record.first;
  const bool starts = !regular && element.first, ends = !regular && t == 0;
  ElementGradient<kind, Trace, V> e{};
  e.reads = regular || element.reads;
  e.updates = regular || element.updates;
  e.cut = !regular && element.cut;
  e.tape = traces_on_tape<kind, Trace>(record) + (slot * trace + first);
  if constexpr (rounded16) e.tape_now = traces_on_tape<kind, Trace>(record).hebb + (t * trace + first);
  e.in = existing_at<kind>(TracePointers<kind, const float>{starts ? step.dfinal_hebb : step.G,
                                                            starts ? step.dfinal_eligibility : step.GE},
                           first);
  // A thread without columns does not read the tile's first ones here: their owner overwrites them in place.
  if (!at.inside) e.in.hebb = e.in.eligibility = p.w + (at.group * p.N + at.loaded);
  e.out = existing_at<kind>(TracePointers<kind, float>{ends ? step.dinitial_hebb : step.G,
                                                       ends ? step.dinitial_eligibility : step.GE},
                            first);
  const std::int64_t tile_row = (b * p.tiles + tile) * p.P + at.group;
  e.dx_read = step.dx_read.at(t % 2, tile_row);
  e.dx_update = step.dx_update.at((t + 2) % 3, tile_row);
  e.constants.limit = update_limit<form>(p.clip);
  // A tape is not a ring: slot t holds the vectors before step t.
  if (regular || (element.reads && !element.x_zero)) e.x = presynaptic_row(p, record, t, t, b) + at.group;
  if (!e.updates) return e;
  if (regular || !element.x_before_zero) e.x_before = presynaptic_row(p, record, t - 1, t - 1, b) + at.group;
  if constexpr (kind != Eligibility::none) e.constants.eta = *p.eta;
  return e;
}

/// The factors of V columns in the update of step t − 1.
template <int V>
struct UpdateFactors {
  float retention[V], gain[V], y[V];
};

template <Form form, Eligibility kind, int V>
__device__ __forceinline__ UpdateFactors<V> load_factors(const BackwardStep& step, const ThreadTile<V>& at,
                                                         const BackwardElement& element) {
  const StepParams& p = step.params;
  UpdateFactors<V> factors{};
  if (!element.updates || !at.inside) return factors;
  RateParts<V> parts{};
  const float M = recorded_modulation(p, step.record, step.t - 1, element.b);
  load_row(step.record.post.at(step.t, element.b * p.N + at.column), factors.y);
  parts.load(p, step.t - 1, element.b, at.column);
  float rate[V];
#pragma unroll
  for (int k = 0; k < V; ++k) rate[k] = parts.rate(p.rate, M, k);
  compute_factors<form, kind>(p, rate, factors.y, factors.retention, factors.gain);
  return factors;
}

/// The factors and ā of a pass.
template <Eligibility kind, class Trace, int V>
__device__ __forceinline__ void set_columns(const BackwardStep& step, const ThreadTile<V>& at,
                                            const UpdateFactors<V>& factors, const TileGradients& da,
                                            ElementGradient<kind, Trace, V>& e) {
#pragma unroll
  for (int k = 0; k < V; ++k) {
    e.retention[k] = factors.retention[k];
    e.gain[k] = factors.gain[k];
    e.y[k] = factors.y[k];
  }
  if (e.reads && at.inside) load_tile_row(da[step.params.lstm ? 2 : 0] + at.column % tile_columns, e.da);
}

/// Batch elements per block of a kernel at most. Traces in bfloat16 have one, see Variant.
template <Eligibility kind, class Trace, int V>
constexpr int backward_elements = copies_ahead<Trace, V> ? elements_at_once<kind, V> : 1;

/// The sums over a block's rows, per element.
template <Form form, Eligibility kind>
struct TileGradientSums {
  static constexpr int gain = 0, alpha = 1, retention = 2, y = has_retention<form> ? 3 : 2, eta = y + 1;
  static constexpr int count = kind == Eligibility::none ? y : eta + 1;
  TileSums sums[count];
};

template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void store_gradient_sums(const ThreadTile<V>& at,
                                                    const GradientSums<form, kind, V>& s, bool sums_alpha,
                                                    TileGradientSums<form, kind>& tile) {
  store_sums(at, s.gain, tile.sums[tile.gain]);
  if (sums_alpha) store_sums(at, s.alpha, tile.sums[tile.alpha]);
  if constexpr (has_retention<form>) store_sums(at, s.retention, tile.sums[tile.retention]);
  if constexpr (kind != Eligibility::none) {
    store_sums(at, s.y, tile.sums[tile.y]);
    store_sums(at, s.eta, tile.sums[tile.eta]);
  }
}

/// Asks for the first rows of a regular pass. reverse_ahead() continues.
template <Form form, Eligibility kind, int elements>
__device__ __forceinline__ void start_ahead(const BackwardStep& step, const ThreadTile<4>& at, int tile,
                                            const BackwardElement* const (&element)[elements],
                                            RowPart* shared) {
  ElementGradient<kind, float, 4> passes[elements];
#pragma unroll
  for (int e = 0; e < elements; ++e)
    passes[e] = prepare_pass<form, kind, float, 4, true>(step, at, *element[e], tile);
  rows_ahead<kind, elements>(step.params, at, shared, passes).start();
}

/// The passes of `elements` regular batch elements, from the block's element `number` on. `started`: by
/// start_ahead().
template <Form form, Eligibility kind, int elements>
__device__ __forceinline__ void reverse_ahead(const BackwardStep& step, const ThreadTile<4>& at, int tile,
                                              const BackwardElement* const (&element)[elements], int number,
                                              const UpdateFactors<4>* const (&factors)[elements],
                                              bool started, RowPart* shared, const Clips& clips,
                                              const TileGradients* da, TileGradientSums<form, kind>* tiles) {
  const StepParams& p = step.params;
  ElementGradient<kind, float, 4> passes[elements];
#pragma unroll
  for (int e = 0; e < elements; ++e) {
    passes[e] = prepare_pass<form, kind, float, 4, true>(step, at, *element[e], tile);
    set_columns(step, at, *factors[e], da[number + e], passes[e]);
  }
  auto ahead = rows_ahead<kind, elements>(p, at, shared, passes);
  if (started) {
    ahead.assume_started();
  } else {
    ahead.start();
  }
  GradientSums<form, kind, 4> s[elements] = {};
  const bool sums_alpha = p.alpha_row == 0;
  if (sums_alpha) {
    reverse_rows_ahead<form, kind, elements, true>(p, at, clips, ahead, passes, s);
  } else {
    reverse_rows_ahead<form, kind, elements, false>(p, at, clips, ahead, passes, s);
  }
#pragma unroll
  for (int e = 0; e < elements; ++e) store_gradient_sums(at, s[e], sums_alpha, tiles[number + e]);
}

/// The pass of one batch element, without rows that are copied ahead.
template <Form form, Eligibility kind, class Trace, int V>
__device__ __forceinline__ void reverse_alone(const BackwardStep& step, const ThreadTile<V>& at, int tile,
                                              const BackwardElement& element, const UpdateFactors<V>& factors,
                                              const Clips& clips, const TileGradients& da,
                                              TileGradientSums<form, kind>& sums) {
  const StepParams& p = step.params;
  const bool sums_alpha = p.alpha_row == 0;
  auto pass = prepare_pass<form, kind, Trace, V, false>(step, at, element, tile);
  set_columns(step, at, factors, da, pass);
  GradientSums<form, kind, V> s = {};
  if constexpr (!copies_ahead<Trace, V>) {
    if (element.regular()) {
      if (sums_alpha) {
        reverse_rows<form, kind, Trace, V, true, true>(p, at, clips, pass, s);
      } else {
        reverse_rows<form, kind, Trace, V, true, false>(p, at, clips, pass, s);
      }
      return store_gradient_sums(at, s, sums_alpha, sums);
    }
  }
  reverse_rows<form, kind, Trace, V, false, true>(p, at, clips, pass, s);
  store_gradient_sums(at, s, sums_alpha, sums);
}

}  // namespace plasticity::cuda

// A whole sequence backward in one launch. The gradients of an element's traces stay in the shared memory of
// one group of blocks. A step t, from length[b] down to 0:
//   ā of step t, for the block's own columns
//   G += α x ā;  x̄_i += Σ_j (W + α φ(H)) ā_j;  ᾱ_j += Σ_i x_i ā_j φ(H)         the plastic read of step t
//   G ← adjoint of the trace rule;  x̄(t−1)_i += …;  ȳ(t−1)_j, ḡ(t−1)_j = Σ_i … the trace update of step t−1
// in one pass over the block's slice (the equations of step/backward.cuh). Each block sends its part of x̄ to
// the block that owns those rows, and broadcasts its columns' part of the modulator's gradient. After the
// group's barrier the parts are added up in one fixed order. H comes from a segment of K steps, replayed from
// its checkpoint by the thread that reads it: into global memory (mostly L2), with no barrier.
// Grid: as forward (resident/shape.hpp). On chip: the slices of G and GE, W and α if they fit. Bytes: the
// checkpoints, 4 B P N (2 in bfloat16) every K-th step; if K > 1, H written and read once per step, 8 B P N;
// if K = 1, H read from the tape, 4 B P N; the same again for an eligibility trace; W, α and gate weights as
// forward. Barriers per step: one of the group, two of the block; with softmax one more of the group.
#pragma once

#include "replay/segment.cuh"
#include "resident/adjoint.cuh"

namespace plasticity::cuda {

/// The two parts of a step for one thread, and the traces that it reads.
template <Eligibility kind>
struct ResidentReverse {
  bool reads, updates;                      // the two parts
  bool cut;                                 // a reset between them
  bool first, last;                         // of the element's steps, in the order they are done
  TracePointers<kind, const float> traces;  // [P,N] of the element: before step t − 1, at t = 0 before step 0
  const __nv_bfloat16* rounded_now;         // [P,N] the rounded H before step t, or null
  const float *x, *x_before;                // [P]
  float y, rate, eta;
};

/// The plastic read and the trace update of all rows of the thread's column.
template <Rule rule, Eligibility kind>
__device__ void resident_reverse_pass(const BackwardStep& step, const GroupBlock& block,
                                      const BackwardShared& shared, const Weights& weights,
                                      const ResidentReverse<kind>& c, std::int64_t b) {
  const StepParams& p = step.params;
  float dpost = 0, drate = 0, deta = 0, dalpha = 0, da = 0, gates[3] = {};
  if (block.inside && c.reads) {
    da = shared.da()[(p.lstm ? 2 : 0) * block.width + block.own];
    for (int gate = 0; gate < 3 && p.lstm; ++gate)
      gates[gate] = shared.da()[(gate == 2 ? 3 : gate) * block.width + block.own];
  }
  // All threads of a warp do the same number of iterations: they add up rows together.
  const int P = static_cast<int>(p.P);
  for (int i0 = 0; i0 < P; i0 += block.row_groups) {
    const int i = i0 + block.row_group;
    float into_x = 0, into_x_before = 0;
    if (block.inside && i < p.P) {
      const std::int64_t ij = i * p.N + block.column, bij = b * p.P * p.N + ij;
      const auto slice = shared.gradients<kind>(i * block.width + block.own);
      TracePair<kind> gradient{}, traces{};
      float clip = p.clip;
      if (c.first) {
        gradient.load_existing({step.dfinal_hebb, step.dfinal_eligibility}, bij);
      } else {
        gradient.load(slice);
      }
      if (c.reads || c.updates) traces.load_hebb(c.traces + ij);
      if (c.updates) traces.load_eligibility(c.traces + ij);
      const float x_before = c.updates ? c.x_before[i] : 0;
      TracePair<kind> now = traces;
      if (c.cut) {
        now.set_zero();
      } else if (c.updates) {
        now.template update<rule>(0, x_before, c.y, c.rate, c.eta, p.clip);
      }
      if (c.rounded_now != nullptr) {
        const float recorded = to_float(c.rounded_now[ij]);
        now.h[0] = restored<rule>(recorded, p.clip);
        clip = clip_of_update<rule, kind>(recorded, traces.h[0], traces.e[0], hebbian_product(x_before, c.y),
                                          c.rate, c.y, c.eta, p.clip);
      }
      if (c.reads) {
        const float x = c.x[i], alpha = weights.alpha[i], h = now.h[0];
        const float read = TraceRule<rule>::read(h, p.clip), product = x * da;
        gradient.h[0] += TraceRule<rule>::through_read(h, p.clip, alpha * product);  // adjoint
        dalpha += product * read;                                                    // adjoint
        into_x += (weights.w[i] + alpha * read) * da;                                // adjoint
        if (p.lstm) {
          const float* w = p.w_gates + 3 * i * p.N + block.column;
          const float through =
              __ldg(w) * gates[0] + __ldg(w + p.N) * gates[1] + __ldg(w + 2 * p.N) * gates[2];
          into_x += through;  // adjoint
        }
      }
      if (c.cut) gradient.set_zero();
      if (c.updates) {
        const TraceAdjoint<float> adjoint =
            reverse_traces<rule, kind>(gradient.h[0], gradient.e[0], traces.h[0], traces.e[0],
                                       hebbian_product(x_before, c.y), c.rate, c.y, c.eta, clip);
        into_x_before = adjoint.product * c.y;            // adjoint
        dpost += adjoint.product * x_before + adjoint.y;  // adjoint
        drate += adjoint.rate;                            // adjoint
        deta += adjoint.eta;                              // adjoint
      }
      if (c.last) {
        gradient.store_existing({step.dinitial_hebb, step.dinitial_eligibility}, bij);
      } else {
        gradient.store(slice);
      }
    }
    // Two sums by the shuffles of one: the lower half of a row's lanes ends with x̄(t), the upper with x̄(t−1).
    const int half = block.lanes / 2;
    const bool upper = (lane_id() & half) != 0;
    const float given = upper ? into_x : into_x_before;
    float sum = (upper ? into_x_before : into_x) + __shfl_xor_sync(0xffffffffu, given, half);
    for (int distance = half / 2; distance > 0; distance /= 2)
      sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    if (i < P && (lane_id() & (half - 1)) == 0)
      shared.row_parts()[((upper ? block.tiles : 0) + block.tile) * P + i] = sum;
  }
  if (!block.inside) return;
  const int size = block.row_groups * block.width, mine = block.row_group * block.width + block.own;
  shared.parts()[mine] = dpost;
  shared.parts()[size + mine] = drate;
  shared.parts()[2 * size + mine] = deta;
  shared.parts()[3 * size + mine] = dalpha;
}

/// After the pass and a barrier: sends the block's part of x̄ of step t to the blocks that own the rows.
/// Owners add up the sums of their columns, and broadcast their part of the modulator's gradient of step t
/// − 1.
template <Eligibility kind>
__device__ void send_sums(const BackwardStep& step, const GroupBlock& block, const BackwardShared& shared,
                          const ResidentReverse<kind>& c, std::int64_t t, ColumnCarry& carry) {
  const StepParams& p = step.params;
  const int P = static_cast<int>(p.P);
  for (int i = static_cast<int>(threadIdx.x); i < P; i += static_cast<int>(blockDim.x)) {
    float read = 0, update = 0;
    for (int tile = 0; tile < block.tiles; ++tile) {
      read += shared.row_parts()[tile * P + i];
      update += shared.row_parts()[(block.tiles + tile) * P + i];
    }
    if (c.reads) {
      const int to = i / shared.rows(), place = block.rank * shared.rows() + i % shared.rows();
      block.send(to, shared.inbox(t) + place, shared.global_inbox(t, to) + place, shared.carry()[i] + read);
    }
    shared.carry()[i] = update;
  }
  if (!block.owner) return;
  const int size = block.row_groups * block.width;
  if (c.reads) carry.alpha() += row_group_sum(shared.parts() + 3 * size, block);
  if (!c.updates) return;
  carry.dpost = row_group_sum(shared.parts(), block);
  carry.drate = row_group_sum(shared.parts() + size, block);
  if constexpr (kind != Eligibility::none) carry.eta() += row_group_sum(shared.parts() + 2 * size, block);
  if (p.modulator_weight == nullptr) return;
  block.broadcast(shared.dg(t - 1) + block.column, shared.global_dg(t - 1) + block.column,
                  p.rate == Rate::fan_out ? carry.drate * p.fan_out_weight[block.column] : carry.drate);
}

/// The gradient of the owner's output at step t; sums over all columns that need no barrier. All threads call
/// it.
__device__ inline float begin_reverse_step(const BackwardStep& step, const GroupBlock& block,
                                           const BackwardShared& shared, BackwardPoint& point,
                                           ColumnCarry& carry) {
  const StepParams& p = step.params;
  const std::int64_t t = point.t, b = point.b;
  const bool feedforward = p.cell == Cell::feedforward;
  point.q = modulator_gradient(step, block, shared, t, b);
  const bool more = t + 1 < point.length;
  const float dx = more && !feedforward ? dx_of_column(block, shared, t + 1) : 0;
  if (more && feedforward) write_dpre(step, block, shared, t + 1, b);
  if (!block.owner) return 0;
  const float doutput = output_gradient(step, point, block.column, [&](std::int64_t) { return dx; });
  add_resident_rates(step, block, point, carry);
  if (p.activation == Activation::softmax) {
    const bool clamped = clamps(p, t, b, block.column);
    block.broadcast(
        shared.inner() + block.column, shared.global_inner() + block.column,
        (clamped ? 0 : carry.dpost + doutput) * *step.record.unclamped.at(t + 1, b * p.N + block.column));
  }
  return doutput;
}

/// Sets the traces that step t reads. If they lie in another segment than `loaded_segment`, the thread
/// replays its own part of that segment first.
template <Rule rule, Eligibility kind>
__device__ __forceinline__ void load_traces(const ResidentBackward& run, const GroupBlock& block,
                                            const BackwardShared& shared, std::int64_t t, std::int64_t b,
                                            std::int64_t length, std::int64_t& loaded_segment,
                                            ResidentReverse<kind>& c) {
  const StepParams& p = run.step.params;
  const Record& record = run.step.record;
  const std::int64_t PN = p.P * p.N, BPN = p.B * PN, K = record.interval;
  const std::int64_t before = t > 0 ? t - 1 : 0, segment_begin = before / K * K;
  if (run.replays && segment_begin != loaded_segment && block.inside) {
    const Segment segment{p, record, segment_begin, run.hebb, run.eligibility};
    constexpr int rows = kind == Eligibility::none ? 4 : 3;  // as many as fit in registers
    for (std::int64_t row = block.row_group; row < p.P; row += rows * block.row_groups)
      replay_rows_of_segment<rule, kind, rows>(segment, b, length, {row, block.row_groups, block.column});
  }
  loaded_segment = segment_begin;
  if (c.updates) {
    const Activities x = presynaptic_of(p, record, t - 1, b);
    for (std::int64_t i = threadIdx.x; i < p.P; i += blockDim.x) shared.x(t - 1)[i] = x[i];
    if constexpr (kind != Eligibility::none) c.eta = *p.eta;
  }
  const TracePointers<kind, const float> replayed{run.hebb, run.eligibility};
  c.traces = run.replays ? replayed + ((before - segment_begin) * BPN + b * PN)
                         : traces_on_tape<kind, float>(record) + (before * BPN + b * PN);
  if (record.hebb16 != nullptr && (K == 1 || (t < length && t % K == 0)))
    c.rounded_now = traces_on_tape<kind, __nv_bfloat16>(record).hebb + t / K * BPN + b * PN;
}

/// Step t of an element: the pass over its slice, and the sums that follow.
template <Rule rule, Eligibility kind>
__device__ __forceinline__ void reverse_step(const ResidentBackward& run, const GroupBlock& block,
                                             const BackwardShared& shared, const Weights& weights,
                                             std::int64_t t, std::int64_t b, std::int64_t length,
                                             std::int64_t& loaded_segment, ResidentReverse<kind>& c,
                                             ColumnCarry& carry) {
  const BackwardStep& step = run.step;
  const StepParams& p = step.params;
  if (c.reads || c.updates) load_traces<rule>(run, block, shared, t, b, length, loaded_segment, c);
  c.first = t == length;
  c.last = t == 0;
  c.cut = c.reads && resets(p, t, b);
  c.x = shared.x(t);
  if (c.updates) {
    c.x_before = shared.x(t - 1);
    if (block.inside) {
      c.y = *step.record.post.at(t, b * p.N + block.column);
      c.rate = rate_of(p, recorded_modulation(p, step.record, t - 1, b), t - 1, b, block.column);
    }
  }
  __syncthreads();
  resident_reverse_pass<rule>(step, block, shared, weights, c, b);
  __syncthreads();
  send_sums(step, block, shared, c, t, carry);
}

/// All steps of element b. In a grid b may not exist: all blocks still pass the barriers.
template <Rule rule, Eligibility kind>
__device__ void reverse_element(const ResidentBackward& run, const GroupBlock& block,
                                const BackwardShared& shared, const Weights& weights, std::int64_t b) {
  const BackwardStep& step = run.step;
  const StepParams& p = step.params;
  const bool exists = b < p.B, feedforward = p.cell == Cell::feedforward,
             softmax = p.activation == Activation::softmax;
  const std::int64_t length = exists ? length_of(p, b) : 0;
  if (exists) clear_beyond(step, block, shared, b, length);
  ColumnCarry carry{.sums = shared.memory + run.layout.sums + block.own, .stride = block.width};
  for (int k = 0; block.owner && k < column_sums; ++k) carry.sums[k * carry.stride] = 0;
  std::int64_t loaded_segment = -1;
  // No block may send to another before that one has begun. Under the executor all have, so no test sees
  // this.
  block.sync();  // mutate: skip, see above
  // All blocks of a grid synchronize as often as the longest element needs.
  for (std::int64_t t = block.kind == GroupKind::grid ? p.T : length; t >= 0; --t) {
    const bool active = exists && t <= length;
    BackwardPoint point{t, b, length, 0, 0};
    ResidentReverse<kind> c{};
    c.reads = active && t < length;
    c.updates = active && t > 0;
    const float doutput = c.reads ? begin_reverse_step(step, block, shared, point, carry) : 0;
    if (softmax && t < p.T) {  // the same for all blocks that synchronize
      block.sync();
      if (c.reads) {
        block.receive(shared.inner(), shared.global_inner(), p.N);
        const auto term = [&](std::int64_t j) { return shared.inner()[j]; };
        point.inner = warp_fold(p.N, term, Add{}, 0);
      }
    }
    if (c.reads && block.owner) resident_column_gradients(step, block, shared, point, doutput, carry);
    if (active) reverse_step<rule>(run, block, shared, weights, t, b, length, loaded_segment, c, carry);
    block.sync();
  }
  if (!exists) return;
  const bool any = length > 0;
  if (any && feedforward) write_dpre(step, block, shared, 0, b);
  const float dx = any && !feedforward ? dx_of_column(block, shared, 0) : 0;
  end_reverse(step, block, b, length, dx, carry);
}

template <Rule rule, Eligibility kind>
__global__ void __launch_bounds__(resident_threads, 1)
    resident_backward_kernel(const __grid_constant__ ResidentBackward run) {
  PLASTICITY_DYNAMIC_SHARED(float, memory);
  const StepParams& p = run.step.params;
  const GroupBlock block(p, run.shape);
  const BackwardShared shared{memory, run,
                              block.kind == GroupKind::grid
                                  ? run.exchange + block.group * backward_exchange(run.network, run.shape)
                                  : nullptr};
  const Weights weights(p, run.shape, block, memory + run.layout.w, memory + run.layout.alpha);
  const std::int64_t waves = (p.B + run.groups - 1) / run.groups;
  for (std::int64_t wave = 0; wave < waves; ++wave) {
    const std::int64_t b = wave * run.groups + block.group;
    if (block.kind != GroupKind::grid && b >= p.B) break;
    reverse_element<rule, kind>(run, block, shared, weights, b);
  }
}

}  // namespace plasticity::cuda

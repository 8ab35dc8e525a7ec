// A whole sequence backward in one launch: the gradients of an element's traces stay in the shared memory of
// one group of blocks. A step t, from length[b] down to 0:
//   ā of step t, for the block's own columns
//   G += α x ā;  x̄_i += Σ_j (W + α φ(H)) ā_j;  ᾱ_j += Σ_i x_i ā_j φ(H)         the plastic read of step t
//   G ← adjoint of the trace rule;  x̄(t−1)_i += …;  ȳ(t−1)_j, ḡ(t−1)_j = Σ_i … the trace update of step t−1
// in one pass over the block's slice (the equations are those of step/backward.cuh). Each block's part of x̄
// goes to the block whose columns those rows are, what the modulator wants of ḡ to all; the blocks meet; and
// all of it is added up in one order. H comes from a segment of K steps, replayed from its checkpoint by the
// very thread that reads it: into global memory and, mostly, L2, with no barrier.
// Grid: as forward (resident/shape.hpp). On chip: the slices of G and GE, of W and α where they fit. Bytes:
// the checkpoints, 4 B P N (2 in bfloat16) every K-th step; H written and read once a step, 8 B P N, where K
// > 1 (4 B P N from the tape where K = 1); with eligibility as much again; W, α and gate weights as forward.
// Barriers a step: one of the group, two of the block; softmax one more of the group.
#pragma once

#include "replay/segment.cuh"
#include "resident/adjoint.cuh"

namespace plasticity::cuda {

/// Where the thread finds the traces of a step, and the two parts of the step.
struct ResidentReverse {
  bool reads, updates, cut, first, last;  // first, last: of the element's steps, in the order they are done
  const float *hebb, *eligibility;        // [P,N] of the element: before step t − 1, or at t = 0 before it
  const __nv_bfloat16* hebb16;            // [P,N] the rounded trace before step t, where there is one
  const float *x, *x_before;              // [P]
  float y, rate, eta;
};

template <Rule rule, Eligibility kind>
__device__ void resident_reverse_pass(const BackwardStep& step, const Member& at, const BackwardSlices& here,
                                      const Weights& weights, const ResidentReverse& c, std::int64_t b) {
  constexpr bool eligible = kind != Eligibility::none;
  const Problem& p = step.problem;
  float dpost = 0, drate = 0, deta = 0, dalpha = 0, da = 0, gates[3] = {};
  if (at.inside && c.reads) {
    da = here.da()[(p.lstm ? 2 : 0) * at.width + at.own];
    for (int gate = 0; gate < 3 && p.lstm; ++gate)
      gates[gate] = here.da()[(gate == 2 ? 3 : gate) * at.width + at.own];
  }
  // All threads of a warp go the same number of times round: they add up rows together.
  const int P = static_cast<int>(p.P);
  for (int i0 = 0; i0 < P; i0 += at.row_groups) {
    const int i = i0 + at.row_group;
    float into_x = 0, into_x_before = 0;
    if (at.inside && i < p.P) {
      const std::int64_t place = i * at.width + at.own, ij = i * p.N + at.column, bij = b * p.P * p.N + ij;
      float G, GE = 0, h = 0, e = 0, clip = p.clip;
      if (c.first) {
        G = step.dfinal_hebb == nullptr ? 0 : step.dfinal_hebb[bij];
        if (eligible && step.dfinal_eligibility != nullptr) GE = step.dfinal_eligibility[bij];
      } else {
        G = here.G()[place];
        if constexpr (eligible) GE = here.GE()[place];
      }
      if (c.reads || c.updates) h = c.hebb[ij];
      if constexpr (eligible) {
        if (c.updates) e = c.eligibility[ij];
      }
      const float x_before = c.updates ? c.x_before[i] : 0;
      float now = h;
      if (c.cut) {
        now = 0;
      } else if (c.updates) {
        float e_now = e;
        update_traces<rule, kind>(now, e_now, drive_of(x_before, c.y), c.rate, c.y, c.eta, p.clip);
      }
      if (c.hebb16 != nullptr) {
        const float recorded = to_float(c.hebb16[ij]);
        now = restored<rule>(recorded, p.clip);
        clip = clip_of_update<rule>(recorded, p.clip);
      }
      if (c.reads) {
        const float x = c.x[i], alpha = weights.alpha[i];
        const float read = TraceRule<rule>::read(now, p.clip), product = x * da;
        G += TraceRule<rule>::through_read(now, p.clip, alpha * product);  // adjoint
        dalpha += product * read;                                          // adjoint
        into_x += (weights.w[i] + alpha * read) * da;                      // adjoint
        if (p.lstm) {
          const float* w = p.w_gates + 3 * i * p.N + at.column;
          const float through =
              __ldg(w) * gates[0] + __ldg(w + p.N) * gates[1] + __ldg(w + 2 * p.N) * gates[2];
          into_x += through;  // adjoint
        }
      }
      if (c.cut) G = GE = 0;
      if (c.updates) {
        const TraceAdjoint<float> adjoint =
            reverse_traces<rule, kind>(G, GE, h, e, drive_of(x_before, c.y), c.rate, c.y, c.eta, clip);
        into_x_before = adjoint.product * c.y;            // adjoint
        dpost += adjoint.product * x_before + adjoint.y;  // adjoint
        drate += adjoint.rate;                            // adjoint
        deta += adjoint.eta;                              // adjoint
      }
      if (c.last) {
        if (step.dinitial_hebb != nullptr) step.dinitial_hebb[bij] = G;
        if (eligible && step.dinitial_eligibility != nullptr) step.dinitial_eligibility[bij] = GE;
      } else {
        here.G()[place] = G;
        if constexpr (eligible) here.GE()[place] = GE;
      }
    }
    // Two sums by the shuffles of one: the lower half of a row's lanes ends with x̄(t), the upper with x̄(t−1).
    const int half = at.lanes / 2;
    const bool upper = lane_id() % at.lanes >= half;
    const float given = upper ? into_x : into_x_before;
    float sum = (upper ? into_x_before : into_x) + __shfl_xor_sync(0xffffffffu, given, half);
    for (int distance = half / 2; distance > 0; distance /= 2)
      sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    if (i < P && lane_id() % half == 0) here.row_parts()[((upper ? at.tiles : 0) + at.tile) * P + i] = sum;
  }
  if (!at.inside) return;
  const int size = at.row_groups * at.width, mine = at.row_group * at.width + at.own;
  here.parts()[mine] = dpost;
  here.parts()[size + mine] = drate;
  here.parts()[2 * size + mine] = deta;
  here.parts()[3 * size + mine] = dalpha;
}

/// After the pass and a barrier: the block's part of x̄ of step t goes to the blocks that own its rows; the
/// owners take the sums of their columns, and tell the modulator's part of ḡ(t−1).
template <Eligibility kind>
__device__ void send_sums(const BackwardStep& step, const Member& at, const BackwardSlices& here,
                          const ResidentReverse& c, std::int64_t t, ColumnCarry& carry) {
  const Problem& p = step.problem;
  const int P = static_cast<int>(p.P);
  for (int i = static_cast<int>(threadIdx.x); i < P; i += static_cast<int>(blockDim.x)) {
    float read = 0, update = 0;
    for (int tile = 0; tile < at.tiles; ++tile) {
      read += here.row_parts()[tile * P + i];
      update += here.row_parts()[(at.tiles + tile) * P + i];
    }
    if (c.reads) {
      const int to = i / here.rows(), place = at.rank * here.rows() + i % here.rows();
      at.tell(to, here.inbox(t) + place, here.global_inbox(t, to) + place, here.carry()[i] + read);
    }
    here.carry()[i] = update;
  }
  if (!at.owner) return;
  const int size = at.row_groups * at.width;
  if (c.reads) carry.alpha() += group_total(here.parts() + 3 * size, at);
  if (!c.updates) return;
  carry.dpost = group_total(here.parts(), at);
  carry.drate = group_total(here.parts() + size, at);
  if constexpr (kind != Eligibility::none) carry.eta() += group_total(here.parts() + 2 * size, at);
  if (p.modulator_weight == nullptr) return;
  at.tell_all(here.rates(t - 1) + at.column, here.global_rates(t - 1) + at.column,
              p.rate == Rate::fan_out ? carry.drate * p.fan_out_weight[at.column] : carry.drate);
}

template <Rule rule, Eligibility kind>
__device__ void reverse_element(const ResidentBackward& run, const Member& at, const BackwardSlices& here,
                                const Weights& weights, std::int64_t b) {
  const BackwardStep& step = run.step;
  const Problem& p = step.problem;
  const Record& record = step.record;
  const std::int64_t PN = p.P * p.N, BPN = p.B * PN, K = record.interval;
  const bool there = b < p.B, feedforward = p.cell == Cell::feedforward,
             softmax = p.activation == Activation::softmax;
  const std::int64_t length = there ? length_of(p, b) : 0;
  if (there) clear_beyond(step, at, here, b, length);
  ColumnCarry carry{.sums = here.memory + run.places.sums + at.own, .stride = at.width};
  for (int k = 0; at.owner && k < column_sums; ++k) carry.sums[k * carry.stride] = 0;
  std::int64_t held = -1;  // the segment whose traces are there
  // Nobody may tell a block anything before it has begun. Under the executor all have, so no test sees this.
  at.meet();  // mutate: skip, see above
  // The blocks of a grid meet as often as the longest element needs, whichever theirs is.
  for (std::int64_t t = at.kind == GroupKind::grid ? p.T : length; t >= 0; --t) {
    const bool active = there && t <= length;
    Moment moment{t, b, length, 0, 0};
    ResidentReverse c{};
    c.reads = active && t < length;
    c.updates = active && t > 0;
    float dshown = 0;
    if (c.reads) {
      moment.q = modulator_gradient(step, at, here, t, b);
      const bool more = t + 1 < length;
      const float dx = more && !feedforward ? column_rows_total(at, here, t + 1) : 0;
      if (more && feedforward) write_dpre(step, at, here, t + 1, b);
      if (at.owner) {
        dshown = resident_gradient_of_shown(step, moment, at.column, dx);
        add_resident_rates(step, at, moment, carry);
      }
      if (softmax && at.owner) {
        const std::int64_t bj = b * p.N + at.column;
        const bool clamped = p.clamp != nullptr && p.clamp[t * p.B * p.N + bj] != 0;
        at.tell_all(here.inner() + at.column, here.global_inner() + at.column,
                    (clamped ? 0 : carry.dpost + dshown) * *row_of(record.activated, t + 1, bj));
      }
    }
    if (softmax && t < p.T) {  // the same for all blocks that meet
      at.meet();
      if (c.reads) {
        at.pull(here.inner(), here.global_inner(), p.N);
        moment.inner = warp_total(
            p.N, [&](std::int64_t j) { return here.inner()[j]; }, Add{}, 0);
      }
    }
    if (c.reads && at.owner) resident_column_gradients(step, at, here, moment, dshown, carry);
    if (active && (c.reads || c.updates)) {
      const std::int64_t before = t > 0 ? t - 1 : 0, first = before / K * K;
      if (run.replays && first != held && at.inside) {
        const Segment segment{p, record, first, run.hebb, run.eligibility};
        constexpr int rows = kind == Eligibility::none ? 6 : 4;  // what registers bear
        for (std::int64_t row = at.row_group; row < p.P; row += rows * at.row_groups)
          replay_rows_of_segment<rule, kind, rows>(segment, b, length, {row, at.row_groups, at.column});
      }
      held = first;
      if (c.updates) {
        const Activities x = inputs_of(p, record, t - 1, b);
        for (std::int64_t i = threadIdx.x; i < p.P; i += blockDim.x) here.x(t - 1)[i] = x[i];
      }
      c.hebb =
          run.replays ? run.hebb + (before - first) * BPN + b * PN : record.hebb.base + before * BPN + b * PN;
      if constexpr (kind != Eligibility::none) {
        c.eligibility = run.replays ? run.eligibility + (before - first) * BPN + b * PN
                                    : record.eligibility.base + before * BPN + b * PN;
        if (c.updates) c.eta = *p.eta;
      }
      if (record.hebb16 != nullptr && (K == 1 || (t < length && t % K == 0)))
        c.hebb16 = static_cast<const __nv_bfloat16*>(record.hebb16) + t / K * BPN + b * PN;
      if (t == 0 && !c.reads) c.hebb16 = nullptr;
    }
    if (active) {
      c.first = t == length;
      c.last = t == 0;
      c.cut = c.reads && resets(p, t, b);
      c.x = here.x(t);
      if (c.updates) {
        c.x_before = here.x(t - 1);
        if (at.inside) {
          const float M = p.modulator_weight == nullptr ? 0 : *row_of(record.modulation, t, b);
          c.y = *row_of(record.post, t, b * p.N + at.column);
          c.rate = rate_of(p, M, t - 1, b, at.column);
        }
      }
      __syncthreads();
      resident_reverse_pass<rule, kind>(step, at, here, weights, c, b);
      __syncthreads();
      send_sums<kind>(step, at, here, c, t, carry);
    }
    at.meet();
  }
  if (!there) return;
  const bool any = length > 0;
  if (any && feedforward) write_dpre(step, at, here, 0, b);
  const float dx = any && !feedforward ? column_rows_total(at, here, 0) : 0;
  end_reverse(step, at, b, length, dx, carry);
}

template <Rule rule, Eligibility kind>
__global__ void __launch_bounds__(resident_threads, 1)
    resident_backward_kernel(const __grid_constant__ ResidentBackward run) {
  PLASTICITY_DYNAMIC_SHARED(float, memory);
  const Problem& p = run.step.problem;
  const Member at(p, run.shape);
  const BackwardSlices here{memory, run,
                            at.kind == GroupKind::grid
                                ? run.exchange + at.group * backward_exchange(run.contents, run.shape)
                                : nullptr};
  const Weights weights(p, run.shape, at, memory + run.places.w, memory + run.places.alpha);
  const std::int64_t waves = (p.B + run.groups - 1) / run.groups;
  for (std::int64_t wave = 0; wave < waves; ++wave) {
    const std::int64_t b = wave * run.groups + at.group;
    if (at.kind != GroupKind::grid && b >= p.B) break;
    reverse_element<rule, kind>(run, at, here, weights, b);
  }
}

}  // namespace plasticity::cuda

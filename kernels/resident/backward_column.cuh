// The work on vectors in a step of a resident backward pass: from the gradient of the output to ā, and from
// the sums of a column to the gradients of its factors.
#pragma once

#include "resident/backward_pass.cuh"

namespace plasticity::cuda {

/// Loads the values of step t − 1 from the tape and the caller, for the owners; keep_prefetched() stores it
/// after the barrier.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ Prefetched prefetch_step(const BackwardBlock<form, kind, shape>& block, int t,
                                                    int b) {
  const StepParams& p = block.p;
  const BackwardStep& step = block.step;
  Prefetched next{};
  if (!block.owns() || t < 1) return next;
  const int j = block.own_column();
  if (step.dy != nullptr) next.dy = step.dy[((t - 1) * p.B + b) * p.N + j];
  if (p.modulator_weight != nullptr) next.read = *modulator_input(p, step.record).at(t, b * p.N + j);
  if (t < 2) return next;
  next.post = *step.record.post.at(t - 1, b * p.N + j);
  next.M = recorded_modulation(p, step.record, t - 2, b);
  return next;
}
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void keep_prefetched(const BackwardBlock<form, kind, shape>& block,
                                                const Prefetched& next) {
  if (!block.owns()) return;
  block.own(own_post_now) = block.own(own_post);
  block.own(own_M_now) = block.own(own_M);
  block.own(own_post) = next.post;
  block.own(own_M) = next.M;
  block.own(own_dy) = next.dy;
  block.own(own_read) = next.read;
}

/// The rate of step t for the owner's column. `M`: of step t.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ float rate_of_owner(const BackwardBlock<form, kind, shape>& block, float M, int t,
                                               int b) {
  const StepParams& p = block.p;
  switch (p.rate) {
    case Rate::fixed: return block.eta();
    case Rate::modulated: return M;
    case Rate::fan_out: return multiply_add(M, block.own(own_fan), block.own(own_bias));
    case Rate::external: break;
  }
  return p.external_rate[(t * p.B + b) * p.N + block.own_column()];
}

/// The gradient of the modulator's input, v . y + v0, after step t. Whole warps call it.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ float modulator_gradient(const BackwardBlock<form, kind, shape>& block, int t) {
  const float M = block.own(own_M_now);
  const float sum = dot_columns<shape>(block.dg(t), block.fan(), block.layout.y_order.stride);
  return sum * multiply_add(-M, M, 1.0f);  // adjoint
}

/// The gradient of the owner's output at step t. `dx`: x̄ of step t + 1.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ float gradient_of_output(const BackwardBlock<form, kind, shape>& block,
                                                    const BackwardPoint& point, float dx) {
  const StepParams& p = block.p;
  float sum = block.own(own_dy);
  if (point.t + 1 == point.length) {
    if (block.step.dfinal_y != nullptr) sum += block.step.dfinal_y[point.b * p.N + block.own_column()];
  } else if (p.cell != Cell::feedforward && !resets(p, point.t + 1, point.b)) {
    sum += dx;  // adjoint
  }
  if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::hidden)
    sum = multiply_add(point.q, block.own(own_v), sum);  // adjoint
  return sum;
}

/// Adds the rate's gradient of step t to the sums of the owner's column.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void add_rates(const BackwardBlock<form, kind, shape>& block,
                                          const BackwardPoint& point) {
  const StepParams& p = block.p;
  const std::int64_t bj = point.b * p.N + block.own_column();
  if (p.rate == Rate::fixed) block.total(total_eta) += block.own(own_drate);
  if (block.step.drate != nullptr) block.step.drate[point.t * p.B * p.N + bj] = block.own(own_drate);
  if (p.modulator_weight == nullptr) return;
  if (p.rate == Rate::fan_out) {
    block.total(total_fan) =
        multiply_add(block.own(own_drate), block.own(own_M_now), block.total(total_fan));  // adjoint
    block.total(total_fan_bias) += block.own(own_drate);                                   // adjoint
  }
  block.total(total_v) = multiply_add(point.q, block.own(own_read), block.total(total_v));  // adjoint
  block.total(total_v0) += point.q;                                                         // adjoint
}

/// Writes dpre of step t for the rows of this block. All threads of the block call it.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ void write_dpre(const BackwardBlock<form, kind, shape>& block, int t, int b, bool exists) {
  const StepParams& p = block.p;
  const int share = block.run.shape.share(), first = block.exchange.rank * share;
  for (int k = static_cast<int>(threadIdx.x); k < share && first + k < p.P;
       k += static_cast<int>(blockDim.x)) {
    const float dx = take_row(block, t, k);
    if (exists && block.step.dpre != nullptr) block.step.dpre[(t * p.B + b) * p.P + first + k] = dx;
  }
}

/// The first part of step t: x̄ of step t + 1, the sums over all columns that need no barrier, and the
/// gradient of the owner's output, which it returns. All threads of the block call it.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ float begin_reads(BackwardBlock<form, kind, shape>& block, BackwardPoint& point) {
  const StepParams& p = block.p;
  const int t = static_cast<int>(point.t), b = static_cast<int>(point.b);
  const bool feedforward = p.cell == Cell::feedforward;
  receive_rows(block, t + 1);
  if (feedforward) write_dpre(block, t + 1, b, t + 1 < point.length);
  if (!block.in_owner_warp()) return 0;
  if (p.modulator_weight != nullptr) point.q = modulator_gradient(block, t);
  if (!block.owns()) return 0;
  const float dx = feedforward ? 0 : take_row(block, t + 1, static_cast<int>(threadIdx.x));
  const float doutput = gradient_of_output(block, point, dx);
  add_rates(block, point);
  if (p.activation == Activation::softmax) {
    const bool clamped = clamps(p, point.t, point.b, block.own_column());
    block.exchange.broadcast(block.layout.inner + block.own_column(),
                             block.global_inner() + block.own_column(),
                             clamped ? 0 : block.own(own_dpost) + doutput);
  }
  return doutput;
}

/// Softmax: Σ_j ȳ_j f_j, after a barrier of the group. All threads of the block call it.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ float softmax_inner(const BackwardBlock<form, kind, shape>& block, const BackwardPoint& point) {
  block.exchange.receive(block.global_inner(), block.N, [&](int j) { return block.layout.inner + j; });
  const float* f = block.step.record.unclamped.at(point.t + 1, point.b * block.p.N);
  const float* dy = block.inner();
  struct Term {
    float dy, f;
  };
  return fold_columns(
      block.N, 0,
      [&](int j) {
        return Term{dy[j], f[j]};
      },
      [](float part, const Term& term) { return multiply_add(term.dy, term.f, part); }, Add{});
}

/// Without a read, ā is zero.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void clear_da(const BackwardBlock<form, kind, shape>& block) {
  for (int gate = 0; gate < (block.p.lstm ? 4 : 1); ++gate) block.da(gate)[threadIdx.x] = 0;
}

/// Without an update, the factors keep the gradients.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void clear_factors(const BackwardBlock<form, kind, shape>& block) {
  block.factors(0)[threadIdx.x] = 1;
  block.factors(1)[threadIdx.x] = block.factors(2)[threadIdx.x] = 0;
}

/// Computes ā of the owner's column at step t, into shared memory and step.da.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void compute_da(BackwardBlock<form, kind, shape>& block,
                                           const BackwardPoint& point, float doutput) {
  const StepParams& p = block.p;
  const BackwardStep& step = block.step;
  const Record& record = step.record;
  const std::int64_t t = point.t, bj = point.b * p.N + block.own_column();
  const bool clamped = clamps(p, t, point.b, block.own_column()),
             softmax = p.activation == Activation::softmax;
  float da[4] = {};
  if (!p.lstm) {
    const float f = softmax ? *record.unclamped.at(t + 1, bj) : block.own(own_post_now);
    da[0] = current_gradient(p.activation, f, clamped ? 0 : block.own(own_dpost) + doutput, point.inner) +
            upstream_of_current(step, t, bj);
  } else {
    float dc = block.own(own_dc);
    if (t + 1 == point.length) {
      dc = step.dfinal_c == nullptr ? 0 : step.dfinal_c[bj];
    } else if (resets(p, t + 1, point.b)) {
      dc = 0;
    }
    if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::cell)
      dc = multiply_add(point.q, block.own(own_v), dc);  // adjoint
    const CellStep cell = recorded_cell(p, record, t, point.b, block.own_column());
    const float c_before = resets(p, t, point.b) ? 0 : *record.c.at(t, bj);
    block.own(own_dc) = reverse_lstm(cell, c_before, clamped, doutput, dc, block.own(own_dpost), da);
    da[2] += upstream_of_current(step, t, bj);
  }
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    if (gate > 0 && !p.lstm) continue;
    block.da(gate)[threadIdx.x] = da[gate];
    step.da[((t * p.B + point.b) * (p.lstm ? 4 : 1) + gate) * p.N + block.own_column()] = da[gate];
  }
}

/// Sets the inputs of the thread's columns. `updates`: an update is due.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void set_columns(const BackwardBlock<form, kind, shape>& block, bool updates,
                                            BackwardColumns<shape>& c) {
  const StepParams& p = block.p;
  c.da = block.da(p.lstm ? 2 : 0) + block.at.local;
  c.factors = block.factors(0) + block.at.local;
  c.width = block.width;
  c.matrix = block.run.shape.sums_alpha;
  c.read_clip = p.clip;
  c.side_clip = rounded_clip(p.clip).bound;
  c.limit = updates ? update_limit<form>(p.clip) : INFINITY;
  c.eta = 0;
  if constexpr (kind != Eligibility::none) c.eta = updates ? block.eta() : 0;
}

/// Stores the thread's sums over its rows.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void store_column_sums(const BackwardBlock<form, kind, shape>& block,
                                                  const BackwardColumns<shape>& c) {
  const auto store = [&](ColumnSum which) {
    store_class_sums(block.at, c.sums[which], block.parts(which), block.width);
  };
  store(sum_gain);
  const auto store_shared = [&](int which, ColumnSum to) {
    float s[BackwardColumns<shape>::own_classes][BackwardColumns<shape>::V];
#pragma unroll
    for (int own = 0; own < BackwardColumns<shape>::own_classes; ++own) {
      float* sums = block.class_sums(which) + own * chunk_stride;
      constexpr Chunk zero{};
      Chunk total;
      load_chunk(sums, total);
#pragma unroll
      for (int k = 0; k < BackwardColumns<shape>::V; ++k) s[own][k] = total[k];
      store_chunk(sums, zero);
    }
    store_class_sums(block.at, s, block.parts(to), block.width);
  };
  if (!c.matrix) store_shared(0, sum_alpha);
  if constexpr (shares_retention_sums<form, kind, shape>) {
    store_shared(1, sum_retention);
  } else if constexpr (has_retention<form>) {
    store(sum_retention);
  }
  if constexpr (kind != Eligibility::none) {
    store(sum_y);
    store(sum_eta);
  }
}

/// Adds up the sums of the owner's column, and broadcasts its part of the modulator's gradient of step t − 1.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void finish_column_sums(BackwardBlock<form, kind, shape>& block, int t, bool reads,
                                                   bool updates) {
  const StepParams& p = block.p;
  const auto total = [&](ColumnSum which) {
    return join_warps<shape>(block.parts(which) + threadIdx.x, block.width);
  };
  if (reads && !block.run.shape.sums_alpha) {
    float& sum = block.total(total_alpha);
    sum = multiply_add(block.da(p.lstm ? 2 : 0)[threadIdx.x], total(sum_alpha), sum);  // adjoint
  }
  if (!updates) return;
  RuleFactors<float> factors{0, total(sum_gain)};
  if constexpr (has_retention<form>) factors.retention = total(sum_retention);
  auto [rate, y] = resident_factors_adjoint<form, kind>(
      block.run.network.rule, block.own(own_rate), block.own(own_y), factors, RuleConstants<float>{p.clip});
  if constexpr (kind != Eligibility::none) {
    y += total(sum_y);
    block.total(total_eta) += total(sum_eta);
  }
  block.own(own_dpost) = y;
  block.own(own_drate) = rate;
  if (p.modulator_weight == nullptr) return;
  block.exchange.broadcast(block.dg_place(t - 1, block.own_column()),
                           block.global_dg(t - 1) + block.own_column(), rate);
}

}  // namespace plasticity::cuda

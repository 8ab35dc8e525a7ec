// The vectors of a resident backward step: what a block keeps beside the slices, what its owners know of
// their columns, and from the gradient of what a step showed to ā.
#pragma once

#include "resident/member.cuh"
#include "step/adjoint.cuh"

namespace plasticity::cuda {

/// What a backward block keeps in shared memory, and its group in global memory. (Accessors, so that what
/// stands in the parameters takes no registers.)
struct BackwardSlices {
  float* memory;
  const ResidentBackward& run;
  float* global;  // of a cooperative launch

  __device__ float* G() const { return memory + run.places.G; }
  __device__ float* GE() const { return memory + run.places.GE; }
  __device__ float* x(std::int64_t t) const {
    return memory + run.places.x + static_cast<int>(t % 2) * static_cast<int>(run.contents.P);
  }
  __device__ float* da() const { return memory + run.places.da; }
  __device__ float* carry() const { return memory + run.places.carry; }
  __device__ float* row_parts() const { return memory + run.places.row_parts; }
  __device__ float* parts() const { return memory + run.places.parts; }
  /// Of step t, from all blocks of the group: [G,rows] of this block.
  __device__ float* inbox(std::int64_t t) const {
    return memory + run.places.inbox + static_cast<int>(t % 2) * inbox_size();
  }
  __device__ float* inner() const { return memory + run.places.inner; }
  __device__ float* rates(std::int64_t t) const { return memory + run.places.rates + rates_slot(t); }

  /// The same in global memory, there of block `to`.
  __device__ float* global_inbox(std::int64_t t, int to) const {
    return global + (t % 2 * run.shape.blocks + to) * inbox_size();
  }
  __device__ float* global_inner() const {
    return global + 2 * run.shape.blocks * std::int64_t{inbox_size()};
  }
  __device__ float* global_rates(std::int64_t t) const {
    return global_inner() + run.contents.N + rates_slot(t);
  }

  __device__ int rows() const { return run.shape.rows; }
  __device__ int inbox_size() const { return run.shape.blocks * run.shape.rows; }

 private:
  __device__ int rates_slot(std::int64_t t) const {
    return static_cast<int>(t % 2) * static_cast<int>(run.contents.N);
  }
};

/// The owner's column, carried from step to step; and what it adds up over all of them, in shared memory.
struct ColumnCarry {
  float dpost = 0, drate = 0, dc = 0;
  float* sums;  // `stride` apart
  int stride;

  __device__ float& alpha() { return sums[0]; }
  __device__ float& eta() { return sums[stride]; }
  __device__ float& v() { return sums[2 * stride]; }
  __device__ float& v0() { return sums[3 * stride]; }
  __device__ float& fan() { return sums[4 * stride]; }
  __device__ float& fan_bias() { return sums[5 * stride]; }
};

/// x̄ of step t for row `row` of this block's rows: what all blocks of the group found.
__device__ inline float rows_total(const Member& at, const BackwardSlices& here, std::int64_t t, int row) {
  float sum = 0;
  if (at.kind == GroupKind::grid) {
    const float* box = here.global_inbox(t, at.rank);
    for (int from = 0; from < at.size; ++from) sum += load_exchange(box + from * here.rows() + row);
  } else {
    const float* box = here.inbox(t);
    for (int from = 0; from < at.size; ++from) sum += box[from * here.rows() + row];
  }
  return sum;
}

/// rows_total() of the owner's column, of a recurrent cell. In large groups its threads share the work. All
/// threads of the block call it.
__device__ inline float column_rows_total(const Member& at, const BackwardSlices& here, std::int64_t t) {
  constexpr int few = 16;
  if (at.size <= few) return at.owner ? rows_total(at, here, t, at.own) : 0;
  float sum = 0;
  if (at.inside) {
    const float* box = here.global_inbox(t, at.rank);
    for (int from = at.row_group; from < at.size; from += at.row_groups)
      sum += load_exchange(box + from * here.rows() + at.own);
    here.parts()[at.row_group * at.width + at.own] = sum;
  }
  __syncthreads();
  return at.owner ? group_total(here.parts(), at) : 0;
}

/// What the steps after t, and whoever looks at the outputs, want of the owner's output of step t.
/// `dx_next`: x̄ of step t + 1.
__device__ inline float resident_gradient_of_shown(const BackwardStep& step, const Moment& at, std::int64_t j,
                                                   float dx_next) {
  const Problem& p = step.problem;
  float sum = step.dy == nullptr ? 0 : step.dy[(at.t * p.B + at.b) * p.N + j];
  if (at.t + 1 == at.length) {
    if (step.dfinal_y != nullptr) sum += step.dfinal_y[at.b * p.N + j];
  } else if (p.cell != Cell::feedforward && !resets(p, at.t + 1, at.b)) {
    sum += dx_next;  // adjoint
  }
  if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::hidden)
    sum += at.q * p.modulator_weight[j];  // adjoint
  return sum;
}

/// ā of the owner's column at step t, into shared memory and memory.
__device__ inline void resident_column_gradients(const BackwardStep& step, const Member& at,
                                                 const BackwardSlices& here, const Moment& moment,
                                                 float dshown, ColumnCarry& carry) {
  const Problem& p = step.problem;
  const Record& record = step.record;
  const std::int64_t t = moment.t, bj = moment.b * p.N + at.column, tbj = t * p.B * p.N + bj;
  const bool clamped = p.clamp != nullptr && p.clamp[tbj] != 0;
  float da[4] = {};
  if (!p.lstm) {
    const Rows<float>& activated = p.activation == Activation::softmax ? record.activated : record.post;
    da[0] = through_activation(p.activation, *row_of(activated, t + 1, bj),
                               clamped ? 0 : carry.dpost + dshown, moment.inner);
  } else {
    float dc = carry.dc;
    if (t + 1 == moment.length) {
      dc = step.dfinal_c == nullptr ? 0 : step.dfinal_c[bj];
    } else if (resets(p, t + 1, moment.b)) {
      dc = 0;
    }
    if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::cell)
      dc += moment.q * p.modulator_weight[at.column];  // adjoint
    const float* gates = row_of(record.gates, t + 1, 3 * moment.b * p.N + at.column);
    CellStep cell{};
    cell.i = gates[0];
    cell.f = gates[p.N];
    cell.o = gates[2 * p.N];
    cell.post = *row_of(record.post, t + 1, bj);
    cell.c = *row_of(record.c, t + 1, bj);
    const float c_before = resets(p, t, moment.b) ? 0 : *row_of(record.c, t, bj);
    carry.dc = reverse_lstm(cell, c_before, clamped, dshown, dc, carry.dpost, da);
  }
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    if (gate > 0 && !p.lstm) continue;
    here.da()[gate * at.width + at.own] = da[gate];
    step.da[((t * p.B + moment.b) * (p.lstm ? 4 : 1) + gate) * p.N + at.column] = da[gate];
  }
}

/// What the rate's gradient of step t adds to the sums of the parameters.
__device__ inline void add_resident_rates(const BackwardStep& step, const Member& at, const Moment& moment,
                                          ColumnCarry& carry) {
  const Problem& p = step.problem;
  const std::int64_t t = moment.t, bj = moment.b * p.N + at.column;
  if (p.rate == Rate::fixed) carry.eta() += carry.drate;
  if (step.drate != nullptr) step.drate[t * p.B * p.N + bj] = carry.drate;
  if (p.modulator_weight == nullptr) return;
  if (p.rate == Rate::fan_out) {
    carry.fan() += carry.drate * *row_of(step.record.modulation, t + 1, moment.b);  // adjoint
    carry.fan_bias() += carry.drate;                                                // adjoint
  }
  const bool reads_cell = p.modulator_source == ModulatorSource::cell;
  carry.v() += moment.q * *row_of(reads_cell ? step.record.c : step.record.shown, t + 1, bj);  // adjoint
  carry.v0() += moment.q;                                                                      // adjoint
}

/// dpre of step t, from the rows of this block.
__device__ inline void write_dpre(const BackwardStep& step, const Member& at, const BackwardSlices& here,
                                  std::int64_t t, std::int64_t b) {
  const Problem& p = step.problem;
  if (step.dpre == nullptr) return;
  const int first = at.rank * here.rows();
  for (int k = static_cast<int>(threadIdx.x); k < here.rows() && first + k < p.P;
       k += static_cast<int>(blockDim.x))
    step.dpre[(t * p.B + b) * p.P + first + k] = rows_total(at, here, t, k);
}

/// Zeros where the sequence is longer than the element.
__device__ inline void clear_beyond(const BackwardStep& step, const Member& at, const BackwardSlices& here,
                                    std::int64_t b, std::int64_t length) {
  const Problem& p = step.problem;
  const std::int64_t width = p.lstm ? 4 : 1;
  for (std::int64_t t = length; t < p.T; ++t) {
    const std::int64_t tb = t * p.B + b;
    for (std::int64_t gate = 0; at.owner && gate < width; ++gate)
      step.da[(tb * width + gate) * p.N + at.column] = 0;
    if (at.owner && step.drate != nullptr) step.drate[tb * p.N + at.column] = 0;
    const int first = at.rank * here.rows();
    for (int k = static_cast<int>(threadIdx.x); step.dpre != nullptr && k < here.rows() && first + k < p.P;
         k += static_cast<int>(blockDim.x))
      step.dpre[tb * p.P + first + k] = 0;
  }
}

/// The gradients of the state before step 0, and the sums of the columns.
__device__ inline void end_reverse(const BackwardStep& step, const Member& at, std::int64_t b,
                                   std::int64_t length, float dx, ColumnCarry& carry) {
  const Problem& p = step.problem;
  if (!at.owner) return;
  const std::int64_t bj = b * p.N + at.column;
  const bool cut = length > 0 && resets(p, 0, b);
  const auto initial = [&](float carried, const float* final) {
    if (length > 0) return cut ? 0.0f : carried;
    return final == nullptr ? 0.0f : final[bj];
  };
  if (p.cell != Cell::feedforward && step.dinitial_y != nullptr)
    step.dinitial_y[bj] = initial(dx, step.dfinal_y);
  if (step.dinitial_c != nullptr) step.dinitial_c[bj] = initial(carry.dc, step.dfinal_c);
  step.sum_alpha[bj] = carry.alpha();
  step.sum_eta[bj] = carry.eta();
  step.sum_v[bj] = carry.v();
  if (at.column == 0) step.sum_v0[b] = carry.v0();
  step.sum_fan[bj] = carry.fan();
  step.sum_fan_bias[bj] = carry.fan_bias();
}

/// The sums at the beginning of step t that need all columns. All threads of the block call it.
__device__ inline float modulator_gradient(const BackwardStep& step, const Member& at,
                                           const BackwardSlices& here, std::int64_t t, std::int64_t b) {
  const Problem& p = step.problem;
  if (p.modulator_weight == nullptr) return 0;
  float* rates = here.rates(t);
  at.pull(rates, here.global_rates(t), p.N);
  const float M = *row_of(step.record.modulation, t + 1, b);
  const auto rate_of = [&](std::int64_t j) { return rates[j]; };
  const float total = warp_total(p.N, rate_of, Add{}, 0);
  return total * (1 - M * M);  // adjoint
}

}  // namespace plasticity::cuda

// The vectors of a resident backward step: a block's shared memory, the values that owners carry for their
// columns, and the way from the gradient of the output to ā.
#pragma once

#include "resident/group_block.cuh"
#include "step/adjoint.cuh"

namespace plasticity::cuda {

/// The shared memory of a backward block, and its group's part of global memory. Offsets are read from the
/// kernel's parameters at every access and take no registers.
struct BackwardShared {
  float* memory;
  const ResidentBackward& run;
  float* global;  // of a cooperative launch

  template <Eligibility kind>
  __device__ TracePointers<kind, float> gradients(int place) const {
    return {memory + run.layout.G + place, memory + run.layout.GE + place};
  }
  __device__ float* x(std::int64_t t) const {
    return memory + run.layout.x + static_cast<int>(t % 2) * static_cast<int>(run.network.P);
  }
  __device__ float* da() const { return memory + run.layout.da; }
  __device__ float* carry() const { return memory + run.layout.carry; }
  __device__ float* row_parts() const { return memory + run.layout.row_parts; }
  __device__ float* parts() const { return memory + run.layout.parts; }
  /// x̄ of step t from all blocks of the group: [G,rows] of this block.
  __device__ float* inbox(std::int64_t t) const {
    return memory + run.layout.inbox + static_cast<int>(t % 2) * inbox_size();
  }
  __device__ float* inner() const { return memory + run.layout.inner; }
  __device__ float* dg(std::int64_t t) const { return memory + run.layout.dg + dg_slot(t); }

  /// The inbox of block `to` in global memory.
  __device__ float* global_inbox(std::int64_t t, int to) const {
    return global + (t % 2 * run.shape.blocks + to) * inbox_size();
  }
  __device__ float* global_inner() const {
    return global + 2 * run.shape.blocks * std::int64_t{inbox_size()};
  }
  __device__ float* global_dg(std::int64_t t) const { return global_inner() + run.network.N + dg_slot(t); }

  __device__ int rows() const { return run.shape.rows; }
  __device__ int inbox_size() const { return run.shape.blocks * run.shape.rows; }

 private:
  __device__ int dg_slot(std::int64_t t) const {
    return static_cast<int>(t % 2) * static_cast<int>(run.network.N);
  }
};

/// The carried values of a column's owner, and its sums over all steps in shared memory.
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

/// x̄ of step t for row `row` of this block's rows, summed over the blocks of the group.
__device__ inline float dx_of_row(const GroupBlock& block, const BackwardShared& shared, std::int64_t t,
                                  int row) {
  float sum = 0;
  if (block.kind == GroupKind::grid) {
    const float* box = shared.global_inbox(t, block.rank);
    for (int from = 0; from < block.size; ++from) sum += load_exchange(box + from * shared.rows() + row);
  } else {
    const float* box = shared.inbox(t);
    for (int from = 0; from < block.size; ++from) sum += box[from * shared.rows() + row];
  }
  return sum;
}

/// x̄ of step t for the owner's column, in a recurrent cell. In large groups the column's threads share the
/// work. All threads of the block call it.
__device__ inline float dx_of_column(const GroupBlock& block, const BackwardShared& shared, std::int64_t t) {
  constexpr int small_group = 16;
  if (block.size <= small_group) return block.owner ? dx_of_row(block, shared, t, block.own) : 0;
  float sum = 0;
  if (block.inside) {
    const float* box = shared.global_inbox(t, block.rank);
    for (int from = block.row_group; from < block.size; from += block.row_groups)
      sum += load_exchange(box + from * shared.rows() + block.own);
    shared.parts()[block.row_group * block.width + block.own] = sum;
  }
  __syncthreads();
  return block.owner ? row_group_sum(shared.parts(), block) : 0;
}

/// The gradient of the modulator's input, v . y + v0, after step t. All threads of the block call it.
__device__ inline float modulator_gradient(const BackwardStep& step, const GroupBlock& block,
                                           const BackwardShared& shared, std::int64_t t, std::int64_t b) {
  const StepParams& p = step.params;
  if (p.modulator_weight == nullptr) return 0;
  float* dg = shared.dg(t);
  block.receive(dg, shared.global_dg(t), p.N);
  const float M = *step.record.modulation.at(t + 1, b);
  const auto term = [&](std::int64_t j) { return dg[j]; };
  const float total = warp_fold(p.N, term, Add{}, 0);
  return total * (1 - M * M);  // adjoint
}

/// Computes ā of the owner's column at step t, into shared memory and step.da. `doutput`: the gradient of its
/// output.
__device__ inline void resident_column_gradients(const BackwardStep& step, const GroupBlock& block,
                                                 const BackwardShared& shared, const BackwardPoint& point,
                                                 float doutput, ColumnCarry& carry) {
  const StepParams& p = step.params;
  const Record& record = step.record;
  const std::int64_t t = point.t, bj = point.b * p.N + block.column;
  const bool clamped = clamps(p, t, point.b, block.column);
  float da[4] = {};
  if (!p.lstm) {
    const TimeSlots<float>& f = p.activation == Activation::softmax ? record.unclamped : record.post;
    da[0] =
        current_gradient(p.activation, *f.at(t + 1, bj), clamped ? 0 : carry.dpost + doutput, point.inner);
  } else {
    float dc = carry.dc;
    if (t + 1 == point.length) {
      dc = step.dfinal_c == nullptr ? 0 : step.dfinal_c[bj];
    } else if (resets(p, t + 1, point.b)) {
      dc = 0;
    }
    if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::cell)
      dc += point.q * p.modulator_weight[block.column];  // adjoint
    const CellStep cell = recorded_cell(p, record, t, point.b, block.column);
    const float c_before = resets(p, t, point.b) ? 0 : *record.c.at(t, bj);
    carry.dc = reverse_lstm(cell, c_before, clamped, doutput, dc, carry.dpost, da);
  }
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    if (gate > 0 && !p.lstm) continue;
    shared.da()[gate * block.width + block.own] = da[gate];
    step.da[((t * p.B + point.b) * (p.lstm ? 4 : 1) + gate) * p.N + block.column] = da[gate];
  }
}

/// Adds the rate's gradient of step t to the sums of the owner's column.
__device__ inline void add_resident_rates(const BackwardStep& step, const GroupBlock& block,
                                          const BackwardPoint& point, ColumnCarry& carry) {
  const StepParams& p = step.params;
  const std::int64_t t = point.t, bj = point.b * p.N + block.column;
  if (p.rate == Rate::fixed) carry.eta() += carry.drate;
  if (step.drate != nullptr) step.drate[t * p.B * p.N + bj] = carry.drate;
  if (p.modulator_weight == nullptr) return;
  if (p.rate == Rate::fan_out) {
    carry.fan() += carry.drate * *step.record.modulation.at(t + 1, point.b);  // adjoint
    carry.fan_bias() += carry.drate;                                          // adjoint
  }
  carry.v() += point.q * *modulator_input(p, step.record).at(t + 1, bj);  // adjoint
  carry.v0() += point.q;                                                  // adjoint
}

/// Writes dpre of step t for the rows of this block.
__device__ inline void write_dpre(const BackwardStep& step, const GroupBlock& block,
                                  const BackwardShared& shared, std::int64_t t, std::int64_t b) {
  const StepParams& p = step.params;
  if (step.dpre == nullptr) return;
  const int first = block.rank * shared.rows();
  for (int k = static_cast<int>(threadIdx.x); k < shared.rows() && first + k < p.P;
       k += static_cast<int>(blockDim.x))
    step.dpre[(t * p.B + b) * p.P + first + k] = dx_of_row(block, shared, t, k);
}

/// Zeros for the steps beyond the element's length.
__device__ inline void clear_beyond(const BackwardStep& step, const GroupBlock& block,
                                    const BackwardShared& shared, std::int64_t b, std::int64_t length) {
  const StepParams& p = step.params;
  const std::int64_t width = p.lstm ? 4 : 1;
  for (std::int64_t t = length; t < p.T; ++t) {
    const std::int64_t tb = t * p.B + b;
    for (std::int64_t gate = 0; block.owner && gate < width; ++gate)
      step.da[(tb * width + gate) * p.N + block.column] = 0;
    if (block.owner && step.drate != nullptr) step.drate[tb * p.N + block.column] = 0;
    const int first = block.rank * shared.rows();
    for (int k = static_cast<int>(threadIdx.x); step.dpre != nullptr && k < shared.rows() && first + k < p.P;
         k += static_cast<int>(blockDim.x))
      step.dpre[tb * p.P + first + k] = 0;
  }
}

/// Writes the gradients of y and c before step 0, and the sums of the owner's column.
__device__ inline void end_reverse(const BackwardStep& step, const GroupBlock& block, std::int64_t b,
                                   std::int64_t length, float dx, ColumnCarry& carry) {
  const StepParams& p = step.params;
  if (!block.owner) return;
  const std::int64_t bj = b * p.N + block.column;
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
  if (block.column == 0) step.sum_v0[b] = carry.v0();
  step.sum_fan[bj] = carry.fan();
  step.sum_fan_bias[bj] = carry.fan_bias();
}

}  // namespace plasticity::cuda

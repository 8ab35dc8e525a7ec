// The connections of a thread in a replay, and the inputs of their updates from a tape.
#pragma once

#include "replay/launch.hpp"
#include "step/complete.cuh"
#include "step/traces.cuh"

namespace plasticity::cuda {

/// A thread's V neighbouring columns of neighbouring rows, in a tile of 64 rows and 32 columns.
template <int V>
struct ReplayTile {
  static constexpr int rows = replayed_connections / V, lanes = tile_columns / V;
  std::int64_t row, column;
  std::int64_t outer;  // the group of batch elements, or the element, of the block
  int existing;        // rows
  bool exists;

  __device__ explicit ReplayTile(const StepParams& p) {
    const unsigned tiles = static_cast<unsigned>(p.tiles),
                   row_tiles = static_cast<unsigned>((p.P + replay_tile_rows - 1) / replay_tile_rows);
    const unsigned index = blockIdx.x / tiles;
    column = std::int64_t{blockIdx.x % tiles} * tile_columns + threadIdx.x % lanes * V;
    row = std::int64_t{index % row_tiles} * replay_tile_rows + threadIdx.x / lanes * rows;
    outer = index / row_tiles;
    exists = column < p.N && row < p.P;
    existing = exists ? static_cast<int>(p.P - row < rows ? p.P - row : rows) : 0;
  }
};

/// The inputs of a thread's trace updates, step by step, from a tape: x of its rows, and the factors of its
/// columns. Pointers advance from step to step.
template <Form form, Eligibility kind, int V>
class ReplayedSteps {
 public:
  static constexpr int rows = ReplayTile<V>::rows;
  float x[rows];
  UpdateConstants<float> constants;

  /// At step t of batch element b.
  __device__ __forceinline__ ReplayedSteps(const StepParams& p, const Record& record, std::int64_t t,
                                           std::int64_t b, const ReplayTile<V>& at)
      : constants{kind == Eligibility::none ? 0 : *p.eta, update_limit<form>(p.clip)},
        feedforward_(p.cell == Cell::feedforward),
        x_row_(feedforward_ ? p.pre + (t * p.B + b) * p.P + at.row : record.output.at(t, b * p.N + at.row)),
        x_stride_(in_register(feedforward_ ? p.B * p.P : record.output.stride)),
        post_row_(record.post.at(t + 1, b * p.N + at.column)),
        post_stride_(record.post.stride),
        modulation_(p.modulator_weight == nullptr ? p.eta : record.modulation.at(t + 1, b)),
        modulation_stride_(p.modulator_weight == nullptr ? 0 : record.modulation.stride),
        column_(at.column),
        step_at_(t * p.B + b) {
#pragma unroll
    for (int r = 0; r < rows; ++r) offset_[r] = r < at.existing ? r : 0;
    if (p.rate == Rate::fan_out) {
      load_row(p.fan_out_weight + at.column, weight_);
      load_row(p.fan_out_bias + at.column, bias_);
    } else {
#pragma unroll
      for (int k = 0; k < V; ++k) {
        weight_[k] = p.rate == Rate::modulated ? 1 : 0;
        bias_[k] = p.rate == Rate::fixed ? *p.eta : 0;
      }
    }
  }

  /// Whether a reset precedes the step.
  __device__ __forceinline__ bool resets(const StepParams& p) const {
    return p.reset != nullptr && p.reset[step_at_] != 0;
  }

  /// Loads the inputs of the current step. Without a fan-out the rate is 1 M + 0, 0 η + η, or the
  /// caller's. A row that does not exist has x of another.
  __device__ __forceinline__ void load(const StepParams& p, bool zeroed) {
    float rate[V];
    load_tape_row(post_row_, y_);
#pragma unroll
    for (int r = 0; r < rows; ++r) x[r] = __ldg(x_row_ + offset_[r]);
    if (p.rate == Rate::external) {
      load_row(p.external_rate + (step_at_ * p.N + column_), rate);
    } else {
      const float M = *modulation_;
#pragma unroll
      for (int k = 0; k < V; ++k) rate[k] = multiply_add(M, weight_[k], bias_[k]);
    }
    compute_factors<form, kind>(p, rate, y_, retention_, gain_);
    if (zeroed && !feedforward_) {
#pragma unroll
      for (int r = 0; r < rows; ++r) x[r] = 0;
    }
  }
  __device__ __forceinline__ void advance(const StepParams& p) {
    x_row_ += x_stride_;
    post_row_ += post_stride_;
    modulation_ += modulation_stride_;
    step_at_ += p.B;
  }
  __device__ __forceinline__ ColumnFactors<float> factors(int k) const {
    return {retention_[k], gain_[k], y_[k]};
  }

 private:
  bool feedforward_;
  const float* x_row_;
  std::int64_t x_stride_;
  const float* post_row_;
  std::int64_t post_stride_;
  const float* modulation_;
  std::int64_t modulation_stride_;
  std::int64_t column_, step_at_;  // the step's index among [T,B]
  int offset_[rows];
  float y_[V], retention_[V], gain_[V];
  float weight_[V], bias_[V];  // of Rate::fan_out
};

}  // namespace plasticity::cuda

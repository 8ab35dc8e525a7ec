// The connections of a thread in a replay, and the inputs of their updates from a tape.
#pragma once

#include "replay/launch.hpp"
#include "step/complete.cuh"
#include "step/traces.cuh"

namespace plasticity::cuda {

constexpr int replay_tile_rows = 64;                                                   // per block
constexpr int replayed_connections = replay_tile_rows * tile_columns / block_threads;  // per thread

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

  /// x of the thread's rows; 0 for those that do not exist.
  __device__ __forceinline__ void load(const Activities& x, float (&values)[rows]) const {
#pragma unroll
    for (int r = 0; r < rows; ++r) values[r] = x.zero || r >= existing ? 0 : __ldg(x.row + row + r);
  }
};

/// The factors of a thread's columns in the updates of one batch element.
template <Form form, Eligibility kind, int V>
struct ReplayedColumns {
  float y[V], kept[V], drive[V];
  UpdateConstants<float> constants;
  float weight[V], bias[V];  // of Rate::fan_out

  __device__ __forceinline__ ReplayedColumns(const StepParams& p, std::int64_t column) {
    constants = {kind == Eligibility::none ? 0 : *p.eta, update_limit<form>(p.clip)};
    if (p.rate == Rate::fan_out) {
      load_row(p.fan_out_weight + column, weight);
      load_row(p.fan_out_bias + column, bias);
    } else {
#pragma unroll
      for (int k = 0; k < V; ++k) {
        weight[k] = p.rate == Rate::modulated ? 1 : 0;
        bias[k] = p.rate == Rate::fixed ? *p.eta : 0;
      }
    }
  }
  /// Those of step t. Without a fan-out the rate is 1 M + 0, 0 M + η, or the caller's.
  __device__ __forceinline__ void load(const StepParams& p, const Record& record, std::int64_t t,
                                       std::int64_t b, std::int64_t column) {
    float rate[V];
    load_row(record.post.at(t + 1, b * p.N + column), y);
    if (p.rate == Rate::external) {
      load_row(p.external_rate + (t * p.B + b) * p.N + column, rate);
    } else {
      const float M = recorded_modulation(p, record, t, b);
#pragma unroll
      for (int k = 0; k < V; ++k) rate[k] = multiply_add(M, weight[k], bias[k]);
    }
    compute_factors<form, kind>(p, rate, y, kept, drive);
  }
  __device__ __forceinline__ ColumnFactors<float> factors(int k) const { return {kept[k], drive[k], y[k]}; }
};

}  // namespace plasticity::cuda

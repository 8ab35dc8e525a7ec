// The pass over a thread's connections in one step of backward:
//   G += α x ā;  x̄_i += (w + α φ(H)) ā_j;  ᾱ_ij += x_i ā_j φ(H)                the plastic read of step t
//   G ← adjoint of the trace update of step t−1;  x̄(t−1)_i, and the sums of the column's factors
// G is in registers, w, α and ᾱ in shared memory. H before step t − 1 comes from the replayed segment, asked
// for some chunks ahead and across steps (TraceRing); H before step t is computed from it again. The same
// code runs in every step: without a read ā is zero, without an update (at t = 0, or at a reset between the
// two) the factors keep G.
#pragma once

#include "resident/row_sums.cuh"
#include "resident/segment.cuh"

namespace plasticity::cuda {

/// Chunks of the traces that a thread asks for before it needs them: as many as registers allow.
template <Form form, Eligibility kind, ThreadShape shape>
constexpr int ring_chunks = [] {
  constexpr bool eligible = kind != Eligibility::none;
  if (eligible && shape == ThreadShape::rows_16x4) return 1;
  if (max_threads(shape, form, eligible) <= 256) return 4;
  return form == Form::clipped && shape == ThreadShape::rows_8x4 ? 2 : 1;
}();

/// The next chunks of the traces.
template <Form form, Eligibility kind, ThreadShape shape>
struct TraceRing {
  static constexpr int depth = ring_chunks<form, kind, shape>;
  Chunk h[depth], e[depth];
};

/// ā of the thread's columns and the factors of their update.
template <int V>
struct BackwardFactors {
  float da[V], retention[V], gain[V], y[V];
};

/// The inputs of a pass for one thread, and its sums per class and column.
template <ThreadShape shape>
struct BackwardColumns {
  static constexpr int V = Place<shape>::V, own_classes = Place<shape>::traits.classes;
  const float *da,
      *factors;  // in shared memory: ā of the thread's columns; retention, gain and y, `width` apart
  int width;
  float eta, limit;            // limit: of the update's clamp; infinite if there is no update
  float read_clip, side_clip;  // of φ, and of its adjoint: rounded if the trace is
  bool matrix;                 // ᾱ is summed per connection, not per column
  float sums[column_sums][own_classes][V] = {};
};

template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ BackwardFactors<Place<shape>::V> load_factors(const BackwardColumns<shape>& c) {
  BackwardFactors<Place<shape>::V> f{};
  load_own_columns(c.da, f.da);
  if constexpr (has_retention<form>) load_own_columns(c.factors, f.retention);
  load_own_columns(c.factors + c.width, f.gain);
  if constexpr (kind != Eligibility::none) load_own_columns(c.factors + 2 * c.width, f.y);
  return f;
}

/// Whether a thread loads the factors again for every chunk, since it has no registers to keep them.
template <Form form, Eligibility kind, ThreadShape shape>
constexpr bool reloads_factors = max_threads(shape, form, kind != Eligibility::none) > 256;

/// Whether the sums of the retention's gradient are in shared memory, since a thread has no registers for
/// them.
template <Form form, Eligibility kind, ThreadShape shape>
constexpr bool shares_retention_sums =
    has_retention<form>&& reloads_factors<form, kind, shape>&& shape == ThreadShape::rows_8x4_half;

/// A value on the side of the clip on which forward's update was, from two traces of a bfloat16 tape. A trace
/// at its clip was not clipped if the update ends exactly there. `unclamped`: of the update of the restored
/// trace `before`.
template <Form form>
__device__ __forceinline__ float side_of_clip(float now, float unclamped, float side_clip, float clip) {
  if constexpr (form == Form::clipped) {
    if (!is_cut<form>(now, side_clip)) return 0;
    return std::abs(unclamped) == clip ? 0 : INFINITY;
  }
  return unclamped;
}

/// The values of a chunk in a pass: x of its rows, and its terms of x̄(t) and of x̄(t−1).
struct ChunkTerms {
  float x[4], x_before[4], read[4], update[4];
};

/// One chunk. Replaces its gradients G and GE. `now`: H before step t as recorded, if `rounded`. `dalpha`: in
/// shared memory, unless another kernel adds it up.
template <Form form, Eligibility kind, bool rounded, ThreadShape shape>
__device__ __forceinline__ void reverse_chunk(Chunk& G, Chunk& GE, const Chunk& h, const Chunk& e,
                                              const Chunk& now, const Chunk& w, const Chunk& alpha,
                                              float* dalpha, float* alpha_sums,
                                              [[maybe_unused]] float* retention_sums, int own_class,
                                              const BackwardFactors<Place<shape>::V>& f,
                                              BackwardColumns<shape>& c, ChunkTerms& terms) {
  const UpdateConstants<float> constants{c.eta, c.limit};
  constexpr bool shared_retention = shares_retention_sums<form, kind, shape>;
  Chunk product, value;
  [[maybe_unused]] Chunk retention;
  if constexpr (shared_retention) load_chunk(retention_sums, retention);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const int j = Place<shape>::column_in(k);
    const ColumnFactors<float> column{f.retention[j], f.gain[j], f.y[j]};
    float after = e[k];
    const float drive = presynaptic_drive<kind>(after, terms.x_before[k], column.y, c.eta);
    const float unclamped = unclamped_update<form>(h[k], drive, column);
    float passes = unclamped, current = unclamped;
    if constexpr (rounded) {
      current = now[k];
      passes = side_of_clip<form>(current, unclamped, c.side_clip, c.limit);
    } else if constexpr (form == Form::clipped || form == Form::soft) {
      current = clamp(unclamped, c.limit);
    }
    value[k] = read_trace<form>(current, c.read_clip);
    product[k] = rounded_product(terms.x[k], f.da[j]);
    const float through = through_read<form>(current, rounded ? c.side_clip : c.read_clip, product[k]);
    G[k] = multiply_add(alpha[k], through, G[k]);                                      // adjoint
    terms.read[k] = rounded_product(multiply_add(alpha[k], value[k], w[k]), f.da[j]);  // adjoint
    ColumnGradients<float> sums{shared_retention ? retention[k] : c.sums[sum_retention][own_class][j],
                                c.sums[sum_gain][own_class][j], c.sums[sum_y][own_class][j],
                                c.sums[sum_eta][own_class][j]};
    const float dx = reverse_connection<form, kind>(G[k], GE[k], h[k], e[k], terms.x_before[k], passes,
                                                    column, constants, sums);
    if constexpr (has_retention<form>)
      (shared_retention ? retention[k] : c.sums[sum_retention][own_class][j]) = sums.retention;
    c.sums[sum_gain][own_class][j] = sums.gain;
    if constexpr (kind != Eligibility::none) {
      c.sums[sum_y][own_class][j] = sums.y;
      c.sums[sum_eta][own_class][j] = sums.eta;
    }
    terms.update[k] = rounded_product(dx, presynaptic_factor<kind>(column));  // adjoint
  }
  if constexpr (shared_retention) store_chunk(retention_sums, retention);
  if (c.matrix) {
    Chunk total;
    load_chunk(dalpha, total);
#pragma unroll
    for (int k = 0; k < 4; ++k) total[k] = multiply_add(product[k], value[k], total[k]);  // adjoint
    store_chunk(dalpha, total);
  } else {
    Chunk total;
    load_chunk(alpha_sums, total);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      float& sum = total[Place<shape>::column_in(k)];
      sum = multiply_add(terms.x[k], value[k], sum);  // adjoint
    }
    store_chunk(alpha_sums, total);
  }
}

/// The values that four rows of a pass need besides G and the traces. Pointers into shared memory are the
/// thread's own.
template <Form form, Eligibility kind, ThreadShape shape>
struct BackwardRows {
  const BackwardBlock<form, kind, shape>& block;
  const float *x, *x_before;
  const float* source;               // of the traces before step t − 1, in the segment
  const __nv_bfloat16* rounded_now;  // [P,N] H before step t on a bfloat16 tape, or null
  RowSender<form, kind, shape> sender;

  __device__ BackwardRows(const BackwardBlock<form, kind, shape>& backward, int t)
      : block(backward), sender(backward, t) {}
};

/// w and alpha of a chunk.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void load_weights_of(const BackwardBlock<form, kind, shape>& block, int chunk,
                                                Chunk& w, Chunk& alpha) {
  load_chunk(block.memory + block.layout.w + block.at.chunk + chunk * chunk_stride, w);
  load_chunk(block.memory + block.layout.alpha + block.at.chunk + chunk * chunk_stride, alpha);
}

/// Loads the first chunks of a pass, before anything else of its step is known.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void fill_ring(const BackwardBlock<form, kind, shape>& block, const float* source,
                                          TraceRing<form, kind, shape>& ring) {
  const int chunks = block.at.chunks;
#pragma unroll
  for (int k = 0; k < ring.depth; ++k)
    if (k < chunks) load_replayed(block, source, k, ring.h[k], ring.e[k]);
}

/// The pass. All threads of the block call it: they add up rows together.
template <Form form, Eligibility kind, bool rounded, ThreadShape shape>
__device__ __forceinline__ void backward_pass(BackwardBlock<form, kind, shape>& block,
                                              const BackwardRows<form, kind, shape>& rows,
                                              TraceRing<form, kind, shape>& ring, BackwardColumns<shape>& c) {
  constexpr ThreadTraits traits = Place<shape>::traits;
  constexpr int V = traits.columns;
  constexpr bool eligible = kind != Eligibility::none;
  const Place<shape>& at = block.at;
  const int chunks = block.at.chunks;
  [[maybe_unused]] float* dalpha = block.memory + block.layout.dalpha + at.chunk;
  float *alpha_sums = block.class_sums(0), *retention_sums = block.class_sums(1);
  BackwardFactors<V> loaded{};
  if constexpr (!reloads_factors<form, kind, shape>) loaded = load_factors<form, kind>(c);
  const auto one_chunk = [&](int chunk, ChunkTerms& terms) {
    const int own_class = V == 4 ? chunk % Place<shape>::traits.classes : 0;
    Chunk w, alpha, now{};
    load_weights_of(block, chunk, w, alpha);
    Chunk h, e{};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      h[k] = ring.h[chunk % ring.depth][k];
      if constexpr (eligible) e[k] = ring.e[chunk % ring.depth][k];
    }
    if constexpr (rounded)
      load_trace_chunk(at, rows.rounded_now, block.p.P, block.p.N, is_wide(rows.rounded_now, block.p.N),
                       chunk, now);
    reverse_chunk<form, kind, rounded>(
        block.gradients.h[chunk], block.gradients.e[eligible ? chunk : 0], h, e, now, w, alpha,
        dalpha + chunk * chunk_stride, alpha_sums + own_class * chunk_stride,
        retention_sums + own_class * chunk_stride, own_class,
        reloads_factors<form, kind, shape> ? load_factors<form, kind>(c) : loaded, c, terms);
    if (chunk + ring.depth < Place<shape>::max_chunks && chunk + ring.depth < chunks)
      load_replayed(block, rows.source, chunk + ring.depth, ring.h[chunk % ring.depth],
                    ring.e[chunk % ring.depth]);
  };
#pragma unroll
  for (int r = 0; r < traits.max_rows; r += 4) {
    if (r >= at.rows) break;
    Chunk x, x_before;
    load_chunk(rows.x + r, x);
    load_chunk(rows.x_before + r, x_before);
    float v[8] = {};
    if constexpr (V == 1) {
      ChunkTerms terms;
#pragma unroll
      for (int k = 0; k < 4; ++k) terms.x[k] = x[k], terms.x_before[k] = x_before[k];
      one_chunk(r / 4, terms);
#pragma unroll
      for (int k = 0; k < 4; ++k) v[k] = terms.read[k], v[4 + k] = terms.update[k];
    } else {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        ChunkTerms terms;
#pragma unroll
        for (int j = 0; j < 4; ++j) terms.x[j] = x[k], terms.x_before[j] = x_before[k];
        one_chunk(r + k, terms);
        v[k] = join_columns(terms.read);
        v[4 + k] = join_columns(terms.update);
      }
    }
    rows.sender.send(r, v);
  }
}

/// In an LSTM: the gates' part of each row's sum over the tile, Σ_j of the gate weights and ā of the gates,
/// for the sender to add. All threads of the block call it.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void gate_rows(const BackwardBlock<form, kind, shape>& block) {
  constexpr int V = Place<shape>::V;
  const Place<shape>& at = block.at;
  const std::int64_t N = block.p.N;
  const int own = row_sum_of_lane<4>();
#pragma unroll 1
  for (int r = 0; r < at.rows; r += 4) {
    float v[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int i = at.row_of(r + k);
      float leaf[V] = {};
#pragma unroll 1
      for (int gate = 0; gate < 3; ++gate) {
        const float* w = block.p.w_gates + (3 * std::int64_t{i} + gate) * N + at.column;
        const float* da = block.da(gate == 2 ? 3 : gate) + at.local;
#pragma unroll
        for (int j = 0; j < V; ++j) {
          const float weight = i < N && j < at.existing ? __ldg(w + j) : 0;
          leaf[j] = gate == 0 ? rounded_product(weight, da[j]) : multiply_add(weight, da[j], leaf[j]);
        }
      }
      v[k] = join_columns(leaf);
    }
    const float sum = share_row_sums(v);
    const int i = at.row_of(r + own);
    if ((threadIdx.x & 4) == 0 && i < N) block.gates(Place<shape>::tile())[block.x_place(i)] = sum;
  }
  // The sender of a row's sum is another thread of the warp.
  __syncwarp();  // mutate: skip, the executor's shuffles order the lanes too
}

}  // namespace plasticity::cuda

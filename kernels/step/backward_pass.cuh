// The pass of a step over the traces of a block's columns, backward. For every connection:
//   G += α x ā;  x̄_i += (w + α φ(H)) ā_j;  ᾱ_j += x_i ā_j φ(H)               the plastic read of step t
//   G ← adjoint of the trace update of step t−1;  x̄(t−1)_i, and the sums of the column's factors
// H before step t is recomputed from the trace before step t−1, or read from a bfloat16 tape of every step. A
// thread has V columns of every 32nd row (V = 4), or of every 8th (V = 1). With V = 4 and float traces it
// copies the rows of a regular launch ahead (ahead.cuh). One or two batch elements share the loads of w and
// α. The sums over a row's columns go through one tree of shuffles for all rows, elements and parts.
#pragma once

#include "step/ahead.cuh"
#include "step/sums.cuh"
#include "step/traces.cuh"

namespace plasticity::cuda {

/// The inputs and outputs of a thread for one batch element. Pointers are at the thread's first row and
/// column.
template <Eligibility kind, class Trace, int V>
struct ElementGradient {
  bool reads, updates;                    // the two parts of a launch
  bool cut;                               // a reset between them
  const float *x, *x_before;              // null: zero
  TracePointers<kind, const Trace> tape;  // before step t − 1; if there is no update, before step t
  const Trace* tape_now;                  // H before step t, on a bfloat16 tape of every step
  TracePointers<kind, const float> in;    // the gradient of the traces; null: zero
  TracePointers<kind, float> out;         // null: not wanted
  float *dx_read, *dx_update;             // [P] of the tile, at the thread's first row
  float da[V], retention[V], gain[V], y[V];
  UpdateConstants<float> constants;

  __device__ __forceinline__ ColumnFactors<float> factors(int k) const {
    return {retention[k], gain[k], y[k]};
  }
};

/// A thread's sums over rows.
template <Form form, Eligibility kind, int V>
struct GradientSums {
  ThreadSums<V> gain, retention, y, eta,
      alpha;  // of those that the form and the eligibility do not have, none is used
};

/// The clips of a pass: of φ, which is the rule's, and of its adjoint: rounded if the trace is.
struct Clips {
  float read, side;
};

/// A value on the side of the clip on which forward's update was: from two traces on the tape, `before` and
/// `after`. A trace at its clip was not clipped if the update ends exactly there. To find that out, the
/// update is computed again without a clip, from the restored trace.
template <Form form, Eligibility kind>
__device__ __forceinline__ float side_of_clip(float after, float before, float eligibility, float x,
                                              const ColumnFactors<float>& column,
                                              const UpdateConstants<float>& constants, float clip) {
  const float drive = presynaptic_drive<kind>(eligibility, x, column.y, constants.eta);
  if constexpr (form == Form::clipped) {
    if (!is_cut<form>(after, rounded_clip(clip).bound)) return 0;
    const float end = unclamped_update<form>(restored<form>(before, clip), drive, column);
    return std::abs(end) == clip ? 0 : INFINITY;
  }
  return unclamped_update<form>(before, drive, column);
}

/// The operands of one row for one batch element.
template <Eligibility kind, int V>
struct ElementRow {
  float x = 0, x_before = 0;                // of steps t and t − 1
  TracePair<kind, V> before{}, gradient{};  // the traces on the tape, and the gradient of the traces
  float now[V] = {};                        // H before step t, if it is on the tape
};

/// A row's terms of x̄_i (read) and of x̄(t−1)_i (update), summed over the thread's columns.
struct RowTerms {
  float read, update;
};

/// Both parts for one row. Replaces row.gradient, and adds to the sums of class `c`. `regular`: both parts
/// are due, without a reset.
template <Form form, Eligibility kind, class Trace, int V, bool regular, bool sums_alpha>
__device__ __forceinline__ RowTerms reverse_row(const ElementGradient<kind, Trace, V>& e, const Clips& clips,
                                                ElementRow<kind, V>& row, const float (&w)[V],
                                                const float (&alpha)[V], GradientSums<form, kind, V>& s,
                                                int c) {
  constexpr bool rounded16 = sizeof(Trace) < sizeof(float);
  const bool reads = regular || e.reads, updates = regular || e.updates, cut = !regular && e.cut;
  float into_x[V] = {}, into_x_before[V] = {};
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const ColumnFactors<float> column = e.factors(k);
    const float h = row.before.h[k];
    float &G = row.gradient.h[k], &GE = row.gradient.e[k];
    float eligibility = row.before.e[k];
    const float drive = presynaptic_drive<kind>(eligibility, row.x_before, column.y, e.constants.eta);
    float side = unclamped_update<form>(h, drive, column), now = row.now[k];
    if constexpr (!rounded16) {
      now = updates ? clamped_update<form>(side, e.constants.limit) : h;
      if (cut) now = 0;
    }
    if (reads) {
      const float read = read_trace<form>(now, clips.read), product = rounded_product(row.x, e.da[k]);
      G = multiply_add(alpha[k], through_read<form>(now, clips.side, product), G);         // adjoint
      if constexpr (sums_alpha) s.alpha[c][k] = multiply_add(row.x, read, s.alpha[c][k]);  // adjoint
      into_x[k] = rounded_product(multiply_add(alpha[k], read, w[k]), e.da[k]);            // adjoint
    }
    if (cut) G = GE = 0;
    if (updates) {
      if constexpr (rounded16)
        side =
            side_of_clip<form, kind>(now, h, row.before.e[k], row.x_before, column, e.constants, clips.read);
      ColumnGradients<float> sums{s.retention[c][k], s.gain[c][k], s.y[c][k], s.eta[c][k]};
      const float dx = reverse_connection<form, kind>(G, GE, h, row.before.e[k], row.x_before, side, column,
                                                      e.constants, sums);
      if constexpr (has_retention<form>) s.retention[c][k] = sums.retention;
      s.gain[c][k] = sums.gain;
      if constexpr (kind != Eligibility::none) {
        s.y[c][k] = sums.y;
        s.eta[c][k] = sums.eta;
      }
      into_x_before[k] = rounded_product(dx, presynaptic_factor<kind>(column));  // adjoint
    }
  }
  return {join_columns<V>(into_x), join_columns<V>(into_x_before)};
}

/// The address at which this thread stores its row sum of an iteration, see share_row_sums(). Null: another
/// thread has it.
template <int V, int elements, int rows, class Element>
__device__ __forceinline__ float* address_of_row_sum(const Element* e, int which, int& row) {
  row = 0;
  float* address = nullptr;
#pragma unroll
  for (int b = 0; b < elements; ++b) {
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      if (which == (b * rows + r) * 2) address = e[b].dx_read + r * ThreadTile<V>::groups, row = r;
      if (which == (b * rows + r) * 2 + 1) address = e[b].dx_update + r * ThreadTile<V>::groups, row = r;
    }
  }
  return address;
}

/// Whether a regular pass copies its rows ahead.
template <class Trace, int V>
constexpr bool copies_ahead = V == 4 && sizeof(Trace) == sizeof(float);

/// The rows that a regular pass copies ahead, per element H and its gradient, then E and its gradient.
template <Eligibility kind, int elements>
using BackwardAhead = RowsAhead<backward_streams(kind, elements), backward_stages<kind, elements>>;

template <Eligibility kind, int elements>
__device__ __forceinline__ BackwardAhead<kind, elements> rows_ahead(
    const StepParams& p, const ThreadTile<4>& at, RowPart* shared, const ElementGradient<kind, float, 4>* e) {
  constexpr int groups = ThreadTile<4>::groups, traces = kind == Eligibility::none ? 2 : 4,
                w = traces * elements;
  const std::int64_t row = groups * p.N;
  BackwardAhead<kind, elements> ahead(shared, at.rows(p.P), p.alpha_row != 0);
#pragma unroll
  for (int b = 0; b < elements; ++b) {
    ahead.set(traces * b, e[b].tape.hebb, row);
    ahead.set(traces * b + 1, e[b].in.hebb, row);
    if constexpr (kind != Eligibility::none) {
      ahead.set(traces * b + 2, e[b].tape.eligibility, row);
      ahead.set(traces * b + 3, e[b].in.eligibility, row);
    }
  }
  ahead.set(w, p.w + at.group * p.N + at.loaded, row);
  ahead.set(w + 1, p.alpha + at.group * p.alpha_row + at.loaded, groups * p.alpha_row);
  return ahead;
}

/// The pass for `elements` batch elements that all have both parts, no reset, and all pointers, from rows
/// that are copied ahead. `sums_alpha`: ᾱ is summed over rows (α is not a matrix). All threads of the block
/// call it.
template <Form form, Eligibility kind, int elements, bool sums_alpha>
__device__ __forceinline__ void reverse_rows_ahead(const StepParams& p, const ThreadTile<4>& at,
                                                   const Clips& clips, BackwardAhead<kind, elements>& ahead,
                                                   ElementGradient<kind, float, 4>* e,
                                                   GradientSums<form, kind, 4>* s) {
  constexpr int V = 4, groups = ThreadTile<V>::groups, traces = kind == Eligibility::none ? 2 : 4,
                streams = traces * elements, stages = backward_stages<kind, elements>, count = 2 * elements;
  static_assert(classes_per_thread<V> == 1);
  // Without a matrix α is one value per column or one in all.
  const bool matrix = p.alpha_row != 0;
  float alpha[V], x[elements], x_before[elements];
#pragma unroll
  for (int k = 0; k < V; ++k) alpha[k] = matrix ? 0 : p.alpha[(at.loaded + k) * p.alpha_column];
  int row_stored;
  float* address = address_of_row_sum<V, elements, 1>(e, row_sum_of_lane<V, count>(), row_stored);
  // All threads of a warp take part in every tree of shuffles, also those whose columns do not exist: they
  // load the tile's first columns, and their factors and ā are zero.
  const int own = at.rows(p.P), total = at.max_rows(p.P);
#pragma unroll
  for (int b = 0; b < elements; ++b) {
    x[b] = own > 0 ? __ldg(e[b].x) : 0;
    x_before[b] = own > 0 ? __ldg(e[b].x_before) : 0;
  }
#pragma unroll 1
  for (int first = 0; first < total; first += stages) {
#pragma unroll
    for (int stage = 0; stage < stages; ++stage) {
      if (first + stage >= total) break;
      ahead.next(stage);
      float sums[count] = {}, x_next[elements], x_before_next[elements];
#pragma unroll
      for (int b = 0; b < elements; ++b) {
        x_next[b] = x_before_next[b] = 0;
        if (first + stage + 1 >= own) continue;
        x_next[b] = __ldg(e[b].x + (stage + 1) * groups);
        x_before_next[b] = __ldg(e[b].x_before + (stage + 1) * groups);
      }
      if (first + stage < own) {
        float w[V];
        ahead.load(stage, streams, w);
        if (matrix) ahead.load(stage, streams + 1, alpha);
#pragma unroll
        for (int b = 0; b < elements; ++b) {
          ElementRow<kind, V> row{x[b], x_before[b]};
          ahead.load(stage, traces * b, row.before.h);
          ahead.load(stage, traces * b + 1, row.gradient.h);
          if constexpr (kind != Eligibility::none) {
            ahead.load(stage, traces * b + 2, row.before.e);
            ahead.load(stage, traces * b + 3, row.gradient.e);
          }
          const auto terms =
              reverse_row<form, kind, float, V, true, sums_alpha>(e[b], clips, row, w, alpha, s[b], 0);
          if (at.inside) {  // in place
            TracePointers<kind, float> out{const_cast<float*>(ahead.present(traces * b + 1)), nullptr};
            if constexpr (kind != Eligibility::none)
              out.eligibility = const_cast<float*>(ahead.present(traces * b + 3));
            row.gradient.store(out);
          }
          sums[2 * b] = terms.read;
          sums[2 * b + 1] = terms.update;
        }
      }
      const float sum = share_row_sums<V, count>(sums);
      if (address != nullptr && first + stage < own) address[stage * groups] = sum;
#pragma unroll
      for (int b = 0; b < elements; ++b) {
        x[b] = x_next[b], x_before[b] = x_before_next[b];
      }
    }
    if (address != nullptr) address += stages * groups;
#pragma unroll
    for (int b = 0; b < elements; ++b) {
      e[b].x += stages * groups;
      e[b].x_before += stages * groups;
    }
  }
}

/// The pass of one batch element. `regular`: it has both parts, no reset, and all pointers. `sums_alpha`: as
/// above. All threads of the block call it.
template <Form form, Eligibility kind, class Trace, int V, bool regular, bool sums_alpha>
__device__ __forceinline__ void reverse_rows(const StepParams& p, const ThreadTile<V>& at, const Clips& clips,
                                             ElementGradient<kind, Trace, V>& e,
                                             GradientSums<form, kind, V>& s) {
  constexpr bool rounded16 = sizeof(Trace) < sizeof(float);
  constexpr int groups = ThreadTile<V>::groups, rows = regular ? backward_rows<V> : classes_per_thread<V>,
                count = 2 * rows;
  static_assert(rows % classes_per_thread<V> == 0);
  const std::int64_t distance = std::int64_t{groups} * p.N;
  const bool matrix = p.alpha_row != 0;
  const float* w_row = p.w + at.group * p.N + at.loaded;
  const float* alpha_row = p.alpha + at.group * p.alpha_row + at.loaded * p.alpha_column;
  float alpha[rows][V];
#pragma unroll
  for (int r = 0; r < rows; ++r) {
#pragma unroll
    for (int k = 0; k < V; ++k) alpha[r][k] = matrix ? 0 : alpha_row[k * p.alpha_column];
  }
  int row_stored;
  float* address = address_of_row_sum<V, 1, rows>(&e, row_sum_of_lane<V, count>(), row_stored);
  const auto reverse_next = [&](int existing) {
    ElementRow<kind, V> loaded[rows];
    float w[rows][V], sums[count] = {};
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      if (r >= existing) continue;
      ElementRow<kind, V>& row = loaded[r];
      const std::int64_t offset = r * distance;
      row.before.load_hebb(e.tape + offset);
      if (regular || e.updates) row.before.load_eligibility(e.tape + offset);
      if constexpr (rounded16) load_columns(e.tape_now + offset, row.now);
      if constexpr (regular) {
        row.gradient.load(e.in + offset);
      } else {
        row.gradient.load_existing(e.in, offset);
      }
      if (regular || e.x != nullptr) row.x = __ldg(e.x + r * groups);
      if (regular || e.x_before != nullptr) row.x_before = __ldg(e.x_before + r * groups);
      load_weights(w_row + offset, w[r]);
      if (matrix) load_weights(alpha_row + offset, alpha[r]);
    }
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      if (r >= existing) continue;
      ElementRow<kind, V>& row = loaded[r];
      const auto terms = reverse_row<form, kind, Trace, V, regular, sums_alpha>(e, clips, row, w[r], alpha[r],
                                                                                s, r % classes_per_thread<V>);
      if (at.inside) {
        if constexpr (regular) {
          row.gradient.store(e.out + r * distance);
        } else {
          row.gradient.store_existing(e.out, r * distance);
        }
      }
      sums[2 * r] = terms.read;
      sums[2 * r + 1] = terms.update;
    }
    const float sum = share_row_sums<V, count>(sums);
    if (address != nullptr && row_stored < existing) *address = sum;
    if (regular || e.x != nullptr) e.x += rows * groups;
    if (regular || e.x_before != nullptr) e.x_before += rows * groups;
    e.tape = e.tape + rows * distance;
    if constexpr (rounded16) e.tape_now += rows * distance;
    if (regular || e.in.hebb != nullptr) e.in.hebb += rows * distance;
    if (regular || e.out.hebb != nullptr) e.out.hebb += rows * distance;
    if constexpr (kind != Eligibility::none) {
      if (regular || e.in.eligibility != nullptr) e.in.eligibility += rows * distance;
      if (regular || e.out.eligibility != nullptr) e.out.eligibility += rows * distance;
    }
    w_row += rows * distance;
    if (matrix) alpha_row += rows * distance;
    if (address != nullptr) address += rows * groups;
  };
  // All threads of a warp take part in every tree of shuffles, also those whose columns do not exist: they
  // load the tile's first columns, and their factors and ā are zero.
  const int own = at.rows(p.P), whole = at.min_rows(p.P), total = at.max_rows(p.P);
  int done = 0;
  if constexpr (regular) {
#pragma unroll 1
    for (; done + rows <= whole; done += rows) reverse_next(rows);
  }
#pragma unroll 1
  for (; done < total; done += rows) reverse_next(own - done < rows ? own - done : rows);
}

}  // namespace plasticity::cuda

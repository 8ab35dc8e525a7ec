#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/arena.hpp"
#include "cpu/rounded_traces.hpp"
#include "cpu/sweeps/bfloat16.hpp"
#include "cpu/sweeps/cells.hpp"
#include "cpu/sweeps/products.hpp"
#include "cpu/sweeps/sweeps.hpp"
#include "cpu/threads/team.hpp"
#include "plan/backend.hpp"

// The CPU backend: the batch is shared out among threads, time runs inside, so that a batch element's trace
// stays in the cache of one core for the whole sequence; threads without an element share the sweeps of the
// others' (team.hpp). The trace update of a step is folded into the sweep that does the next step's plastic
// read, and on the way back the read's adjoint into the one of the update before it. Forward keeps the trace
// of every K-th step on the tape, backward replays the steps between. Rows of N are padded (layout.hpp) in
// all memory of its own.
namespace plasticity::cpu {

/// Large pieces begin at different places within a page: the same element of several matrices then falls into
/// different sets of the first cache, and a load does not wait for a store that only looks as if it were to
/// the same address. A piece of no elements is not null: where a step's row would begin is worked out for
/// what a cell does not have, too.
class StaggeredArena : public Arena {
 public:
  using Arena::Arena;
  template <class T>
  T* take(std::int64_t count) {
    if (rounded<T>(count) >= large) move_to(whole_pages() + large_++ % (page / apart) * apart);
    return place<T>(count);
  }
  /// Whole pages where there are large pieces, so that blocks side by side are carved alike.
  std::size_t bytes() const { return large_ == 0 ? Arena::bytes() : whole_pages(); }

  static constexpr std::size_t page = 4096, large = 32 << 10, apart = 256;

 private:
  std::size_t whole_pages() const { return (Arena::bytes() + page - 1) / page * page; }
  std::size_t large_ = 0;
};

/// Numbers from one trace to the next where traces stand one behind the other: whole pages, if they are
/// large.
template <class Real>
std::int64_t trace_distance(const Spec& spec) {
  const std::int64_t size = spec.presynaptic() * padded<Real>(spec.neurons);
  constexpr std::int64_t page = StaggeredArena::page / sizeof(Real),
                         large = StaggeredArena::large / sizeof(Real);
  return size < large ? size : (size + page - 1) / page * page;
}

/// Padded copies of w and alpha: of their whole rows, or only of the rows' ends, which the sweeps cannot read
/// where they are. Rows that are not aligned cost two cache lines a load, and the pages of a caller's matrix
/// may crowd in the second cache; so a sequence, which passes over them many times, has copies of the whole.
template <class Real>
struct ParameterCopies {
  std::int64_t width;  // of a copied row: N padded, or row_lanes
  Real* w;             // [P,width]
  Real* alpha;         // [P,width]; [N] where one row serves all

  ParameterCopies(const Spec& spec, bool whole, StaggeredArena& arena);
  /// Makes the copies.
  Connection<Real> connect(const Spec& spec, const Parameters<const Real>& parameters) const;
};

/// What forward leaves for backward, for one batch element. What the cell does not use has no elements.
template <class Real, class Trace>
struct TapeElement {
  Real* y0;            // [N] the state that the sequence began with; lstm: h
  Real* c0;            // [N] lstm
  Real* out;           // [T,N] y, lstm: h
  Real* post;          // [T,N] postsynaptic activity (the same memory as `out` except in an lstm)
  Real* activated;     // [T,N] softmax before the clamp (elsewhere the same memory as `post`)
  Real* c;             // [T,N] lstm
  Real* gates;         // [T,3,N] lstm: i f o after the sigmoid
  Real* modulation;    // [T]
  Trace* hebb;         // [ceil(T/K),P,N] trace before every K-th step (and see RoundedTraces::needs_last())
  Trace* eligibility;  // likewise

  TapeElement(const Spec& spec, std::int64_t steps, std::int64_t interval, StaggeredArena& arena);
};

/// What one thread works in while it runs an element forward.
template <class Real>
struct ForwardSpace {
  static constexpr std::int64_t chunk = 16;  // steps whose input currents are computed together
  static constexpr std::int64_t ring = 2;    // steps whose vectors are kept when there is no tape
  Real* y0;                                  // [N]
  Real* c0;                                  // [N] lstm
  Real* zeros;                               // [max(P,N)]
  Real* currents;                            // [chunk,gates,N]
  Real* out;                                 // [ring,N]
  Real* post;                                // [ring,N] (the same memory as `out` except in an lstm)
  Real* c;                                   // [ring,N] lstm
  Real* gates;                               // [3,N] lstm
  Real* rate;                                // [N] of the step whose update is pending
  Real* hebb;                                // [P,N]
  Real* eligibility;                         // [P,N]

  ForwardSpace(const Spec& spec, StaggeredArena& arena);
};

/// Gradient sums of a group of batch elements; the groups are added up in order at the end. The groups depend
/// on the batch alone, so the sums have the same bits for any number of threads.
template <class Real>
struct GroupSums {
  Real* alpha;             // [P,N], or [N] where alpha is not per connection
  Real* eta;               // [N]
  Real* modulator_weight;  // [N]
  Real* modulator_bias;    // [1]
  Real* fan_out_weight;    // [N]
  Real* fan_out_bias;      // [N]

  GroupSums(const Spec& spec, StaggeredArena& arena);
};

/// What one thread works in while it runs an element backward.
template <class Real>
struct BackwardSpace {
  static constexpr std::int64_t kept_every = 3;
  Real* G;     // [P,N]
  Real* GE;    // [P,N]
  Real* hebb;  // [ceil(K/kept_every),P,N] traces of a segment, from its checkpoint on, trace_distance() apart
  Real* eligibility;             // likewise
  Real* rates;                   // [K,N] of the segment's steps
  UpdateFactors<Real>* updates;  // [K] of the segment's steps
  Real* dx_read;                 // [shares,P] by the read of the step at hand
  Real* dx_update[2];            // [shares,P] by its update, and by that of the step before it
  Real* dx;                      // [max(P,N)]
  Real* dout;                    // [N]
  Real* dc;                      // [N]
  Real* dy;                      // [N]
  Real* drate;                   // [N]

  BackwardSpace(const Spec& spec, std::int64_t interval, StaggeredArena& arena);
};

template <class Real, class Trace>
class CpuPlan final : public TypedBackend<Real> {
 public:
  CpuPlan(const Spec& spec, const PlanOptions& options);

  std::int64_t checkpoint_interval() const override { return interval_; }
  std::size_t tape_bytes() const override { return tape_bytes_; }
  std::size_t scratch_bytes() const override { return scratch_bytes_; }
  std::size_t step_state_bytes() const override { return step_state_bytes_; }

  void enqueue_forward(Stream, const ForwardArgs<Real>& args, Tape tape, Scratch scratch) const override;
  void enqueue_backward(Stream, const BackwardArgs<Real>& args, Tape tape, Scratch scratch) const override;
  void enqueue_load(Stream, const State<const Real>& state, StepState step_state) const override;
  void enqueue_step(Stream, const StepArgs<Real>& args, StepState step_state, Scratch scratch) const override;
  void enqueue_store(Stream, const State<Real>& state, StepState step_state) const override;

 private:
  struct ForwardPass;       // a forward pass under way (forward.cpp)
  struct BackwardPass;      // a backward pass under way (backward.cpp)
  struct StepStateElement;  // the state of a network that is stepped (step.cpp)

  /// The input currents of steps t0 .. t0+count-1 of element b, [count,gates,N]: x W_in + b, or u.
  void input_currents(const Parameters<const Real>& parameters, const Inputs<const Real>& inputs,
                      std::int64_t b, std::int64_t t0, std::int64_t count, Real* currents) const;
  /// h(t-1) W_gates of `elements` elements, added to their currents of i, f and o, at some columns.
  void add_gate_products(const Parameters<const Real>& parameters, int elements, const Real* const* h,
                         Real* const* currents, Columns columns) const;
  StepStateElement step_state_element(StepState step_state, std::int64_t b) const;

  /// Groups of batch elements whose gradients are summed apart, and the elements in each but perhaps the
  /// last.
  std::int64_t group_size() const { return (options_.batch + 15) / 16; }
  std::int64_t groups() const {
    return options_.batch == 0 ? 0 : (options_.batch + group_size() - 1) / group_size();
  }
  /// What a step passes through is best kept in the second cache, of which a thread commonly has this much.
  /// (A constant, since it decides in which order gradients are added up.)
  static constexpr std::int64_t second_cache = 1 << 20;
  /// And all threads together this much of the last one.
  static constexpr std::int64_t last_cache = 16 << 20;
  std::int64_t working_set(std::int64_t matrices) const {
    return matrices * trace_distance<Real>(spec_) * static_cast<std::int64_t>(sizeof(Real));
  }
  /// Matrices that one element's step passes through: forward its trace, w and alpha; backward two traces
  /// (the gradient's and the trace), w, alpha and alpha's gradient.
  std::int64_t forward_matrices() const { return spec_.alpha == Granularity::connection ? 3 : 2; }
  std::int64_t backward_matrices() const { return spec_.alpha == Granularity::connection ? 5 : 3; }
  /// Whether elements side by side, one a thread, would crowd each other out of the last cache.
  bool crowds(std::int64_t matrices) const {
    return options_.device.threads() * working_set(matrices) > last_cache;
  }
  /// Whether a checkpoint leaves the last cache before backward comes to it. It is then copied past the
  /// caches; if it stays, the sweeps go on where it stands.
  bool outgrows_cache() const { return tape_bytes_ > static_cast<std::size_t>(last_cache); }
  /// Elements of a group that go back step by step together.
  std::int64_t together() const {
    return working_set(backward_matrices() + 2) > second_cache
               ? 1
               : std::min<std::int64_t>(group_size(), elements_together);
  }
  std::size_t tape_element_bytes(std::int64_t interval) const;
  TapeElement<Real, Trace> tape_element(Tape tape, std::int64_t b) const;
  std::int64_t choose_interval() const;
  int workers() const {
    return static_cast<int>(std::clamp<std::int64_t>(options_.batch, 1, options_.device.threads()));
  }
  std::size_t forward_space_bytes() const;
  std::size_t backward_space_bytes() const;
  std::size_t forward_scratch_bytes() const;
  std::size_t backward_scratch_bytes() const;
  std::size_t step_state_element_bytes() const;

  Spec spec_;
  PlanOptions options_;
  const Sweeps<Real>& sweeps_;
  const Cells<Real>& cells_;
  const Products<Real>& products_;
  std::int64_t interval_;
  std::size_t tape_bytes_, scratch_bytes_, step_state_bytes_;
};

/// Copies traces between the caller's type and the stored one.
template <class From, class To>
void convert(const From* source, To* destination, std::int64_t count) {
  if constexpr (std::is_same_v<From, To>) {
    if (source != destination) std::copy_n(source, count, destination);
  } else if constexpr (std::is_same_v<To, Bfloat16>) {
    std::transform(source, source + count, destination, [](From value) { return to_bfloat16(value); });
  } else {
    std::transform(source, source + count, destination, [](From value) { return to_float(value); });
  }
}

/// From a caller's rows of N to padded ones; zeros where there is no source.
template <class From, class To>
void pad_rows(const From* source, std::int64_t rows, std::int64_t N, To* destination) {
  const std::int64_t stride = padded<To>(N);
  for (std::int64_t row = 0; row < rows; ++row) {
    if (source != nullptr) convert(source + row * N, destination + row * stride, N);
    const std::int64_t known = source == nullptr ? 0 : N;
    std::fill_n(destination + row * stride + known, stride - known, To{});
  }
}

/// From padded rows to a caller's; nothing where there is no destination.
template <class Real>
void unpad_rows(const Real* source, std::int64_t rows, std::int64_t N, Real* destination) {
  if (destination == nullptr) return;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::copy_n(source + row * padded<Real>(N), N, destination + row * N);
  }
}

/// A piece of a caller's tensor, or null where there is no tensor.
template <class Real>
Real* at(Real* tensor, std::int64_t offset) {
  return tensor == nullptr ? nullptr : tensor + offset;
}

}  // namespace plasticity::cpu

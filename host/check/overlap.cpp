#include "check/overlap.hpp"

#include <array>
#include <cstdint>
#include <type_traits>

#include "base/throw_error.hpp"

namespace plasticity {
namespace {

/// The tensors of one call: where each lies, and whether it is written.
class Pieces {
 public:
  Pieces(const Spec& spec, std::int64_t steps, std::int64_t batch) : spec_(spec), T_(steps), B_(batch) {}

  template <class Real>
  void add(const char* group, const Parameters<Real>& tensors) {
    add_group(group, tensors, [&](std::string_view name) { return parameter_shape(spec_, name); });
  }
  template <class Real>
  void add(const char* group, const Inputs<Real>& tensors) {
    add_group(group, tensors, [&](std::string_view name) { return input_shape(spec_, T_, B_, name); });
  }
  /// What comes in and what goes out of one state share a `twin`, and may share their memory; 0: there is
  /// none.
  template <class Real>
  void add(const char* group, const State<Real>& tensors, int twin) {
    twin_ = twin;
    add_group(group, tensors, [&](std::string_view name) { return state_shape(spec_, B_, name); });
    twin_ = 0;
  }
  template <class Real>
  void add(const Masks<Real>& masks) {
    const std::int64_t rows = T_ * B_, all = rows * spec_.neurons;
    add("masks.", "reset", masks.reset, rows);
    add("masks.", "length", masks.length, B_);
    add("masks.", "clamp", masks.clamp, all);
    add("masks.", "clamp_value", masks.clamp_value, all);
  }
  template <class T>
  void add(const char* group, std::string_view name, T* data, std::int64_t elements) {
    add_bytes(group, name, data, static_cast<std::size_t>(elements) * sizeof(T), !std::is_const_v<T>);
  }
  void add(const char* name, const Memory& memory, bool written = true) {
    add_bytes("", name, memory.data, memory.bytes, written);
  }

  void check() const {
    for (std::size_t a = 0; a < count_; ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        if (meet(pieces_[a], pieces_[b])) refuse(pieces_[a], pieces_[b]);
      }
    }
  }

 private:
  struct Piece {
    const char* group;
    std::string_view name;
    std::uintptr_t begin, end;
    bool written;
    int twin;
  };

  template <class Group, class ShapeOf>
  void add_group(const char* group, const Group& tensors, ShapeOf shape_of) {
    for (const auto& member : Group::members()) {
      if (tensors.*member.pointer == nullptr) continue;
      if (const auto shape = shape_of(member.name)) {
        add(group, member.name, tensors.*member.pointer, shape->elements());
      }
    }
  }
  void add_bytes(const char* group, std::string_view name, const void* data, std::size_t bytes,
                 bool written) {
    if (data == nullptr || bytes == 0) return;
    const auto begin = reinterpret_cast<std::uintptr_t>(data);
    pieces_.at(count_++) = {group, name, begin, begin + bytes, written, twin_};
  }
  static bool meet(const Piece& a, const Piece& b) {
    if (!a.written && !b.written) return false;
    if (a.twin != 0 && a.twin == b.twin && a.name == b.name && a.begin == b.begin) return false;
    return a.begin < b.end && b.begin < a.end;
  }
  [[noreturn]] static void refuse(const Piece& a, const Piece& b) {
    const Piece &written = a.written ? a : b, &other = a.written ? b : a;
    bad_argument(str_cat(written.group, written.name), "memory of its own",
                 str_cat("some that ", other.group, other.name, " is in too"));
  }

  const Spec& spec_;
  std::int64_t T_, B_;
  int twin_ = 0;
  std::array<Piece, 64> pieces_;  // more than any call has; no allocation
  std::size_t count_ = 0;
};

}  // namespace

template <class Real>
void check_overlap(const Spec& spec, std::int64_t steps, std::int64_t batch, const ForwardArgs<Real>& args,
                   const Memory& tape, const Memory& scratch) {
  Pieces pieces(spec, steps, batch);
  pieces.add("parameters.", args.parameters);
  pieces.add("inputs.", args.inputs);
  pieces.add(args.masks);
  pieces.add("initial_state.", args.initial_state, 1);
  pieces.add("", "y", args.y, steps * batch * spec.neurons);
  pieces.add("", "modulation", args.modulation, steps * batch);
  pieces.add("final_state.", args.final_state, 1);
  pieces.add("tape", tape);
  pieces.add("scratch", scratch);
  pieces.check();
}

template <class Real>
void check_overlap(const Spec& spec, std::int64_t steps, std::int64_t batch, const BackwardArgs<Real>& args,
                   const Memory& tape, const Memory& scratch) {
  Pieces pieces(spec, steps, batch);
  pieces.add("parameters.", args.parameters);
  pieces.add("inputs.", args.inputs);
  pieces.add(args.masks);
  pieces.add("", "dy", args.dy, steps * batch * spec.neurons);
  pieces.add("dfinal_state.", args.dfinal_state, 1);
  pieces.add("dparameters.", args.dparameters);
  pieces.add("dinputs.", args.dinputs);
  pieces.add("dinitial_state.", args.dinitial_state, 1);
  pieces.add("tape", tape, false);
  pieces.add("scratch", scratch);
  pieces.check();
}

template <class Real>
void check_overlap(const Spec& spec, std::int64_t batch, const StepArgs<Real>& args, const Memory& step_state,
                   const Memory& scratch) {
  Pieces pieces(spec, 1, batch);
  pieces.add("parameters.", args.parameters);
  pieces.add("inputs.", args.inputs);
  pieces.add(args.masks);
  pieces.add("", "y", args.y, batch * spec.neurons);
  pieces.add("", "modulation", args.modulation, batch);
  pieces.add("step_state", step_state);
  pieces.add("scratch", scratch);
  pieces.check();
}

template <class Real>
void check_overlap(const Spec& spec, std::int64_t batch, const State<Real>& state, const Memory& step_state) {
  Pieces pieces(spec, 1, batch);
  pieces.add("state.", state, 0);
  pieces.add("step_state", step_state);
  pieces.check();
}

#define PLASTICITY_INSTANTIATE(Real)                                                              \
  template void check_overlap(const Spec&, std::int64_t, std::int64_t, const ForwardArgs<Real>&,  \
                              const Memory&, const Memory&);                                      \
  template void check_overlap(const Spec&, std::int64_t, std::int64_t, const BackwardArgs<Real>&, \
                              const Memory&, const Memory&);                                      \
  template void check_overlap(const Spec&, std::int64_t, const StepArgs<Real>&, const Memory&,    \
                              const Memory&);                                                     \
  template void check_overlap(const Spec&, std::int64_t, const State<Real>&, const Memory&);      \
  template void check_overlap(const Spec&, std::int64_t, const State<const Real>&, const Memory&);
PLASTICITY_INSTANTIATE(float)
PLASTICITY_INSTANTIATE(double)
#undef PLASTICITY_INSTANTIATE

}  // namespace plasticity

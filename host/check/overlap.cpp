#include "check/overlap.hpp"

#include <array>
#include <cstdint>
#include <type_traits>

#include "base/throw_error.hpp"
#include "model/for_each_tensor.hpp"

namespace plasticity {
namespace {

/// Whether two ranges of addresses that are not empty overlap.
bool overlap(std::uintptr_t begin, std::uintptr_t end, std::uintptr_t other_begin, std::uintptr_t other_end) {
  return begin < other_end && other_begin < end;
}

/// The memory regions of one call's tensors.
class MemoryRegions {
 public:
  MemoryRegions(const TensorSizes& sizes, std::int64_t steps, std::int64_t batch)
      : sizes_(sizes), T_(steps), B_(batch) {}

  /// Adds the tensors of Parameters, Inputs or State. A tensor may share its memory with the tensor of the
  /// same name in another group that has the same `alias_group`. 0: it may not.
  template <class Group>
  void add(const char* group, const Group& tensors, int alias_group = 0) {
    for_each_tensor(sizes_, T_, B_, tensors,
                    [&](std::string_view name, auto* pointer, const std::optional<Shape>& shape) {
                      if (pointer != nullptr && shape) {
                        add_tensor(group, name, pointer, shape->elements(), alias_group);
                      }
                    });
  }
  template <class Real>
  void add(const Masks<Real>& masks) {
    const std::int64_t rows = T_ * B_, all = rows * sizes_.N;
    add_tensor("masks.", "reset", masks.reset, rows);
    add_tensor("masks.", "length", masks.length, B_);
    add_tensor("masks.", "clamp", masks.clamp, all);
    add_tensor("masks.", "clamp_value", masks.clamp_value, all);
  }
  template <class T>
  void add_tensor(const char* group, std::string_view name, T* data, std::int64_t elements,
                  int alias_group = 0) {
    const bool written = !std::is_const_v<T>;
    add_bytes(group, name, data, static_cast<std::size_t>(elements) * sizeof(T), written, alias_group);
  }
  void add_memory(const char* name, const Memory& memory, bool written = true) {
    add_bytes("", name, memory.data, memory.bytes, written, 0);
  }

  void check() const {
    for (std::size_t a = 0; a < count_; ++a) {
      if (!regions_[a].written) continue;
      for (std::size_t b = 0; b < count_; ++b) {
        const bool is_pair_of_b = regions_[b].written && b >= a;  // each pair of outputs is compared once
        if (!is_pair_of_b && conflict(regions_[a], regions_[b])) throw_overlap(regions_[a], regions_[b]);
      }
    }
  }

 private:
  struct Region {
    const char* group;
    std::string_view name;
    std::uintptr_t begin, end;
    bool written;
    int alias_group;
  };

  void add_bytes(const char* group, std::string_view name, const void* data, std::size_t bytes, bool written,
                 int alias_group) {
    if (data == nullptr || bytes == 0) return;
    const auto begin = reinterpret_cast<std::uintptr_t>(data);
    regions_.at(count_++) = {group, name, begin, begin + bytes, written, alias_group};
  }
  /// Whether two regions overlap, of which at least one is written.
  static bool conflict(const Region& a, const Region& b) {
    if (!overlap(a.begin, a.end, b.begin, b.end)) return false;
    const bool may_alias = a.alias_group != 0 && a.alias_group == b.alias_group && a.name == b.name;
    return !may_alias || a.begin != b.begin;
  }
  [[noreturn, gnu::cold]] static void throw_overlap(const Region& written, const Region& other) {
    throw Error(ErrorCode::invalid_argument,
                str_cat(written.group, written.name, ": overlaps ", other.group, other.name));
  }

  TensorSizes sizes_;
  std::int64_t T_, B_;
  std::array<Region, 64> regions_;  // more than any call has, so no allocation is needed
  std::size_t count_ = 0;
};

}  // namespace

void check_no_overlap(const NamedMemory& output, std::initializer_list<NamedMemory> others) {
  if (output.bytes == 0) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(output.data);
  for (const NamedMemory& other : others) {
    const auto other_begin = reinterpret_cast<std::uintptr_t>(other.data);
    if (other.bytes > 0 && overlap(begin, begin + output.bytes, other_begin, other_begin + other.bytes))
      throw Error(ErrorCode::invalid_argument, str_cat(output.name, ": overlaps ", other.name));
  }
}

template <class Real>
void check_overlap(const TensorSizes& sizes, std::int64_t steps, std::int64_t batch,
                   const ForwardArgs<Real>& args, const Memory& tape, const Memory& scratch) {
  MemoryRegions regions(sizes, steps, batch);
  regions.add("parameters.", args.parameters);
  regions.add("inputs.", args.inputs);
  regions.add(args.masks);
  regions.add("initial_state.", args.initial_state, 1);
  regions.add_tensor("", "y", args.y, steps * batch * sizes.N);
  regions.add_tensor("", "modulation", args.modulation, steps * batch);
  regions.add_tensor("", "a", args.a, steps * batch * sizes.N);
  regions.add("final_state.", args.final_state, 1);
  regions.add_memory("tape", tape);
  regions.add_memory("scratch", scratch);
  regions.check();
}

template <class Real>
void check_overlap(const TensorSizes& sizes, std::int64_t steps, std::int64_t batch,
                   const BackwardArgs<Real>& args, const Memory& tape, const Memory& scratch) {
  MemoryRegions regions(sizes, steps, batch);
  regions.add("parameters.", args.parameters);
  regions.add("inputs.", args.inputs);
  regions.add(args.masks);
  regions.add_tensor("", "dy", args.dy, steps * batch * sizes.N);
  regions.add_tensor("", "da", args.da, steps * batch * sizes.N);
  regions.add("dfinal_state.", args.dfinal_state, 1);
  regions.add("dparameters.", args.dparameters);
  regions.add("dinputs.", args.dinputs);
  regions.add("dinitial_state.", args.dinitial_state, 1);
  regions.add_memory("tape", tape, false);
  regions.add_memory("scratch", scratch);
  regions.check();
}

template <class Real>
void check_overlap(const Spec& spec, std::int64_t batch, const StepArgs<Real>& args, const Memory& step_state,
                   const Memory& scratch) {
  MemoryRegions regions(spec, 1, batch);
  regions.add("parameters.", args.parameters);
  regions.add("inputs.", args.inputs);
  regions.add(args.masks);
  regions.add_tensor("", "y", args.y, batch * spec.neurons);
  regions.add_tensor("", "modulation", args.modulation, batch);
  regions.add_tensor("", "a", args.a, batch * spec.neurons);
  regions.add_memory("step_state", step_state);
  regions.add_memory("scratch", scratch);
  regions.check();
}

template <class Real>
void check_overlap(const Spec& spec, std::int64_t batch, const State<Real>& state, const Memory& step_state) {
  MemoryRegions regions(spec, 1, batch);
  regions.add("state.", state);
  regions.add_memory("step_state", step_state);
  regions.check();
}

#define PLASTICITY_INSTANTIATE(Real)                                                                     \
  template void check_overlap(const TensorSizes&, std::int64_t, std::int64_t, const ForwardArgs<Real>&,  \
                              const Memory&, const Memory&);                                             \
  template void check_overlap(const TensorSizes&, std::int64_t, std::int64_t, const BackwardArgs<Real>&, \
                              const Memory&, const Memory&);                                             \
  template void check_overlap(const Spec&, std::int64_t, const StepArgs<Real>&, const Memory&,           \
                              const Memory&);                                                            \
  template void check_overlap(const Spec&, std::int64_t, const State<Real>&, const Memory&);             \
  template void check_overlap(const Spec&, std::int64_t, const State<const Real>&, const Memory&);
PLASTICITY_INSTANTIATE(float)
PLASTICITY_INSTANTIATE(double)
#undef PLASTICITY_INSTANTIATE

}  // namespace plasticity

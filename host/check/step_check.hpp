#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "model/for_each_tensor.hpp"
#include "plasticity/arguments.hpp"
#include "plasticity/memory.hpp"

namespace plasticity {

/// The check of Plan::step for small networks, because the complete checks would take longer than the step. A
/// plan computes the sizes once.
class StepCheck {
 public:
  StepCheck(const Spec& spec, std::int64_t batch) : has_modulator_(spec.has_modulator()) {
    const auto fill = [&]<class Group>(Group group, auto& elements) {
      std::size_t index = 0;
      for_each_tensor(spec, 1, batch, group, [&](std::string_view, auto*, const std::optional<Shape>& shape) {
        elements[index++] = shape ? shape->elements() : absent;
      });
    };
    fill(Parameters<const float>{}, parameters_);
    fill(Inputs<const float>{}, inputs_);
    rows_ = batch;
    y_ = batch * spec.neurons;
  }

  /// Returns whether the call is valid. If it returns false, the call may be valid or not: the caller then
  /// runs the complete checks, which throw the errors.
  template <class Real>
  bool accepts(const StepArgs<Real>& args, const Memory& step_state, std::size_t step_state_bytes,
               const Memory& scratch, std::size_t scratch_bytes) const noexcept {
    if (!suffices(step_state, step_state_bytes) || !suffices(scratch, scratch_bytes)) return false;
    const Masks<Real>& masks = args.masks;
    if ((masks.clamp == nullptr) != (masks.clamp_value == nullptr) || masks.length != nullptr) return false;
    if (args.y == nullptr || (args.modulation != nullptr && !has_modulator_)) return false;
    const Range written[] = {range(args.y, y_), range(args.modulation, rows_), range(args.a, y_),
                             range(step_state), range(scratch)};
    bool valid = true;
    for (std::size_t k = 0; k < std::size(written); ++k) {
      for (std::size_t other = 0; other < k; ++other) valid &= !overlap(written[k], written[other]);
    }
    const auto check = [&](const auto* data, std::int64_t elements) {
      const Range read = range(data, elements);
      for (const Range& each : written) valid &= !overlap(each, read);
    };
    const auto check_group = [&]<class Group>(const Group& group, const auto& sizes,
                                              std::string_view optional) {
      constexpr auto fields = Group::members();
      for (std::size_t index = 0; index < fields.size(); ++index) {
        const auto* data = group.*fields[index].pointer;
        const bool given = data != nullptr, expected = sizes[index] != absent;
        if (!given && (!expected || fields[index].name == optional)) continue;
        valid &= given && expected;
        check(data, std::max<std::int64_t>(sizes[index], 0));
      }
    };
    check_group(args.parameters, parameters_, {});
    check_group(args.inputs, inputs_, "u");
    if (masks.reset != nullptr) check(masks.reset, rows_);
    if (masks.clamp != nullptr) {
      check(masks.clamp, y_);
      check(masks.clamp_value, y_);
    }
    return valid;
  }

 private:
  static constexpr std::int64_t absent = -1;

  struct Range {
    std::uintptr_t begin, end;
  };
  template <class T>
  static Range range(const T* data, std::int64_t elements) {
    const auto begin = reinterpret_cast<std::uintptr_t>(data);
    return {begin, data == nullptr ? begin : begin + static_cast<std::size_t>(elements) * sizeof(T)};
  }
  static Range range(const Memory& memory) {
    return range(static_cast<const std::byte*>(memory.data), static_cast<std::int64_t>(memory.bytes));
  }
  static bool overlap(const Range& a, const Range& b) { return (a.begin < b.end) & (b.begin < a.end); }
  static bool suffices(const Memory& memory, std::size_t needed) {
    return needed == 0 || (memory.data != nullptr && memory.bytes >= needed &&
                           reinterpret_cast<std::uintptr_t>(memory.data) % 64 == 0);
  }

  /// The elements of each tensor of a group, or `absent`.
  template <class Group>
  using Sizes = std::array<std::int64_t, Group::members().size()>;

  Sizes<Parameters<float>> parameters_{};
  Sizes<Inputs<float>> inputs_{};
  std::int64_t rows_ = 0, y_ = 0;
  bool has_modulator_;
};

}  // namespace plasticity

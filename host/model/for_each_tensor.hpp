#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include "plasticity/arguments.hpp"

// A loop over the tensors of Parameters, Inputs or State with their shapes.
namespace plasticity {

template <class Real>
std::optional<Shape> shape_in(const Parameters<Real>&, const Spec& spec, std::int64_t, std::int64_t,
                              std::string_view name) {
  return parameter_shape(spec, name);
}
template <class Real>
std::optional<Shape> shape_in(const Inputs<Real>&, const Spec& spec, std::int64_t T, std::int64_t B,
                              std::string_view name) {
  return input_shape(spec, T, B, name);
}
template <class Real>
std::optional<Shape> shape_in(const State<Real>&, const Spec& spec, std::int64_t, std::int64_t B,
                              std::string_view name) {
  return state_shape(spec, B, name);
}

/// Calls `call(name, pointer, shape)` for every tensor of `group`, in the order of members(). `pointer` is a
/// reference to the group's pointer. `shape` is empty if the spec has no such tensor.
template <class Group, class Call>
void for_each_tensor(const Spec& spec, std::int64_t T, std::int64_t B, Group& group, Call call) {
  for (const auto& field : std::remove_const_t<Group>::members()) {
    call(field.name, group.*field.pointer, shape_in(group, spec, T, B, field.name));
  }
}

}  // namespace plasticity

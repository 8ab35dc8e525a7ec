#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include "model/shapes.hpp"
#include "plasticity/arguments.hpp"

// A loop over the tensors of Parameters, Inputs or State with their shapes.
namespace plasticity {

template <class Real>
std::optional<Shape> shape_in(const Parameters<Real>&, const TensorSizes& sizes, std::int64_t, std::int64_t,
                              std::size_t index) {
  return parameter_shape_at(sizes, index);
}
template <class Real>
std::optional<Shape> shape_in(const Inputs<Real>&, const TensorSizes& sizes, std::int64_t T, std::int64_t B,
                              std::size_t index) {
  return input_shape_at(sizes, T, B, index);
}
template <class Real>
std::optional<Shape> shape_in(const State<Real>&, const TensorSizes& sizes, std::int64_t, std::int64_t B,
                              std::size_t index) {
  return state_shape_at(sizes, B, index);
}

/// Calls `call(name, pointer, shape)` for every tensor of `group`, in the order of members(). `pointer` is a
/// reference to the group's pointer. `shape` is empty if the spec has no such tensor.
template <class Group, class Call>
void for_each_tensor(const TensorSizes& sizes, std::int64_t T, std::int64_t B, Group& group, Call call) {
  constexpr auto fields = std::remove_const_t<Group>::members();
  for (std::size_t index = 0; index < fields.size(); ++index) {
    call(fields[index].name, group.*fields[index].pointer, shape_in(group, sizes, T, B, index));
  }
}

}  // namespace plasticity

#include "model/shapes.hpp"

namespace plasticity {
namespace {

/// The index of `name` in Group::members(), or the size of the list if it has no such name.
template <class Group>
constexpr std::size_t index_of(std::string_view name) {
  std::size_t index = 0;
  for (const auto& field : Group::members()) {
    if (field.name == name) break;
    ++index;
  }
  return index;
}

// shapes.hpp relies on this order.
using P = Parameters<float>;
static_assert(index_of<P>("w_in") == 0 && index_of<P>("b") == 1 && index_of<P>("w") == 2 &&
              index_of<P>("w_gates") == 3 && index_of<P>("alpha") == 4 && index_of<P>("eta") == 5 &&
              index_of<P>("modulator.weight") == 6 && index_of<P>("modulator.bias") == 7 &&
              index_of<P>("fan_out.weight") == 8 && index_of<P>("fan_out.bias") == 9);
static_assert(index_of<Inputs<float>>("x") == 0 && index_of<Inputs<float>>("u") == 1 &&
              index_of<Inputs<float>>("pre") == 2 && index_of<Inputs<float>>("rate") == 3);
static_assert(index_of<State<float>>("y") == 0 && index_of<State<float>>("c") == 1 &&
              index_of<State<float>>("hebb") == 2 && index_of<State<float>>("eligibility") == 3);

}  // namespace

std::optional<Shape> parameter_shape(const Spec& spec, std::string_view name) {
  return parameter_shape_at(spec, index_of<Parameters<float>>(name));
}
std::optional<Shape> input_shape(const Spec& spec, std::int64_t steps, std::int64_t batch,
                                 std::string_view name) {
  return input_shape_at(spec, steps, batch, index_of<Inputs<float>>(name));
}
std::optional<Shape> state_shape(const Spec& spec, std::int64_t batch, std::string_view name) {
  return state_shape_at(spec, batch, index_of<State<float>>(name));
}

}  // namespace plasticity

#include "plasticity/module.hpp"

#include <type_traits>

#include "network/implementation.hpp"

namespace plasticity {

std::vector<ParameterView> Module::parameters() const {
  return std::visit(
      [](const auto& module) -> std::vector<ParameterView> {
        if constexpr (std::is_pointer_v<std::decay_t<decltype(module)>>) {
          return module->parameters();
        } else {
          return module;
        }
      },
      module_);
}

std::optional<Shape> Module::shape_of(std::string_view name) const {
  if (Network* const* network = std::get_if<Network*>(&module_)) {
    return (*network)->implementation_->parameters->shape_of(name);
  }
  if (Stack* const* stack = std::get_if<Stack*>(&module_)) {
    for (std::size_t k = 0; k < (*stack)->layers().size(); ++k) {
      if (const std::optional<Shape> shape = Module((*stack)->layer(k)).shape_of(name)) return shape;
    }
    return std::nullopt;
  }
  for (const ParameterView& view : parameters()) {
    if (view.name == name) return view.shape;
  }
  return std::nullopt;
}

std::int64_t Module::windows() const {
  if (Network* const* network = std::get_if<Network*>(&module_)) return (*network)->windows();
  if (Stack* const* stack = std::get_if<Stack*>(&module_)) return (*stack)->windows();
  return 0;
}

}  // namespace plasticity

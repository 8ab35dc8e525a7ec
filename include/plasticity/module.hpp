#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "plasticity/config.h"
#include "plasticity/linear.hpp"
#include "plasticity/network.hpp"
#include "plasticity/parameter_view.hpp"
#include "plasticity/stack.hpp"

namespace plasticity {

/// A reference to one of the modules that a Trainer trains: a Network, a Stack, a Linear, or parameters of
/// the caller's own code. Each converts to a Module, as in `Trainer trainer({encoder, memory, readout})`. The
/// module must outlive the reference and must not move. A call through the reference throws
/// Error(invalid_argument) if the module was moved from.
class PLASTICITY_API Module {
 public:
  Module(Network& network) : module_(&network) {}  ///< refers to `network`
  Module(Stack& stack) : module_(&stack) {}        ///< refers to `stack`
  Module(Linear& layer) : module_(&layer) {}       ///< refers to `layer`
  Module(NetworkF64& network) = delete;            ///< a Trainer trains float only
  /// Parameters of the caller's own code, in host memory. The memory of the views must outlive the reference.
  Module(std::vector<ParameterView> parameters) : module_(std::move(parameters)) {}

  std::vector<ParameterView> parameters() const;  ///< views of the trainable parameters, as of the module
  /// Returns the shape of the parameter `name`, trainable or not, if there is one.
  std::optional<Shape> shape_of(std::string_view name) const;
  std::int64_t windows() const;  ///< number of recorded windows for which backward() has not run

 private:
  std::variant<Network*, Stack*, Linear*, std::vector<ParameterView>> module_;
};

}  // namespace plasticity

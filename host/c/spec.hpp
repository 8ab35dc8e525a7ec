#pragma once

#include <optional>
#include <string_view>

#include "plasticity/arguments.hpp"
#include "plasticity/device.hpp"
#include "plasticity/plasticity.h"
#include "plasticity/spec.hpp"

namespace plasticity::c {

Spec to_spec(const plasticity_spec& spec);
plasticity_spec from_spec(const Spec& spec);

/// Returns the shape of a tensor by its full name, "inputs.x", or nothing if the spec has no such tensor.
/// Throws Error(invalid_argument) for an unknown name.
std::optional<Shape> shape_of(const Spec& spec, std::int64_t steps, std::int64_t batch,
                              std::string_view full_name);

/// Throw Error(invalid_argument) for a number that is not an enumerator.
Precision to_precision(plasticity_precision precision);
Execution to_execution(plasticity_execution execution);

/// Returns the device that the argument `name` states. Throws Error(invalid_argument | device_unavailable).
Device to_device(plasticity_device device, std::int32_t threads, const char* name);
plasticity_device from_device(Device device);

}  // namespace plasticity::c

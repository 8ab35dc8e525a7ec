#pragma once

#include "plasticity/device.hpp"
#include "plasticity/plasticity.h"
#include "plasticity/spec.hpp"

namespace plasticity::c {

Spec to_spec(const plasticity_spec& spec);
plasticity_spec from_spec(const Spec& spec);

/// Throw Error(invalid_argument) for a number that is not an enumerator.
Precision to_precision(plasticity_precision precision);
Execution to_execution(plasticity_execution execution);

/// Returns the device of an options struct. Throws Error(invalid_argument | device_unavailable).
Device to_device(plasticity_device device, std::int32_t threads);
plasticity_device from_device(Device device);

}  // namespace plasticity::c

// The executor's version of kernels/common/device_language.hpp.
#pragma once

#include "simt/device.hpp"

#define PLASTICITY_SHARED(Type, name, ...) SIMT_SHARED(Type, name, __VA_ARGS__)
#define PLASTICITY_DYNAMIC_SHARED(Type, name) SIMT_DYNAMIC_SHARED(Type, name)

namespace plasticity {

using simt::register_kernel;

}  // namespace plasticity

#pragma once

#include "plasticity/config.h"

namespace plasticity {

/// The version of the library that is linked: "0.1.0".
PLASTICITY_API const char* version();

}  // namespace plasticity

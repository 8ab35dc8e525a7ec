#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include "plasticity/config.h"

namespace plasticity {

/// Returns the version of the linked library, for example "0.1.0". The text is static.
PLASTICITY_API const char* version();

}  // namespace plasticity

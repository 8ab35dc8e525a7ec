#include "plasticity/version.hpp"

namespace plasticity {

const char* version() { return PLASTICITY_VERSION; }

}  // namespace plasticity

#include "plasticity/version.hpp"

#define PLASTICITY_TEXT_OF(number) #number
#define PLASTICITY_TEXT(number) PLASTICITY_TEXT_OF(number)

namespace plasticity {

const char* version() {
  return PLASTICITY_TEXT(PLASTICITY_VERSION_MAJOR) "." PLASTICITY_TEXT(
      PLASTICITY_VERSION_MINOR) "." PLASTICITY_TEXT(PLASTICITY_VERSION_PATCH);
}

}  // namespace plasticity

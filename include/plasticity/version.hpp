#pragma once

namespace plasticity {

/// The version of the library that is linked: "0.1.0".
const char* version();

}  // namespace plasticity

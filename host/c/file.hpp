#pragma once

#include "plasticity/io/safetensors.hpp"

/// The content of a file.
struct plasticity_file {
  plasticity::io::TensorFile file;
};

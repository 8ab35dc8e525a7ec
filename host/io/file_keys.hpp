#pragma once

#include <string>

#include "base/throw_error.hpp"
#include "plasticity/io/safetensors.hpp"

namespace plasticity {

/// Throw Error(invalid_argument) if the file already has this key, so that a module never overwrites the data
/// of another one.
inline void check_new_key(bool exists, const char* kind, const std::string& key) {
  if (exists) {
    throw Error(ErrorCode::invalid_argument,
                str_cat("file: already has the ", kind, " '", key,
                        "'; modules in one file need different names (NetworkOptions::name)"));
  }
}
inline void check_new_tensor(const io::TensorFile& file, const std::string& key) {
  check_new_key(file.tensors.contains(key), "tensor", key);
}
inline void check_new_metadata(const io::TensorFile& file, const std::string& key) {
  check_new_key(file.metadata.contains(key), "metadata", key);
}

}  // namespace plasticity

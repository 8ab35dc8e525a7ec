#pragma once

#include <string>

#include "base/throw_error.hpp"
#include "plasticity/io/safetensors.hpp"

namespace plasticity {

/// The name of a file in messages: its path, or "file".
inline std::string name_of(const io::TensorFile& file) { return file.source.empty() ? "file" : file.source; }
/// `place`, a part of the file, after its path if it has one.
inline std::string place_in(const io::TensorFile& file, const std::string& place) {
  return file.source.empty() ? place : str_cat(file.source, ' ', place);
}

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

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

/// Moves the entries of `part`, those of one module, to `file`. Throws Error(invalid_argument) and changes
/// nothing if `file` has one of the keys, so that a module never overwrites the data of another one.
inline void add_to_file(io::TensorFile part, io::TensorFile& file) {
  const auto check = [](const char* kind, const auto& added, const auto& present) {
    for (const auto& [key, value] : added) {
      if (!present.contains(key)) continue;
      throw Error(ErrorCode::invalid_argument,
                  str_cat("file: already has the ", kind, " '", key,
                          "'; modules in one file need different names (NetworkOptions::name)"));
    }
  };
  check("tensor", part.tensors, file.tensors);
  check("metadata", part.metadata, file.metadata);
  file.tensors.merge(part.tensors);
  file.metadata.merge(part.metadata);
}

}  // namespace plasticity

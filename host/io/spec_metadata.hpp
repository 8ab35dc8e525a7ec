#pragma once

#include "plasticity/io/safetensors.hpp"
#include "plasticity/spec.hpp"

// A Spec in the metadata of a file: one entry a field, under the names of the equations (cell, rule, …, I, N,
// clip).
namespace plasticity {

void write_spec(const Spec& spec, io::TensorFile& file);

/// The Spec, validated. Throws Error(format) that names the file, and the entry or the field.
Spec read_spec(const io::TensorFile& file);

/// One entry. Throws Error(format) when it is not there, or (read_number) not a number.
const std::string& read_metadata(const io::TensorFile& file, const std::string& key);
template <class Number>
Number read_number(const io::TensorFile& file, const std::string& key);

}  // namespace plasticity

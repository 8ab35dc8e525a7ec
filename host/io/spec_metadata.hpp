#pragma once

#include "plasticity/io/safetensors.hpp"
#include "plasticity/spec.hpp"

// Stores a Spec in the metadata of a file, one entry per field: cell, rule, …, I, N, clip. A module with a
// name stores them as NAME.cell and so on: its prefix is "NAME.".
namespace plasticity {

void write_spec(const Spec& spec, io::TensorFile& file, const std::string& prefix = "");

/// Returns the Spec after validating it. Throws Error(format) whose message names the file and the entry or
/// field.
Spec read_spec(const io::TensorFile& file, const std::string& prefix = "");

/// Return one entry. Throw Error(format) if it is missing, or (read_number) not a number.
const std::string& read_metadata(const io::TensorFile& file, const std::string& key);
template <class Number>
Number read_number(const io::TensorFile& file, const std::string& key);

}  // namespace plasticity

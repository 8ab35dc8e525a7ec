#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "plasticity/stack.hpp"

// The description of a stack in the metadata of a file: "NAME.stack.inputs", "NAME.stack.layers", and in
// "NAME.stack.fromK" the sources of layer K. load_stack() reads it.
namespace plasticity {

/// Returns the name of a layer of the stack `name`.
std::string layer_name(const std::string& name, std::size_t layer);

/// Returns the metadata that describes the stack `name`.
std::map<std::string, std::string> describe_stack(const std::string& name, std::int64_t inputs,
                                                  const std::vector<StackLayer>& layers);

}  // namespace plasticity

#pragma once

#include "cuda/runtime.hpp"
#include "plasticity/arguments.hpp"

// Checks all pointers of a call before any work, so that an error names a host pointer instead of a kernel
// faulting on it.
namespace plasticity::cuda {

template <class Group>
void check_group(int index, const char* name, const Group& group) {
  for (const auto& member : Group::members()) {
    check_device_pointer(index, name, std::string(member.name), group.*member.pointer);
  }
}

inline void check_masks(int index, const Masks<float>& masks) {
  check_device_pointer(index, "masks", "reset", masks.reset);
  check_device_pointer(index, "masks", "length", masks.length);
  check_device_pointer(index, "masks", "clamp", masks.clamp);
  check_device_pointer(index, "masks", "clamp_value", masks.clamp_value);
}

/// Checks the arguments that forward, backward and step have in common.
template <class Args>
void check_inputs(int index, const Args& args) {
  check_group(index, "parameters", args.parameters);
  check_group(index, "inputs", args.inputs);
  check_masks(index, args.masks);
}

}  // namespace plasticity::cuda

#pragma once

#include <map>
#include <vector>

#include "network/carried_state.hpp"
#include "network/parameters.hpp"
#include "plan/staging.hpp"
#include "plasticity/network.hpp"
#include "plasticity/plan.hpp"

namespace plasticity {

/// A recorded forward pass: its inputs, masks and tape on the device, and its outputs on the host.
struct Window {
  std::int64_t steps = 0;
  DeviceMemory tensors, tape;
  Inputs<const float> inputs;
  Masks<float> masks;
  std::vector<float> y, modulation;
};

/// The data of a Network. Trainer uses it too.
struct Network::Implementation {
  Spec spec;
  NetworkOptions options;
  std::map<std::int64_t, Plan> plans;  // by T, created when first used
  NetworkParameters parameters;
  CarriedState state;
  DeviceMemory upstream, scratch;  // upstream: dy and the gradients of the inputs
  std::vector<Window> windows;     // the first `recorded` are in use; the others keep their memory for reuse
  std::size_t recorded = 0;
  bool chained = false;  // state.gradients() holds the gradient from the window that backward() last removed
  Window inferred;
  std::span<const float> last_modulation;

  Implementation(const Spec& network_spec, const NetworkOptions& network_options);

  /// Returns the prefix of the network's keys in files: "", or "NAME.".
  std::string prefix() const { return options.name.empty() ? "" : options.name + "."; }

  /// Returns the plan for T = `steps`. Throws Error(invalid_argument) for a negative number.
  const Plan& plan(std::int64_t steps);

  /// Return the sequence's tensors, still in host memory, after checking their sizes.
  Inputs<const float> inputs_of(const Sequence& sequence) const;
  Masks<float> masks_of(const Sequence& sequence) const;

  /// Runs T steps and stores the outputs in `window`. Allocates all memory before it changes the state.
  void run(Window& window, const Sequence& sequence, bool records);

  /// Computes the gradients of a window. Allocates all memory before it changes a gradient.
  void run_backward(const Window& window, std::span<const float> dy, const SequenceGradients& gradients);

 private:
  Plan make_plan(std::int64_t steps) const;
};

}  // namespace plasticity

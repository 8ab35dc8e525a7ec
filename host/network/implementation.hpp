#pragma once

#include <map>
#include <vector>

#include "network/carried_state.hpp"
#include "network/parameters.hpp"
#include "plan/staging.hpp"
#include "plasticity/network.hpp"
#include "plasticity/plan.hpp"

namespace plasticity {

/// A recorded forward pass: its tensors and its tape on the device, its answers on the host.
struct Window {
  std::int64_t steps = 0;
  DeviceMemory tensors, tape;
  Inputs<const float> inputs;
  Masks<float> masks;
  std::vector<float> y, modulation;
};

/// What a Network owns. A Trainer works on it too.
struct Network::Implementation {
  Spec spec;
  NetworkOptions options;
  std::map<std::int64_t, Plan> plans;  // by T
  NetworkParameters parameters;
  CarriedState state;
  DeviceMemory upstream, scratch;  // upstream: dy and the gradients of the inputs
  std::vector<Window>
      windows;  // the first `recorded` are in use; the others keep their memory for the next time
  std::size_t recorded = 0;
  bool chained = false;  // the state's gradient comes from a window that was taken back
  Window inferred;
  std::span<const float> last_modulation;

  Implementation(const Spec& wanted, const NetworkOptions& with);

  /// Throws Error(invalid_argument) for a number of steps that is none.
  const Plan& plan(std::int64_t steps);

  /// The host's tensors, in their sizes.
  Inputs<const float> inputs_of(const Sequence& sequence) const;
  Masks<float> masks_of(const Sequence& sequence) const;

  /// All memory is there before the state changes.
  void run(Window& window, const Sequence& sequence, bool records);

  /// All memory is there before a gradient changes.
  void run_backward(const Window& window, std::span<const float> dy, const SequenceGradients& gradients);

 private:
  Plan make_plan(std::int64_t steps) const;
};

}  // namespace plasticity

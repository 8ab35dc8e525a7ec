#pragma once

#include <map>
#include <string>
#include <vector>

#include "c/arguments.hpp"
#include "plasticity/network.hpp"
#include "plasticity/optimizer.hpp"
#include "plasticity/trainer.hpp"

/// A network, with the shapes and step counts that its C interface needs.
struct plasticity_network {
  plasticity::Network network;
  std::map<std::string, std::vector<std::int64_t>, std::less<>> shapes;  // views of its tensors point here
  std::vector<std::int64_t> recorded{};  // steps of each recorded window, in order
};

struct plasticity_adam {
  plasticity::Adam adam;
};

struct plasticity_trainer {
  plasticity_network& network;
  plasticity::Trainer trainer;
};

namespace plasticity::c {

/// Takes the inputs and masks of T steps. The result views the caller's tensors.
Sequence take_sequence(Arguments& arguments, const Network& network, std::int64_t steps);

/// The output arguments y and modulation of T steps. Either may be absent.
class RequestedOutputs {
 public:
  RequestedOutputs(Arguments& arguments, const Network& network, std::int64_t steps);

  bool wants_y() const { return y_ != nullptr; }
  bool wants_modulation() const { return modulation_ != nullptr; }
  void copy_y(std::span<const float> y) const;
  void copy_modulation(std::span<const float> modulation) const;

 private:
  float *y_, *modulation_;
};

/// Converts parameters for the optimiser. Throws Error(invalid_argument) unless they are dense float32
/// tensors in host memory.
std::vector<ParameterView> to_views(const plasticity_parameter* parameters, std::size_t count);

}  // namespace plasticity::c

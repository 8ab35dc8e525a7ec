#pragma once

#include <map>
#include <string>
#include <vector>

#include "c/arguments.hpp"
#include "plasticity/network.hpp"

/// A network, and what its C interface needs to know besides.
struct plasticity_network {
  plasticity::Network network;
  std::map<std::string, std::vector<std::int64_t>, std::less<>> shapes;  // that views of its tensors point to
  std::vector<std::int64_t> recorded{};  // steps of the windows, the last one last
};

namespace plasticity::c {

/// The inputs and masks of T steps, views of the caller's tensors.
Sequence take_sequence(Arguments& arguments, const Network& network, std::int64_t steps);

/// Where the caller wants the answers of T steps.
class Answers {
 public:
  Answers(Arguments& arguments, const Network& network, std::int64_t steps);

  bool wants_y() const { return y_ != nullptr; }
  bool wants_modulation() const { return modulation_ != nullptr; }
  void give_y(std::span<const float> y) const;
  void give_modulation(std::span<const float> modulation) const;

 private:
  float *y_, *modulation_;
};

/// Parameters as the optimiser takes them. Throws Error(invalid_argument) for one that is not dense float32
/// of the host's.
std::vector<ParameterView> to_views(const plasticity_parameter* parameters, std::size_t count);

}  // namespace plasticity::c

#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "plasticity/config.h"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/parameter_view.hpp"
#include "plasticity/training.hpp"

namespace plasticity {

/// The Adam optimiser (Kingma and Ba 2015, algorithm 1) for the parameters of any modules, in host memory.
/// The moments are stored by parameter name.
class PLASTICITY_API Adam {
 public:
  /// Throws Error(invalid_argument) if an option is out of range.
  explicit Adam(const AdamOptions& options = {});

  /// Updates the parameters with their gradients. Every call must pass the same parameters, by name and size.
  /// Throws Error(invalid_argument) and changes nothing if a name occurs twice, a size has changed, or a
  /// gradient and its value differ in size.
  void step(std::span<const ParameterView> parameters);

  double learning_rate() const { return options_.learning_rate; }  ///< learning rate of the next step
  /// Sets the learning rate of the next step. Throws Error(invalid_argument) if it is negative or not finite.
  void set_learning_rate(double learning_rate);
  std::int64_t steps() const { return steps_; }  ///< number of steps so far

  /// Stores the moments in `file` as "adam.NAME.m" and "adam.NAME.v", and the step count as metadata
  /// "adam.steps".
  void save(io::TensorFile& file) const;
  /// Loads the moments and the step count. Throws Error(format) and changes nothing if they are incomplete.
  void load(const io::TensorFile& file);

 private:
  struct Moments {
    std::vector<float> first, second;
  };
  AdamOptions options_;
  std::int64_t steps_ = 0;
  std::map<std::string, Moments> moments_;
};

/// Scales all gradients so that their global 2-norm is at most `max_norm`. Returns the norm before scaling.
/// Throws Error(invalid_argument) unless `max_norm` > 0.
PLASTICITY_API double clip_gradients(std::span<const ParameterView> parameters, double max_norm);

}  // namespace plasticity

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

/// Adam (Kingma and Ba 2015, algorithm 1) over the parameters of any modules. Its moments go by the
/// parameters' names.
class PLASTICITY_API Adam {
 public:
  /// Throws Error(invalid_argument) for an option out of its range.
  explicit Adam(const AdamOptions& options = {});

  /// One step down the gradients. The list must hold the same parameters, by name and size, at every call;
  /// throws Error(invalid_argument) when a name occurs twice or a size changed, before anything is changed.
  void step(std::span<const ParameterView> parameters);

  double learning_rate() const { return options_.learning_rate; }  ///< that of the next step
  /// For schedules. Throws Error(invalid_argument) for a negative or infinite one.
  void set_learning_rate(double learning_rate);
  std::int64_t steps() const { return steps_; }  ///< taken so far

  /// The moments and the step count, as "adam.NAME.m", "adam.NAME.v" and the metadata "adam.steps".
  void save(io::TensorFile& file) const;
  /// Takes them back. Throws Error(format), and changes nothing, when they are not all there.
  void load(const io::TensorFile& file);

 private:
  struct Moments {
    std::vector<float> first, second;
  };
  AdamOptions options_;
  std::int64_t steps_ = 0;
  std::map<std::string, Moments> moments_;
};

/// Scales all gradients down so that their global 2-norm is at most `max_norm`; gives the norm as it was.
/// Throws Error(invalid_argument) for `max_norm` <= 0.
PLASTICITY_API double clip_gradients(std::span<const ParameterView> parameters, double max_norm);

}  // namespace plasticity

#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "plasticity/config.h"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/parameter_view.hpp"
#include "plasticity/training.hpp"

namespace plasticity {

/// Parameters that an optimizer treats alike. The weight decay and the clipping of the optimizer's options do
/// not apply to them; those of the group do.
struct ParameterGroup {
  std::vector<std::string> names;   ///< names of parameters; each in one group only
  double learning_rate_factor = 1;  ///< factor of the learning rate, >= 0
  double weight_decay = 0;          ///< >= 0
  double clip_norm = 0;             ///< maximum 2-norm of the group's gradients; 0: no clipping
};

/// The options of an Optimizer. The functions return common choices, whose other fields may be set then.
struct OptimizerOptions {
  UpdateOptions update{};   ///< the method and its constants
  double weight_decay = 0;  ///< decoupled weight decay of parameters outside of groups, >= 0
  double clip_norm = 0;     ///< maximum 2-norm of all gradients outside of groups; 0: no clipping
  NotFinite not_finite = NotFinite::fail;  ///< reaction to a gradient with a NaN or an infinity
  std::vector<ParameterGroup> groups{};    ///< parameters with options of their own

  /// Adam (Kingma and Ba 2015).
  static OptimizerOptions adam(double learning_rate = 1e-3) {
    return {.update = {.learning_rate = learning_rate}};
  }
  /// AdamW (Loshchilov and Hutter 2019): Adam with decoupled weight decay.
  static OptimizerOptions adamw(double learning_rate = 1e-3, double weight_decay = 1e-2) {
    return {.update = {.learning_rate = learning_rate}, .weight_decay = weight_decay};
  }
  /// Stochastic gradient descent with momentum.
  static OptimizerOptions sgd(double learning_rate = 1e-2, double momentum = 0) {
    return {.update = {.method = Method::sgd, .learning_rate = learning_rate, .momentum = momentum}};
  }
  /// RMSprop (Tieleman and Hinton 2012). `smoothing` is the decay of the mean square.
  static OptimizerOptions rmsprop(double learning_rate = 1e-3, double smoothing = .99, double momentum = 0) {
    return {.update = {.method = Method::rmsprop,
                       .learning_rate = learning_rate,
                       .beta2 = smoothing,
                       .momentum = momentum}};
  }
};

/// Adam, AdamW, SGD or RMSprop for the parameters of any modules, in host memory. Moments are stored by
/// parameter name. Trainer has the same optimizers for a network on any device.
class PLASTICITY_API Optimizer {
 public:
  /// Throws Error(invalid_argument) if an option is out of range or a name is in two groups.
  explicit Optimizer(const OptimizerOptions& options);

  /// Updates the parameters with their gradients, after clipping if an option asks for it. Moments belong to
  /// a name: a new name starts with zero moments, and a name that a call leaves out keeps its moments.
  /// Networks without names have parameters of the same names: give each network a name or an optimizer of
  /// its own. Throws Error(invalid_argument) and changes nothing if a name occurs twice, its size has
  /// changed, a gradient and its value differ in size, two views overlap, a name of a group is unknown at
  /// this object's first step, or a gradient is not finite under NotFinite::fail.
  void step(std::span<const ParameterView> parameters);

  double learning_rate() const { return options_.update.learning_rate; }  ///< learning rate of the next step
  /// Sets the learning rate of the next step. Throws Error(invalid_argument) if it is negative or not finite.
  void set_learning_rate(double learning_rate);
  std::int64_t steps() const { return steps_; }      ///< number of steps so far, without skipped ones
  std::int64_t skipped() const { return skipped_; }  ///< number of steps that NotFinite::skip has skipped
  /// The global 2-norm of the last step's gradients outside of groups, before clipping. NaN before the first
  /// step, without `clip_norm`, and if a gradient was not finite. A useful `clip_norm` is a few times the
  /// usual norm; a very large one, such as 1e30, measures it and clips nothing.
  double gradient_norm() const { return gradient_norm_; }

  /// Stores the moments in `file` as "METHOD.NAME.m" (first) and "METHOD.NAME.v" (second), and as metadata
  /// the step count "METHOD.steps" and the rate "METHOD.learning_rate". METHOD is adam, sgd or rmsprop.
  void save(io::TensorFile& file) const;
  /// Loads moments, step count and learning rate. If the file has no rate, the rate does not change. Throws
  /// Error(format) and changes nothing if the others are incomplete or not finite.
  void load(const io::TensorFile& file);

 private:
  friend struct OptimizerRecord;
  struct Moments {
    std::vector<float> first, second;
  };
  OptimizerOptions options_;
  bool groups_checked_ = false;
  std::int64_t steps_ = 0, skipped_ = 0;
  double gradient_norm_ = std::numeric_limits<double>::quiet_NaN();
  std::map<std::string, Moments> moments_;
};

/// The Adam optimizer (Kingma and Ba 2015, algorithm 1).
class PLASTICITY_API Adam : public Optimizer {
 public:
  /// Throws Error(invalid_argument) if an option is out of range.
  explicit Adam(const AdamOptions& options = {});
};

/// Scales all gradients so that their global 2-norm is at most `max_norm`. Returns the norm before scaling.
/// Throws Error(invalid_argument) unless `max_norm` > 0, and if two gradients overlap.
PLASTICITY_API double clip_gradients(std::span<const ParameterView> parameters, double max_norm);

}  // namespace plasticity

#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "plasticity/config.h"
#include "plasticity/network.hpp"
#include "plasticity/training.hpp"

namespace plasticity {

/// How a Trainer trains.
struct TrainerOptions {
  AdamOptions adam{};                     ///< of the optimiser
  double clip_norm = 0;                   ///< the most that the gradients' global 2-norm may be; 0: any
  Reduction reduction = Reduction::mean;  ///< of the squared errors
};

/// Whole training iterations of a Network towards a target: forward, squared error, backward, gradient
/// clipping, Adam. On the CPU to the bits of that loop written out with mse_loss(), clip_gradients() and
/// Adam; on a GPU as one CUDA graph, captured at the second step of its length and inputs: the inputs go
/// there in one copy, the loss comes back in one, and parameters, gradients and moments stay there (they are
/// copied to the host when Network::parameters() or save() asks for them).
///
/// The network must outlive its trainer; it may be moved. Between steps it may be used, and its parameters
/// read and written, as ever.
class PLASTICITY_API Trainer {
 public:
  /// Throws Error(invalid_argument) for an option out of its range.
  explicit Trainer(Network& network, const TrainerOptions& options = {});
  ~Trainer();
  Trainer(Trainer&&) noexcept;             ///< what is moved from may only be destroyed or assigned to
  Trainer& operator=(Trainer&&) noexcept;  ///< the same

  /// One iteration from the state at hand, which is carried on as by Network::forward(); call
  /// Network::reset() before where episodes begin anew. `target` [T,B,N]; `mask` [T,B,N], or empty, is 0
  /// where an entry of the outputs does not count. Gives the loss, as squared_error(). Afterwards the
  /// parameters' gradients are those of this iteration (clipped), and no window is recorded.
  ///
  /// Throws Error(invalid_argument) for a tensor of the wrong size, or while the network has windows that
  /// were not taken back, and Error(out_of_memory); then nothing has changed. (On a GPU, CUDA loads kernels
  /// at the first step. If it has no memory for them, the state may have been carried on.)
  double step(const Sequence& sequence, std::span<const float> target,
              std::span<const std::uint8_t> mask = {});

  /// y [T,B,N] of the last step, valid until the next. On a GPU it is copied when it is asked for.
  std::span<const float> y();
  /// M [T,B] of the last step, likewise; empty without a modulator.
  std::span<const float> modulation();

  double learning_rate() const;  ///< that of the next step
  /// For schedules. Throws Error(invalid_argument) for a negative or infinite one.
  void set_learning_rate(double learning_rate);
  std::int64_t steps() const;  ///< taken so far

  /// The moments and the step count, in the form of Adam::save(): either can be loaded from a file of the
  /// other. The parameters are saved by Network::save().
  void save(io::TensorFile& file) const;
  /// Takes them back. Throws Error(format), and changes nothing, when they are not all there or not the
  /// network's.
  void load(const io::TensorFile& file);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace plasticity

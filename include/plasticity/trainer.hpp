#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "plasticity/communicator.hpp"
#include "plasticity/config.h"
#include "plasticity/module.hpp"
#include "plasticity/network.hpp"
#include "plasticity/optimizer.hpp"
#include "plasticity/owner.hpp"
#include "plasticity/training.hpp"

namespace plasticity {

/// The options of a Trainer.
struct TrainerOptions {
  AdamOptions adam{};                     ///< constants of Adam
  double clip_norm = 0;                   ///< maximum global 2-norm of the gradients, finite; 0: no clipping
  Reduction reduction = Reduction::mean;  ///< divisor of the squared error
  /// If given, this optimizer replaces `adam` and `clip_norm`, which must have their defaults. Its groups
  /// name the network's parameters, trainable or not.
  std::optional<OptimizerOptions> optimizer{};
  /// The ranks that train together, or null. It must outlive the trainer. See Trainer.
  Communicator* communicator = nullptr;
};

/// The caller's loss: reads y [T,B,N], writes the gradient to dy [T,B,N], and returns the loss. dy is zero
/// before the call. Both are in host memory. Under Trainer::step_on_preactivation() they are a and da. It
/// must not call the network: that throws Error(invalid_argument). Trainer::step(iteration) has no such
/// limit.
using LossFunction = std::function<double(std::span<const float> y, std::span<float> dy)>;

/// The caller's part of an iteration: runs forward(), the loss and backward() of the modules, in any order,
/// and returns the loss.
using IterationFunction = std::function<double()>;

/// Trains a Network towards a target, or with the caller's loss, or trains several modules together. One
/// iteration is forward, loss, backward, gradient clipping, a step of the optimizer.
///
/// On the CPU the parameters have the same bits as in a loop over Network, mse_loss(), clip_gradients() and
/// Adam. The loss is added sample by sample (see SquaredErrorArgs::batch), so its last bits may differ. On a
/// GPU one CUDA graph runs the whole iteration. It is captured at the second iteration of a number of steps
/// and a set of given inputs. Each iteration uploads all inputs in one copy and downloads the loss.
/// Parameters, gradients and moments stay on the GPU; Network::parameters() and save() copy them to the host.
///
/// Ranks. With a communicator of several ranks every rank has its own network and trainer with equal options,
/// and calls the same steps with its part of the global batch. A step adds the gradients of all ranks in one
/// message, then clips and updates on every rank alike, so the parameters stay equal. The divisors of
/// Reduction and of step_labels() are those of the global batch; a LossFunction must divide by the size of
/// the global batch. Losses are sums over the ranks. The first step, and the first one after load(), copies
/// parameters, moments, step count and learning rate from rank 0. On the CPU, R ranks with B / R successive
/// samples each have the bits of one rank with B samples, if R is a power of two that divides B. On a GPU the
/// bits are equal from run to run for one number of ranks, and the iteration is not captured in a graph.
///
/// Several modules. A trainer of a list of modules runs step(iteration) only; the other steps throw
/// Error(invalid_argument). It has one optimizer for the parameters of all modules: one global norm for
/// clipping, and one check for gradients that are not finite. On the CPU the parameters have the same bits as
/// in a loop with zero_gradients(), all_reduce() and Optimizer::step(). Modules on different devices may be
/// mixed: gradients and moments are in host memory, as in an Optimizer.
///
/// A network must outlive its trainer. It may be moved, and it may be used between steps. Assigning another
/// network to it ends it: the trainer's steps then throw Error(invalid_argument), also the one that is
/// running the caller's function. The modules of a list must outlive the trainer and must not move. One
/// thread at a time may use a trainer. A step, save(), load(), y() or modulation() beside another of them
/// throws Error(invalid_argument).
class PLASTICITY_API Trainer {
 public:
  /// Throws Error(invalid_argument) if an option is out of range or replaced by options.optimizer, or a group
  /// names an unknown parameter.
  explicit Trainer(Network& network, const TrainerOptions& options = {});
  explicit Trainer(NetworkF64& network, const TrainerOptions& options = {}) = delete;  ///< trains float only
  /// Trains several modules together with step(iteration), for example `Trainer({encoder, readout})`. Throws
  /// Error(invalid_argument) as above, and if the list is empty, a module occurs twice or shares
  /// parameters with another, or two modules have parameters of the same name or in the same memory.
  /// options.reduction is ignored.
  explicit Trainer(std::vector<Module> modules, const TrainerOptions& options = {});
  ~Trainer();
  Trainer(Trainer&& other) noexcept;             ///< calls of `other` then throw Error(invalid_argument)
  Trainer& operator=(Trainer&& other) noexcept;  ///< calls of `other` then throw Error(invalid_argument)

  /// Runs one iteration from the network's current state and returns the loss (see squared_error()). The
  /// network keeps the final state, as after Network::forward(); call Network::reset() first to start an
  /// episode from zero. `target` is [T,B,N]. `mask` is [T,B,N] or empty; the loss ignores an output whose
  /// mask is 0. Without a mask the outputs of steps beyond an element's `length`, which are 0, count too.
  /// After the call the parameters' gradients are those of this iteration, after clipping. No window is
  /// recorded.
  ///
  /// Throws Error(invalid_argument) for a tensor of the wrong size, for one that overlaps y() or modulation()
  /// of the last step, and while the network has recorded windows. Also throws Error(out_of_memory). A call
  /// that throws has changed nothing, with one exception: on a GPU, CUDA loads the kernels during the first
  /// iteration; if it has no memory for them, the network's state may have changed.
  ///
  /// Throws Error(invalid_argument), whose message names the parameter, if a gradient is not finite under
  /// NotFinite::fail. Parameters and moments are then unchanged; the network has the final state. Under
  /// NotFinite::skip it has the final state too. If the state is not finite, no later gradient is finite.
  /// Call Network::reset().
  ///
  /// Throws the errors of Communicator, before the optimizer's step. Throws Error(communication) on every
  /// rank if the ranks differ in the spec, the options, the kind of step, the parameters' names and sizes,
  /// the step count or the learning rate, or on the CPU in the values of the parameters.
  double step(const Sequence& sequence, std::span<const float> target,
              std::span<const std::uint8_t> mask = {});

  /// Runs one iteration with the caller's loss and returns its value. On a GPU y and dy are copied, and the
  /// launches are not captured in a graph. If `loss` throws, the exception is passed on; parameters and
  /// moments are then unchanged, and the network has the final state.
  double step_with(const Sequence& sequence, const LossFunction& loss);

  /// As step_with(), with a loss of the pre-activation a [T,B,N], to which the activation is applied (see
  /// ForwardArgs::a). `loss` gets a in place of y, and writes da.
  double step_on_preactivation(const Sequence& sequence, const LossFunction& loss);

  /// Runs one iteration with the softmax cross-entropy of the pre-activation against `labels` [T,B], see
  /// softmax_cross_entropy(); the classes are the N neurons. Returns the loss in nats. A step whose label is
  /// -1 is ignored. Label steps beyond an element's `length` with -1: their pre-activation is zero. Under
  /// Activation::softmax this is the cross-entropy of y, but its gradient is exact if y is 0 or 1. Launches
  /// and errors are those of step(). Throws Error(invalid_argument) and changes nothing if the number of
  /// labels is not T B or a label is out of range.
  double step_labels(const Sequence& sequence, std::span<const std::int64_t> labels);

  /// Runs one iteration of the caller's: sets the gradients of all modules to zero, calls `iteration`, adds
  /// the gradients of the ranks, clips them, and makes a step of the optimizer. Returns the loss that
  /// `iteration` returned, summed over the ranks. Every window that `iteration` records must have its
  /// backward(). Windows recorded before the call may be used too, except by ranks, whose first step replaces
  /// the parameters. `iteration` must not call step(), save(), load(), y() or modulation() of this trainer,
  /// and must not freeze or unfreeze a parameter. Each of these throws Error(invalid_argument).
  ///
  /// Throws Error(invalid_argument), before the optimizer's step, if a module has a window without
  /// backward(), and under NotFinite::fail, naming the parameter, if a gradient is not finite. An exception
  /// of `iteration` is passed on. Parameters and moments are then unchanged; call reset() or detach() of the
  /// modules, since they may have windows.
  double step(const IterationFunction& iteration);

  /// Returns y [T,B,N] of the last iteration, valid until the next one. On a GPU this call copies it to the
  /// host. Empty after step(iteration).
  std::span<const float> y();
  /// Returns M [T,B] of the last iteration, valid until the next one. Empty without a modulator, and after
  /// step(iteration). On a GPU this call copies it to the host.
  std::span<const float> modulation();

  double learning_rate() const;  ///< learning rate of the next step
  /// Sets the learning rate of the next step. Throws Error(invalid_argument) if it is negative or not finite.
  void set_learning_rate(double learning_rate);
  std::int64_t steps() const;    ///< number of steps so far, without skipped ones
  std::int64_t skipped() const;  ///< number of steps that NotFinite::skip has skipped
  /// The global 2-norm of the last step's gradients, before clipping; see Optimizer::gradient_norm().
  double gradient_norm() const;

  /// Stores moments, step count and learning rate in the format of Optimizer::save(), so an Optimizer of the
  /// same method can load them.
  /// Network::save() stores the parameters.
  void save(io::TensorFile& file) const;
  /// Loads a file that save() or Optimizer::save() wrote. A parameter without moments in the file gets zeros,
  /// as one that was not trainable so far. Throws Error(format) and changes nothing if the step count is
  /// missing, or if moments do not match the parameters or are not finite.
  void load(const io::TensorFile& file);

 private:
  struct Implementation;
  Owner<Implementation> implementation_;
};

}  // namespace plasticity

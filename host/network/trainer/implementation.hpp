#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "device/launch_graph.hpp"
#include "network/implementation.hpp"
#include "network/optimizer_options.hpp"
#include "network/trainer/step_output.hpp"
#include "network/use_guard.hpp"
#include "plasticity/trainer.hpp"

namespace plasticity {

/// The moments of one parameter, in device memory. A moment that the method does not use is empty.
struct DeviceMoments {
  DeviceMemory first{}, second{};
  std::int64_t elements;

  DeviceMoments(const UpdateOptions& update, Device device, std::int64_t count) : elements(count) {
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(float);
    if (uses_first_moment(update)) first = DeviceMemory(device, bytes);
    if (uses_second_moment(update)) second = DeviceMemory(device, bytes);
  }
};
using MomentsByName = std::map<std::string, DeviceMoments, std::less<>>;

/// Identifies the launches of an iteration: T, B, and one bit per optional tensor. Two iterations with the
/// same key launch the same kernels and differ only in pointers.
using GraphKey = std::tuple<std::int64_t, std::int64_t, std::uint64_t>;

/// The results of one iteration that the host reads.
struct Results {
  double loss;
  double gradient_norm;     // written if the parameters outside of groups are clipped
  std::int32_t not_finite;  // index of a trained tensor, or -1
};

/// The loss of an iteration: the squared error, the caller's function, or the cross-entropy of labels. The
/// host evaluates the caller's function; the others are launches of the iteration.
struct Objective {
  std::span<const float> target{};
  std::span<const std::uint8_t> mask{};
  const LossFunction* function = nullptr;                 // of y, or of the pre-activation
  std::optional<std::span<const std::int64_t>> labels{};  // of the pre-activation
  bool of_preactivation = false;

  bool on_host() const { return function != nullptr; }
};

/// The optimizer's part of an iteration: the trained tensors and their clipping.
struct OptimizerStep {
  std::vector<ParameterView> views;     // of several modules, in host memory; empty with one network
  std::vector<std::string_view> names;  // of the trained tensors
  std::vector<TrainedTensor> trained;
  std::vector<ClippedGroup> clipped;
  const UpdateScales* scales = nullptr;
  Results* results = nullptr;
  Scratch scratch;
};

/// A number that must be equal on all ranks.
struct RankNumber {
  enum class Kind { number, code, codes };  // an error does not print a code: an enumerator or a hash
  const char* name;
  double value;
  Kind kind = Kind::number;
};

/// The tensors and memory of one iteration of a network.
struct Iteration : OptimizerStep {
  std::int64_t T, B;
  ForwardArgs<float> forward;
  BackwardArgs<float> backward;
  SquaredErrorArgs error;                   // without labels
  std::optional<CrossEntropyArgs> entropy;  // with labels
  double divisor = 1;                       // of the loss, with ranks
  Tape tape;
};

/// The data of a Trainer, which trains either one network or a list of modules. All moments are on `device`:
/// that of the network, or the CPU with several modules.
struct Trainer::Implementation {
  Network::Implementation* network;             // null with several modules
  std::weak_ptr<Network::Implementation> life;  // of the network
  std::vector<Module> modules;                  // empty with one network
  Device device;
  Stream stream;
  OptimizerOptions options;
  Reduction reduction;
  Communicator* communicator;
  bool needs_broadcast = true;  // with ranks: parameters and moments are not yet those of rank 0
  std::int64_t steps = 0, skipped = 0;
  double gradient_norm = std::numeric_limits<double>::quiet_NaN();  // of the last step
  MomentsByName moments{};
  StepOutput y{}, modulation{};
  DeviceMemory inputs{}, tape{}, results{}, preactivation{};
  DeviceMemory gradient{};           // dy, or da of a loss of the pre-activation
  DeviceMemory optimizer_scratch{};  // of step(iteration)
  PageLocked upload{};
  std::map<GraphKey, std::unique_ptr<LaunchGraph>> graphs{};
  mutable UseGuard guard{};  // held by step(), save(), load(), y() and modulation()
  static constexpr const char* in_use =
      "trainer: another call on it is running. An iteration must not call its own trainer's step(), save(), "
      "load(), y() or modulation(), and one thread at a time may use a trainer";

  bool on_cpu() const { return device.kind() == DeviceKind::cpu; }
  bool has_ranks() const { return communicator != nullptr && communicator->size() > 1; }

  /// Returns the network for the duration of a call, in which the caller's code may destroy it; null with
  /// several modules. Throws Error(invalid_argument) if it has been destroyed or assigned to.
  std::shared_ptr<Network::Implementation> hold_network() const;
  /// For a call that holds the network: throws Error(invalid_argument) if the caller's code has destroyed it
  /// or assigned to it meanwhile.
  void check_network_kept() const;
  /// Allocates the results of an iteration. They are zero until it writes them.
  void make_results();
  Results* device_results() const { return static_cast<Results*>(results.data()); }

  // iteration.cpp
  double step(const Sequence& sequence, const Objective& objective);
  Iteration checked_iteration(const Sequence& sequence, const Objective& objective) const;
  void allocate(const Plan& plan, Iteration& it, bool of_preactivation);
  void set_loss(Iteration& it, const Objective& objective) const;
  void stage(Iteration& it);
  void set_pointers(Iteration& it, bool of_preactivation);
  std::optional<double> run(const Objective& objective, const Plan& plan, const Iteration& it);
  double run_with_host_loss(const Objective& objective, const Plan& plan, const Iteration& it);
  double host_loss(const Objective& objective, const Iteration& it);
  void enqueue_iteration(const Plan& plan, const Iteration& it, Stream on) const;
  void enqueue_backward(const Plan& plan, const Iteration& it, Stream on) const;
  void enqueue_as_graph(const Plan& plan, const Iteration& it);

  // optimizer_step.cpp
  double step(const IterationFunction& iteration);
  std::vector<ParameterView> views_of_modules() const;
  void list_trained(OptimizerStep& it) const;
  /// Throws Error(invalid_argument) for a module or a group of the optimizer's options that cannot be
  /// trained.
  void check_groups() const;
  void check_trained(const OptimizerStep& it) const;
  std::optional<Shape> shape_of(std::string_view name) const;
  void collect_trained(OptimizerStep& it, MomentsByName& new_moments);
  void zero_gradients(const OptimizerStep& it) const;
  void check_windows() const;
  void enqueue_optimizer_step(const OptimizerStep& it, Stream on) const;
  void invalidate_host_copies(const OptimizerStep& it) const;
  double finish_step(const OptimizerStep& it, std::optional<double> loss);

  // ranks.cpp
  std::vector<RankNumber> equal_numbers(const Objective* objective, const OptimizerStep& it) const;
  double synchronize_ranks(const Objective* objective, double divisor, const OptimizerStep& it);
  void broadcast_all(const OptimizerStep& it);
  double run_on_ranks(const Objective& objective, const Plan& plan, const Iteration& it);
};

/// Returns this rank's part of the divisor of the loss.
double local_divisor(const Objective& objective, const SquaredErrorArgs& error, std::int64_t neurons);

}  // namespace plasticity

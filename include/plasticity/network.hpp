#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plasticity/arguments.hpp"
#include "plasticity/config.h"
#include "plasticity/device.hpp"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/parameter_view.hpp"

namespace plasticity {

/// The options of a Network.
struct NetworkOptions {
  std::int64_t batch = 1;                      ///< B
  Device device = Device::best();              ///< device that runs the network
  Precision precision = Precision::f32;        ///< f32 or bf16
  std::uint64_t seed = 0;                      ///< seed of the initial parameters
  std::int64_t checkpoint_interval = 0;        ///< K, see PlanOptions; 0: chosen
  std::size_t memory_budget = 0;               ///< maximum tape size of a window, see PlanOptions
  Execution execution = Execution::automatic;  ///< see PlanOptions
  /// Stream of all work of the network. It must outlive the network. Networks on different streams are
  /// independent, also if different threads call them.
  Stream stream{};
  /// The name of the network. The names of its parameters are then NAME.w and so on, so that one optimiser
  /// and one file can hold several networks. Initial values depend on the seed and the name. Empty: the
  /// parameters are w and so on.
  std::string name{};
};

/// The inputs and masks of T steps, as views of the caller's host memory. An empty view is an absent tensor.
/// The meaning of each tensor is that of Inputs and Masks. The data must stay unchanged during a call only:
/// Network::forward() copies what backward() will read.
struct Sequence {
  std::int64_t steps = 1;                  ///< T >= 0
  std::span<const float> x{};              ///< [T,B,I] rnn with I > 0 and lstm
  std::span<const float> u{};              ///< [T,B,N] rnn with I = 0 and feedforward: input current
  std::span<const float> pre{};            ///< [T,B,I] feedforward: presynaptic activity
  std::span<const float> rate{};           ///< [T,B,N] Rate::external: the rate g
  std::span<const std::uint8_t> reset{};   ///< [T,B] 1: reset the state of b before step t
  std::span<const std::int64_t> length{};  ///< [B] number of steps of each batch element
  std::span<const std::uint8_t> clamp{};   ///< [T,B,N] 1: the activity is clamp_value
  std::span<const float> clamp_value{};    ///< [T,B,N] given if and only if clamp is given
};

/// Output views for the gradients of a Sequence, in host memory. The gradient of an empty view is not
/// computed.
struct SequenceGradients {
  std::span<float> x{};     ///< [T,B,I]
  std::span<float> u{};     ///< [T,B,N]
  std::span<float> pre{};   ///< [T,B,I]
  std::span<float> rate{};  ///< [T,B,N]
};

/// A plastic cell that owns its parameters, gradients, state and tapes.
///
/// Each call continues from the state of the last one. forward() records a window. backward() processes the
/// last window, and passes the gradient of its initial state to the window before it. A sequence may
/// therefore be cut into windows. detach() discards the windows and keeps the state (truncated
/// backpropagation). reset() discards the windows and sets the state to zero.
///
/// All views that the calls take and return are in host memory. On a GPU the network copies them to and from
/// device memory. The network keeps its memory and reuses it in later calls.
///
/// Initial parameters: w and alpha normal with standard deviation .01, eta .01 [2018]; w_in and b uniform in
/// +-1/sqrt(I), modulator uniform in +-1/sqrt(N), fan_out uniform in +-1 [2019]. In an lstm w, w_gates, w_in
/// and b are uniform in +-1/sqrt(N).
///
/// Errors: the calls throw Error(invalid_argument) for a tensor of the wrong size, and whatever Plan throws,
/// and Error(out_of_memory). A call that throws has recorded no window and has changed neither the state nor
/// a gradient. One thread at a time may use a network.
class PLASTICITY_API Network {
 public:
  /// Throws Error(invalid_spec | invalid_argument | device_unavailable | unsupported | out_of_memory).
  explicit Network(const Spec& spec, const NetworkOptions& options = {});
  ~Network();
  Network(Network&& other) noexcept;             ///< `other` may then only be destroyed or assigned to
  Network& operator=(Network&& other) noexcept;  ///< `other` may then only be destroyed or assigned to

  const Spec& spec() const;               ///< as passed to the constructor
  const NetworkOptions& options() const;  ///< as passed to the constructor

  /// Runs T steps from the current state and records them as a window. Returns y [T,B,N] (lstm: h), valid
  /// until the window is removed. Throws Error(invalid_argument) if backward() has run for some of the
  /// recorded windows but not for all.
  std::span<const float> forward(const Sequence& sequence);

  /// Runs T steps from the current state without recording them. Returns y [T,B,N] (lstm: h), valid until the
  /// next infer().
  std::span<const float> infer(const Sequence& sequence);

  /// Returns M [T,B] of the last forward() or infer(), valid as long as the y that it returned. Empty without
  /// a modulator, and after a Trainer's step.
  std::span<const float> modulation() const;

  /// Computes the gradients of the last recorded window and removes that window. `dy` [T,B,N] is the upstream
  /// gradient of its outputs; an empty dy means zero. Adds to the parameters' gradients, and overwrites
  /// `gradients`. Throws Error(invalid_argument) if there is no window.
  void backward(std::span<const float> dy, const SequenceGradients& gradients = {});

  /// Returns the number of recorded windows for which backward() has not run.
  std::int64_t windows() const;

  void reset();   ///< sets the state to zero and discards the windows
  void detach();  ///< discards the windows and keeps the state

  void zero_gradients();  ///< sets the parameters' gradients to zero

  /// Returns views of the trainable parameters, in a fixed order. Their names are w, alpha and so on, or
  /// NAME.w and so on in a network with a name. The views are valid as long as the network. On a GPU the
  /// views are host copies. Every call uploads values from them; every backward() downloads gradients into
  /// them. Trainer::step() makes them stale: call parameters() again.
  std::vector<ParameterView> parameters();

  /// Returns the values of the parameter `name`, for example "w", "alpha" or "modulator.weight", trainable or
  /// not. In a network with a name "NAME.w" is valid too. The view behaves as those of parameters(). Throws
  /// Error(invalid_argument) for an unknown name.
  std::span<float> parameter(std::string_view name);

  /// Sets whether the parameter `name` is trainable. At first all are. parameters() lists only trainable
  /// ones, and backward() computes no gradient for the others. Throws Error(invalid_argument) for an unknown
  /// name.
  void set_trainable(std::string_view name, bool trainable);

  /// Returns the state tensor `name` ("y", "c", "hebb" or "eligibility"), to read or to set. On a GPU the
  /// view is a host copy made by this call. The next forward() or infer() uploads it and makes it stale: call
  /// state() again. Throws Error(invalid_argument) for an unknown name.
  std::span<float> state(std::string_view name);

  /// Stores the parameters in `file` as "param.w" and so on, and the Spec in its metadata as "cell" and so
  /// on. A network with a name stores "param.NAME.w" and "NAME.cell". Throws Error(invalid_argument) and
  /// changes nothing if the file has one of these keys.
  void save(io::TensorFile& file) const;

  /// Loads the parameters from a file that save() wrote. Throws Error(format) and changes nothing if the Spec
  /// in the file differs, or if a parameter is missing or has another shape.
  void load(const io::TensorFile& file);

 private:
  friend class Trainer;
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// Returns the Spec that Network::save() stored for the network `name`. Throws Error(format) if it is missing
/// or not valid.
PLASTICITY_API Spec load_spec(const io::TensorFile& file, const std::string& name = "");

}  // namespace plasticity

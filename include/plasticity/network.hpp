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

/// How a Network is made.
struct NetworkOptions {
  std::int64_t batch = 1;                ///< B
  Device device = Device::best();        ///< where it runs
  Precision precision = Precision::f32;  ///< f32 or bf16
  std::uint64_t seed = 0;                ///< of the initial parameters
  std::int64_t checkpoint_interval = 0;  ///< as in PlanOptions: how often the trace is kept for backward
  std::size_t memory_budget = 0;         ///< as in PlanOptions: the bytes that the tape of a window may take
  Execution execution = Execution::automatic;  ///< as in PlanOptions
  /// All of the network's work goes onto it, and it outlives the network. Networks on streams of their own
  /// are independent of each other, on threads of their own too.
  Stream stream{};
};

/// T steps of input: views of the caller's memory (the host's), row-major; an empty view is an absent tensor.
/// What forward is given must stay as it is until backward is done.
struct Sequence {
  std::int64_t steps = 1;                  ///< T >= 0
  std::span<const float> x{};              ///< [T,B,I] rnn with inputs > 0, lstm
  std::span<const float> u{};              ///< [T,B,N] input current: rnn with inputs = 0, feedforward
  std::span<const float> pre{};            ///< [T,B,I] feedforward: presynaptic activity
  std::span<const float> rate{};           ///< [T,B,N] rate external
  std::span<const std::uint8_t> reset{};   ///< [T,B] 1: the state of b is zero before step t
  std::span<const std::int64_t> length{};  ///< [B] steps of each batch element
  std::span<const std::uint8_t> clamp{};   ///< [T,B,N] 1: the activity is clamp_value
  std::span<const float> clamp_value{};    ///< [T,B,N]
};

/// Where the gradients of a Sequence go; an empty view is not wanted.
struct SequenceGradients {
  std::span<float> x{};     ///< [T,B,I]
  std::span<float> u{};     ///< [T,B,N]
  std::span<float> pre{};   ///< [T,B,I]
  std::span<float> rate{};  ///< [T,B,N]
};

/// A plastic cell that owns its parameters, their gradients, its state and its tape: what a short program
/// uses.
///
/// The state is carried from call to call; forward() records a window, backward() takes the last window back
/// and carries the gradient of the state to the window before it, so that a sequence may be cut into windows.
/// detach() forgets the windows and keeps the state (truncated backpropagation); reset() forgets both.
///
/// On a GPU the parameters, the state, the windows and their inputs are in its memory; the views that the
/// calls take and give are the host's all the same, and are copied. Memory is kept from call to call. A call
/// that is refused or finds too little memory has recorded nothing, and has changed neither the state nor a
/// gradient.
///
/// Initial parameters: w and alpha .01 normal, eta .01 [2018]; w_in and b uniform in +-1/sqrt(I), the
/// modulator in
/// +-1/sqrt(N), the fan-out in +-1 [2019]; in an lstm w, w_gates, w_in and b uniform in +-1/sqrt(N).
///
/// Errors: Error(invalid_argument) for a tensor of the wrong size (named, with what was expected), also as in
/// Plan.
class PLASTICITY_API Network {
 public:
  /// Throws Error(invalid_spec | invalid_argument | device_unavailable | unsupported | out_of_memory).
  explicit Network(const Spec& spec, const NetworkOptions& options = {});
  ~Network();
  Network(Network&&) noexcept;             ///< what is moved from may only be destroyed or assigned to
  Network& operator=(Network&&) noexcept;  ///< the same

  const Spec& spec() const;               ///< as it was made
  const NetworkOptions& options() const;  ///< as it was made

  /// Runs and records T steps from the state at hand. Gives y [T,B,N], valid until its window is gone.
  std::span<const float> forward(const Sequence& sequence);

  /// Runs T steps without recording. Gives y [T,B,N], valid until the next call.
  std::span<const float> infer(const Sequence& sequence);

  /// M [T,B] of the last forward or infer; empty without a modulator.
  std::span<const float> modulation() const;

  /// Takes the last recorded window back: `dy` [T,B,N] is the gradient of its outputs (empty: zero). Adds to
  /// the gradients of the parameters. Throws Error(invalid_argument) when there is no window.
  void backward(std::span<const float> dy, const SequenceGradients& gradients = {});

  /// The number of windows recorded and not yet taken back.
  std::int64_t windows() const;

  void reset();   ///< the state becomes zero, the windows are forgotten
  void detach();  ///< the windows are forgotten, the state stays

  void zero_gradients();  ///< of the parameters; backward adds to them

  /// The parameters that are trained, in a fixed order. On the CPU the views are the network's own memory. On
  /// a GPU they are copies that the network goes by: it takes the values from them at every call, and every
  /// backward brings the gradients there, until a step of a Trainer has changed the parameters on the device:
  /// then ask again.
  std::vector<ParameterView> parameters();

  /// A parameter's values by its name ("w", "alpha", "modulator.weight"), trained or not. As with
  /// parameters().
  std::span<float> parameter(std::string_view name);

  /// Whether parameters() lists the parameter of that name; all are trained at first.
  void set_trainable(std::string_view name, bool trainable);

  /// A tensor of the state by its name ("y", "c", "hebb", "eligibility"), to read or to set before the next
  /// forward or infer. On a GPU the view shows the state as of this call: the state stays on the device and
  /// is copied only when asked for. Ask again after forward or infer.
  std::span<float> state(std::string_view name);

  /// Puts the parameters into a file as "param.NAME", with the Spec in its metadata.
  void save(io::TensorFile& file) const;

  /// Takes the parameters from such a file. Throws Error(format), and changes nothing, when one is missing or
  /// has another shape, or when the file's Spec is another one.
  void load(const io::TensorFile& file);

 private:
  friend class Trainer;
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// The Spec that Network::save() wrote into a file's metadata. Throws Error(format).
PLASTICITY_API Spec load_spec(const io::TensorFile& file);

}  // namespace plasticity

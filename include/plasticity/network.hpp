#pragma once

#include "plasticity/require_cxx20.hpp"  // first

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
#include "plasticity/owner.hpp"
#include "plasticity/parameter_view.hpp"

namespace plasticity {

template <class Real>
struct NetworkImplementation;

/// The options of a Network.
struct NetworkOptions {
  std::int64_t batch = 1;          ///< B
  Device device = Device::best();  ///< device that runs the network
  /// f32 or bf16. A NetworkF64 takes f64, and f32 because it is the default; its options() then have f64.
  Precision precision = Precision::f32;
  std::uint64_t seed = 0;                      ///< seed of the initial parameters
  std::int64_t checkpoint_interval = 0;        ///< K, see PlanOptions; 0: chosen
  std::size_t memory_budget = 0;               ///< maximum tape size of a window, see PlanOptions
  Execution execution = Execution::automatic;  ///< see PlanOptions
  /// Stream of all work of the network. It must outlive the network. Networks on different streams are
  /// independent, also if different threads call them.
  Stream stream{};
  /// The name of the network. The names of its parameters are then NAME.w and so on, so that one optimizer
  /// and one file can hold several networks. Initial values depend on the seed and the name. Empty: the
  /// parameters are w and so on.
  std::string name{};
  /// Keep the pre-activation a of every step, for preactivation(). A loss on it needs that, for
  /// example softmax_cross_entropy().
  bool preactivation = false;
};

/// The inputs and masks of T steps, as views of the caller's host memory. An empty view is an absent tensor.
/// The meaning of each tensor is that of Inputs and Masks. The data must stay unchanged during a call only:
/// forward() copies them for backward().
template <class Real>
struct BasicSequence {
  std::int64_t steps = 1;                  ///< T >= 0
  std::int64_t batch = 0;                  ///< B; 0 or Network::batch()
  std::span<const Real> x{};               ///< [T,B,I] rnn with I > 0 and lstm
  std::span<const Real> u{};               ///< [T,B,N], lstm [T,B,4N]: input current, added to that of x
  std::span<const Real> pre{};             ///< [T,B,I] feedforward: presynaptic activity
  std::span<const Real> rate{};            ///< [T,B,N] Rate::external: the rate g
  std::span<const std::uint8_t> reset{};   ///< [T,B] 1: reset the state of b before step t
  std::span<const std::int64_t> length{};  ///< [B] number of steps of each batch element
  std::span<const std::uint8_t> clamp{};   ///< [T,B,N] 1: the activity is clamp_value
  std::span<const Real> clamp_value{};     ///< [T,B,N] given if and only if clamp is given
};
using Sequence = BasicSequence<float>;      ///< of a Network
using SequenceF64 = BasicSequence<double>;  ///< of a NetworkF64

/// Views of the state tensors in host memory, or of their gradients. An empty view is an absent tensor.
template <class Real>
struct StateViews {
  std::span<Real> y{};            ///< [B,N] rnn and lstm
  std::span<Real> c{};            ///< [B,N] lstm
  std::span<Real> hebb{};         ///< [B,P,N]
  std::span<Real> eligibility{};  ///< [B,P,N] with an eligibility trace
};

/// Output views for the gradients of a Sequence, in host memory. The gradient of an empty view is not
/// computed.
template <class Real>
struct BasicSequenceGradients {
  std::span<Real> x{};               ///< [T,B,I]
  std::span<Real> u{};               ///< [T,B,N], lstm [T,B,4N]
  std::span<Real> pre{};             ///< [T,B,I]
  std::span<Real> rate{};            ///< [T,B,N]
  StateViews<Real> initial_state{};  ///< of the state before the window
};
using SequenceGradients = BasicSequenceGradients<float>;      ///< of a Network
using SequenceGradientsF64 = BasicSequenceGradients<double>;  ///< of a NetworkF64

/// Upstream gradients of the results of a window other than y, in host memory. An empty view means zero.
template <class Real>
struct BasicUpstreamGradients {
  /// [T,B] gradient of M. The modulator must read the hidden state: Error(unsupported) for
  /// ModulatorSource::cell.
  std::span<const Real> modulation{};
  /// [T,B,N] gradient of the pre-activation a, see BackwardArgs::da. NetworkOptions::preactivation is not
  /// needed.
  std::span<const Real> preactivation{};
  /// Gradients of the state after the window. The gradient from a later window is added to them.
  StateViews<const Real> final_state{};
};
using UpstreamGradients = BasicUpstreamGradients<float>;      ///< of a Network
using UpstreamGradientsF64 = BasicUpstreamGradients<double>;  ///< of a NetworkF64

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
/// A NetworkF64 computes in double and runs on the CPU only. Its initial parameters, rounded to float, are
/// those of a Network with the same Spec, seed and name. Either loads the other's files and converts the
/// values. Optimizer, Trainer, Stack and Linear take float: they do not train a NetworkF64.
///
/// Initial parameters: w and alpha normal with standard deviation .01, eta .01 [2018]; w_in and b uniform in
/// +-1/sqrt(I), modulator uniform in +-1/sqrt(N), fan_out uniform in +-1 [2019]. In an lstm w, w_gates, w_in
/// and b are uniform in +-1/sqrt(N).
///
/// Memory. A window owns its inputs. The tape of a window of one step holds a trace, B P N numbers, and T
/// such windows would need far more memory than one sequence of T steps. A network therefore keeps tapes for
/// the first windows only, copies of the state at growing distances, and backward() runs the other windows
/// again. T windows of one step need at most twice the memory of one sequence. Their backward passes take
/// longer, because most windows run forward two or three times.
///
/// Errors: the calls throw Error(invalid_argument) for a tensor of the wrong size, and whatever Plan throws,
/// and Error(out_of_memory). A call that throws has recorded no window and has changed neither the state nor
/// a gradient.
///
/// Threads. One thread at a time may use a network. A call throws Error(invalid_argument) if another thread
/// is in a call of this network. On the CPU networks that share() parameters may run forward() and infer() in
/// several threads at once; a call that changes parameters or gradients throws if it meets another one.
template <class Real>
class PLASTICITY_API BasicNetwork {
 public:
  /// Throws Error(invalid_spec | invalid_argument | device_unavailable | unsupported | out_of_memory);
  /// Error(unsupported) for a NetworkF64 on a GPU.
  explicit BasicNetwork(const Spec& spec, const NetworkOptions& options = {});
  ~BasicNetwork();
  BasicNetwork(BasicNetwork&& other) noexcept;  ///< calls of `other` then throw Error(invalid_argument)
  BasicNetwork& operator=(
      BasicNetwork&& other) noexcept;  ///< calls of `other` then throw Error(invalid_argument)

  const Spec& spec() const;               ///< as passed to the constructor
  const NetworkOptions& options() const;  ///< as passed to the constructor

  /// Returns B of the state: options().batch, unless reset() has set another.
  std::int64_t batch() const;

  /// Runs T steps from the current state and records them as a window. Returns y [T,B,N] (lstm: h), valid
  /// until the window is removed. Throws Error(invalid_argument) if backward() has run for some of the
  /// recorded windows but not for all. Also throws Error(invalid_argument) if there are recorded windows and
  /// the state is not the one after the last of them, because infer() has advanced it or the caller has
  /// written to state(): gradients flow from window to window through the state.
  std::span<const Real> forward(const BasicSequence<Real>& sequence);

  /// Runs T steps from the current state without recording them. Returns y [T,B,N] (lstm: h), valid until the
  /// call after the next infer(), so y may be the input of the next infer(). A single step is fast: the
  /// traces stay in place between such calls.
  std::span<const Real> infer(const BasicSequence<Real>& sequence);

  /// Returns M [T,B] of the last forward() or infer(), valid as long as the y that it returned. Empty without
  /// a modulator, and after a Trainer's step.
  std::span<const Real> modulation() const;

  /// Returns the pre-activation a [T,B,N] of the last forward() or infer(), to which the activation is
  /// applied (lstm: of the candidate gate), valid as long as the y that it returned. Zero from step `length`
  /// on. Empty without NetworkOptions::preactivation, and after a Trainer's step.
  std::span<const Real> preactivation() const;

  /// Computes the gradients of the last recorded window and removes that window. `dy` [T,B,N] is the upstream
  /// gradient of its outputs; an empty dy means zero. Adds to the parameters' gradients, and overwrites
  /// `gradients`. `upstream` has upstream gradients of other results. Throws Error(invalid_argument) if there
  /// is no window, and if the library has changed the parameters since forward(): by an optimizer's step,
  /// load() or a Trainer. The same holds for earlier windows that this call runs again (see Memory). With
  /// PLASTICITY_CHECKS=on in the environment of the constructor, forward() and backward() also compare a
  /// checksum of the parameters, so that other changes throw too.
  void backward(std::span<const Real> dy, const BasicSequenceGradients<Real>& gradients = {},
                const BasicUpstreamGradients<Real>& upstream = {});

  /// Returns the number of recorded windows for which backward() has not run.
  std::int64_t windows() const;

  /// Sets the state to zero and discards the windows. The state then has `batch` elements; 0:
  /// options().batch. Throws Error(invalid_argument) for a negative size, and whatever a Plan of this size
  /// throws.
  void reset(std::int64_t batch = 0);
  void detach();  ///< discards the windows and keeps the state

  /// Returns a network with copies of the parameters and of the state. Its gradients are zero, and it has no
  /// windows.
  BasicNetwork clone() const;
  /// Returns a network with the same parameters and gradients, and a zero state of its own with `batch`
  /// elements; 0: options().batch. Parameters live as long as a network that shares them.
  BasicNetwork share(std::int64_t batch = 0) const;

  void zero_gradients();  ///< sets the parameters' gradients to zero

  /// Returns views of the trainable parameters, in a fixed order. Their names are w, alpha and so on, or
  /// NAME.w and so on in a network with a name. The views are valid as long as the network. On a GPU the
  /// views are host copies. Every call uploads values from them; every backward() downloads gradients into
  /// them. Trainer::step() makes them stale: call parameters() again.
  std::vector<BasicParameterView<Real>> parameters();

  /// Returns the values of the parameter `name`, for example "w", "alpha" or "modulator.weight", trainable or
  /// not. In a network with a name "NAME.w" is valid too. The view behaves as those of parameters(). Throws
  /// Error(invalid_argument) for an unknown name.
  std::span<Real> parameter(std::string_view name);

  /// Sets whether the parameter `name` is trainable. At first all are. parameters() lists only trainable
  /// ones, and backward() computes no gradient for the others. Throws Error(invalid_argument) for an unknown
  /// name.
  void set_trainable(std::string_view name, bool trainable);

  /// Returns the state tensor `name` ("y", "c", "hebb" or "eligibility"), to read or to set. The view may be
  /// a copy made by this call. The next forward() or infer() reads it and makes it stale, as reset(),
  /// load_state() and a trainer's step do: call state() again.
  /// Throws Error(invalid_argument) for an unknown name.
  std::span<Real> state(std::string_view name);

  /// Stores the parameters in `file` as "param.w" and so on, and the Spec in its metadata as "cell" and so
  /// on. A network with a name stores "param.NAME.w" and "NAME.cell". Throws Error(invalid_argument) and
  /// changes nothing if the file has one of these keys.
  void save(io::TensorFile& file) const;

  /// Loads the parameters from a file that save() wrote. Throws Error(format) and changes nothing if the Spec
  /// in the file differs, or if a parameter is missing or has another shape. Throws Error(invalid_argument)
  /// if there are recorded windows.
  void load(const io::TensorFile& file);

  /// Stores the state in `file` as "state.y", "state.hebb" and so on, or "state.NAME.y" and so on. Throws
  /// Error(invalid_argument) and changes nothing if the file has one of these tensors.
  void save_state(io::TensorFile& file) const;

  /// Loads a state that save_state() stored. The state then has the batch of the file. Throws Error(format)
  /// and changes nothing if a tensor is missing or has another shape. Throws Error(invalid_argument) if there
  /// are recorded windows.
  void load_state(const io::TensorFile& file);

 private:
  friend class Module;
  friend class Stack;
  friend class Trainer;
  using Implementation = NetworkImplementation<Real>;
  explicit BasicNetwork(std::unique_ptr<Implementation> implementation);
  Owner<Implementation> implementation_;
};
using Network = BasicNetwork<float>;      ///< in float; runs on the CPU and on a GPU, in f32 or bf16
using NetworkF64 = BasicNetwork<double>;  ///< in double; runs on the CPU only

extern template class BasicNetwork<float>;
extern template class BasicNetwork<double>;

/// Returns the Spec that Network::save() stored for the network `name`. Throws Error(format) if it is missing
/// or not valid.
PLASTICITY_API Spec load_spec(const io::TensorFile& file, const std::string& name = "");

}  // namespace plasticity

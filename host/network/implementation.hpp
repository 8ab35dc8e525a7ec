#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "network/carried_state.hpp"
#include "network/parameters.hpp"
#include "network/use_guard.hpp"
#include "network/windows.hpp"
#include "plan/staging.hpp"
#include "plasticity/network.hpp"
#include "plasticity/plan.hpp"

namespace plasticity {

/// The width of each input: numbers per step and batch element. Nothing if the spec has no such input. Kept,
/// because input_shape() would take longer than a small step.
struct InputWidths {
  std::optional<std::int64_t> x, u, pre, rate;
};

/// The access of a call to the parameters and gradients of a network.
enum class ParameterAccess { read, write };

/// The data of a BasicNetwork. Trainer uses it too.
///
/// The state is in `state`, or in `step_state` after single steps that were not recorded on a tape
/// (is_stepping).
template <class Real>
struct NetworkImplementation {
  Spec spec;
  NetworkOptions options;
  std::map<std::tuple<std::int64_t, std::int64_t, bool>, Plan> plans;  // see plan(), created when first used
  std::shared_ptr<NetworkParameters<Real>> parameters;
  CarriedState<Real> state;
  DeviceMemory step_state{};
  bool is_stepping = false;
  DeviceMemory upstream{}, scratch{};  // upstream: dy, da and the gradients of the inputs

  RecordedWindows<Real> windows{};
  DeviceMemory replayed_state{}, replayed_outputs{};

  Window<Real> inferred{};
  Outputs<Real> previous{};  // of infer(); the last y may be the next input
  std::span<const Real> last_modulation{}, last_preactivation{};  // of the last call
  UseGuard guard{};
  std::atomic<bool> in_loss = false;  // a Trainer is calling its loss function
  InputWidths widths;
  bool checks_parameters;  // PLASTICITY_CHECKS

  /// Held during a call: turns calls from two threads into an error.
  class Call {
   public:
    /// On a GPU a call that reads may upload the parameters, so it counts as one that writes.
    Call(NetworkImplementation& network, ParameterAccess access);

   private:
    UseGuard::Exclusive network_;
    std::optional<UseGuard::Exclusive> writes_;
    std::optional<UseGuard::Shared> reads_;
  };

  NetworkImplementation(const Spec& network_spec, const NetworkOptions& network_options,
                        std::shared_ptr<NetworkParameters<Real>> shared = nullptr);

  /// Returns the prefix of the network's keys in files: "", or "NAME.".
  std::string prefix() const { return options.name.empty() ? "" : options.name + "."; }

  /// Returns the batch size of a call. Throws Error(invalid_argument) if it is not that of the state.
  std::int64_t batch_of(const BasicSequence<Real>& sequence) const;

  /// Returns the plan for T = `steps` and the batch of the state. `with_tape`: the plan records, so its tape
  /// must fit the memory budget. Throws Error(invalid_argument) for a negative number.
  const Plan& plan(std::int64_t steps, bool with_tape = true);

  /// Return the sequence's tensors, still in host memory, after checking their sizes.
  Inputs<const Real> inputs_of(const BasicSequence<Real>& sequence) const;
  Masks<Real> masks_of(const BasicSequence<Real>& sequence) const;

  /// Returns the state on the device, after taking it out of the step state.
  State<Real> state_values();

  std::span<const Real> infer(const BasicSequence<Real>& sequence);
  std::span<const Real> record(const BasicSequence<Real>& sequence);
  void backward(std::span<const Real> dy, const BasicSequenceGradients<Real>& gradients,
                const BasicUpstreamGradients<Real>& more);

  void reset(std::int64_t batch);  // 0: the options'
  /// Returns the batch after reset(batch). Throws Error(invalid_argument) if `batch` is negative.
  std::int64_t batch_after_reset(std::int64_t batch) const;

  /// A state that adopt() can make the network's. All memory is allocated.
  struct NextState {
    std::int64_t batch = 0;
    std::optional<CarriedState<Real>> zero{};                              // if the batch is another
    std::vector<std::pair<std::string_view, std::vector<Real>>> values{};  // of tensors that are not zero
  };
  /// Return the state of zeros with `batch` elements, also for 0, and the state in a file, which is zero if
  /// the cell has no state.
  NextState zero_state(std::int64_t batch);
  NextState read_state(const io::TensorFile& file);
  /// Sets the state and discards the windows. Allocates nothing.
  void adopt(NextState next);

  void detach() { windows.clear(); }
  /// Throws Error(invalid_argument) if there are recorded windows. `call` names the call in the message.
  void check_no_windows(const char* call) const;
  /// Throws Error(invalid_argument) if forward() must not record: the state is not that after the last
  /// window.
  void check_state_continues() const;
  /// Throws Error(invalid_argument) without a recorded window, or if the parameters have changed since it or
  /// since an earlier window that its backward pass runs again.
  void check_last_window() const;

  void save_state(io::TensorFile& file);
  /// Returns the parameters in a file. Throws Error(format) if they are those of another Spec.
  typename NetworkParameters<Real>::Values read_parameters(const io::TensorFile& file) const;

 private:
  Plan make_plan(std::int64_t steps, std::int64_t batch, bool with_tape) const;
  /// Runs T steps and stores the outputs in `window`. Allocates all memory before it changes the state.
  void run(Window<Real>& window, const BasicSequence<Real>& sequence, const Plan& p, bool owns_inputs,
           bool writes_tape);
  /// Runs one step in the step state. Otherwise as run().
  void run_step(Window<Real>& window, const BasicSequence<Real>& sequence, const Plan& p);
  void allocate_outputs(Outputs<Real>& outputs, std::int64_t rows) const;
  /// Returns whether run_step() computes the bits of run().
  bool can_step(const BasicSequence<Real>& sequence, const Plan& p) const;

  // recording.cpp
  StateCheckpoint make_checkpoint(std::size_t window);
  void write_tapes(std::size_t last);
  void replay(std::size_t first, std::size_t end, const State<Real>& initial, const State<Real>& working,
              bool writes_tapes);
  void check_upstream(const Window<Real>& window, std::span<const Real> dy,
                      const BasicUpstreamGradients<Real>& more) const;
  /// Returns dy plus the gradient that reaches y through M. Sets `dv` and `dv0` to the gradients of the
  /// modulator's weight and bias through `dmodulation`.
  std::vector<Real> through_modulator(const Window<Real>& window, std::span<const Real> dy,
                                      std::span<const Real> dmodulation, std::vector<Real>& dv,
                                      Real& dv0) const;
};

}  // namespace plasticity

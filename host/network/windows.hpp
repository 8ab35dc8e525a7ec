#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "network/memory_pool.hpp"
#include "plasticity/arguments.hpp"
#include "plasticity/device_memory.hpp"

namespace plasticity {

/// The results of a call, in host memory.
template <class Real>
struct Outputs {
  std::vector<Real> y{}, modulation{}, preactivation{};
};

/// The results of a call, and a recorded call's inputs, masks and tape.
template <class Real>
struct Window {
  std::int64_t steps = 0;
  DeviceMemory tensors{}, tape{};
  Inputs<const Real> inputs{};
  Masks<Real> masks{};
  Outputs<Real> outputs{};
  std::vector<std::int64_t> length{};  // in host memory, of a recorded window
  bool has_tape = false;
  std::uint64_t version = 0, checksum = 0;  // of the parameters
};

/// The state before a recorded window, in device memory.
struct StateCheckpoint {
  std::size_t window;
  DeviceMemory memory;
};

/// The windows for which backward() has not run, with their tapes and with copies of the state.
///
/// The first windows have tapes. Before every `distance`-th later window the state is copied. Backward runs
/// the later windows again from these copies, and writes at most `distance` / 2 tapes at a time. The distance
/// doubles when there would be more copies than the distance. T windows of one step then need about
/// 1.5 sqrt(T) traces, and 2.5 forward passes per window.
template <class Real>
class RecordedWindows {
 public:
  std::size_t count() const { return count_; }
  Window<Real>& operator[](std::size_t index) { return windows_[index]; }
  const Window<Real>& operator[](std::size_t index) const { return windows_[index]; }
  const Window<Real>& last() const { return windows_[count_ - 1]; }
  Window<Real>& last() { return windows_[count_ - 1]; }

  /// Returns the window to record next, with memory of an earlier one.
  Window<Real>& next();
  bool next_has_tape() const { return count_ < taped; }
  /// Returns whether the state before the next window must be copied. Doubles the distance first if there
  /// would be too many copies.
  bool next_needs_checkpoint();
  /// Adds the window that next() returned.
  void add_next(std::optional<StateCheckpoint> checkpoint);
  /// Removes the last window, whose backward pass is done.
  void remove_last();
  void clear();

  /// Returns whether backward() has run for later windows: the gradient of the state then comes from them.
  bool has_later_gradient() const { return has_later_gradient_; }
  /// The state is no longer the one after the last window.
  void set_state_moved() { has_state_moved_ = count_ > 0; }
  bool has_state_moved() const { return has_state_moved_; }

  /// Returns memory for a tape. remove_last() and clear() take back the memory of tapes.
  DeviceMemory take_tape(Device device, std::size_t bytes) { return tapes_.take(device, bytes); }
  /// Returns the first window that the backward pass of the last one runs again; without a tape these are
  /// the windows since the last checkpoint, otherwise only the last window's tape is read.
  std::size_t first_to_run() const { return last().has_tape ? count_ - 1 : checkpoints_.back().window; }
  /// Returns the number of tapes that backward may write at a time.
  std::size_t max_tapes() const;

  /// Returns a checkpoint before `window`, whose memory is not initialized. add_checkpoint(), add_next() or
  /// give_back() takes it back, without allocating memory.
  StateCheckpoint take_checkpoint(std::size_t window, Device device, std::size_t bytes) {
    checkpoints_.reserve(checkpoints_.size() + 1);
    return {window, checkpoint_blocks_.take(device, bytes)};
  }
  void give_back(StateCheckpoint checkpoint) { checkpoint_blocks_.give(std::move(checkpoint.memory)); }
  void add_checkpoint(StateCheckpoint checkpoint) { checkpoints_.push_back(std::move(checkpoint)); }
  const StateCheckpoint& last_checkpoint() const { return checkpoints_.back(); }

 private:
  static constexpr std::size_t taped = 3;
  bool is_on_grid(std::size_t window) const { return (window - taped) % distance_ == 0; }
  void release_tape(Window<Real>& window);
  void drop_checkpoints_from(std::size_t window);

  // The first `count_` are recorded. The others keep their memory for reuse.
  std::vector<Window<Real>> windows_{};
  std::size_t count_ = 0;
  bool has_later_gradient_ = false, has_state_moved_ = false;
  std::vector<StateCheckpoint> checkpoints_{};  // sorted by window
  std::size_t distance_ = 1;
  MemoryPool tapes_{}, checkpoint_blocks_{};
};

}  // namespace plasticity

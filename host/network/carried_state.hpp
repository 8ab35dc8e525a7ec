#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "plasticity/arguments.hpp"
#include "plasticity/device_memory.hpp"
#include "plasticity/io/safetensors.hpp"

namespace plasticity {

template <class Real>
State<const Real> as_const(const State<Real>& pointers) {
  return {pointers.y, pointers.c, pointers.hebb, pointers.eligibility};
}

/// Returns the size of a block that holds a whole state, and the tensors in such a block.
template <class Real>
std::size_t state_bytes(const Spec& spec, std::int64_t batch);
template <class Real>
State<Real> state_in(const Spec& spec, std::int64_t batch, void* block);

/// The state that a network carries from call to call, and the gradient that backward passes from a window to
/// the one before it. Both are in device memory.
template <class Real>
class CarriedState {
 public:
  /// Allocates the state and sets it to zero. All work is enqueued on `stream`.
  CarriedState(const Spec& spec, std::int64_t batch, Device device, Stream stream);

  std::int64_t batch() const { return batch_; }

  /// Returns the state on the device, after uploading the host's changes.
  State<Real> values();

  /// Marks the host copies as stale. Call it after a pass has written values().
  void invalidate_host_copies();

  /// Returns the gradient on the device, not initialised.
  State<Real> gradients();

  void set_zero();

  /// Returns the tensor `name` in host memory, to read or to set until the next pass. Throws
  /// Error(invalid_argument) for an unknown name.
  std::span<Real> on_host(std::string_view name);

  /// Sets the tensor `name`. `values` has its size. Allocates nothing.
  void set(std::string_view name, std::vector<Real> values);

  /// Notes the content of a tensor that on_host() has returned. is_unchanged() returns whether all noted
  /// tensors have their content still. invalidate_host_copies() and set_zero() remove the notes.
  void note(std::string_view name);
  bool is_unchanged() const;

  /// Returns a copy of the tensor `name` in host memory.
  std::vector<Real> host_copy(std::string_view name) const;

  void set_gradients_zero();  ///< call gradients() first
  /// Adds `upstream` in host memory to the gradient of the tensor `name`.
  void add_to_gradient(std::string_view name, std::span<const Real> upstream);
  /// Copy the gradient of the tensor `name` to host memory, and back.
  void copy_gradient(std::string_view name, std::span<Real> to) const;
  void set_gradient(std::string_view name, std::span<const Real> from);

 private:
  struct Tensor {
    std::string_view name;
    Real* State<Real>::*member;
    std::size_t bytes;
    DeviceMemory value, gradient{};
    std::vector<Real> host{};    // copy of the value, used on a GPU only
    bool host_is_newer = false;  // on_host() returned the copy, so the caller may have changed it
    bool is_noted = false;
    std::uint64_t noted = 0;  // checksum
  };
  std::span<const Real> host_view(const Tensor& tensor) const;

  std::int64_t batch_;
  Device device_;
  Stream stream_;
  std::vector<Tensor> tensors_;
};

}  // namespace plasticity

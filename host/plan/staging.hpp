#pragma once

#include <type_traits>
#include <vector>

#include "device/page_locked.hpp"
#include "model/for_each_tensor.hpp"
#include "plasticity/arguments.hpp"
#include "plasticity/device_memory.hpp"

namespace plasticity {

/// Grows `memory` to at least `bytes` bytes. If it grows, its content is lost.
void make_room(DeviceMemory& memory, Device device, std::size_t bytes);

/// Copies the tensors of a call to the device and back. Register every tensor first. send() allocates device
/// memory, uploads inputs and redirects the registered pointers to the device. fetch() downloads outputs. On
/// the CPU nothing is copied and the pointers do not change, except after own_inputs().
class Staging {
 public:
  /// The tensors are stored in `memory`, which grows if needed. It must outlive the call.
  Staging(Device device, Stream stream, DeviceMemory& memory)
      : device_(device), stream_(stream), memory_(memory) {}
  /// Gathers all inputs in `upload`, which grows if needed, and uploads them in one asynchronous copy.
  /// `upload` must stay unchanged until the stream has run the copy. Register the inputs before the outputs.
  Staging(Device device, Stream stream, DeviceMemory& memory, PageLocked& upload)
      : device_(device), stream_(stream), memory_(memory), upload_(&upload) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Copies the inputs to `memory` on the CPU too, so that the caller may change or free them after send().
  /// Call it before the inputs are registered.
  void own_inputs() { owns_inputs_ = true; }

  /// Registers a tensor that the call reads (read), overwrites (write), or both (update). send() changes
  /// `pointer`, so the pointer variable must live until then. A null pointer stays null.
  template <class T>
  void read(const T*& pointer, std::int64_t elements) {
    add(pointer, elements, pointer, nullptr);
  }
  template <class T>
  void write(T*& pointer, std::int64_t elements) {
    add(pointer, elements, nullptr, pointer);
  }
  template <class T>
  void update(T*& pointer, std::int64_t elements) {
    add(pointer, elements, pointer, pointer);
  }

  /// Register all tensors of Parameters, Inputs or State.
  template <class Group>
  void read_group(const Spec& spec, std::int64_t T, std::int64_t B, Group& group) {
    for_each_tensor(spec, T, B, group,
                    [&](std::string_view, auto*& pointer, const std::optional<Shape>& shape) {
                      if (shape) read(pointer, shape->elements());
                    });
  }
  template <class Group>
  void write_group(const Spec& spec, std::int64_t T, std::int64_t B, Group& group) {
    for_each_tensor(spec, T, B, group,
                    [&](std::string_view, auto*& pointer, const std::optional<Shape>& shape) {
                      if (shape) write(pointer, shape->elements());
                    });
  }
  template <class Group>
  void update_group(const Spec& spec, std::int64_t T, std::int64_t B, Group& group) {
    for_each_tensor(spec, T, B, group,
                    [&](std::string_view, auto*& pointer, const std::optional<Shape>& shape) {
                      if (shape) update(pointer, shape->elements());
                    });
  }

  /// Uploads the inputs. Throws Error(out_of_memory) and leaves the pointers unchanged.
  void send();

  /// Downloads the outputs, and waits for the stream.
  void fetch() const;

 private:
  struct Tensor {
    void* pointer;                                // address of the registered pointer
    void (*redirect)(void* pointer, void* data);  // sets the registered pointer to `data`
    const void* source;                           // host memory that send() uploads, or null
    void* destination;                            // host memory that fetch() downloads to, or null
    std::size_t bytes, offset;                    // its size and offset in the device memory
  };

  template <class T>
  void add(T*& pointer, std::int64_t elements, const void* source, void* destination) {
    const bool owned = owns_inputs_ && destination == nullptr;
    if (pointer == nullptr || (device_.kind() == DeviceKind::cpu && !owned)) return;
    const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(T);
    const auto redirect = [](void* registered, void* data) {
      *static_cast<T**>(registered) = static_cast<T*>(data);
    };
    tensors_.push_back({&pointer, redirect, source, destination, bytes, bytes_});
    bytes_ += (bytes + 63) / 64 * 64;
  }
  void* data(const Tensor& tensor) const;
  void send_gathered();

  Device device_;
  Stream stream_;
  DeviceMemory& memory_;
  PageLocked* upload_ = nullptr;
  bool owns_inputs_ = false;
  std::vector<Tensor> tensors_;
  std::size_t bytes_ = 0;
};

/// Registers the inputs and masks of a sequence.
template <class Real>
void stage_inputs(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                  Inputs<const Real>& inputs, Masks<Real>& masks);

/// Registers all tensors of a forward pass. Outputs are uploaded too, so that a test sees an entry that the
/// pass does not write.
template <class Real>
void stage_forward(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                   ForwardArgs<Real>& args);

/// Registers the upstream gradients and the gradients of a backward pass.
template <class Real>
void stage_gradients(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                     BackwardArgs<Real>& args);

}  // namespace plasticity

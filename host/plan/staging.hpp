#pragma once

#include <type_traits>
#include <vector>

#include "device/page_locked.hpp"
#include "plasticity/arguments.hpp"
#include "plasticity/device_memory.hpp"

namespace plasticity {

/// Makes sure of at least `bytes`; what the memory held is lost where it has to grow.
void make_room(DeviceMemory& memory, Device device, std::size_t bytes);

/// The tensors of a call, where its plan runs. Each is named first; then send() makes room on the device,
/// copies there what the call reads and lets the pointers show there; after the call fetch() brings what it
/// wrote back to the host. On the CPU the tensors are used where they are, and nothing happens.
class Staging {
 public:
  /// The tensors take their places in `memory`, which grows where needed and outlives the call.
  Staging(Device device, Stream stream, DeviceMemory& memory)
      : device_(device), stream_(stream), memory_(memory) {}
  /// What is read is gathered in `upload`, which grows too, and sent in one copy that nobody waits for: it
  /// must stay as it is until the stream has done it. Name what is read before all else.
  Staging(Device device, Stream stream, DeviceMemory& memory, PageLocked& upload)
      : device_(device), stream_(stream), memory_(memory), upload_(&upload) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// A tensor that the call reads, overwrites, or both. The pointer itself must stay where it is until
  /// send(); null stays null.
  template <class T>
  void read(const T*& pointer, std::int64_t elements) {
    name(pointer, elements, pointer, nullptr);
  }
  template <class T>
  void write(T*& pointer, std::int64_t elements) {
    name(pointer, elements, nullptr, pointer);
  }
  template <class T>
  void update(T*& pointer, std::int64_t elements) {
    name(pointer, elements, pointer, pointer);
  }

  /// All tensors of a group, whose shapes `shape_of(name)` tells.
  template <class Group, class ShapeOf>
  void read_group(Group& group, ShapeOf shape_of) {
    for_each(group, shape_of, [&](auto*& pointer, std::int64_t elements) { read(pointer, elements); });
  }
  template <class Group, class ShapeOf>
  void write_group(Group& group, ShapeOf shape_of) {
    for_each(group, shape_of, [&](auto*& pointer, std::int64_t elements) { write(pointer, elements); });
  }
  template <class Group, class ShapeOf>
  void update_group(Group& group, ShapeOf shape_of) {
    for_each(group, shape_of, [&](auto*& pointer, std::int64_t elements) { update(pointer, elements); });
  }

  /// Throws Error(out_of_memory); the pointers are then as they were.
  void send();
  void fetch() const;

 private:
  struct Tensor {
    void* pointer;                            // the caller's pointer
    void (*show)(void* pointer, void* data);  // makes it show there
    const void* from;                         // what is sent, or null
    void* to;                                 // where it is fetched to, or null
    std::size_t bytes, offset;                // its place in the memory
  };

  template <class T>
  void name(T*& pointer, std::int64_t elements, const void* from, void* to) {
    if (pointer == nullptr || device_.kind() == DeviceKind::cpu) return;
    const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(T);
    const auto show = [](void* caller, void* data) { *static_cast<T**>(caller) = static_cast<T*>(data); };
    tensors_.push_back({&pointer, show, from, to, bytes, bytes_});
    bytes_ += (bytes + 63) / 64 * 64;
  }
  template <class Group, class ShapeOf, class Call>
  static void for_each(Group& group, ShapeOf shape_of, Call call) {
    for (const auto& member : Group::members()) {
      if (const auto shape = shape_of(member.name)) call(group.*member.pointer, shape->elements());
    }
  }
  void* data(const Tensor& tensor) const;
  void send_gathered();

  Device device_;
  Stream stream_;
  DeviceMemory& memory_;
  PageLocked* upload_ = nullptr;
  std::vector<Tensor> tensors_;
  std::size_t bytes_ = 0;
};

/// Names what every step of a sequence reads.
template <class Real>
void stage_inputs(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                  Inputs<const Real>& inputs, Masks<Real>& masks);

/// Names all tensors of a forward pass. What it writes is sent too, so that what it forgets to write is seen.
template <class Real>
void stage_forward(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                   ForwardArgs<Real>& args);

/// Names the tensors of a backward pass that the forward pass does not have: the gradients.
template <class Real>
void stage_gradients(Staging& staging, const Spec& spec, std::int64_t steps, std::int64_t batch,
                     BackwardArgs<Real>& args);

}  // namespace plasticity

#include "parity/plan_runner.hpp"

#include <deque>

#include "plasticity/device_memory.hpp"

namespace plasticity::parity {
namespace {

/// The tensors of a case on a device.
class OnDevice {
 public:
  explicit OnDevice(Device device) : device_(device) {}

  /// Replaces a pointer to the host's `elements` by one to the device's copy of them.
  template <class T>
  void send(T*& pointer, std::int64_t elements) {
    if (pointer == nullptr) return;
    using Value = std::remove_const_t<T>;
    const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(T);
    const DeviceMemory& memory = memory_.emplace_back(device_, bytes);
    copy(device_, {}, memory.data(), pointer, bytes);
    if constexpr (!std::is_const_v<T>) answers_.push_back({pointer, memory.data(), bytes});
    pointer = static_cast<Value*>(memory.data());
  }
  /// The tensors of a group, whose shapes `shape_of(name)` tells.
  template <class Group, class ShapeOf>
  void send_group(Group& group, ShapeOf shape_of) {
    for (const auto& member : Group::members()) {
      if (const auto shape = shape_of(member.name)) send(group.*member.pointer, shape->elements());
    }
  }
  /// Copies what was written back to where it was asked for.
  void fetch() const {
    for (const Answer& answer : answers_) copy(device_, {}, answer.host, answer.device, answer.bytes);
  }

 private:
  struct Answer {
    void *host, *device;
    std::size_t bytes;
  };
  Device device_;
  std::deque<DeviceMemory> memory_;
  std::vector<Answer> answers_;
};

template <class Real>
void run_on(Device device, Precision precision, const Case& c, Buffers<Real>& buffers) {
  const Spec& spec = c.spec;
  const std::int64_t T = c.steps, B = c.batch, TB = T * B, N = spec.neurons;
  const Plan plan(spec, {.steps = T, .batch = B, .device = device, .precision = precision});
  ForwardArgs<Real> forward = buffers.forward;
  BackwardArgs<Real> backward = buffers.backward;
  OnDevice there(device);
  const auto parameter = [&](std::string_view name) { return parameter_shape(spec, name); };
  const auto input = [&](std::string_view name) { return input_shape(spec, T, B, name); };
  const auto state = [&](std::string_view name) { return state_shape(spec, B, name); };
  there.send_group(forward.parameters, parameter);
  there.send_group(forward.inputs, input);
  there.send_group(forward.initial_state, state);
  there.send_group(forward.final_state, state);
  there.send(forward.masks.reset, TB);
  there.send(forward.masks.length, B);
  there.send(forward.masks.clamp, TB * N);
  there.send(forward.masks.clamp_value, TB * N);
  there.send(forward.y, TB * N);
  there.send(forward.modulation, TB);
  backward.parameters = forward.parameters;
  backward.inputs = forward.inputs;
  backward.masks = forward.masks;
  backward.initial_state = forward.initial_state;
  there.send(backward.dy, TB * N);
  there.send_group(backward.dfinal_state, state);
  there.send_group(backward.dparameters, parameter);
  there.send_group(backward.dinputs, input);
  there.send_group(backward.dinitial_state, state);

  const DeviceMemory tape(device, plan.tape_bytes()), scratch(device, plan.scratch_bytes());
  plan.forward({}, forward, tape.as<Tape>(), scratch.as<Scratch>());
  plan.backward({}, backward, tape.as<Tape>(), scratch.as<Scratch>());
  synchronize(device, {});
  there.fetch();
}

}  // namespace

void PlanRunner::run(const Case& c, Buffers<float>& buffers) { run_on(device, precision, c, buffers); }
void PlanRunner::run(const Case& c, Buffers<double>& buffers) { run_on(device, precision, c, buffers); }

}  // namespace plasticity::parity

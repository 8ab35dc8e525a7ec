#include "cuda/on_device.hpp"

#include <algorithm>
#include <deque>

#include "support/guarded_memory.hpp"

#if defined(PLASTICITY_SIMT_TEST)
#include "simt/schedules.hpp"
#endif

namespace plasticity::testing {

void on_device(const std::function<void()>& body) {
#if defined(PLASTICITY_SIMT_TEST)
  simt::run(body);
#else
  body();
#endif
}

namespace {

/// A problem's tensors on the device.
class Tensors {
 public:
  Tensors(Device device, std::size_t offset) : device_(device), offset_(offset) {}

  template <class T>
  void send(T*& pointer, std::int64_t elements) {
    if (pointer == nullptr) return;
    const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(T);
    const std::size_t shift = sizeof(T) == 8 ? 2 * offset_ : offset_;
    const GuardedMemory& memory = memory_.emplace_back(bytes, device_, shift);
    copy(device_, {}, memory.data(), pointer, bytes);
    if constexpr (!std::is_const_v<T>) {
      const auto* first = reinterpret_cast<const std::byte*>(pointer);
      answers_.push_back({pointer, memory.data(), {first, first + bytes}});
    }
    pointer = static_cast<std::remove_const_t<T>*>(memory.data());
  }
  template <class Group, class ShapeOf>
  void send_group(Group& group, ShapeOf shape_of) {
    for (const auto& member : Group::members()) {
      if (const auto shape = shape_of(member.name)) send(group.*member.pointer, shape->elements());
    }
  }
  bool fetch() const {
    for (const Answer& answer : answers_) copy(device_, {}, answer.host, answer.device, answer.first.size());
    return std::all_of(memory_.begin(), memory_.end(),
                       [](const GuardedMemory& memory) { return memory.intact(); });
  }
  void send_again() const {
    for (const Answer& answer : answers_)
      copy(device_, {}, answer.device, answer.first.data(), answer.first.size());
  }

 private:
  struct Answer {
    void *host, *device;
    std::vector<std::byte> first;
  };
  Device device_;
  std::size_t offset_;
  std::deque<GuardedMemory> memory_;
  std::vector<Answer> answers_;
};

/// The arguments of step t of a sequence.
StepArgs<float> step_of(const ForwardArgs<float>& args, const Spec& spec, std::int64_t B, std::int64_t t) {
  StepArgs<float> step{.parameters = args.parameters, .inputs = args.inputs, .masks = args.masks};
  for (const auto& member : Inputs<const float>::members()) {
    if (step.inputs.*member.pointer == nullptr) continue;
    step.inputs.*member.pointer += t * input_shape(spec, 1, B, member.name)->elements();
  }
  const std::int64_t N = spec.neurons;
  if (step.masks.reset != nullptr) step.masks.reset += t * B;
  if (step.masks.clamp != nullptr) step.masks.clamp += t * B * N, step.masks.clamp_value += t * B * N;
  step.y = args.y + t * B * N;
  step.modulation = args.modulation == nullptr ? nullptr : args.modulation + t * B;
  step.a = args.a == nullptr ? nullptr : args.a + t * B * N;
  return step;
}

}  // namespace

struct ProblemOnDevice::Implementation {
  const Spec spec;
  const std::int64_t T, B;
  const Device device = Device::cuda();
  const Plan plan;
  ForwardArgs<float> forward;
  BackwardArgs<float> backward;
  Tensors tensors;
  const GuardedMemory tape, step_state_memory, scratch,
      other_scratch;  // scratch dies with a call, so backward has its own
  const GuardedMemory *forward_scratch = &scratch, *backward_scratch = &other_scratch;

  Implementation(const TestCase& problem, Buffers<float>& buffers, const DeviceOptions& options)
      : spec(problem.spec),
        T(problem.steps),
        B(problem.batch),
        plan(spec, {.steps = T,
                    .batch = B,
                    .device = device,
                    .precision = options.precision,
                    .checkpoint_interval = options.checkpoint_interval,
                    .memory_budget = options.memory_budget,
                    .execution = options.execution}),
        forward(buffers.forward),
        backward(buffers.backward),
        tensors(device, options.offset),
        tape(plan.tape_bytes(), device),
        step_state_memory(plan.step_state_bytes(), device),
        scratch(plan.scratch_bytes(), device),
        other_scratch(plan.scratch_bytes(), device) {
    const std::int64_t TB = T * B, N = spec.neurons;
    const auto parameter = [&](std::string_view name) { return parameter_shape(spec, name); };
    const auto input = [&](std::string_view name) { return input_shape(spec, T, B, name); };
    const auto state = [&](std::string_view name) { return state_shape(spec, B, name); };
    tensors.send_group(forward.parameters, parameter);
    tensors.send_group(forward.inputs, input);
    tensors.send_group(forward.initial_state, state);
    tensors.send_group(forward.final_state, state);
    tensors.send(forward.masks.reset, TB);
    tensors.send(forward.masks.length, B);
    tensors.send(forward.masks.clamp, TB * N);
    tensors.send(forward.masks.clamp_value, TB * N);
    tensors.send(forward.y, TB * N);
    tensors.send(forward.modulation, TB);
    tensors.send(forward.a, TB * N);
    backward.parameters = forward.parameters;
    backward.inputs = forward.inputs;
    backward.masks = forward.masks;
    backward.initial_state = forward.initial_state;
    tensors.send(backward.dy, TB * N);
    tensors.send(backward.da, TB * N);
    tensors.send_group(backward.dfinal_state, state);
    tensors.send_group(backward.dparameters, parameter);
    tensors.send_group(backward.dinputs, input);
    tensors.send_group(backward.dinitial_state, state);
  }
};

ProblemOnDevice::ProblemOnDevice(const TestCase& problem, Buffers<float>& buffers,
                                 const DeviceOptions& options)
    : implementation_(std::make_unique<Implementation>(problem, buffers, options)) {}
ProblemOnDevice::~ProblemOnDevice() = default;

void ProblemOnDevice::send() { implementation_->tensors.send_again(); }

void ProblemOnDevice::forward(Stream stream) const {
  const Implementation& self = *implementation_;
  self.plan.forward(stream, self.forward, self.tape.as<Tape>(), self.forward_scratch->as<Scratch>());
}

void ProblemOnDevice::backward(Stream stream) const {
  const Implementation& self = *implementation_;
  self.plan.backward(stream, self.backward, self.tape.as<Tape>(), self.backward_scratch->as<Scratch>());
}

void ProblemOnDevice::move_scratch() {
  std::swap(implementation_->forward_scratch, implementation_->backward_scratch);
}

void ProblemOnDevice::steps(Stream stream) const {
  const Implementation& self = *implementation_;
  const StepState step_state = self.step_state_memory.as<StepState>();
  self.plan.load(stream, self.forward.initial_state, step_state);
  for (std::int64_t t = 0; t < self.T; ++t) {
    self.plan.step(stream, step_of(self.forward, self.spec, self.B, t), step_state,
                   self.scratch.as<Scratch>());
  }
  self.plan.store(stream, self.forward.final_state, step_state);
}

bool ProblemOnDevice::fetch(Stream stream) const {
  const Implementation& self = *implementation_;
  synchronize(self.device, stream);
  const bool intact = self.tensors.fetch();
  return self.tape.intact() && self.step_state_memory.intact() && self.scratch.intact() &&
         self.other_scratch.intact() && intact;
}

OwnStream::OwnStream() {
  if (cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking) != cudaSuccess)
    throw std::runtime_error("no stream");
}
OwnStream::~OwnStream() { cudaStreamDestroy(stream_); }

bool run_cuda(const TestCase& problem, Buffers<float>& buffers, const DeviceOptions& options) {
  const ProblemOnDevice gpu(problem, buffers, options);
  if (options.single_steps) {
    gpu.steps({});
  } else {
    gpu.forward({});
    gpu.backward({});
  }
  return gpu.fetch({});
}

}  // namespace plasticity::testing

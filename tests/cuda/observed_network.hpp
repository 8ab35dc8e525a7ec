#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/str_cat.hpp"
#include "cuda/on_device.hpp"
#include "plasticity/network.hpp"
#include "problems/episode.hpp"

// The same network on the CPU and on a GPU, compared after every call.
namespace plasticity::testing {

using Tensors = std::map<std::string, std::vector<float>>;
inline constexpr std::int64_t B = 2;

/// A cell with all kinds of parameters.
inline const Spec fanned_out{
    .rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 7, .clip = .5};

/// The inputs, masks and upstream gradient of a window.
struct Window {
  Window(const Spec& spec, std::int64_t steps, std::uint64_t seed, MaskChoice masks = {})
      : problem(make_test_case(spec, steps, B, seed, masks)), buffers(problem) {}

  Sequence sequence() const { return sequence_of(problem, buffers); }
  std::span<const float> dy() const {
    return {buffers.backward.dy, static_cast<std::size_t>(problem.steps * B * problem.spec.neurons)};
  }

  TestCase problem;
  Buffers<float> buffers;
};

/// A network, and copies of everything that its calls return.
class ObservedNetwork {
 public:
  ObservedNetwork(const Spec& spec, Device device)
      : network(spec, {.batch = B, .device = device, .seed = 5, .preactivation = true}) {}

  void take_parameters(const Window& window) {
    for (const auto& member : Parameters<float>::members()) {
      const std::string name(member.name);
      if (parameter_shape(network.spec(), name)) copy_to(network.parameter(name), window, "param." + name);
    }
  }
  void take_state(const Window& window) {
    for (const auto& member : State<float>::members()) {
      const std::string name(member.name);
      if (state_shape(network.spec(), B, name)) copy_to(network.state(name), window, "state." + name);
    }
  }
  void forward(const Window& window) { record(network.forward(window.sequence())); }
  void infer(const Window& window) { record(network.infer(window.sequence())); }
  void backward(const Window& window, std::span<const float> dy) {
    SequenceGradients gradients;
    const auto wanted = [&](const char* name) -> std::span<float> {
      const auto shape = input_shape(network.spec(), window.problem.steps, B, name);
      if (!shape) return {};
      return tensors_[str_cat("d", name)] =
                 std::vector<float>(static_cast<std::size_t>(shape->elements()), 9.0f);
    };
    gradients.x = wanted("x");
    gradients.pre = wanted("pre");
    gradients.rate = wanted("rate");
    if (!window.sequence().u.empty()) gradients.u = wanted("u");
    network.backward(dy, gradients);
  }
  void backward(const Window& window) { backward(window, window.dy()); }

  /// Returns parameters, gradients, the last outputs and, if `with_state`, the state.
  const Tensors& snapshot(bool with_state = true) {
    for (const ParameterView& view : network.parameters()) {
      tensors_["value " + view.name] = copied(view.value);
      tensors_["gradient " + view.name] = copied(view.gradient);
    }
    for (const auto& member : State<float>::members()) {
      const std::string name(member.name);
      if (with_state && state_shape(network.spec(), B, name))
        tensors_["state " + name] = copied(network.state(name));
    }
    tensors_["windows"] = {static_cast<float>(network.windows())};
    return tensors_;
  }

  Network network;

 private:
  static void copy_to(std::span<float> to, const Window& window, const std::string& name) {
    const std::vector<float>& from = window.buffers.inputs.at(name);
    ASSERT_EQ(to.size(), from.size()) << name;
    std::copy(from.begin(), from.end(), to.begin());
  }
  void record(std::span<const float> y) {
    tensors_["y"] = copied(y);
    tensors_["modulation"] = copied(network.modulation());
    tensors_["preactivation"] = copied(network.preactivation());
  }
  Tensors tensors_;
};

/// A few hundred float roundings of 6e-8, relative to the norm of a tensor.
inline constexpr double network_tolerance = 2e-5;

/// The same network on both devices. Every call goes to both.
struct CpuAndGpu {
  explicit CpuAndGpu(const Spec& spec) : cpu(spec, Device::cpu(1)), gpu(spec, Device::cuda()) {}
  template <class Call>
  void both(Call call) {
    call(cpu);
    call(gpu);
  }
  void expect_same(const char* when, bool with_state = true) {
    const auto [error, name] = worst(gpu.snapshot(with_state), cpu.snapshot(with_state));
    EXPECT_LT(error, network_tolerance) << name << ' ' << when << ", " << to_string(cpu.network.spec());
  }
  ObservedNetwork cpu, gpu;
};

}  // namespace plasticity::testing

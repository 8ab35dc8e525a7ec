#pragma once

#include <map>
#include <string>
#include <vector>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"

// A model of several modules.
namespace plasticity::testing {

inline constexpr std::int64_t T = 4, B = 3, I = 2, E = 5, N = 6, O = 2;  // E features, O outputs
using Tensors = std::map<std::string, std::vector<float>>;

/// Two networks, one behind the other, a readout, and a parameter of the program's own. The output is
/// gain * readout(memory(encoder(x))).
struct Model {
  explicit Model(std::uint64_t seed = 1)
      : encoder({.cell = Cell::rnn, .rule = Rule::oja, .inputs = I, .neurons = E},
                {.batch = B, .device = Device::cpu(1), .seed = seed, .name = "encoder"}),
        memory(
            {.cell = Cell::lstm, .rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = E, .neurons = N},
            {.batch = B, .device = Device::cpu(2), .seed = seed, .name = "memory"}),
        readout(N, O, seed, "readout") {}

  std::vector<ParameterView> own() { return {{"gain", Shape{{1}, 1}, gain, dgain}}; }
  std::vector<Module> modules() { return {encoder, memory, readout, own()}; }
  std::vector<ParameterView> parameters() {
    std::vector<ParameterView> all;
    for (const Module& module : modules()) {
      for (const ParameterView& view : module.parameters()) all.push_back(view);
    }
    return all;
  }
  void zero_gradients() {
    encoder.zero_gradients();
    memory.zero_gradients();
    readout.zero_gradients();
    dgain[0] = 0;
  }

  /// Runs all forward passes, the loss and all backward passes. Adds `disturbance` to a gradient.
  double run(std::uint64_t seed, float disturbance = 0) {
    const std::vector<float> x = noise(T * B * I, seed), target = noise(T * B * O, seed + 1);
    std::vector<float> out(T * B * O), scaled(out.size()), dout(out.size()), dy(T * B * N), de(T * B * E);
    encoder.reset();
    memory.reset();
    const std::span<const float> e = encoder.forward({.steps = T, .x = x});
    const std::span<const float> y = memory.forward({.steps = T, .x = e});
    readout.forward(y, out);
    for (std::size_t k = 0; k < out.size(); ++k) scaled[k] = gain[0] * out[k];
    const double loss = mse_loss(scaled, target, dout);
    for (std::size_t k = 0; k < out.size(); ++k) {
      dgain[0] += dout[k] * out[k];
      dout[k] *= gain[0];
    }
    readout.backward(y, dout, dy, B);
    dy[7] += disturbance;
    memory.backward(dy, {.x = de});
    encoder.backward(de);
    return loss;
  }

  Tensors snapshot() {
    Tensors tensors;
    for (const ParameterView& view : parameters()) {
      tensors["value " + view.name] = copied(view.value);
      tensors["gradient " + view.name] = copied(view.gradient);
    }
    return tensors;
  }
  Tensors values() {
    Tensors tensors;
    for (const ParameterView& view : parameters()) tensors[view.name] = copied(view.value);
    return tensors;
  }

  Network encoder, memory;
  Linear readout;
  std::vector<float> gain{1.5f}, dgain{0};
};

}  // namespace plasticity::testing

// Iterations of the caller's with networks and readouts on a GPU, alone and mixed with modules on the CPU.
#include "cuda/on_device.hpp"
#include "plasticity/error.hpp"
#include "plasticity/loss.hpp"
#include "plasticity/trainer.hpp"
#include "problems/episode.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t T = 3, B = 2, I = 3, N = 7, O = 2;
using Tensors = std::map<std::string, std::vector<float>>;

class CudaModuleTrainer : public CudaTest {};

// This epsilon keeps Adam's first steps from dividing by almost zero.
const TrainerOptions options{.adam = {.learning_rate = 1e-2, .epsilon = 1e-2}, .clip_norm = .05};
const Spec spec{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = I, .neurons = N, .clip = .5};

// step(iteration) and step() share the moments, which stay on the GPU.
TEST_F(CudaModuleTrainer, OneNetworkMayAlternateBetweenSteps) {
  on_device([] {
    const auto make = [](Device device) { return Network(spec, {.batch = B, .device = device, .seed = 5}); };
    Network cpu = make(Device::cpu(1)), gpu = make(Device::cuda());
    Trainer of_cpu(cpu, options), of_gpu(gpu, options);
    for (std::uint64_t k = 0; k < 6; ++k) {
      const Episode episode(spec, T, B, k);
      const double want = of_cpu.step(episode.sequence(), episode.target);
      if (k % 3 == 0) {
        EXPECT_NEAR(of_gpu.step(episode.sequence(), episode.target), want, 1e-4);
        EXPECT_NEAR(of_gpu.gradient_norm(), of_cpu.gradient_norm(), 1e-4);
        EXPECT_EQ(of_gpu.y().size(), std::size_t{T * B * N});
        EXPECT_EQ(of_gpu.modulation().size(), std::size_t{T * B});
        continue;
      }
      const double got = of_gpu.step([&] { return squared_error_passes(gpu, episode); });
      EXPECT_NEAR(got, want, 1e-4);
      EXPECT_NEAR(of_gpu.gradient_norm(), of_cpu.gradient_norm(), 1e-4);
      EXPECT_TRUE(of_gpu.y().empty() && of_gpu.modulation().empty());  // also if step() has copied them
      if (k == 4) {                                                    // a write of the host between steps
        for (Network* each : {&cpu, &gpu}) each->parameter("w")[3] = .25f;
      }
    }
    const auto [error, name] = worst(snapshot(gpu), snapshot(cpu));
    EXPECT_LT(error, 2e-4) << name;
    EXPECT_EQ(of_gpu.steps(), 6);
  });
}

/// A network and a readout behind it, each on a device.
struct Pair {
  Pair(Device of_network, Device of_readout)
      : network(spec, {.batch = B, .device = of_network, .seed = 5, .name = "memory"}),
        readout(N, O, 6, "readout", of_readout),
        trainer({network, readout}, options) {}
  double learn(std::uint64_t seed, float disturbance = 0) {
    const Episode episode(spec, T, B, seed);
    return trainer.step([&] {
      std::vector<float> out(T * B * O), dout(out.size()), dy(T * B * N);
      network.reset();
      const std::span<const float> y = network.forward(episode.sequence());
      readout.forward(y, out);
      const double loss = mse_loss(out, std::span(episode.target).first(out.size()), dout);
      dout[1] += disturbance;
      readout.backward(y, dout, dy, B);
      network.backward(dy);
      return loss;
    });
  }
  Tensors snapshot() {
    Tensors tensors;
    for (const Module& module : {Module(network), Module(readout)}) {
      for (const ParameterView& view : module.parameters()) {
        tensors["value " + view.name] = copied(view.value);
        tensors["gradient " + view.name] = copied(view.gradient);
      }
    }
    return tensors;
  }
  Network network;
  Linear readout;
  Trainer trainer;
};

TEST_F(CudaModuleTrainer, DevicesMayBeMixed) {
  on_device([] {
    Pair cpu(Device::cpu(1), Device::cpu(1)), gpu(Device::cuda(), Device::cuda()),
        mixed(Device::cuda(), Device::cpu(1));
    for (std::uint64_t k = 0; k < 4; ++k) {
      const double want = cpu.learn(k);
      for (Pair* each : {&gpu, &mixed}) {
        EXPECT_NEAR(each->learn(k), want, 1e-4);
        const auto [error, name] = worst(each->snapshot(), cpu.snapshot());
        EXPECT_LT(error, 2e-4) << name << " after step " << k;
      }
    }
    io::TensorFile file;
    gpu.trainer.save(file);
    mixed.trainer.load(file);
    EXPECT_EQ(mixed.trainer.steps(), 4);
  });
}

TEST_F(CudaModuleTrainer, NotFiniteChangesNothing) {
  on_device([] {
    Pair gpu(Device::cuda(), Device::cuda());
    gpu.learn(1);
    const Tensors before = gpu.snapshot();
    EXPECT_THROW(gpu.learn(2, std::nanf("")), Error);
    const Tensors after = gpu.snapshot();
    for (const auto& [name, values] : before) {
      if (!name.starts_with("value")) continue;
      EXPECT_EQ(after.at(name), values) << name;
    }
    EXPECT_EQ(gpu.trainer.steps(), 1);
    gpu.learn(2);
    EXPECT_EQ(gpu.trainer.steps(), 2);
  });
}

}  // namespace
}  // namespace plasticity::testing

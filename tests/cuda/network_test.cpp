// Every call of a Network has the same result on a GPU as on the CPU.
#include "cuda/observed_network.hpp"
#include "plasticity/optimizer.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

class CudaNetwork : public CudaTest {};

Spec spec_of(Cell cell, std::mt19937_64& random) {
  for (;;) {
    const Spec spec = random_spec(random, 7, 3);
    if (spec.cell == cell) return spec;
  }
}

TEST_F(CudaNetwork, WindowsMatchTheCpu) {
  std::mt19937_64 random(90);
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    for (int trial = 0; trial < 6; ++trial) {
      const bool masked = trial % 2 != 0;
      const MaskChoice masks{.reset = masked, .length = masked, .clamp = masked};
      const Spec spec = spec_of(cell, random);
      const Window first(spec, 3, random(), masks), second(spec, 2, random()),
          third(spec, 4, random(), masks);
      on_device([&] {
        CpuAndGpu networks(spec);
        networks.both([&](ObservedNetwork& one) {
          one.take_parameters(first);
          one.take_state(first);
        });
        networks.both([&](ObservedNetwork& one) { one.forward(first); });
        networks.expect_same("after a window");
        networks.both([&](ObservedNetwork& one) { one.forward(second); });
        networks.expect_same("after two windows", false);
        networks.both([&](ObservedNetwork& one) { one.forward(third); });
        networks.expect_same("after three windows", false);
        networks.both([&](ObservedNetwork& one) { one.backward(third); });
        networks.expect_same("after the last window's gradient");
        networks.both([&](ObservedNetwork& one) { one.backward(second, {}); });
        networks.expect_same("after two windows' gradients", false);
        networks.both([&](ObservedNetwork& one) { one.backward(first); });
        networks.expect_same("after all gradients");
        networks.both([&](ObservedNetwork& one) { one.infer(second); });
        networks.expect_same("after infer");
      });
    }
  }
}

// Most of the windows have no tape and are run again.
TEST_F(CudaNetwork, ManyWindowsMatchTheCpu) {
  std::mt19937_64 random(92);
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    const Spec spec = spec_of(cell, random);
    const Window one_step(spec, 1, random()), two_steps(spec, 2, random(), {.reset = true, .length = true});
    const Window* const pattern[] = {&one_step, &one_step, &two_steps, &one_step};
    on_device([&] {
      CpuAndGpu networks(spec);
      networks.both([&](ObservedNetwork& one) {
        one.take_parameters(one_step);
        one.take_state(one_step);
      });
      for (int repetition = 0; repetition < 2; ++repetition) {
        for (int k = 0; k < 14; ++k)
          networks.both([&](ObservedNetwork& one) { one.forward(*pattern[k % 4]); });
        for (int k = 14; k-- > 0;)
          networks.both([&](ObservedNetwork& one) { one.backward(*pattern[k % 4]); });
        networks.expect_same("after many windows");
      }
    });
  }
}

TEST_F(CudaNetwork, StatesAndUpstreamGradientsMatchTheCpu) {
  const Window first(fanned_out, 3, 10), second(fanned_out, 2, 11);
  const std::vector<float> dmodulation{.5f, -1, .25f, 2, -.5f, 1}, dhebb(B * 49, .3f),
      da = noise(3 * B * 7, 12);
  on_device([&] {
    CpuAndGpu networks(fanned_out);
    Tensors initial[2];
    int index = 0;
    networks.both([&](ObservedNetwork& one) {
      one.take_parameters(first);
      one.take_state(first);
      one.forward(first);
      std::vector<float>&dy0 = initial[index]["y"], &dhebb0 = initial[index]["hebb"];
      dy0.resize(B * 7);
      dhebb0.resize(B * 49);
      one.network.backward(first.dy(), {.initial_state = {.y = dy0, .hebb = dhebb0}},
                           {.modulation = dmodulation, .preactivation = da, .final_state = {.hebb = dhebb}});
      ++index;
      io::TensorFile file;
      one.network.save_state(file);
      one.infer(second);
      Network copy = one.network.clone(), sharing = one.network.share(1);
      one.network.load_state(file);
      one.infer(second);
      one.network.reset(1);
      EXPECT_EQ(one.network.batch(), 1);
      one.network.reset();
      one.forward(second);
      EXPECT_EQ(copy.infer(second.sequence()).size(), 2u * B * 7);
      EXPECT_EQ(sharing.parameter("w").data(), one.network.parameter("w").data());
    });
    const auto [error, name] = worst(initial[1], initial[0]);
    EXPECT_LT(error, network_tolerance) << name;
    networks.expect_same("after all calls", false);
  });
}

TEST_F(CudaNetwork, StateIsDetachedResetAndSet) {
  const Window first(fanned_out, 2, 1), second(fanned_out, 3, 2);
  on_device([&] {
    CpuAndGpu networks(fanned_out);
    networks.expect_same("at the start");
    networks.both([&](ObservedNetwork& one) {
      one.forward(first);
      one.network.detach();
      one.forward(second);
    });
    networks.both([&](ObservedNetwork& one) { one.backward(second); });
    networks.expect_same("after detach");
    networks.both([&](ObservedNetwork& one) {
      one.network.state("hebb")[5] = .25f;
      one.infer(first);
    });
    networks.expect_same("after one number was set");
    networks.both([&](ObservedNetwork& one) {
      one.take_state(second);
      one.infer(first);
    });
    networks.expect_same("after all was set", false);
    networks.both([&](ObservedNetwork& one) {
      one.take_state(second);
      one.network.reset();
    });
    networks.expect_same("after it was set and reset");
    networks.both([&](ObservedNetwork& one) {
      one.infer(first);
      one.network.reset();
      one.infer(second);
    });
    networks.expect_same("after reset", false);
    networks.both([&](ObservedNetwork& one) {
      one.network.reset();
      one.forward(second);
      one.backward(second);
    });
    networks.expect_same("in the same memory again");
  });
}

TEST_F(CudaNetwork, TheStateOfThreeCellsIsSet) {
  std::mt19937_64 random(91);
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    const Spec spec = spec_of(cell, random);
    const Window window(spec, 2, random());
    on_device([&] {
      CpuAndGpu networks(spec);
      networks.both([&](ObservedNetwork& one) {
        one.infer(window);
        one.take_state(window);
      });
      networks.expect_same("after it was set");
      networks.both([&](ObservedNetwork& one) { one.forward(window); });
      networks.expect_same("after it was set and used");
    });
  }
}

TEST_F(CudaNetwork, UntrainedParameterIsUnchanged) {
  const Window window(fanned_out, 2, 3);
  on_device([&] {
    CpuAndGpu networks(fanned_out);
    networks.both([&](ObservedNetwork& one) {
      one.network.set_trainable("alpha", false);
      one.forward(window);
      one.backward(window);
    });
    networks.expect_same("without alpha");
    networks.both([&](ObservedNetwork& one) { one.network.set_trainable("alpha", true); });
    networks.expect_same("with alpha");
    EXPECT_EQ(networks.gpu.snapshot().at("gradient alpha"), std::vector<float>(49));
    networks.both([&](ObservedNetwork& one) {
      one.forward(window);
      one.backward(window);
    });
    networks.expect_same("with alpha, added to the previous gradients");
    networks.both([&](ObservedNetwork& one) { one.network.zero_gradients(); });
    networks.expect_same("cleared");
  });
}

TEST_F(CudaNetwork, LearnsAsOnTheCpu) {
  const Window window(fanned_out, 3, 4);
  on_device([&] {
    CpuAndGpu networks(fanned_out);
    networks.both([&](ObservedNetwork& one) {
      Adam adam({.learning_rate = 1e-3});
      for (int step = 0; step < 20; ++step) {
        one.network.reset();
        one.network.zero_gradients();
        one.forward(window);
        one.backward(window);
        adam.step(one.network.parameters());
      }
    });
    ObservedNetwork untrained(fanned_out, Device::cpu(1));
    const Tensors before = untrained.snapshot(), on_cpu = networks.cpu.snapshot(),
                  on_gpu = networks.gpu.snapshot();
    for (const auto& [name, values] : before) {
      if (!name.starts_with("value ")) continue;
      // Adam's first steps are signs of gradients: where one is as good as zero, they may differ.
      EXPECT_LT(difference(on_gpu.at(name), on_cpu.at(name)), 1e-3) << name;
      EXPECT_GT(difference(on_cpu.at(name), values), 5e-3) << name;
    }
  });
}

TEST_F(CudaNetwork, RejectsTheSameCallsAsOnTheCpu) {
  const Window window(fanned_out, 2, 5);
  on_device([&] {
    CpuAndGpu networks(fanned_out);
    networks.both([&](ObservedNetwork& one) {
      one.take_state(window);
      one.forward(window);
    });
    Network &cpu = networks.cpu.network, &gpu = networks.gpu.network;
    const std::vector<std::int64_t> length{3, 0};
    Sequence too_long = window.sequence(), too_small = window.sequence(), without = window.sequence();
    too_long.length = length;
    too_small.x = too_small.x.first(5);
    without.x = {};
    for (const Sequence& wrong : {too_long, too_small, without}) {
      const std::string want = message_of([&] { cpu.forward(wrong); });
      EXPECT_NE(want, "no error");
      EXPECT_EQ(message_of([&] { gpu.forward(wrong); }), want);
      EXPECT_EQ(message_of([&] { gpu.infer(wrong); }), want);
    }
    EXPECT_NE(message_of([&] { gpu.backward(window.dy().first(3)); }), "no error");
    EXPECT_NE(message_of([&] { gpu.state("c"); }), "no error");
    networks.both([&](ObservedNetwork& one) { one.backward(window); });
    networks.expect_same("after errors");
    EXPECT_NE(message_of([&] { gpu.backward(window.dy()); }), "no error");
  });
}

TEST_F(CudaNetwork, NoStepsAndNoBatch) {
  on_device([] {
    Network network(fanned_out, {.batch = B, .device = Device::cuda()});
    EXPECT_EQ(network.forward({.steps = 0}).size(), 0u);
    network.backward({});
    Network empty(fanned_out, {.batch = 0, .device = Device::cuda()});
    EXPECT_EQ(empty.forward({.steps = 3}).size(), 0u);
    empty.backward({});
    EXPECT_EQ(empty.state("hebb").size(), 0u);
  });
}

}  // namespace
}  // namespace plasticity::testing

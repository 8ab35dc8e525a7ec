// A Trainer learns the same on a GPU as on the CPU, with the same guarantees.
#include "plasticity/trainer.hpp"

#include "cuda/on_device.hpp"
#include "plasticity/error.hpp"
#include "plasticity/optimizer.hpp"
#include "problems/episode.hpp"
#include "support/on_threads.hpp"

#if defined(PLASTICITY_SIMT_TEST)
#include "simt/runtime.hpp"
#endif

namespace plasticity::testing {
namespace {

constexpr std::int64_t B = 2;
using Tensors = std::map<std::string, std::vector<float>>;

/// A network and its trainer. This epsilon keeps Adam's first steps from dividing by almost zero.
struct TrainedNetwork {
  explicit TrainedNetwork(const Spec& spec, Device device, double clip = 0, Stream stream = {})
      : network(spec, {.batch = B, .device = device, .seed = 5, .stream = stream}),
        trainer(network, {.adam = {.learning_rate = 1e-2, .epsilon = 1e-2}, .clip_norm = clip}) {}
  double learn(const Episode& episode, bool masked = true) {
    return trainer.step(episode.sequence(), episode.target,
                        masked ? episode.mask : std::vector<std::uint8_t>());
  }
  Network network;
  Trainer trainer;
};

class CudaTrainer : public CudaTest {};

const Spec fanned_out{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 7, .clip = .5};

TEST_F(CudaTrainer, LearnsAsOnTheCpu) {
  std::mt19937_64 random(93);
  for (int trial = 0; trial < 9; ++trial) {
    Spec spec = random_spec(random, 7, 3);
    while (spec.cell !=
           std::array{Cell::feedforward, Cell::rnn, Cell::lstm}[static_cast<std::size_t>(trial % 3)])
      spec = random_spec(random, 7, 3);
    on_device([&] {
      const double clip = trial % 2 == 0 ? 0 : .05;
      TrainedNetwork cpu(spec, Device::cpu(1), clip), gpu(spec, Device::cuda(), clip);
      for (TrainedNetwork* each : {&cpu, &gpu}) {
        if (trial % 3 == 1) each->network.set_trainable("alpha", false);
      }
      std::mt19937_64 inputs(static_cast<std::uint64_t>(trial));
      for (int iteration = 0; iteration < 5; ++iteration) {
        const bool masked = iteration % 2 != 0;
        const Episode episode(spec, 2 + iteration / 2, B, inputs(),
                              {.reset = masked, .length = masked, .clamp = trial % 2 == 0});
        if (iteration == 3) {
          cpu.network.reset();
          gpu.network.reset();
        }
        if (iteration == 4) {
          cpu.trainer.set_learning_rate(1e-3);
          gpu.trainer.set_learning_rate(1e-3);
        }
        const double want = cpu.learn(episode, masked);
        EXPECT_NEAR(gpu.learn(episode, masked), want, 2e-5 * std::max(1.0, want)) << to_string(spec);
        EXPECT_LT(difference(copied(gpu.trainer.y()), copied(cpu.trainer.y())), 1e-4);
        EXPECT_LT(difference(copied(gpu.trainer.modulation()), copied(cpu.trainer.modulation())), 1e-4);
      }
      const auto [error, name] = worst(snapshot(gpu.network), snapshot(cpu.network));
      EXPECT_LT(error, 2e-4) << name << ' ' << to_string(spec);
    });
  }
}

// With another batch, reset() replaces the memory of the state that captured kernels have.
TEST_F(CudaTrainer, LearnsAsOnTheCpuIfTheBatchChanges) {
  on_device([&] {
    TrainedNetwork cpu(fanned_out, Device::cpu(1)), gpu(fanned_out, Device::cuda());
    std::uint64_t seed = 95;
    for (const std::int64_t batch : {4, 2, 2, 2, 3, 1, 2, 3, 3, 2}) {
      const Episode episode(fanned_out, 3, batch, seed++);
      cpu.network.reset(batch);
      gpu.network.reset(batch);
      const double want = cpu.learn(episode);
      EXPECT_NEAR(gpu.learn(episode), want, 2e-5) << batch << " elements, seed " << seed;
      EXPECT_LT(difference(copied(gpu.trainer.y()), copied(cpu.trainer.y())), 1e-4);
    }
    const auto [error, name] = worst(snapshot(gpu.network), snapshot(cpu.network));
    EXPECT_LT(error, 2e-4) << name;
  });
}

TEST_F(CudaTrainer, LearnsLabelsAsOnTheCpu) {
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    Spec spec = fanned_out;
    spec.cell = cell;
    if (cell == Cell::feedforward) spec.activation = Activation::softmax;
    on_device([&] {
      TrainedNetwork cpu(spec, Device::cpu(1)), gpu(spec, Device::cuda());
      const Episode episode(spec, 3, B, 94, {.reset = true});
      const std::vector<std::int64_t> labels{2, -1, 0, 6, 1, 3};
      for (int iteration = 0; iteration < 4; ++iteration) {
        const double want = cpu.trainer.step_labels(episode.sequence(), labels);
        EXPECT_NEAR(gpu.trainer.step_labels(episode.sequence(), labels), want, 2e-5) << to_string(spec);
      }
      const auto [error, name] = worst(snapshot(gpu.network), snapshot(cpu.network));
      EXPECT_LT(error, 2e-4) << name << ' ' << to_string(spec);
    });
  }
}

TEST_F(CudaTrainer, TwiceTheSameBits) {
  const Episode first(fanned_out, 3, B, 1, {.clamp = true}), second(fanned_out, 4, B, 2);
  const auto train = [&] {
    Tensors tensors;
    on_device([&] {
      TrainedNetwork trained(fanned_out, Device::cuda(), .1);
      for (int k = 0; k < 3; ++k) {
        trained.learn(first);
        trained.learn(second);
      }
      tensors = snapshot(trained.network);
    });
    return tensors;
  };
  EXPECT_EQ(train(), train());
}

// A run that is saved and resumed has the bits of an uninterrupted one, also from a file of Adam alone.
TEST_F(CudaTrainer, ResumesFromCheckpoint) {
  const Episode episode(fanned_out, 3, B, 1);
  on_device([&] {
    TrainedNetwork straight(fanned_out, Device::cuda(), .1), resumed(fanned_out, Device::cuda(), .1);
    for (int k = 0; k < 3; ++k) {
      straight.network.reset();
      straight.learn(episode);
    }
    io::TensorFile file;
    straight.network.save(file);
    straight.trainer.save(file);
    resumed.learn(episode);
    resumed.network.load(file);
    resumed.trainer.load(file);
    EXPECT_EQ(resumed.trainer.steps(), 3);
    for (int k = 0; k < 2; ++k) {
      for (TrainedNetwork* each : {&straight, &resumed}) {
        each->network.reset();
        each->learn(episode);
      }
    }
    EXPECT_EQ(snapshot(resumed.network), snapshot(straight.network));
    Adam adam;
    adam.load(file);
    EXPECT_EQ(adam.steps(), 3);
    io::TensorFile again;
    adam.save(again);
    for (const auto& [name, tensor] : again.tensors)
      EXPECT_EQ(io::to_floats(tensor), io::to_floats(file.at(name))) << name;
  });
}

// A write of the host between steps has an effect. A view that it keeps during steps has none.
TEST_F(CudaTrainer, ParametersAreReadAndWrittenBetweenSteps) {
  const Episode episode(fanned_out, 3, B, 1);
  on_device([&] {
    TrainedNetwork cpu(fanned_out, Device::cpu(1)), gpu(fanned_out, Device::cuda());
    const auto both = [&](auto call) {
      call(cpu);
      call(gpu);
    };
    const auto expect_same = [&](const char* when) {
      const auto [error, name] = worst(snapshot(gpu.network), snapshot(cpu.network));
      EXPECT_LT(error, 2e-4) << name << ' ' << when;
    };
    both([&](TrainedNetwork& one) {
      one.learn(episode);
      one.network.parameter("w")[3] = .5f;
      one.learn(episode);
    });
    EXPECT_NEAR(gpu.network.parameter("w")[3], .49, .01);
    expect_same("after one was written");
    both([&](TrainedNetwork& one) {
      one.learn(episode);
      for (const ParameterView& view : one.network.parameters()) {
        for (float& value : view.value) value *= .9f;
      }
      one.network.state("hebb")[2] = .25f;
      one.network.forward(episode.sequence());
      one.network.backward(episode.target);  // added to the gradients of the step
      for (float& value : one.network.parameter("b")) value += .1f;
      one.learn(episode);
    });
    expect_same("after all were written, and a window");
    both([&](TrainedNetwork& one) {
      Adam adam({.epsilon = 1e-2});
      const std::vector<ParameterView> held = one.network.parameters();
      for (int k = 0; k < 2; ++k) {
        one.network.zero_gradients();
        one.network.forward(episode.sequence());
        one.network.backward(episode.target);
        adam.step(held);
      }
      one.learn(episode);
    });
    expect_same("after an Adam on the host with views that were kept");
    both([&](TrainedNetwork& one) {
      one.network.infer(episode.sequence());
      one.network.zero_gradients();
    });
    expect_same("after infer");
    io::TensorFile file;
    gpu.learn(episode);
    gpu.network.save(file);
    EXPECT_EQ(io::to_floats(file.at("param.w")), copied(gpu.network.parameter("w")));
  });
}

TEST_F(CudaTrainer, WrongCallsChangeNothing) {
  const Episode episode(fanned_out, 3, B, 1);
  on_device([&] {
    TrainedNetwork trained(fanned_out, Device::cuda()), twin(fanned_out, Device::cuda());
    trained.learn(episode);
    twin.learn(episode);
    const std::span<const float> target(episode.target);
    Sequence without = episode.sequence();
    without.x = {};
    EXPECT_THROW(trained.trainer.step(without, target), Error);
    EXPECT_THROW(trained.trainer.step(episode.sequence(), target.first(3)), Error);
    trained.network.forward(episode.sequence());
    twin.network.forward(episode.sequence());
    EXPECT_THROW(trained.learn(episode), Error);
    trained.network.detach();
    twin.network.detach();
    trained.learn(episode);
    twin.learn(episode);
    EXPECT_EQ(snapshot(trained.network), snapshot(twin.network));
  });
}

TEST_F(CudaTrainer, NoStepsAndNoBatch) {
  on_device([] {
    Network network(fanned_out, {.batch = B, .device = Device::cuda()}),
        empty(fanned_out, {.batch = 0, .device = Device::cuda()});
    EXPECT_EQ(Trainer(network).step({.steps = 0}, {}), 0);
    EXPECT_EQ(Trainer(empty).step({.steps = 3}, {}), 0);
  });
}

// Networks on separate streams and threads have the results that they have alone.
TEST_F(CudaTrainer, SeparateStreamsAndThreads) {
  const Episode first(fanned_out, 3, B, 1), second(fanned_out, 4, B, 2);
  on_device([&] {
    const auto train = [&](Stream stream, const Episode& episode) {
      TrainedNetwork trained(fanned_out, Device::cuda(), .1, stream);
      for (int k = 0; k < 4; ++k) {
        trained.network.reset();
        trained.learn(episode);
        trained.network.infer(episode.sequence());
      }
      return snapshot(trained.network);
    };
    const Tensors want_first = train({}, first), want_second = train({}, second);
    const OwnStream one, other;
    TrainedNetwork a(fanned_out, Device::cuda(), .1, one), b(fanned_out, Device::cuda(), .1, other);
    for (int k = 0; k < 4; ++k) {  // in turns
      a.network.reset();
      b.network.reset();
      a.learn(first);
      b.learn(second);
      a.network.infer(first.sequence());
      b.network.infer(second.sequence());
    }
    EXPECT_EQ(snapshot(a.network), want_first);
    EXPECT_EQ(snapshot(b.network), want_second);
#if !defined(PLASTICITY_SIMT_TEST)  // the executor's kernels run on the thread that waits for them
    Tensors got_first, got_second;
    on_threads({[&] { got_first = train(one, first); }, [&] { got_second = train(other, second); }});
    EXPECT_EQ(got_first, want_first);
    EXPECT_EQ(got_second, want_second);
#endif
  });
}

#if defined(PLASTICITY_SIMT_TEST)

// One copy to the GPU, one graph, one copy back; nothing else, and no memory, from the second step on.
TEST_F(CudaTrainer, OneCopyOneGraphOneCopy) {
  const Episode first(fanned_out, 3, B, 1, {.reset = true, .length = true, .clamp = true}),
      second(fanned_out, 3, B, 2), longer(fanned_out, 5, B, 3);
  on_device([&] {
    TrainedNetwork trained(fanned_out, Device::cuda(), .1);
    for (int warm = 0; warm < 2; ++warm) {
      trained.learn(first);
      trained.learn(second);
      trained.learn(longer);
    }
    const auto expect_one_graph = [](const auto& step) {
      const simt::runtime::Calls before = simt::runtime::calls();
      step();
      const simt::runtime::Calls after = simt::runtime::calls();
      EXPECT_EQ(after.launches, before.launches);
      EXPECT_EQ(after.graph_launches - before.graph_launches, 1u);
      EXPECT_EQ(after.copies - before.copies, 2u);
      EXPECT_EQ(after.synchronisations - before.synchronisations, 1u);
      EXPECT_EQ(after.acquisitions, before.acquisitions);
    };
    for (const Episode* episode : {&first, &second, &longer, &first})
      expect_one_graph([&] { trained.learn(*episode); });
    const std::vector<std::int64_t> labels{2, -1, 0, 6, 1, 3}, others{1, 1, 4, -1, 5, 0};
    const auto learn_labels = [&](const std::vector<std::int64_t>& list) {
      trained.trainer.step_labels(second.sequence(), list);
    };
    for (int warm = 0; warm < 2; ++warm) learn_labels(labels);
    for (const auto* list : {&labels, &others}) expect_one_graph([&] { learn_labels(*list); });
    expect_one_graph([&] { trained.learn(second); });  // its graph is another one
  });
}

// Whichever acquisition fails, the step throws, nothing has changed, and the same step then succeeds.
TEST_F(CudaTrainer, OutOfMemoryLeavesItUsable) {
  const Episode first(fanned_out, 2, B, 8), second(fanned_out, 3, B, 9);
  Tensors want;
  on_device([&] {
    TrainedNetwork trained(fanned_out, Device::cuda(), .1);
    for (int k = 0; k < 2; ++k) {  // directly, then as graphs
      trained.learn(first);
      trained.learn(second);
    }
    want = snapshot(trained.network);
  });
  const auto before = simt::runtime::live();  // the cuBLAS handle of the device, which is kept
  std::uint64_t k = 0;
  for (bool refused = true; refused; k += sanitizer_share) {
    on_device([&] {
      TrainedNetwork trained(fanned_out, Device::cuda(), .1);
      simt::runtime::fail_acquisition(k);
      refused = false;
      const auto insist = [&](const Episode& episode) {
        const std::int64_t steps = trained.trainer.steps();
        try {
          trained.learn(episode);
        } catch (const Error& error) {
          EXPECT_EQ(to_string(error.code()), to_string(ErrorCode::out_of_memory)) << error.what();
          EXPECT_EQ(trained.trainer.steps(), steps);
          refused = true;
          trained.learn(episode);
        }
      };
      for (int each = 0; each < 2; ++each) {
        insist(first);
        insist(second);
      }
      EXPECT_EQ(snapshot(trained.network), want) << "acquisition " << k;
    });
    EXPECT_EQ(simt::runtime::live(), before) << "acquisition " << k;
  }
  EXPECT_GT(k, 10u);
}

#endif

}  // namespace
}  // namespace plasticity::testing

// Every call of a Network has the same result on a GPU as on the CPU.
#include "plasticity/network.hpp"
#include "base/throw_error.hpp"

#include "cuda/on_device.hpp"
#include "plasticity/error.hpp"
#include "plasticity/optimizer.hpp"
#include "problems/episode.hpp"

#if defined(PLASTICITY_SIMT_TEST)
#include "simt/runtime.hpp"
#endif

namespace plasticity::testing {
namespace {

constexpr double tolerance = 2e-5;
constexpr std::int64_t B = 2;

using Tensors = std::map<std::string, std::vector<float>>;

/// A window's inputs, masks and upstream gradient.
struct Example {
  Example(const Spec& spec, std::int64_t steps, std::uint64_t seed, MaskChoice masks = {})
      : problem(make_test_case(spec, steps, B, seed, masks)), buffers(problem) {}

  Sequence sequence() const { return sequence_of(problem, buffers); }
  std::span<const float> dy() const {
    return {buffers.backward.dy, static_cast<std::size_t>(problem.steps * B * problem.spec.neurons)};
  }

  TestCase problem;
  Buffers<float> buffers;
};

/// Everything that a network shows, its last outputs included.
class Observed {
 public:
  Observed(const Spec& spec, Device device)
      : network(spec, {.batch = B, .device = device, .seed = 5, .current = true}) {}

  void take_parameters(const Example& example) {
    for (const auto& member : Parameters<float>::members()) {
      const std::string name(member.name);
      if (parameter_shape(network.spec(), name)) copy_to(network.parameter(name), example, "param." + name);
    }
  }
  void take_state(const Example& example) {
    for (const auto& member : State<float>::members()) {
      const std::string name(member.name);
      if (state_shape(network.spec(), B, name)) copy_to(network.state(name), example, "state." + name);
    }
  }
  void forward(const Example& example) { note(network.forward(example.sequence())); }
  void infer(const Example& example) { note(network.infer(example.sequence())); }
  void backward(const Example& example, std::span<const float> dy) {
    SequenceGradients gradients;
    const auto wanted = [&](const char* name) -> std::span<float> {
      const auto shape = input_shape(network.spec(), example.problem.steps, B, name);
      if (!shape) return {};
      return shown[str_cat("d", name)] =
                 std::vector<float>(static_cast<std::size_t>(shape->elements()), 9.0f);
    };
    gradients.x = wanted("x");
    gradients.pre = wanted("pre");
    gradients.rate = wanted("rate");
    if (!example.sequence().u.empty()) gradients.u = wanted("u");
    network.backward(dy, gradients);
  }
  void backward(const Example& example) { backward(example, example.dy()); }

  const Tensors& look(bool at_state = true) {
    for (const ParameterView& view : network.parameters()) {
      shown["value " + view.name] = copied(view.value);
      shown["gradient " + view.name] = copied(view.gradient);
    }
    for (const auto& member : State<float>::members()) {
      const std::string name(member.name);
      if (at_state && state_shape(network.spec(), B, name))
        shown["state " + name] = copied(network.state(name));
    }
    shown["windows"] = {static_cast<float>(network.windows())};
    return shown;
  }

  Network network;

 private:
  static void copy_to(std::span<float> to, const Example& example, const std::string& name) {
    const std::vector<float>& from = example.buffers.inputs.at(name);
    ASSERT_EQ(to.size(), from.size()) << name;
    std::copy(from.begin(), from.end(), to.begin());
  }
  void note(std::span<const float> y) {
    shown["y"] = copied(y);
    shown["modulation"] = copied(network.modulation());
    shown["current"] = copied(network.current());
  }
  Tensors shown;
};

/// The same network twice; every call goes to both.
struct Twins {
  explicit Twins(const Spec& spec) : cpu(spec, Device::cpu(1)), gpu(spec, Device::cuda()) {}
  template <class Call>
  void both(Call call) {
    call(cpu);
    call(gpu);
  }
  void expect_same(const char* when, bool at_state = true) {
    const auto [error, name] = worst(gpu.look(at_state), cpu.look(at_state));
    EXPECT_LT(error, tolerance) << name << ' ' << when << ", " << to_string(cpu.network.spec());
  }
  Observed cpu, gpu;
};

class CudaNetwork : public CudaTest {};

const Spec fanned_out{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 7, .clip = .5};

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
      const Example first(spec, 3, random(), masks), second(spec, 2, random()),
          third(spec, 4, random(), masks);
      on_device([&] {
        Twins twins(spec);
        twins.both([&](Observed& one) { one.take_parameters(first), one.take_state(first); });
        twins.both([&](Observed& one) { one.forward(first); });
        twins.expect_same("after a window");
        twins.both([&](Observed& one) { one.forward(second); });
        twins.expect_same("after two windows", false);
        twins.both([&](Observed& one) { one.forward(third); });
        twins.expect_same("after three windows", false);
        twins.both([&](Observed& one) { one.backward(third); });
        twins.expect_same("after the last window's gradient");
        twins.both([&](Observed& one) { one.backward(second, {}); });
        twins.expect_same("after two windows' gradients", false);
        twins.both([&](Observed& one) { one.backward(first); });
        twins.expect_same("after all gradients");
        twins.both([&](Observed& one) { one.infer(second); });
        twins.expect_same("after infer");
      });
    }
  }
}

// Most of the windows have no tape and are run again.
TEST_F(CudaNetwork, ManyWindowsMatchTheCpu) {
  std::mt19937_64 random(92);
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    const Spec spec = spec_of(cell, random);
    const Example one_step(spec, 1, random()), two_steps(spec, 2, random(), {.reset = true, .length = true});
    const Example* const examples[] = {&one_step, &one_step, &two_steps, &one_step};
    on_device([&] {
      Twins twins(spec);
      twins.both([&](Observed& one) { one.take_parameters(one_step), one.take_state(one_step); });
      for (int repetition = 0; repetition < 2; ++repetition) {
        for (int k = 0; k < 14; ++k) twins.both([&](Observed& one) { one.forward(*examples[k % 4]); });
        for (int k = 14; k-- > 0;) twins.both([&](Observed& one) { one.backward(*examples[k % 4]); });
        twins.expect_same("after many windows");
      }
    });
  }
}

TEST_F(CudaNetwork, StatesAndUpstreamGradientsMatchTheCpu) {
  const Example first(fanned_out, 3, 10), second(fanned_out, 2, 11);
  const std::vector<float> dmodulation{.5f, -1, .25f, 2, -.5f, 1}, dhebb(B * 49, .3f),
      da = noise(3 * B * 7, 12);
  on_device([&] {
    Twins twins(fanned_out);
    Tensors initial[2];
    int index = 0;
    twins.both([&](Observed& one) {
      one.take_parameters(first), one.take_state(first);
      one.forward(first);
      std::vector<float>&dy0 = initial[index]["y"], &dhebb0 = initial[index]["hebb"];
      dy0.resize(B * 7);
      dhebb0.resize(B * 49);
      one.network.backward(first.dy(), {.initial_state = {.y = dy0, .hebb = dhebb0}},
                           {.modulation = dmodulation, .current = da, .final_state = {.hebb = dhebb}});
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
    EXPECT_LT(error, tolerance) << name;
    twins.expect_same("after all calls", false);
  });
}

TEST_F(CudaNetwork, StateIsDetachedResetAndSet) {
  const Example first(fanned_out, 2, 1), second(fanned_out, 3, 2);
  on_device([&] {
    Twins twins(fanned_out);
    twins.expect_same("at the start");
    twins.both([&](Observed& one) { one.forward(first), one.network.detach(), one.forward(second); });
    twins.both([&](Observed& one) { one.backward(second); });
    twins.expect_same("after detach");
    twins.both([&](Observed& one) { one.network.state("hebb")[5] = .25f, one.infer(first); });
    twins.expect_same("after one number was set");
    twins.both([&](Observed& one) { one.take_state(second), one.infer(first); });
    twins.expect_same("after all was set", false);
    twins.both([&](Observed& one) { one.take_state(second), one.network.reset(); });
    twins.expect_same("after it was set and reset");
    twins.both([&](Observed& one) { one.infer(first), one.network.reset(), one.infer(second); });
    twins.expect_same("after reset", false);
    twins.both([&](Observed& one) { one.network.reset(), one.forward(second), one.backward(second); });
    twins.expect_same("in the same memory again");
  });
}

TEST_F(CudaNetwork, TheStateOfThreeCellsIsSet) {
  std::mt19937_64 random(91);
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    const Spec spec = spec_of(cell, random);
    const Example example(spec, 2, random());
    on_device([&] {
      Twins twins(spec);
      twins.both([&](Observed& one) { one.infer(example), one.take_state(example); });
      twins.expect_same("after it was set");
      twins.both([&](Observed& one) { one.forward(example); });
      twins.expect_same("after it was set and used");
    });
  }
}

TEST_F(CudaNetwork, UntrainedParameterIsUnchanged) {
  const Example example(fanned_out, 2, 3);
  on_device([&] {
    Twins twins(fanned_out);
    twins.both([&](Observed& one) {
      one.network.set_trainable("alpha", false);
      one.forward(example), one.backward(example);
    });
    twins.expect_same("without alpha");
    twins.both([&](Observed& one) { one.network.set_trainable("alpha", true); });
    twins.expect_same("with alpha");
    EXPECT_EQ(twins.gpu.look().at("gradient alpha"), std::vector<float>(49));
    twins.both([&](Observed& one) { one.forward(example), one.backward(example); });
    twins.expect_same("with alpha, added to the previous gradients");
    twins.both([&](Observed& one) { one.network.zero_gradients(); });
    twins.expect_same("cleared");
  });
}

TEST_F(CudaNetwork, LearnsAsOnTheCpu) {
  const Example example(fanned_out, 3, 4);
  on_device([&] {
    Twins twins(fanned_out);
    twins.both([&](Observed& one) {
      Adam adam({.learning_rate = 1e-3});
      for (int step = 0; step < 20; ++step) {
        one.network.reset();
        one.network.zero_gradients();
        one.forward(example);
        one.backward(example);
        adam.step(one.network.parameters());
      }
    });
    Observed untrained(fanned_out, Device::cpu(1));
    const Tensors before = untrained.look(), on_cpu = twins.cpu.look(), on_gpu = twins.gpu.look();
    for (const auto& [name, values] : before) {
      if (!name.starts_with("value ")) continue;
      // Adam's first steps are signs of gradients: where one is as good as zero, they may differ.
      EXPECT_LT(difference(on_gpu.at(name), on_cpu.at(name)), 1e-3) << name;
      EXPECT_GT(difference(on_cpu.at(name), values), 5e-3) << name;
    }
  });
}

TEST_F(CudaNetwork, RejectsTheSameCallsAsOnTheCpu) {
  const Example example(fanned_out, 2, 5);
  const auto message = [](const std::function<void()>& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  on_device([&] {
    Twins twins(fanned_out);
    twins.both([&](Observed& one) { one.take_state(example), one.forward(example); });
    Network &cpu = twins.cpu.network, &gpu = twins.gpu.network;
    const std::vector<std::int64_t> length{3, 0};
    Sequence too_long = example.sequence(), too_small = example.sequence(), without = example.sequence();
    too_long.length = length;
    too_small.x = too_small.x.first(5);
    without.x = {};
    for (const Sequence& wrong : {too_long, too_small, without}) {
      const std::string want = message([&] { cpu.forward(wrong); });
      EXPECT_NE(want, "no error");
      EXPECT_EQ(message([&] { gpu.forward(wrong); }), want);
      EXPECT_EQ(message([&] { gpu.infer(wrong); }), want);
    }
    EXPECT_NE(message([&] { gpu.backward(example.dy().first(3)); }), "no error");
    EXPECT_NE(message([&] { gpu.state("c"); }), "no error");
    twins.both([&](Observed& one) { one.backward(example); });
    twins.expect_same("after errors");
    EXPECT_NE(message([&] { gpu.backward(example.dy()); }), "no error");
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

#if defined(PLASTICITY_SIMT_TEST)

void train_twice(Observed& one, const Example& first, const Example& second) {
  one.take_state(first);
  one.forward(first), one.forward(second);
  one.backward(second), one.backward(first);
  one.infer(first);
}

TEST_F(CudaNetwork, ReusesMemoryFromCallToCall) {
  const Example first(fanned_out, 3, 6, {.reset = true, .length = true, .clamp = true}),
      second(fanned_out, 2, 7);
  on_device([&] {
    Observed one(fanned_out, Device::cuda());
    train_twice(one, first, second);
    const auto before = simt::runtime::calls().acquisitions;
    train_twice(one, first, second);
    EXPECT_EQ(simt::runtime::calls().acquisitions, before);
  });
}

// Whichever piece of memory is refused: the call throws, nothing has changed, and the same call then
// succeeds.
TEST_F(CudaNetwork, OutOfMemoryLeavesItUsable) {
  const Example first(fanned_out, 2, 8), second(fanned_out, 3, 9);
  Tensors want;
  on_device([&] {
    Observed one(fanned_out, Device::cuda());
    train_twice(one, first, second);
    want = one.look();
  });
  const auto before = simt::runtime::live();  // the cuBLAS handle of the device, which is kept
  std::uint64_t k = 0;
  int refused = 1;
  for (; refused > 0; ++k) {
    refused = 0;
    on_device([&] {
      simt::runtime::fail_acquisition(k);
      std::unique_ptr<Observed> one;
      // A refusal must leave everything as it was, so the call is made again.
      const auto insist = [&](const std::function<void()>& call) {
        const std::int64_t windows = one ? one->network.windows() : 0;
        try {
          call();
        } catch (const Error& error) {
          EXPECT_EQ(to_string(error.code()), to_string(ErrorCode::out_of_memory)) << error.what();
          EXPECT_EQ(one ? one->network.windows() : 0, windows);
          ++refused;
          call();
        }
      };
      insist([&] { one = std::make_unique<Observed>(fanned_out, Device::cuda()); });
      insist([&] { one->take_state(first); });
      insist([&] { one->forward(first); });
      insist([&] { one->forward(second); });
      insist([&] { one->backward(second); });
      insist([&] { one->backward(first); });
      insist([&] { one->infer(first); });
      EXPECT_LE(refused, 1);
      EXPECT_EQ(one->look(), want) << "acquisition " << k;
    });
    EXPECT_EQ(simt::runtime::live(), before) << "acquisition " << k;
  }
  EXPECT_GT(k, 10u);
}

// The same with windows that have no tape.
TEST_F(CudaNetwork, OutOfMemoryInManyWindowsLeavesItUsable) {
  const Example example(fanned_out, 1, 8);
  constexpr int windows = 8;
  Tensors want;
  on_device([&] {
    Observed one(fanned_out, Device::cuda());
    for (int k = 0; k < windows; ++k) one.forward(example);
    for (int k = 0; k < windows; ++k) one.backward(example);
    want = one.look();
  });
  int refused = 1;
  for (std::uint64_t k = 0; refused > 0 && k < 100; ++k) {
    refused = 0;
    on_device([&] {
      Observed one(fanned_out, Device::cuda());
      simt::runtime::fail_acquisition(k);
      const auto insist = [&](const std::function<void()>& call) {
        try {
          call();
        } catch (const Error& error) {
          EXPECT_EQ(to_string(error.code()), to_string(ErrorCode::out_of_memory)) << error.what();
          ++refused;
          call();
        }
      };
      for (int window = 0; window < windows; ++window) insist([&] { one.forward(example); });
      for (int window = 0; window < windows; ++window) insist([&] { one.backward(example); });
      EXPECT_EQ(one.look(), want) << "acquisition " << k;
    });
  }
  EXPECT_EQ(refused, 0);
}

// A window that found no memory is given up: the one before it is taken back as if nothing had been.
TEST_F(CudaNetwork, ContinuesWithoutAWindowThatRanOutOfMemory) {
  const Example first(fanned_out, 2, 8), second(fanned_out, 5, 9);
  bool refused = true;
  std::uint64_t k = 0;
  for (; refused && k < 100; ++k) {
    on_device([&] {
      Twins twins(fanned_out);
      twins.both([&](Observed& one) { one.take_state(first), one.forward(first); });
      const std::vector<float> M = copied(twins.gpu.network.modulation());
      simt::runtime::fail_acquisition(k);
      try {
        twins.gpu.network.forward(second.sequence());
        refused = false;
        return;
      } catch (const Error& error) {
        EXPECT_EQ(to_string(error.code()), to_string(ErrorCode::out_of_memory)) << error.what();
      }
      EXPECT_EQ(copied(twins.gpu.network.modulation()), M);
      twins.both([&](Observed& one) { one.backward(first); });
      twins.expect_same("after a refused window");
    });
  }
  EXPECT_FALSE(refused);
  EXPECT_GT(k, 3u);  // its tensors, scratch and tape
}

#endif

}  // namespace
}  // namespace plasticity::testing

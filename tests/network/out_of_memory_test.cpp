// Every allocation of a call fails once. The call then throws and changes nothing, and the next call
// succeeds.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <optional>
#include <utility>

#include "base/str_cat.hpp"
#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"
#include "support/replaced_new.hpp"

namespace plasticity::testing {
namespace {

long allocations_before_failure = -1;  // negative: no allocation fails
bool failure_lasts = false;            // all later allocations fail too
std::size_t failing_bytes = 0;         // every allocation of this size fails; 0: none

}  // namespace

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (failing_bytes != 0 && bytes == failing_bytes) return nullptr;
  if (allocations_before_failure == 0) {
    if (!failure_lasts) allocations_before_failure = -1;
    return nullptr;
  }
  if (allocations_before_failure > 0) --allocations_before_failure;
  return aligned_memory(bytes, alignment);
}

void release(void* data, std::size_t) noexcept { std::free(data); }

namespace {

constexpr std::int64_t B = 2;

/// Runs `call` until it succeeds. In its runs 2k and 2k + 1 allocation k fails, at first with all later ones.
/// Calls `check(k)` after each failure. Returns the number of allocations that failed.
template <class Call, class Check>
int failures(Call call, Check check) {
  constexpr int most = 1000;  // a call of these sizes allocates less often
  for (int run = 0; run < 2 * most; ++run) {
    failure_lasts = run % 2 == 0;
    allocations_before_failure = run / 2;
    try {
      call();
      allocations_before_failure = -1;
      return run / 2;
    } catch (const std::bad_alloc&) {
      allocations_before_failure = -1;
    } catch (const Error& error) {
      allocations_before_failure = -1;
      EXPECT_EQ(to_string(error.code()), to_string(ErrorCode::out_of_memory)) << error.what();
    }
    check(run / 2);
  }
  ADD_FAILURE() << "the call fails without a failed allocation";
  return most;
}

template <class Call>
int failures_without_change(Network& network, Call call) {
  const auto before = snapshot(network);
  const std::int64_t windows = network.windows();
  return failures(call, [&](int k) {
    EXPECT_EQ(snapshot(network), before) << "allocation " << k;
    EXPECT_EQ(network.windows(), windows) << "allocation " << k;
  });
}

const Spec modulated{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 6, .clip = .5};

TEST(OutOfMemory, AFailedCallOfANetworkChangesNothing) {
  const Episode episode(modulated, 1, B, 5, {.length = true});
  const std::vector<float> dM = noise(B, 6), dhebb = noise(B * 36, 7), dy_state = noise(B * 6, 8);
  const auto make = [] { return Network(modulated, {.batch = B, .device = Device::cpu(1), .seed = 3}); };
  const auto backward = [&](Network& network) {
    network.backward(episode.target, {}, {.modulation = dM, .final_state = {.y = dy_state, .hebb = dhebb}});
  };
  constexpr int windows = 9;  // some with a tape, some that run again
  Network network = make(), whole = make();
  int count = 0;
  for (int t = 0; t < windows; ++t) {
    whole.forward(episode.sequence());
    count += failures_without_change(network, [&] { network.forward(episode.sequence()); });
  }
  EXPECT_GT(count, windows);
  for (int t = 0; t < windows; ++t) {
    backward(whole);
    EXPECT_GT(failures_without_change(network, [&] { backward(network); }), 0);
  }
  EXPECT_EQ(snapshot(network), snapshot(whole));
}

TEST(OutOfMemory, TheLayersOfAStackKeepEqualWindows) {
  constexpr std::int64_t inputs = 30;  // the first layer's gradient is wider than the second's
  const Spec spec{.rule = Rule::oja, .neurons = 6};
  const std::vector<float> x = noise(B * inputs, 4), dy = noise(B * 6, 5);
  for (const bool records : {true, false}) {  // forward() fails, or backward()
    std::optional<Stack> stack;
    const auto begin = [&] {  // anew for each failure, because a stack keeps its memory
      stack.emplace(inputs, std::vector<StackLayer>{{.spec = spec}, {.spec = spec}},
                    NetworkOptions{.batch = B, .device = Device::cpu(1)});
      if (!records) stack->forward({.x = x});
    };
    const auto call = [&] {
      if (records) {
        stack->forward({.x = x});
      } else {
        stack->backward(dy);
      }
    };
    begin();
    const int count = failures(call, [&](int k) {
      for (std::size_t layer = 0; layer < stack->layers().size(); ++layer)
        EXPECT_EQ(stack->layer(layer).windows(), stack->windows())
            << "layer " << layer << " allocation " << k;
      begin();
    });
    EXPECT_GT(count, 3);
  }
}

/// Returns everything that the objects store in a file. With their states.
template <class... Saved>
io::TensorFile contents(const Saved&... saved) {
  io::TensorFile file;
  const auto add = [&](const auto& each) {
    each.save(file);
    if constexpr (requires { each.save_state(file); }) each.save_state(file);
  };
  (add(saved), ...);
  return file;
}

TEST(OutOfMemory, OutputsWithoutMemoryAreAnErrorOfTheLibrary) {
  constexpr std::int64_t inputs = 3, neurons = 6, steps = 101;
  const NetworkOptions options{.batch = B, .device = Device::cpu(1)};
  const Spec spec{.rule = Rule::oja, .inputs = inputs, .neurons = neurons};
  Network network(spec, options);
  Stack stack(inputs, {{.spec = spec}, {.spec = {.neurons = 7}, .from = {-1, 0}}}, options);
  const std::vector<float> x = noise(steps * B * inputs, 4);
  const auto refused = [&](std::int64_t row, auto call) {
    failing_bytes = static_cast<std::size_t>(steps * B * row) * sizeof(float);
    const std::string message = str_cat("host memory: expected ", failing_bytes, " bytes, got none");
    expect_exact_error(call, ErrorCode::out_of_memory, message);
    failing_bytes = 0;
  };
  refused(neurons, [&] { network.infer({.steps = steps, .x = x}); });
  refused(neurons, [&] { network.forward({.steps = steps, .x = x}); });
  for (const std::int64_t row : {neurons, inputs + neurons, std::int64_t{7}}) {
    refused(row, [&] { stack.infer({.steps = steps, .x = x}); });
    refused(row, [&] { stack.forward({.steps = steps, .x = x}); });
  }
  stack.infer({.steps = steps, .x = x});
}

TEST(OutOfMemory, AFailedLoadOfAStackChangesNothing) {
  constexpr std::int64_t inputs = 3;
  const auto make = [&](std::int64_t batch, std::uint64_t seed) {
    const Spec lstm{.cell = Cell::lstm, .rule = Rule::oja, .neurons = 4},
        stateless{.cell = Cell::feedforward, .alpha = Granularity::none, .neurons = 2};
    Stack stack(inputs, {{.spec = stateless}, {.spec = {.neurons = 6}}, {.spec = lstm}, {.spec = stateless}},
                {.batch = batch, .device = Device::cpu(1), .seed = seed});
    stack.infer({.x = noise(static_cast<std::size_t>(batch * inputs), seed)});
    return stack;
  };
  for (const std::int64_t batch : {B, B + 1}) {  // of the file
    const io::TensorFile file = contents(make(batch, 1));
    Stack stack = make(B, 2);
    const io::TensorFile before = contents(stack);
    const auto unchanged = [&](const io::TensorFile& expected) {
      return [&](int k) {
        EXPECT_EQ(stack.batch(), B) << "allocation " << k;
        EXPECT_EQ(contents(stack), expected) << "allocation " << k;
        for (std::size_t layer = 0; layer < stack.layers().size(); ++layer)
          EXPECT_EQ(stack.layer(layer).batch(), B) << "allocation " << k;
      };
    };
    EXPECT_GT(failures([&] { stack.load(file); }, unchanged(before)), 5);
    const io::TensorFile loaded = contents(stack);
    EXPECT_EQ(loaded.metadata, file.metadata);
    EXPECT_GT(failures([&] { stack.load_state(file); }, unchanged(loaded)), 5);
    EXPECT_EQ(contents(stack), file);
  }
}

TEST(OutOfMemory, AFailedResetOfAStackChangesNothing) {
  const Spec spec{.rule = Rule::oja, .neurons = 6};
  Stack stack(3, {{.spec = spec}, {.spec = spec}}, {.batch = B, .device = Device::cpu(1)});
  stack.forward({.x = noise(B * 3, 1)});
  const io::TensorFile before = contents(stack);
  const auto check = [&](int k) {
    EXPECT_EQ(stack.windows(), 1) << "allocation " << k;
    EXPECT_EQ(contents(stack), before) << "allocation " << k;
  };
  EXPECT_GT(failures([&] { stack.reset(B + 1); }, check), 2);
  EXPECT_EQ(stack.batch(), B + 1);
  EXPECT_EQ(stack.windows(), 0);
}

TEST(OutOfMemory, AFailedLoadOfANetworkChangesNothing) {
  const auto make = [](std::int64_t batch, std::uint64_t seed) {
    Network network(modulated, {.batch = batch, .device = Device::cpu(1), .seed = seed});
    network.infer({.x = noise(static_cast<std::size_t>(batch) * 3, seed)});
    return network;
  };
  const io::TensorFile file = contents(make(B + 1, 1));
  Network network = make(B, 2);
  const io::TensorFile before = contents(network);
  const auto load = [&] {
    Network copy = network.clone();
    copy.load_state(file);
    network.load_state(file);
  };
  EXPECT_GT(failures(load, [&](int k) { EXPECT_EQ(contents(network), before) << "allocation " << k; }), 5);
  const auto state = [&](int k) { EXPECT_EQ(network.batch(), B + 1) << "allocation " << k; };
  EXPECT_GT(failures([&] { network.load(file); }, state), 5);
  EXPECT_EQ(contents(network), file);
}

TEST(OutOfMemory, AFailedSaveAddsNothingToTheFile) {
  const Spec spec{.cell = Cell::lstm, .rule = Rule::oja, .inputs = 3, .neurons = 4};
  Network network(spec, {.batch = B, .device = Device::cpu(1)});
  Stack stack(3, {{.spec = spec}}, {.batch = B, .device = Device::cpu(1)});
  const Linear linear(3, 4, 1);
  const Adam adam;
  io::TensorFile file;
  const auto save_to_new = [&](const auto& save) {
    file = {};
    failures([&] { save(file); }, [&](int k) { EXPECT_EQ(file, io::TensorFile()) << "allocation " << k; });
    EXPECT_NE(file, io::TensorFile());
  };
  save_to_new([&](io::TensorFile& to) { network.save(to); });
  save_to_new([&](io::TensorFile& to) { network.save_state(to); });
  save_to_new([&](io::TensorFile& to) { stack.save(to); });
  save_to_new([&](io::TensorFile& to) { linear.save(to); });
  save_to_new([&](io::TensorFile& to) { adam.save(to); });
}

TEST(OutOfMemory, AFailedStepOrLoadOfAnOptimizerChangesNothing) {
  const OptimizerOptions options{.clip_norm = .1, .groups = {{.names = {"b"}, .clip_norm = .1}}};
  const Episode episode(modulated, 1, B, 5);
  Network network(modulated, {.batch = B, .device = Device::cpu(1), .seed = 3});
  Optimizer optimizer(options);
  for (int step = 0; step < 2; ++step) {
    squared_error_passes(network, episode);
    const io::TensorFile before = contents(optimizer);
    const auto of_network = snapshot(network);
    const std::vector<ParameterView> parameters = network.parameters();
    EXPECT_GT(failures([&] { optimizer.step(parameters); },
                       [&](int k) {
                         EXPECT_EQ(contents(optimizer), before) << "allocation " << k;
                         EXPECT_EQ(snapshot(network), of_network) << "allocation " << k;
                       }),
              3);
  }
  const io::TensorFile file = contents(optimizer);
  Optimizer other(options);
  const io::TensorFile fresh = contents(other);
  const auto check = [&](int k) { EXPECT_EQ(contents(other), fresh) << "allocation " << k; };
  EXPECT_GT(failures([&] { other.load(file); }, check), 5);
  EXPECT_EQ(contents(other), file);
}

TEST(OutOfMemory, AFailedStepOrLoadOfATrainerChangesNothing) {
  const Episode episode(modulated, 1, B, 5);
  Network network(modulated, {.batch = B, .device = Device::cpu(1), .seed = 3});
  const TrainerOptions options{.clip_norm = .1};
  Trainer trainer(network, options);
  const auto unchanged = [&](Trainer& checked, auto call) {
    const io::TensorFile before = contents(network, checked);
    return failures(call,
                    [&](int k) { EXPECT_EQ(contents(network, checked), before) << "allocation " << k; });
  };
  const LossFunction loss = [&](std::span<const float> y, std::span<float> dy) {
    return mse_loss(y, episode.target, dy);
  };
  for (int step = 0; step < 2; ++step) {
    EXPECT_GT(unchanged(trainer, [&] { trainer.step(episode.sequence(), episode.target); }), 3);
    EXPECT_GT(unchanged(trainer, [&] { trainer.step_with(episode.sequence(), loss); }), 3);
    // The caller's iteration advances the state.
    EXPECT_GT(unchanged(trainer,
                        [&] {
                          const long failing = std::exchange(allocations_before_failure, -1);
                          const io::TensorFile state = contents(network);
                          allocations_before_failure = failing;
                          try {
                            trainer.step([&] { return squared_error_passes(network, episode); });
                          } catch (...) {
                            allocations_before_failure = -1;
                            network.detach();
                            network.load_state(state);
                            throw;
                          }
                        }),
              3);
  }
  const io::TensorFile file = contents(trainer);
  Trainer other(network, options);
  EXPECT_GT(unchanged(other, [&] { other.load(file); }), 5);
  EXPECT_EQ(contents(other), file);
}

}  // namespace
}  // namespace plasticity::testing

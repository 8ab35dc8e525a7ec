// Every allocation of a call fails once. The call then throws and changes nothing, and the next call
// succeeds.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <optional>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/replaced_new.hpp"

namespace plasticity::testing {
namespace {

long allocations_before_failure = -1;  // negative: no allocation fails

}  // namespace

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (allocations_before_failure >= 0 && allocations_before_failure-- == 0) return nullptr;
  return aligned_memory(bytes, alignment);
}

void release(void* data, std::size_t) noexcept { std::free(data); }

namespace {

constexpr std::int64_t B = 2;

/// Runs `call` until it succeeds; its k-th run fails at allocation k. Calls `check` after each failure.
/// Returns the number of failures.
template <class Call, class Check>
int failures(Call call, Check check) {
  constexpr int most = 1000;  // a call of these sizes allocates less often
  for (int k = 0; k < most; ++k) {
    allocations_before_failure = k;
    try {
      call();
      allocations_before_failure = -1;
      return k;
    } catch (const std::bad_alloc&) {
      allocations_before_failure = -1;
    } catch (const Error& error) {
      allocations_before_failure = -1;
      EXPECT_EQ(to_string(error.code()), to_string(ErrorCode::out_of_memory)) << error.what();
    }
    check(k);
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

}  // namespace
}  // namespace plasticity::testing

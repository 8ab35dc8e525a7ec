// Calls of one network from two threads: an error, never a race. Networks that share parameters.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/on_threads.hpp"

namespace plasticity::testing {
namespace {

const Spec spec{.inputs = 3, .neurons = 32};

Network make() { return Network(spec, {.batch = 2, .device = Device::cpu(1), .seed = 3}); }

/// Calls until one call throws, or `other` has thrown. Returns the message, or nothing.
std::string call_until_refused(std::atomic<int>& refused, const std::function<void()>& call) {
  while (refused == 0) {
    try {
      call();
    } catch (const Error& error) {
      ++refused;
      return error.what();
    }
  }
  return "";
}

TEST(Busy, TwoThreadsOnOneNetworkAreAnError) {
  Network network = make();
  const Episode episode(spec, 50, 2, 1);
  std::atomic<int> refused{0};
  std::string messages[2];
  const auto call = [&] { network.infer(episode.sequence()); };
  on_threads({[&] { messages[0] = call_until_refused(refused, call); },
              [&] { messages[1] = call_until_refused(refused, call); }});
  EXPECT_GE(refused, 1);
  EXPECT_NE((messages[0] + messages[1]).find("another thread is running a call"), std::string::npos);
  network.infer(episode.sequence());  // the network is not stuck
}

TEST(Busy, SharingNetworksInferAtOnce) {
  Network first = make(), second = first.share(), alone = make();
  const Episode episode(spec, 20, 2, 1);
  std::vector<float> want, got[2];
  for (int k = 0; k < 20; ++k) want = copied(alone.infer(episode.sequence()));
  const auto run = [&](Network& network, std::vector<float>& y) {
    for (int k = 0; k < 20; ++k) y = copied(network.infer(episode.sequence()));
  };
  on_threads({[&] { run(first, got[0]); }, [&] { run(second, got[1]); }});
  EXPECT_EQ(got[0], want);
  EXPECT_EQ(got[1], want);
}

TEST(Busy, BackwardBesideASharingNetworkIsAnError) {
  Network first = make(), second = first.share();
  const Episode episode(spec, 50, 2, 1);
  std::atomic<int> refused{0};
  std::string messages[2];
  const auto train = [&](Network& network) {
    network.detach();
    network.forward(episode.sequence());
    network.backward(episode.target);
  };
  on_threads({[&] { messages[0] = call_until_refused(refused, [&] { train(first); }); },
              [&] { messages[1] = call_until_refused(refused, [&] { train(second); }); }});
  EXPECT_NE((messages[0] + messages[1]).find("parameters or gradients"), std::string::npos);
}

}  // namespace
}  // namespace plasticity::testing

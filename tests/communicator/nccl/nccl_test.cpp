// The NCCL communicator over a stand-in library with NCCL's entry points, and trainers on several GPUs of the
// executor.
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <barrier>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "communicator/values.hpp"
#include "plasticity/plasticity.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class Nccl : public ::testing::Test {
 protected:
  void SetUp() override { setenv("PLASTICITY_NCCL", PLASTICITY_NCCL_STAND_IN, 1); }
  void TearDown() override { unsetenv("PLASTICITY_NCCL_FAILS"); }

  /// Returns a count of the stand-in, which is loaded.
  static int count(const char* name) {
    void* const address = dlsym(dlopen(PLASTICITY_NCCL_STAND_IN, RTLD_NOW | RTLD_NOLOAD), name);
    int (*function)() = nullptr;
    std::memcpy(&function, &address, sizeof(address));
    return function();
  }

  /// Waits for the threads that end communicators.
  static void expect_no_communicator() {
    const Clock::time_point start = Clock::now();
    while (count("stand_in_live") != 0 && Clock::now() < start + 10s) std::this_thread::yield();
    EXPECT_EQ(count("stand_in_live"), 0);
    EXPECT_EQ(count("stand_in_misuses"), 0);
  }

  /// Runs work(communicator) on `ranks` threads and returns the messages of their errors.
  template <class Work>
  static std::vector<std::string> on_ranks(int ranks, const Work& work,
                                           std::chrono::milliseconds time_limit = 20s) {
    const NcclId id = nccl_id();
    std::vector<std::string> errors(static_cast<std::size_t>(ranks));
    std::vector<std::thread> threads;
    for (int r = 0; r < ranks; ++r) {
      threads.emplace_back([&, r] {
        try {
          const auto communicator =
              nccl_communicator(Device::cuda(), id, r, ranks, {.time_limit = time_limit});
          work(*communicator);
        } catch (const std::exception& error) {
          errors[static_cast<std::size_t>(r)] = error.what();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return errors;
  }
};

// Runs first: the library is loaded once.
TEST_F(Nccl, ALibraryThatIsMissingIsNamed) {
  setenv("PLASTICITY_NCCL", "libno_such_nccl.so", 1);
  expect_error([] { nccl_id(); }, ErrorCode::device_unavailable,
               "NCCL: expected libno_such_nccl.so, which the loader finds, got ");
}

TEST_F(Nccl, AnOldLibraryIsNamed) {
  setenv("PLASTICITY_NCCL_FAILS", "version", 1);
  expect_error([] { nccl_id(); }, ErrorCode::device_unavailable,
               ".so: expected NCCL 2.19 or later, got version code 21805");
}

TEST_F(Nccl, IdsDiffer) { EXPECT_NE(nccl_id(), nccl_id()); }

// Host memory is added in the order of the tree, whatever the order of NCCL.
TEST_F(Nccl, HasTheCallsOfEveryCommunicator) {
  for (const int ranks : {1, 2, 3, 4}) {
    const std::vector<std::string> errors = on_ranks(ranks, [&](Communicator& communicator) {
      for (const std::size_t count : {1, 7, 1025, 5003}) {
        std::vector<float> values = values_of<float>(communicator.rank(), count);
        communicator.sum(std::span(values));
        EXPECT_EQ(values, sums_of<float>(ranks, count));
        std::vector<double> doubles = values_of<double>(communicator.rank(), count);
        communicator.sum(std::span(doubles));
        EXPECT_EQ(doubles, sums_of<double>(ranks, count));
      }
      for (int root = 0; root < ranks; ++root) {
        std::vector<int> values(5, communicator.rank());
        communicator.broadcast(std::span(values), root);
        EXPECT_EQ(values, std::vector<int>(5, root));
        communicator.barrier();
      }
    });
    for (const std::string& error : errors) EXPECT_EQ(error, "");
  }
}

// Small slices by a sum, large ones by an all-gather, and those of very different sizes one by one. Slices
// that do not adjoin in the memory of the host, and empty ones.
TEST_F(Nccl, GathersSlicesOfAnySize) {
  const int ranks = 3;
  using Slices = std::vector<std::int64_t>;
  for (const Slices& first : {Slices{0, 1, 2, 3}, Slices{0, 5, 5, 6}, Slices{0, 0, 0, 0}, Slices{0, 0, 7, 7},
                              Slices{0, 400'000, 800'000, 1'200'000}, Slices{0, 400'000, 800'000, 1'199'999},
                              Slices{0, 400'001, 800'001, 1'200'001}, Slices{0, 400'000, 400'000, 400'001},
                              Slices{0, 0, 600'000, 600'000}}) {
    const std::vector<std::string> errors = on_ranks(ranks, [&](Communicator& communicator) {
      std::vector<int> values(static_cast<std::size_t>(first.back()), -1), want(values.size());
      for (std::size_t k = 0; k < values.size(); ++k) want[k] = static_cast<int>(k * 2654435761U);
      const auto own = static_cast<std::size_t>(communicator.rank());
      for (std::int64_t k = first[own]; k < first[own + 1]; ++k)
        values[static_cast<std::size_t>(k)] = want[static_cast<std::size_t>(k)];
      communicator.all_gather(std::span(values), first);
      EXPECT_TRUE(values == want) << ::testing::PrintToString(first) << " on rank " << own;
    });
    for (const std::string& error : errors) EXPECT_EQ(error, "") << ::testing::PrintToString(first);
  }
}

TEST_F(Nccl, AddsDeviceMemory) {
  const std::vector<std::string> errors = on_ranks(3, [&](Communicator& communicator) {
    const std::vector<float> own = values_of<float>(communicator.rank(), 1000);
    DeviceMemory memory(Device::cuda(), own.size() * sizeof(float));
    copy(Device::cuda(), {}, memory.data(), own.data(), memory.bytes());
    communicator.sum(Device::cuda(), {}, static_cast<float*>(memory.data()), 1000);
    std::vector<float> sums(own.size()), expected(own.size());
    copy(Device::cuda(), {}, sums.data(), memory.data(), memory.bytes());
    for (int r = 3; r-- > 0;) {
      const std::vector<float> part = values_of<float>(r, 1000);
      for (std::size_t k = 0; k < part.size(); ++k) expected[k] += part[k];
    }
    EXPECT_EQ(sums, expected);
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

// Two GPUs, each with half of the batch, against one with the whole batch.
TEST_F(Nccl, TrainsANetworkOnSeveralGpus) {
  constexpr std::int64_t T = 3, B = 4, N = 6;
  const auto train = [&](Communicator* communicator) {
    const BatchSlice slice = slice_of(communicator, B);
    const auto seed = static_cast<std::uint64_t>(communicator == nullptr ? 0 : communicator->rank());
    // A stream of its own: the executor runs the work of a stream when a thread waits for it.
    cudaStream_t stream = nullptr;
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    Network network({.rule = Rule::hard_clip, .neurons = N},
                    {.batch = slice.count, .device = Device::cuda(), .seed = 2 + seed, .stream = {stream}});
    Trainer trainer(network, {.clip_norm = .5, .communicator = communicator});
    double loss = 0;
    for (int k = 0; k < 3; ++k) {
      const std::vector<float> all = values_of<float>(10 + k, static_cast<std::size_t>(T * B * N));
      std::vector<float> u, target;
      for (std::int64_t t = 0; t < T; ++t) {
        for (std::int64_t j = slice.first * N; j < (slice.first + slice.count) * N; ++j) {
          const float value = std::tanh(all[static_cast<std::size_t>(t * B * N + j)]);
          u.push_back(value);
          target.push_back(value / 2);
        }
      }
      network.reset();
      loss = trainer.step({.steps = T, .u = u}, target);
    }
    const std::span<float> w = network.parameter("w");
    std::vector<float> result(w.begin(), w.end());
    result.push_back(static_cast<float>(loss));
    return result;
  };
  const std::vector<float> want = train(nullptr);
  std::vector<std::vector<float>> got(2), again(2);
  for (auto* results : {&got, &again}) {
    for (const std::string& error : on_ranks(2, [&](Communicator& communicator) {
           (*results)[static_cast<std::size_t>(communicator.rank())] = train(&communicator);
         })) {
      EXPECT_EQ(error, "");
    }
  }
  EXPECT_EQ(got[1], got[0]);
  EXPECT_EQ(again, got);
  ASSERT_EQ(got[0].size(), want.size());
  for (std::size_t k = 0; k < want.size(); ++k) EXPECT_NEAR(got[0][k], want[k], 1e-5);
}

TEST_F(Nccl, AnErrorOfAnotherRankIsAnError) {
  const std::vector<std::string> errors = on_ranks(2, [&](Communicator& communicator) {
    communicator.barrier();
    setenv("PLASTICITY_NCCL_FAILS", "remote", 1);
    communicator.barrier();
  });
  for (const std::string& error : errors) {
    EXPECT_NE(error.find("remote process exited"), std::string::npos) << error;
  }
}

TEST_F(Nccl, AnErrorEndsTheCommunicator) {
  std::barrier<> together(2);
  const std::vector<std::string> errors = on_ranks(2, [&](Communicator& communicator) {
    communicator.barrier();
    together.arrive_and_wait();
    setenv("PLASTICITY_NCCL_FAILS", "query", 1);
    together.arrive_and_wait();
    const std::string first = error_of([&] { communicator.barrier(); }).what();
    together.arrive_and_wait();
    unsetenv("PLASTICITY_NCCL_FAILS");
    EXPECT_EQ(message_of([&] { communicator.barrier(); }), first);
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

// NCCL counts the open groups of a thread. If one stays open, the thread's next communicator does nothing.
TEST_F(Nccl, AFailedExchangeLeavesNoGroupOpen) {
  constexpr std::size_t many = 3000;  // few are gathered, without a group
  const NcclId next = nccl_id();
  std::barrier<> together(2);
  const std::vector<std::string> errors = on_ranks(2, [&](Communicator& communicator) {
    std::vector<double> values(many, communicator.rank() + 1.0);
    setenv("PLASTICITY_NCCL_FAILS", "send", 1);
    together.arrive_and_wait();
    EXPECT_THROW(communicator.sum(std::span(values)), Error);
    together.arrive_and_wait();
    unsetenv("PLASTICITY_NCCL_FAILS");
    together.arrive_and_wait();
    const auto another = nccl_communicator(Device::cuda(), next, communicator.rank(), 2, {.time_limit = 20s});
    values.assign(many, communicator.rank() + 1.0);
    another->sum(std::span(values));
    EXPECT_EQ(values, std::vector<double>(many, 3.0));
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

// NCCL has no tags. The stand-in reports the sizes that differ; NCCL itself would wait to the time limit.
TEST_F(Nccl, RanksWithOtherCallsFail) {
  const std::vector<std::string> errors = on_ranks(2, [&](Communicator& communicator) {
    std::vector<double> values(communicator.rank() == 0 ? 3 : 4);
    communicator.sum(std::span(values));
  });
  for (const std::string& error : errors) EXPECT_EQ(error.substr(0, 24), "NCCL: sum() of doubles: ") << error;
}

TEST_F(Nccl, ARankThatEndsFailsTheOther) {
  const auto broadcast = [](Communicator& communicator) {
    std::vector<double> values(3);
    if (communicator.rank() == 0) communicator.broadcast(std::span(values), 1);
  };
  const std::vector<std::string> errors = on_ranks(2, broadcast, 200ms);
  EXPECT_EQ(errors[0],
            "NCCL: expected broadcast() of all 2 ranks within 200 ms, got nothing from at least one (it has "
            "ended, or hangs)");
  EXPECT_EQ(errors[1], "");
  expect_no_communicator();
}

// The first call connects the ranks. Few values take one sum of NCCL, many take sends.
TEST_F(Nccl, ARankThatHangsBeforeItsFirstCallFailsTheOthers) {
  for (const std::size_t many : {std::size_t{3}, std::size_t{3000}}) {
    std::barrier<> together(3);
    const std::vector<std::string> errors = on_ranks(
        3,
        [&](Communicator& communicator) {
          std::vector<double> values(many);
          const Clock::time_point start = Clock::now();
          if (communicator.rank() != 1) {
            EXPECT_EQ(message_of([&] { communicator.sum(std::span(values)); }),
                      "NCCL: expected sum() of doubles of all 3 ranks within 300 ms, got nothing from at "
                      "least one (it has ended, or hangs)");
          }
          EXPECT_LT(Clock::now() - start, 3s);
          together.arrive_and_wait();
        },
        300ms);
    for (const std::string& error : errors) EXPECT_EQ(error, "");
    expect_no_communicator();
  }
}

TEST_F(Nccl, AKernelThatDoesNotEndEndsTheWait) {
  setenv("PLASTICITY_NCCL_FAILS", "kernel", 1);
  std::barrier<> together(2);
  const auto sum = [&](Communicator& communicator) {
    std::vector<double> values(3);
    const std::string message = message_of([&] { communicator.sum(std::span(values)); });
    EXPECT_TRUE(message.starts_with("NCCL: expected sum() of doubles of all 2 ranks within 200 ms"))
        << message;
    together.arrive_and_wait();  // the end of a communicator waits for the work of all streams
  };
  for (const std::string& error : on_ranks(2, sum, 200ms)) EXPECT_EQ(error, "");
  expect_no_communicator();
}

TEST_F(Nccl, AMissingRankEndsTheWait) {
  expect_exact_error([] { nccl_communicator(Device::cuda(), nccl_id(), 0, 2, {.time_limit = 100ms}); },
                     ErrorCode::communication, "NCCL: expected all 2 ranks within 100 ms, got fewer");
  expect_no_communicator();
}

TEST_F(Nccl, ARankThatEndsDuringTheInitializationFailsTheOthers) {
  const NcclId id = nccl_id();
  const auto create = [&](int rank, std::chrono::milliseconds time_limit) {
    return message_of([&] { nccl_communicator(Device::cuda(), id, rank, 3, {.time_limit = time_limit}); });
  };
  std::thread other([&] { EXPECT_NE(create(1, 50ms), "no error"); });
  EXPECT_EQ(create(0, 300ms), "NCCL: expected all 3 ranks within 300 ms, got fewer");
  other.join();
  setenv("PLASTICITY_NCCL_FAILS", "init", 1);
  EXPECT_EQ(create(0, 20s), "ncclCommInitRankConfig: remote process exited or there was a network error (6)");
  expect_no_communicator();
}

TEST_F(Nccl, IsFinalizedBeforeItIsDestroyed) {
  for (const std::string& error : on_ranks(2, [](Communicator& communicator) { communicator.barrier(); }))
    EXPECT_EQ(error, "");
  expect_no_communicator();
}

TEST_F(Nccl, AFinalizeThatDoesNotEndIsAborted) {
  const Clock::time_point start = Clock::now();
  const auto barrier = [](Communicator& communicator) {
    communicator.barrier();
    setenv("PLASTICITY_NCCL_FAILS", "finalize", 1);
  };
  for (const std::string& error : on_ranks(2, barrier, 200ms)) EXPECT_EQ(error, "");
  EXPECT_LT(Clock::now() - start, 3s);
  expect_no_communicator();
}

// ncclCommAbort() waits for the ranks of the same machine.
TEST_F(Nccl, AnAbortThatDoesNotEndIsLeftBehind) {
  setenv("PLASTICITY_NCCL_FAILS", "abort", 1);
  const Clock::time_point start = Clock::now();
  EXPECT_THROW(nccl_communicator(Device::cuda(), nccl_id(), 0, 2, {.time_limit = 100ms}), Error);
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(count("stand_in_live"), 1);
  unsetenv("PLASTICITY_NCCL_FAILS");
  expect_no_communicator();
}

TEST_F(Nccl, WrongArgumentsAreNamed) {
  const NcclId id{};
  EXPECT_TRUE(
      message_of([&] { nccl_communicator(Device::cpu(1), id, 0, 1); }).starts_with("device: expected a GPU"));
  EXPECT_EQ(message_of([&] { nccl_communicator(Device::cuda(), id, 2, 2); }), "rank: expected 0 to 1, got 2");
  EXPECT_EQ(message_of([&] { nccl_communicator(Device::cuda(), id, 0, 0); }),
            "size: expected at least 1, got 0");
}

// Through another communicator, which passes the id.
TEST_F(Nccl, TakesTheIdFromOtherRanks) {
  auto others = thread_communicators(2);
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < 2; ++r) {
    threads.emplace_back([&, r] {
      const auto communicator = nccl_communicator(Device::cuda(), *others[r]);
      EXPECT_EQ(communicator->rank(), static_cast<int>(r));
      std::vector<float> values{1};
      communicator->sum(std::span(values));
      EXPECT_EQ(values[0], 2);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace plasticity::testing

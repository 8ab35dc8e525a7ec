// The calls of a communicator on threads: values, the order of sums, and errors.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "communicator/on_ranks.hpp"
#include "communicator/values.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

using namespace std::chrono_literals;

const std::vector<int> sizes{1, 2, 3, 4, 5, 7, 8};
const std::vector<std::size_t> counts{0, 1, 2, 7, 1024, 1025, 5003};

void expect_no_errors(const std::vector<std::string>& errors) {
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

template <class Real>
void expect_sums() {
  for (const int size : sizes) {
    for (const std::size_t count : counts) {
      const std::vector<Real> expected = sums_of<Real>(size, count);
      expect_no_errors(on_ranks(size, [&](Communicator& communicator) {
        std::vector<Real> values = values_of<Real>(communicator.rank(), count);
        communicator.sum(std::span(values));
        EXPECT_EQ(values, expected) << size << " ranks, " << count << " values, rank " << communicator.rank();
      }));
    }
  }
}

TEST(Communicator, AddsFloatsInTheOrderOfTheTree) { expect_sums<float>(); }
TEST(Communicator, AddsDoublesInTheOrderOfTheTree) { expect_sums<double>(); }

// The test above fails for another order only if the order changes bits.
TEST(Communicator, TheOrderOfTheTestsValuesChangesBits) {
  std::vector<std::vector<float>> all;
  for (int r = 0; r < 4; ++r) all.push_back(values_of<float>(r, 1024));
  int other = 0;
  for (std::size_t k = 0; k < 1024; ++k)
    other += ((all[0][k] + all[1][k]) + all[2][k]) + all[3][k] != tree_of(all, k, 0, 4) ? 1 : 0;
  EXPECT_GT(other, 100);
}

TEST(Communicator, BroadcastsFromAnyRank) {
  for (const int size : sizes) {
    for (int root = 0; root < size; ++root) {
      expect_no_errors(on_ranks(size, [&](Communicator& communicator) {
        std::vector<std::int64_t> values(9, communicator.rank());
        communicator.broadcast(std::span(values), root);
        EXPECT_EQ(values, std::vector<std::int64_t>(9, root));
      }));
    }
  }
}

TEST(Communicator, GathersUnequalAndEmptySlices) {
  for (const int size : sizes) {
    expect_no_errors(on_ranks(size, [&](Communicator& communicator) {
      std::vector<std::int64_t> first{0};
      for (int r = 0; r < size; ++r) first.push_back(first.back() + (r % 3 == 1 ? 0 : 2 * r + 1));
      for (int repeat = 0; repeat < 3; ++repeat) {
        std::vector<double> values(static_cast<std::size_t>(first.back()), -1.0), expected;
        for (int r = 0; r < size; ++r) {
          for (auto k = first[static_cast<std::size_t>(r)]; k < first[static_cast<std::size_t>(r) + 1]; ++k) {
            expected.push_back(100.0 * r + static_cast<double>(k) + repeat);
            if (r == communicator.rank()) values[static_cast<std::size_t>(k)] = expected.back();
          }
        }
        communicator.all_gather(std::span(values), first);
        EXPECT_EQ(values, expected);
      }
    }));
  }
}

TEST(Communicator, ABarrierWaitsForAllRanks) {
  for (const int size : sizes) {
    std::atomic<int> arrived{0};
    expect_no_errors(on_ranks(size, [&](Communicator& communicator) {
      for (int round = 1; round <= 20; ++round) {
        ++arrived;
        communicator.barrier();
        EXPECT_GE(arrived, round * size);
        communicator.barrier();
      }
    }));
  }
}

TEST(Communicator, WrongArgumentsNameTheArgument) {
  const auto message = [](const auto& call) -> std::string {
    const Error error = error_of(call);
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  };
  EXPECT_EQ(message([] { thread_communicators(0); }), "size: expected 1 to 1024, got 0");
  EXPECT_EQ(message([] { thread_communicators(1025); }), "size: expected 1 to 1024, got 1025");
  EXPECT_EQ(message([] { thread_communicators(2, {.time_limit = 0ms}); }),
            "options.time_limit: expected more than 0 ms, got 0 ms");
  const auto all = thread_communicators(2);
  std::vector<float> values(4);
  EXPECT_EQ(message([&] { all[0]->broadcast(std::span(values), 2); }), "root: expected 0 to 1, got 2");
  const auto gather = [&](std::vector<std::int64_t> first) {
    return message([&] { all[0]->all_gather(std::span(values), first); });
  };
  EXPECT_EQ(gather({0, 4}), "first: expected 3 elements, got 2");
  EXPECT_EQ(gather({1, 2, 4}), "first[0]: expected 0, got 1");
  EXPECT_EQ(gather({0, 5, 4}), "first[1]: expected 0 to 4, got 5");
  EXPECT_EQ(gather({0, 2, 3}), "first[2]: expected 4, the number of values, got 3");
  EXPECT_EQ(message([&] { all[0]->sum(Device::cpu(1), {}, nullptr, 3); }),
            "values: expected 3 elements, got null");
  EXPECT_EQ(message([&] { all[0]->sum(Device::cpu(1), {}, nullptr, -1); }),
            "count: expected at least 0, got -1");
  EXPECT_EQ(message([&] { slice_of(all[1].get(), 5); }),
            "batch: expected a multiple of 2, the number of ranks, got 5");
  EXPECT_EQ(slice_of(all[1].get(), 6).first, 3);
  EXPECT_EQ(slice_of(nullptr, 5).count, 5);
}

TEST(Communicator, ARankThatHangsIsNamed) {
  std::atomic<int> ended{0};
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> errors = on_ranks(4,
                                                   [&](Communicator& communicator) {
                                                     std::vector<float> values(5000, 1.0f);
                                                     communicator.sum(std::span(values));
                                                     if (communicator.rank() == 2) {
                                                       while (ended < 3) std::this_thread::sleep_for(1ms);
                                                       return;
                                                     }
                                                     try {
                                                       communicator.sum(std::span(values));
                                                     } catch (const Error& error) {
                                                       EXPECT_EQ(error.code(), ErrorCode::communication);
                                                       const std::string before = error.what();
                                                       ++ended;
                                                       try {
                                                         communicator.barrier();
                                                       } catch (const Error& again) {
                                                         EXPECT_EQ(again.what(), before);
                                                       }
                                                       throw;
                                                     }
                                                   },
                                                   {.time_limit = 100ms});
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  for (const int r : {0, 1, 3}) {
    EXPECT_EQ(errors[static_cast<std::size_t>(r)],
              "rank 2: expected sum() within 100 ms, got nothing (it has ended, or hangs)");
  }
  EXPECT_EQ(errors[2], "");
}

TEST(Communicator, AllRanksThatHangAreNamed) {
  const auto error = [](int ranks, int calling) {
    std::string message;
    std::atomic<bool> ended{false};
    on_ranks(ranks,
             [&](Communicator& communicator) {
               if (communicator.rank() != calling) {
                 while (!ended) std::this_thread::sleep_for(1ms);
                 return;
               }
               try {
                 communicator.barrier();
               } catch (const Error& late) {
                 message = late.what();
               }
               ended = true;
             },
             {.time_limit = 50ms});
    return message;
  };
  const std::string rest =
      ": expected barrier() within 50 ms, got nothing (at least one has ended, or hangs)";
  EXPECT_EQ(error(3, 1), "ranks 0 and 2" + rest);
  EXPECT_EQ(error(9, 0), "ranks 1, 2, 3, 4, 5, 6, 7 and 8" + rest);
  EXPECT_EQ(error(12, 5), "ranks 0, 1, 2, 3, 4, 6, 7, 8 and 3 more" + rest);
}

TEST(Communicator, ARankThatThrowsIsNamedBeforeTheTimeLimit) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> errors = on_ranks(3, [&](Communicator& communicator) {
    communicator.barrier();
    if (communicator.rank() == 1) throw std::runtime_error("of the program");
    communicator.barrier();
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, 30s);
  EXPECT_EQ(errors[1], "of the program");
  for (const int r : {0, 2}) {
    EXPECT_EQ(errors[static_cast<std::size_t>(r)],
              "rank 1: expected barrier(), got the end of its communicator");
  }
}

TEST(Communicator, AnotherCallOrSizeIsNamed) {
  const std::vector<std::string> kinds = on_ranks(2, [&](Communicator& communicator) {
    std::vector<float> values(3);
    if (communicator.rank() == 0) communicator.sum(std::span(values));
    if (communicator.rank() == 1) communicator.barrier();
  });
  for (const std::string& error : kinds)
    EXPECT_TRUE(error.starts_with("rank ") && error.find("sum()") != std::string::npos &&
                error.find("barrier()") != std::string::npos)
        << error;
  const std::vector<std::string> bytes = on_ranks(2, [&](Communicator& communicator) {
    std::vector<float> values(communicator.rank() == 0 ? 3 : 4);
    communicator.sum(std::span(values));
  });
  for (const std::string& error : bytes)
    EXPECT_TRUE(error.find("12 bytes") != std::string::npos && error.find("16 bytes") != std::string::npos)
        << error;
  const std::vector<std::string> types = on_ranks(2, [&](Communicator& communicator) {
    float floats[2]{};
    double doubles[1]{};
    if (communicator.rank() == 0) communicator.sum(std::span<float>(floats));
    if (communicator.rank() == 1) communicator.sum(std::span<double>(doubles));
  });
  for (const std::string& error : types)
    EXPECT_NE(error.find("sum() of doubles"), std::string::npos) << error;
}

/// A parameter with 3 elements.
struct Parameter {
  std::vector<float> value{1, 2, 3}, gradient{4, 5, 6};
  std::uint64_t version = 0;
  ParameterView view(const std::string& name) { return {name, Shape{{3}, 1}, value, gradient, &version}; }
};

TEST(Communicator, ReducesGradientsOfSeveralModules) {
  for (const Combine combine : {Combine::sum, Combine::mean}) {
    expect_no_errors(on_ranks(4, [&](Communicator& communicator) {
      Parameter a, b;
      for (float& value : b.gradient) value *= static_cast<float>(communicator.rank());
      const std::vector<ParameterView> views{a.view("a"), b.view("b")};
      all_reduce(communicator, views, combine);
      const float factor = combine == Combine::sum ? 4 : 1;
      EXPECT_EQ(a.gradient, (std::vector<float>{4 * factor, 5 * factor, 6 * factor}));
      EXPECT_EQ(b.gradient, (std::vector<float>{6 * factor, 7.5f * factor, 9 * factor}));
      EXPECT_EQ(a.value, (std::vector<float>{1, 2, 3}));
      EXPECT_EQ(a.version, 0u);
    }));
  }
}

TEST(Communicator, BroadcastsValuesOfParameters) {
  expect_no_errors(on_ranks(3, [&](Communicator& communicator) {
    Parameter a;
    for (float& value : a.value) value += static_cast<float>(communicator.rank());
    const std::vector<ParameterView> views{a.view("a")};
    broadcast(communicator, views);
    EXPECT_EQ(a.value, (std::vector<float>{1, 2, 3}));
    EXPECT_EQ(a.version, 1u);
  }));
}

TEST(Communicator, OtherParametersAreAnErrorOnAllRanks) {
  const std::vector<std::string> errors = on_ranks(3, [&](Communicator& communicator) {
    Parameter a;
    const std::vector<ParameterView> views{a.view(communicator.rank() == 2 ? "b" : "a")};
    all_reduce(communicator, views);
  });
  for (const std::string& error : errors) {
    EXPECT_EQ(
        error,
        "parameters of rank 2: expected the names and sizes of rank 0 (1 tensors, 3 elements), got others (1 "
        "tensors, 3 elements)");
  }
}

TEST(Communicator, WithoutALauncherThereIsNone) {
  for (const char* name : {"PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"}) unsetenv(name);
  EXPECT_EQ(environment_communicator(), nullptr);
}

TEST(Communicator, AMissingLibraryIsNamed) {
  if (!mpi_unavailable_reason().empty()) {
    EXPECT_THROW(mpi_communicator(), Error);
    setenv("PMI_SIZE", "2", 1);
    expect_error([] { environment_communicator(); }, ErrorCode::unsupported,
                 "mpirun: it has started 2 processes, but ");
    unsetenv("PMI_SIZE");
  }
  const Error error = error_of([] { nccl_communicator(Device::cpu(1), NcclId{}, 0, 1); });
  expect_error(error, error.code(), error.code() == ErrorCode::unsupported ? "NCCL" : "device");
}

}  // namespace
}  // namespace plasticity::testing

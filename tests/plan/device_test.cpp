#include "plasticity/device.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#include "plasticity/device_memory.hpp"
#include "plasticity/error.hpp"
#include "support/environment.hpp"
#include "support/errors.hpp"

namespace plasticity {
namespace {

TEST(Device, CpuHasTheRequestedThreads) {
  EXPECT_EQ(Device::cpu(3).kind(), DeviceKind::cpu);
  EXPECT_EQ(Device::cpu(3).threads(), 3);
  EXPECT_EQ(Device::cpu(1024).threads(), 1024);
  EXPECT_GE(Device::cpu().threads(), 1);
  EXPECT_EQ(Device::cpu(2), Device::cpu(2));
  EXPECT_NE(Device::cpu(2), Device::cpu(3));
  EXPECT_EQ(Device::cpu(1).name(), "cpu, 1 thread, " + cpu_instruction_set());
  EXPECT_EQ(Device::cpu(2).name(), "cpu, 2 threads, " + cpu_instruction_set());
}

TEST(Device, ThreadsFromTheEnvironment) {
  const testing::EnvironmentVariable threads("PLASTICITY_THREADS", "7");
  EXPECT_EQ(Device::cpu().threads(), 7);
  EXPECT_EQ(Device::cpu(2).threads(), 2);  // the argument has priority
}

TEST(Device, EmptyVariableIsIgnored) {
  const int without = [] {
    const testing::EnvironmentVariable none("PLASTICITY_THREADS", "");
    return Device::cpu().threads();
  }();
  const testing::EnvironmentVariable one("PLASTICITY_THREADS", "1");
  EXPECT_GE(without, 1);
  EXPECT_EQ(Device::cpu().threads(), 1);
}

TEST(Device, RejectsInvalidThreadsFromTheEnvironment) {
  for (const char* value :
       {"0", "-2", "1025", "two", "1.5", "4 ", " 4", "+4", "0x4", "4,", "99999999999999999999"}) {
    const testing::EnvironmentVariable threads("PLASTICITY_THREADS", value);
    testing::expect_exact_error(
        [] { (void)Device::cpu(); }, ErrorCode::invalid_argument,
        std::string("PLASTICITY_THREADS: expected a number from 1 to 1024, got '") + value + "'");
    EXPECT_EQ(Device::cpu(2).threads(), 2);
  }
}

// Sizes near 2^64, as a wrong subtraction produces them, must not wrap around to a small block.
TEST(DeviceMemory, RejectsMoreBytesThanAddresses) {
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX / 2 + 1}) {
    testing::expect_error([&] { DeviceMemory(Device::cpu(1), bytes); }, ErrorCode::out_of_memory, "");
  }
  EXPECT_EQ(DeviceMemory(Device::cpu(1), 0).data(), nullptr);
}

TEST(Device, BestIsTheCpuWithoutCuda) {
  if (cuda_unavailable_reason().empty()) {
    EXPECT_NO_THROW((void)Device::best());
  } else {
    EXPECT_EQ(Device::best().kind(), DeviceKind::cpu);
  }
}

TEST(Device, CudaErrorGivesTheReason) {
  testing::expect_exact_error([] { (void)Device::cuda(-1); }, ErrorCode::invalid_argument,
                              "index: expected at least 0, got -1");
  const std::string reason = cuda_unavailable_reason();
  if (reason.empty()) GTEST_SKIP() << "this machine has a CUDA device";
  testing::expect_exact_error([] { (void)Device::cuda(0); }, ErrorCode::device_unavailable,
                              "Device::cuda(0): expected a CUDA device, got " + reason);
}

TEST(DeviceMemory, AllocatesCopiesAndMovesOnTheCpu) {
  DeviceMemory memory(Device::cpu(1), 5 << 20);  // large enough for huge pages
  EXPECT_EQ(memory.bytes(), std::size_t{5 << 20});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 64, 0u);
  const auto* bytes = static_cast<const unsigned char*>(memory.data());
  const std::vector<unsigned char> ones(100, 1);
  fill_zero(Device::cpu(1), {}, memory.data(), memory.bytes());
  copy(Device::cpu(1), {}, memory.data(), ones.data(), ones.size());
  synchronize(Device::cpu(1), {});
  EXPECT_EQ(std::accumulate(bytes, bytes + memory.bytes(), 0), 100);
  copy(Device::cpu(1), {}, nullptr, nullptr, 0);
  fill_zero(Device::cpu(1), {}, nullptr, 0);

  DeviceMemory other = std::move(memory);
  EXPECT_EQ(static_cast<const unsigned char*>(other.data()), bytes);
  other = DeviceMemory(Device::cpu(1), 0);
  EXPECT_EQ(other.data(), nullptr);
  EXPECT_EQ(other.bytes(), 0u);
}

TEST(DeviceMemory, FailedAllocationThrows) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a failed allocation ends a program under a sanitizer";
#endif
  const std::size_t bytes = std::size_t{1} << 60;
  testing::expect_exact_error([&] { DeviceMemory(Device::cpu(1), bytes); }, ErrorCode::out_of_memory,
                              "host memory: expected " + std::to_string(bytes) + " bytes, got none");
}

// PLASTICITY_ISA is read once per process, so each value needs a process.
TEST(DeviceDeathTest, InstructionSetFromTheEnvironment) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto print_instruction_set = [](const char* value) {
    const testing::EnvironmentVariable isa("PLASTICITY_ISA", value);
    try {
      std::fprintf(stderr, "runs %s", cpu_instruction_set().c_str());
    } catch (const Error& error) {
      std::fputs(error.what(), stderr);
    }
    std::exit(0);
  };
  EXPECT_EXIT(print_instruction_set("baseline"), ::testing::ExitedWithCode(0), "runs baseline");
  EXPECT_EXIT(print_instruction_set(""), ::testing::ExitedWithCode(0), "runs (baseline|avx2|avx512)");
  EXPECT_EXIT(print_instruction_set("avx1024"), ::testing::ExitedWithCode(0),
              "PLASTICITY_ISA: expected baseline, avx2 or avx512, got 'avx1024'");
  EXPECT_EXIT(print_instruction_set("AVX2"), ::testing::ExitedWithCode(0),
              "PLASTICITY_ISA: expected baseline, avx2 or avx512");
}

}  // namespace
}  // namespace plasticity
